//! What became of messages and calls of which no end was reported, asked of Twilio one by one.
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use recado_clients::twilio::{Credentials, TwilioError};
use recado_domain::{MessageStatus, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::{
    owners,
    unfinished::{Unfinished, unfinished},
};
use serde::{Deserialize, Serialize};

use crate::{
    Environment,
    faults::{of_store, of_twilio},
    fetch_prices::of,
    may_go_otherwise,
};

/// How many are asked about in one step.
const PAGE: u32 = 50;
/// How many of them at the same time.
const AT_ONCE: usize = 8;

/// Messages or calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sending {
    /// Messages.
    Messages,
    /// Calls.
    Calls,
}

/// Asks about the next page of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct FetchStatuses {
    /// Whose they are.
    pub owner: OwnerId,
    /// In which Twilio account.
    pub account: String,
    /// What they are.
    pub sending: Sending,
    /// From when on.
    pub from: DateTime<Utc>,
    /// Until when: what is younger may still be reported.
    pub until: DateTime<Utc>,
    /// Where the page before ended.
    pub after: Option<String>,
}

/// A page of answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Statuses {
    /// How many were asked about.
    pub asked: u32,
    /// Those of which Twilio says something else than we knew.
    pub changed: Vec<Changed>,
    /// The SIDs of messages that were not delivered, and that may go as their owner wants them to go then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// Where it ended; `None` where there are no more.
    pub next: Option<String>,
}

/// What Twilio says of one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// Its SID.
    pub sid: String,
    /// In Twilio's words.
    pub status: String,
    /// Twilio's error, of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
    /// How long it was, of a call, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
    /// Who answered, of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
}

impl Changed {
    /// Whether it is a message that WhatsApp did not deliver, for a reason for which its owner may want something else sent.
    fn may_go_otherwise(&self) -> bool {
        let is_lost = matches!(
            MessageStatus::parse(&self.status),
            Ok(MessageStatus::Failed | MessageStatus::Undelivered)
        );
        is_lost && self.error_code.is_some_and(may_go_otherwise)
    }
}

impl Activity<Environment> for FetchStatuses {
    const NAME: &'static str = "fetch_statuses";
    const EFFECT: Effect = Effect::Pure;
    /// Fifty requests, eight at a time.
    const TIMEOUT: Duration = Duration::from_secs(300);
    type Output = Statuses;

    async fn run(&self, env: &Environment, _: &Attempt<'_>) -> Result<Statuses, Fault> {
        let sending = of(self.sending);
        let span = (self.from, self.until);
        let found = unfinished(
            &env.database,
            &self.owner,
            &self.account,
            sending,
            span,
            self.after.as_deref(),
            PAGE,
        );
        let found = found.await.map_err(of_store)?;
        let credentials = env.at_twilio(&self.owner, &self.account).await?;
        let mut changed = Vec::new();
        for some in found.chunks(AT_ONCE) {
            let answers = join_all(some.iter().map(|one| self.ask(env, &credentials, one))).await;
            for (one, answer) in some.iter().zip(answers) {
                match answer {
                    Ok(answer) => changed.extend(Some(answer).filter(|answer| answer.status != one.status)),
                    // Twilio keeps nothing for ever, and a person may have deleted it there.
                    Err(TwilioError::Refused { status: 404, .. }) => {}
                    Err(error) => return Err(of_asking(&error)),
                }
            }
        }
        let is_full = found.len() == PAGE as usize;
        let lost = changed.iter().filter(|one| one.may_go_otherwise());
        let mut lost: Vec<_> = lost.map(|one| one.sid.clone()).collect();
        if !lost.is_empty()
            && !owners::any_way_out(&env.database, &self.account)
                .await
                .map_err(of_store)?
        {
            lost.clear();
        }
        Ok(Statuses {
            asked: u32::try_from(found.len()).unwrap_or(u32::MAX),
            lost,
            changed,
            next: found
                .into_iter()
                .next_back()
                .filter(|_| is_full)
                .map(|last| last.id),
        })
    }
}

impl FetchStatuses {
    async fn ask(
        &self,
        env: &Environment,
        credentials: &Credentials,
        one: &Unfinished,
    ) -> Result<Changed, TwilioError> {
        Ok(match self.sending {
            Sending::Messages => {
                let message = env.twilio.fetch_message(credentials, &one.twilio_sid).await?;
                Changed {
                    sid: message.sid,
                    status: message.status,
                    error_code: message.error_code,
                    duration: None,
                    answered_by: None,
                }
            }
            Sending::Calls => {
                let call = env.twilio.fetch_call(credentials, &one.twilio_sid).await?;
                Changed {
                    sid: call.sid,
                    status: call.status,
                    error_code: None,
                    duration: call.duration,
                    answered_by: call.answered_by,
                }
            }
        })
    }
}

/// A question changes nothing: whatever became of it, it may be asked again.
pub(crate) fn of_asking(error: &TwilioError) -> Fault {
    match error {
        TwilioError::Unknown(_) => {
            Fault::retry_after("twilio_unknown", error.to_string(), error.retry_after())
        }
        _ => of_twilio(error),
    }
}
