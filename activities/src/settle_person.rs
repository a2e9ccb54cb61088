//! What became of the message to one person of a campaign.
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault, Joint};
use recado_store::campaigns::{self, PersonState, Report};
use serde::{Deserialize, Serialize};

use crate::{
    Environment,
    faults::of_store,
    group::{self, Member},
};

/// How long nobody waits the less for the next day.
const SHORTEST_DAY: TimeDelta = TimeDelta::hours(1);

/// Writes down what became of a message of a campaign, where its run has come to an end.
#[derive(Debug, Serialize, Deserialize)]
pub struct SettlePerson {
    /// Whose campaign.
    pub owner: OwnerId,
    /// The campaign.
    pub campaign: String,
    /// The how-manieth person of it, from 1.
    pub n: i64,
    /// What became of the message.
    pub settled: Settled,
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
    /// Twilio took no more that day: the person is written to again, by another run, and nobody else before.
    Again,
}

impl Activity<Environment> for SettlePerson {
    const NAME: &'static str = "settle_person";
    const EFFECT: Effect = Effect::Database;
    const TOGETHER: bool = true;
    type Output = ();

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<(), Fault> {
        settle(&group::of_one(self, attempt)).await
    }

    async fn run_together(_: &Environment, calls: &[Joint<'_, Self>]) -> Result<Vec<()>, Fault> {
        settle(&group::of(calls)).await?;
        Ok(calls.iter().map(|_| ()).collect())
    }
}

async fn settle(members: &[Member<'_, SettlePerson>]) -> Result<(), Fault> {
    let (tx, now) = group::act(members)?;
    let (again, settled): (Vec<_>, Vec<_>) = members
        .iter()
        .partition(|member| member.call.settled == Settled::Again);
    // Campaigns are locked before their people.
    for Member { call, .. } in again {
        campaigns::put_back(tx, &call.owner, &call.campaign, call.n, (tomorrow(now), now))
            .await
            .map_err(of_store)?;
    }
    let reports: Vec<_> = settled.into_iter().map(report).collect();
    campaigns::settle_each(tx, &reports, now).await.map_err(of_store)
}

fn report<'a>(member: &'a Member<'_, SettlePerson>) -> Report<'a> {
    let call = member.call;
    Report {
        owner: &call.owner,
        campaign: &call.campaign,
        n: call.n,
        state: match call.settled {
            Settled::Sent => PersonState::Sent,
            Settled::Failed | Settled::Again => PersonState::Failed,
        },
        run: Some(member.run()),
        sid: call.sid.as_deref(),
        error_code: call.code,
        error_message: call.error.as_deref(),
    }
}

/// When Twilio counts a day's messages anew.
fn tomorrow(now: DateTime<Utc>) -> DateTime<Utc> {
    let midnight = (now.date_naive() + TimeDelta::days(1))
        .and_time(NaiveTime::MIN)
        .and_utc();
    midnight.max(now + SHORTEST_DAY)
}
