//! What Twilio says of a telephone call and of its recording.
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// The status of a call, in Twilio's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the words are Twilio's, its documentation explains them"
)]
pub enum CallStatus {
    Queued,
    Initiated,
    Ringing,
    InProgress,
    Completed,
    Busy,
    Failed,
    NoAnswer,
    Canceled,
}

/// The status of a recording, in Twilio's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the words are Twilio's, its documentation explains them"
)]
pub enum RecordingStatus {
    InProgress,
    Paused,
    Stopped,
    Processing,
    Completed,
    Absent,
    Failed,
    Deleted,
}

/// The words of a status, and the rank by which the later of two is known: callbacks come in any order.
macro_rules! words {
    ($name:ident, $what:literal: $($variant:ident $word:literal $rank:literal,)*) => {
        impl $name {
            /// Every status.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Twilio's word, which is also ours.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The status of Twilio's word.
            ///
            /// # Errors
            /// When Twilio invented a new one; never taken for an old one.
            pub fn parse(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { what: $what, word: word.to_owned() }),
                }
            }

            /// How far it has come. A rank only rises; of equal ranks the first that was heard stands.
            pub fn rank(self) -> u8 {
                match self { $(Self::$variant => $rank),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! { CallStatus, "call status":
    Queued "queued" 1,
    Initiated "initiated" 2,
    Ringing "ringing" 3,
    InProgress "in-progress" 4,
    Completed "completed" 5,
    Busy "busy" 5,
    Failed "failed" 5,
    NoAnswer "no-answer" 5,
    Canceled "canceled" 5,
}

words! { RecordingStatus, "recording status":
    InProgress "in-progress" 1,
    Paused "paused" 2,
    Stopped "stopped" 3,
    Processing "processing" 4,
    Completed "completed" 5,
    Absent "absent" 5,
    Failed "failed" 5,
    Deleted "deleted" 6,
}

impl CallStatus {
    /// Nothing more becomes of it.
    pub fn is_final(self) -> bool {
        self.rank() == Self::Completed.rank()
    }
}

/// Whether Twilio shall find out who answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineDetection {
    /// As soon as that is known.
    Enable,
    /// Of a machine once its greeting is over.
    DetectMessageEnd,
}

impl MachineDetection {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::DetectMessageEnd => "detect_message_end",
        }
    }

    /// Twilio's word.
    pub fn to_twilio(self) -> &'static str {
        match self {
            Self::Enable => "Enable",
            Self::DetectMessageEnd => "DetectMessageEnd",
        }
    }

    /// That of a word, ours or Twilio's.
    ///
    /// # Errors
    /// When the word is neither.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        [Self::Enable, Self::DetectMessageEnd]
            .into_iter()
            .find(|known| word == known.as_str() || word == known.to_twilio())
            .ok_or_else(|| UnknownWord {
                what: "way to detect a machine",
                word: word.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_twilio_is_known_and_no_other() {
        for status in CallStatus::ALL {
            assert_eq!(CallStatus::parse(status.as_str()), Ok(*status));
            assert_eq!(serde_json::to_string(status).unwrap(), format!("\"{status}\""));
        }
        for status in RecordingStatus::ALL {
            assert_eq!(RecordingStatus::parse(status.as_str()), Ok(*status));
            assert_eq!(serde_json::to_string(status).unwrap(), format!("\"{status}\""));
        }
        assert_eq!(
            CallStatus::parse("teleported").unwrap_err().to_string(),
            "`teleported` is not a call status"
        );
    }

    #[test]
    fn a_call_that_has_ended_does_not_ring_again() {
        let along = [
            CallStatus::Queued,
            CallStatus::Initiated,
            CallStatus::Ringing,
            CallStatus::InProgress,
            CallStatus::NoAnswer,
        ]
        .map(CallStatus::rank);
        assert!(along.is_sorted_by(|one, next| one < next));
        assert!(CallStatus::Busy.is_final() && !CallStatus::InProgress.is_final());
        assert!(RecordingStatus::Deleted.rank() > RecordingStatus::Completed.rank());
    }
}
