//! Somebody calls an account's number: the account is asked what to do, and its TwiML is followed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::outbound::{new, record, tell, write};
use super::{Call, CallStatus, Recording, twiml};
use crate::address;
use crate::config::Account;
use crate::entry::Direction;
use crate::inbound::InboundError;
use crate::state::State;
use crate::twilio::new_sid;
use crate::webhook::{self, Hook};

/// How often TwiML may lead to other TwiML.
const HOPS: usize = 5;

/// A call from somebody. Only the number is needed when there is one account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ring {
    /// The account's SID; empty: the only account there is.
    pub account: String,
    /// Who calls, E.164, or a word such as `anonymous`.
    pub from: String,
    /// Our number; empty: the account's first.
    pub to: String,
    /// What is said after the tone, if the TwiML asks for a message; empty: nothing.
    pub says: String,
    /// For how long, in seconds; 7 if absent.
    pub seconds: Option<u32>,
}

impl State {
    /// Rings at an account's number and follows the TwiML that it answers with.
    ///
    /// # Errors
    /// Only if nobody could be asked; a webhook that fails is a call that ends as `failed`.
    pub async fn ring(self: &Arc<Self>, ring: Ring) -> Result<Call, InboundError> {
        let account = self.receiver(&ring.account)?;
        let first = account.numbers.first().map_or("", |number| number.as_str());
        let to = match ring.to.as_str() {
            "" => address::without_channel(first),
            to => to,
        };
        if ring.from.is_empty() {
            return Err(InboundError::Address { field: "from" });
        }
        if !address::is_valid(to) {
            return Err(InboundError::Address { field: "to" });
        }
        let Some(url) = account.voice_url.as_deref() else {
            return Err(InboundError::NoWebhook(account.sid.clone()));
        };
        let mut call = new(
            &account.sid,
            (&ring.from, to),
            Direction::Inbound,
            CallStatus::Ringing,
        );
        call.status_callback = account.call_status_url.clone();
        call.status_events = vec!["completed".to_owned()];
        write(self, &call)?;
        let end = self.follow(&account, &mut call, url, &ring).await?;
        let faults = self.lock_faults().clone();
        call.duration = Some(match end {
            CallStatus::Completed => 5 + call.recordings.iter().map(|one| one.seconds).sum::<u32>(),
            _ => 0,
        });
        call.is(end);
        write(self, &call)?;
        tell(self, &call, &faults).await;
        Ok(call)
    }

    /// Does what the TwiML at `url` says, and what follows from it. Returns how the call ends.
    async fn follow(
        self: &Arc<Self>,
        account: &Account,
        call: &mut Call,
        url: &str,
        ring: &Ring,
    ) -> std::io::Result<CallStatus> {
        let mut asked = (url.to_owned(), call.params());
        for _ in 0..HOPS {
            let (at, params) = &asked;
            let hook = Hook {
                url: at,
                auth_token: &account.auth_token,
                params: params.clone(),
                sid: &call.sid,
                status: call.status().as_str(),
            };
            let (_, answer) = webhook::ask(self, &hook).await?;
            let Some(verbs) = answer.as_deref().and_then(twiml::parse) else {
                // Twilio says "an application error has occurred" and hangs up.
                return Ok(CallStatus::Failed);
            };
            let mut next = None;
            for verb in verbs {
                if verb.name == "Reject" {
                    return Ok(CallStatus::Busy);
                }
                if call.status() == CallStatus::Ringing {
                    call.is(CallStatus::InProgress);
                }
                match verb.name.as_str() {
                    "Say" => call.heard.push(verb.text.clone()),
                    "Hangup" => return Ok(CallStatus::Completed),
                    "Redirect" => next = Some((verb.text.trim().to_owned(), call.params())),
                    "Record" if !ring.says.is_empty() => {
                        next = Some(self.speak(call, &verb, at, ring).await?)
                    }
                    _ => {}
                }
                if next.is_some() {
                    break;
                }
            }
            match next {
                Some(next) => asked = next,
                None => return Ok(CallStatus::Completed),
            }
        }
        Ok(CallStatus::Failed)
    }

    /// Leaves a message. Returns what Twilio asks then.
    async fn speak(
        self: &Arc<Self>,
        call: &mut Call,
        verb: &twiml::Verb,
        here: &str,
        ring: &Ring,
    ) -> std::io::Result<(String, Vec<(String, String)>)> {
        let longest = verb.attribute("maxLength").and_then(|text| text.parse().ok());
        let recording = Recording {
            sid: new_sid("RE"),
            seconds: ring.seconds.unwrap_or(7).min(longest.unwrap_or(3600)),
            said: ring.says.clone(),
        };
        let (faults, api) = (self.lock_faults().clone(), self.base().to_owned());
        let callback = verb.attribute("recordingStatusCallback");
        record(self, call, recording.clone(), callback, &faults, &api).await?;
        let mut params = call.params();
        params.push(("RecordingSid".to_owned(), recording.sid.clone()));
        params.push(("RecordingUrl".to_owned(), recording.url(&api, &call.account)));
        params.push(("RecordingDuration".to_owned(), recording.seconds.to_string()));
        Ok((verb.attribute("action").unwrap_or(here).to_owned(), params))
    }
}
