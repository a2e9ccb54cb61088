//! A conversation goes from the agent to people.
use recado_domain::{Actor, ConversationId, ConversationState, OwnerId, Transition};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::{
    billing,
    transitions::{self, Change},
};
use serde::{Deserialize, Serialize};

use crate::{Environment, check_billing::AGENT_ANSWERS, faults::of_store};

/// Hands a conversation over to people.
#[derive(Debug, Serialize, Deserialize)]
pub struct HandOff {
    /// Whose conversation.
    pub owner: OwnerId,
    /// Which.
    pub conversation: ConversationId,
    /// Why, for those who take it over.
    pub reason: String,
}

/// In whose hands the conversation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandedOff {
    /// The agent's, until now: the contact is to be told.
    Now,
    /// In people's already, or it is closed.
    Before,
}

impl Activity<Environment> for HandOff {
    const NAME: &'static str = "hand_off";
    const EFFECT: Effect = Effect::Database;
    type Output = HandedOff;

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<HandedOff, Fault> {
        let (tx, now) = (attempt.transaction()?, attempt.now());
        let change = Change::new(ConversationState::HumanHandoff, Actor::Agent, &self.reason);
        let moved = transitions::apply(tx, &self.owner, &self.conversation, change, now)
            .await
            .map_err(of_store)?;
        billing::release(tx, &self.owner, attempt.run().as_str(), AGENT_ANSWERS, now)
            .await
            .map_err(of_store)?;
        Ok(match moved.transition {
            Transition::Apply => HandedOff::Now,
            Transition::Ignore | Transition::Forbidden => HandedOff::Before,
        })
    }
}
