//! How the simulator misbehaves; switchable at run time.

use serde::{Deserialize, Serialize};

use crate::calls::CallStatus;

/// Everything that can go wrong. The default is a vendor without faults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Of the Twilio REST API.
    pub twilio: TwilioFaults,
    /// Of the status callbacks.
    pub callbacks: CallbackFaults,
    /// Of the telephone network.
    pub calls: CallFaults,
    /// Of the language model.
    pub model: ModelFaults,
    /// Of the files that are attached to messages.
    pub media: MediaFaults,
    /// Of the transcription of voice.
    pub speech: SpeechFaults,
    /// A message shows in lists only this many milliseconds after its creation.
    pub listing_lag_ms: u64,
    /// Messages and calls have a price only this many milliseconds after their end; absent: a minute.
    pub price_lag_ms: Option<u64>,
}

/// Faults of the Twilio REST API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TwilioFaults {
    /// What happens to a message or call that is created.
    pub create: CreateFault,
    /// Only the next so many creates are hit; absent: all.
    pub times: Option<u32>,
    /// Only creates to this address are hit; absent: all.
    pub to: Option<String>,
    /// Only one of so many creates is hit, as 20 for 5 %; absent: each.
    pub every: Option<u32>,
    /// How many creates came since the last that was hit.
    #[serde(skip)]
    pub since: u32,
    /// Every create is answered this many milliseconds after it was written to the book.
    pub latency_ms: u64,
    /// Every create is written to the book only this many milliseconds after it came, though nobody may wait any more. What
    /// `create` and `latency_ms` say does not happen then.
    pub late_ms: u64,
    /// Every `GET` answers this status instead.
    pub reads: Option<u16>,
}

/// What happens to a message that is created.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreateFault {
    /// Nothing bad.
    #[default]
    None,
    /// This HTTP status; the message does not exist.
    Status(u16),
    /// 429 with error 20429; the message does not exist.
    RateLimited {
        /// Seconds, for the header `Retry-After`.
        retry_after: u32,
    },
    /// 400 with this Twilio error; the message does not exist.
    Refuse(u32),
    /// The connection closes without an answer; the message does not exist.
    Drop,
    /// The message exists, and nothing is ever answered.
    AcceptAndNeverAnswer,
    /// The message exists, and the connection closes without an answer.
    AcceptAndDrop,
    /// The message exists, and this HTTP status is answered.
    AcceptAndStatus(u16),
}

/// Faults of the status callbacks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallbackFaults {
    /// Every callback is posted twice.
    pub doubled: bool,
    /// The last status is posted first.
    pub shuffled: bool,
    /// None is posted; the statuses change all the same.
    pub none: bool,
    /// Milliseconds before each status change.
    pub delay_ms: u64,
    /// Messages end as `undelivered` with this error.
    pub undelivered: Option<u32>,
    /// Messages end as `failed` with this error, without having been sent.
    pub failed: Option<u32>,
}

/// Faults of the telephone network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallFaults {
    /// Outbound calls end like this; absent: they are answered.
    pub ends: Option<CallStatus>,
    /// Who answers where that is asked for, such as `machine_start`; absent: `human`.
    pub answered_by: Option<String>,
}

/// Faults of the language model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelFaults {
    /// Milliseconds before every answer.
    pub slow_ms: u64,
    /// Only the next so many calls are slow; absent: all.
    pub slow_times: Option<u32>,
    /// 500.
    pub down: bool,
    /// 429 with so many seconds in `Retry-After`.
    pub rate_limited: Option<u32>,
    /// 200 with text that answers nothing and is no JSON.
    pub garbage: bool,
    /// 200 with a refusal and no content.
    pub refusal: bool,
    /// Only the next so many calls are hit by the above but `slow_ms`; absent: all.
    pub times: Option<u32>,
}

/// Faults of the files that are attached to messages; the first two hit recordings too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaFaults {
    /// This status instead of the file; 404 is what Twilio says right after the message.
    pub status: Option<u16>,
    /// The file does not end before 17 MiB.
    pub oversize: bool,
    /// The redirect leads there.
    pub elsewhere: Option<String>,
    /// Milliseconds before the answer.
    pub slow_ms: u64,
    /// Only the next so many requests are hit; absent: all.
    pub times: Option<u32>,
}

/// Faults of the transcription of voice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeechFaults {
    /// This status instead of a text.
    pub status: Option<u16>,
    /// 200 with what is no JSON.
    pub garbage: bool,
    /// Milliseconds before the answer.
    pub slow_ms: u64,
    /// Only the next so many requests are hit; absent: all.
    pub times: Option<u32>,
}

impl MediaFaults {
    /// What happens to the next request; counts it.
    pub(crate) fn take(&mut self) -> Self {
        match *self != Self::default() && spend(&mut self.times) {
            true => self.clone(),
            false => Self::default(),
        }
    }
}

impl SpeechFaults {
    /// What happens to the next request; counts it.
    pub(crate) fn take(&mut self) -> Self {
        match *self != Self::default() && spend(&mut self.times) {
            true => self.clone(),
            false => Self::default(),
        }
    }
}

impl TwilioFaults {
    /// What happens to the next create to `to`; counts it.
    pub(crate) fn take(&mut self, to: &str) -> CreateFault {
        if self.create == CreateFault::None || self.to.as_deref().is_some_and(|only| only != to) {
            return CreateFault::None;
        }
        self.since += 1;
        if self.every.is_some_and(|every| self.since < every) {
            return CreateFault::None;
        }
        self.since = 0;
        if spend(&mut self.times) {
            self.create.clone()
        } else {
            CreateFault::None
        }
    }
}

impl ModelFaults {
    /// What happens to the next call; counts it.
    pub(crate) fn take(&mut self) -> Self {
        let slow = self.slow_ms > 0 && spend(&mut self.slow_times);
        let slow_ms = if slow { self.slow_ms } else { 0 };
        let harmful = self.down || self.rate_limited.is_some() || self.garbage || self.refusal;
        if harmful && spend(&mut self.times) {
            Self {
                slow_ms,
                ..self.clone()
            }
        } else {
            Self {
                slow_ms,
                ..Self::default()
            }
        }
    }
}

/// Takes one of the times that are left; false if none is.
fn spend(times: &mut Option<u32>) -> bool {
    match times {
        None => true,
        Some(0) => false,
        Some(left) => {
            *left -= 1;
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_only_as_often_as_it_was_told_and_only_whom() {
        let mut faults = TwilioFaults {
            create: CreateFault::Status(500),
            times: Some(2),
            to: Some("+1415".to_owned()),
            ..TwilioFaults::default()
        };
        assert_eq!(faults.take("+1416"), CreateFault::None);
        assert_eq!(faults.take("+1415"), CreateFault::Status(500));
        assert_eq!(faults.take("+1415"), CreateFault::Status(500));
        assert_eq!(faults.take("+1415"), CreateFault::None);
    }

    #[test]
    fn a_model_is_slow_as_often_as_it_was_told_whatever_else_is_wrong_with_it() {
        let mut faults = ModelFaults {
            slow_ms: 7,
            slow_times: Some(2),
            down: true,
            times: Some(1),
            ..ModelFaults::default()
        };
        let taken: Vec<_> = (0..3)
            .map(|_| faults.take())
            .map(|one| (one.slow_ms, one.down))
            .collect();
        assert_eq!(taken, [(7, true), (7, false), (0, false)]);
    }
}
