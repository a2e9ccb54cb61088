//! What became of a handful of people of a campaign.
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::campaigns::{self, PersonState, Report};
use serde::{Deserialize, Serialize};

use crate::{Environment, faults::of_store};

/// Writes down what became of the messages to some people of a campaign.
#[derive(Debug, Serialize, Deserialize)]
pub struct SettlePeople {
    /// Whose campaign.
    pub owner: OwnerId,
    /// The campaign.
    pub campaign: String,
    /// Of each.
    pub people: Vec<PersonReport>,
}

/// What became of one message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PersonReport {
    /// The how-manieth person of the campaign, from 1.
    pub n: i64,
    /// What became of the message.
    pub settled: Settled,
    /// The run that sends it; none where none could be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Twilio's SID of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Twilio's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// Why it was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// Twilio took it.
    Sent,
    /// It did not.
    Failed,
    /// Its run waits for longer than the campaign does.
    Held,
    /// Twilio took no more that day: the person can be written to again.
    Again,
}

impl Activity<Environment> for SettlePeople {
    const NAME: &'static str = "settle_people";
    const EFFECT: Effect = Effect::Database;
    type Output = ();

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<(), Fault> {
        let (again, settled): (Vec<_>, Vec<_>) = self
            .people
            .iter()
            .partition(|person| person.settled == Settled::Again);
        let again: Vec<_> = again.iter().map(|person| person.n).collect();
        let reports = settled.iter().map(|person| Report {
            n: person.n,
            state: match person.settled {
                Settled::Sent => PersonState::Sent,
                Settled::Failed => PersonState::Failed,
                Settled::Held | Settled::Again => PersonState::Held,
            },
            run: person.run.as_deref(),
            sid: person.sid.as_deref(),
            error_code: person.code,
            error_message: person.error.as_deref(),
        });
        let reports: Vec<_> = reports.collect();
        let (tx, now) = (attempt.transaction()?, attempt.now());
        campaigns::put_back(tx, &self.owner, &self.campaign, &again, now)
            .await
            .map_err(of_store)?;
        campaigns::settle(tx, &self.owner, &self.campaign, &reports, now)
            .await
            .map_err(of_store)
    }
}
