//! May this owner have this message answered?
use recado_domain::{Address, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::billing;
use serde::{Deserialize, Serialize};

use crate::{Environment, faults::of_store};

/// Inbound messages, as a feature of a plan.
pub(crate) const MESSAGES: &str = "messages";
/// Answers by an agent, as a feature of a plan.
pub(crate) const AGENT_ANSWERS: &str = "agent_answers";

/// Reserves what one message uses.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckBilling {
    /// Whose plan.
    pub owner: OwnerId,
    /// The contact, who is told once a period when the plan is used up.
    pub contact: Address,
}

/// What the plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// The usage is reserved.
    Granted,
    /// The plan is used up, or does not hold.
    Refused {
        /// Whether the contact has not been told in this period.
        notice: bool,
    },
}

impl Activity<Environment> for CheckBilling {
    const NAME: &'static str = "check_billing";
    const EFFECT: Effect = Effect::Database;
    type Output = Grant;

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<Grant, Fault> {
        let (tx, run, now) = (attempt.transaction()?, attempt.run().as_str(), attempt.now());
        for feature in [MESSAGES, AGENT_ANSWERS] {
            let request = billing::Request {
                run,
                feature,
                quantity: 1,
                contact: &self.contact,
            };
            let grant = billing::reserve(tx, &self.owner, request, now).await;
            if let billing::Grant::Refused { notice, .. } = grant.map_err(of_store)? {
                return Ok(Grant::Refused { notice });
            }
        }
        Ok(Grant::Granted)
    }
}
