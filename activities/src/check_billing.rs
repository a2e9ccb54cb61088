//! May this owner have this message answered?
use recado_domain::{Address, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault, Joint};
use recado_store::billing;
use serde::{Deserialize, Serialize};

use crate::{
    Environment,
    faults::of_store,
    group::{self, Member},
};

/// Messages of contacts, and those that an owner sends of its own accord, as a feature of a plan.
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
    const TOGETHER: bool = true;
    type Output = Grant;

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<Grant, Fault> {
        group::only(reserve(&group::of_one(self, attempt)).await?)
    }

    async fn run_together(_: &Environment, calls: &[Joint<'_, Self>]) -> Result<Vec<Grant>, Fault> {
        reserve(&group::of(calls)).await
    }
}

async fn reserve(members: &[Member<'_, CheckBilling>]) -> Result<Vec<Grant>, Fault> {
    let (tx, now) = group::act(members)?;
    let want = |member| {
        let Member { call, .. }: &Member<'_, CheckBilling> = member;
        billing::Want {
            owner: &call.owner,
            run: member.run(),
            features: &[MESSAGES, AGENT_ANSWERS],
            quantity: 1,
            contact: &call.contact,
        }
    };
    let wants: Vec<_> = members.iter().map(want).collect();
    let grants = billing::reserve_each(tx, &wants, now).await.map_err(of_store)?;
    let told = |grant| match grant {
        billing::Grant::Granted => Grant::Granted,
        billing::Grant::Refused { notice, .. } => Grant::Refused { notice },
    };
    Ok(grants.into_iter().map(told).collect())
}
