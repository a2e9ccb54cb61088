//! Which runs write to people of a campaign.
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::campaigns::{self, PersonState, Report};
use serde::{Deserialize, Serialize};

use crate::{Environment, faults::of_store};

/// Writes down by which runs some people of a campaign are written to. What becomes of them the runs write down
/// themselves ([`crate::SettlePerson`]).
#[derive(Debug, Serialize, Deserialize)]
pub struct SettlePeople {
    /// Whose campaign.
    pub owner: OwnerId,
    /// The campaign.
    pub campaign: String,
    /// Of each.
    pub people: Vec<Begun>,
}

/// Whether one person is written to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// The how-manieth person of the campaign, from 1.
    pub n: i64,
    /// The run that does it, or why none could be started.
    pub run: Result<String, String>,
}

impl Activity<Environment> for SettlePeople {
    const NAME: &'static str = "settle_people";
    const EFFECT: Effect = Effect::Database;
    type Output = ();

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<(), Fault> {
        let reports: Vec<_> = self.people.iter().map(|person| self.report(person)).collect();
        campaigns::settle_each(attempt.transaction()?, &reports, attempt.now())
            .await
            .map_err(of_store)
    }
}

impl SettlePeople {
    fn report<'a>(&'a self, person: &'a Begun) -> Report<'a> {
        Report {
            owner: &self.owner,
            campaign: &self.campaign,
            n: person.n,
            state: match person.run {
                Ok(_) => PersonState::Taken,
                Err(_) => PersonState::Failed,
            },
            run: person.run.as_deref().ok(),
            sid: None,
            error_code: None,
            error_message: person.run.as_ref().err().map(String::as_str),
        }
    }
}
