//! What Twilio says of a message.
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the contact to the owner.
    Inbound,
    /// From the owner to the contact.
    Outbound,
}

impl Direction {
    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// The direction of a word; Twilio's `outbound-api`, `outbound-reply` and `outbound-call` are outbound.
    ///
    /// # Errors
    /// When the word is no direction.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "inbound" => Ok(Self::Inbound),
            "outbound" | "outbound-api" | "outbound-reply" | "outbound-call" => Ok(Self::Outbound),
            _ => Err(UnknownWord {
                what: "direction",
                word: word.to_owned(),
            }),
        }
    }
}

/// The status of a message, in Twilio's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the words are Twilio's, its documentation explains them"
)]
pub enum MessageStatus {
    Scheduled,
    Accepted,
    Queued,
    Sending,
    Sent,
    PartiallyDelivered,
    Undelivered,
    Failed,
    Canceled,
    Delivered,
    Read,
    Receiving,
    Received,
}

use MessageStatus::{
    Accepted, Canceled, Delivered, Failed, PartiallyDelivered, Queued, Read, Received, Receiving, Scheduled,
    Sending, Sent, Undelivered,
};

impl MessageStatus {
    /// Every status.
    pub const ALL: [Self; 13] = [
        Scheduled,
        Accepted,
        Queued,
        Sending,
        Sent,
        PartiallyDelivered,
        Undelivered,
        Failed,
        Canceled,
        Delivered,
        Read,
        Receiving,
        Received,
    ];

    /// Twilio's word, which is also ours.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheduled => "scheduled",
            Accepted => "accepted",
            Queued => "queued",
            Sending => "sending",
            Sent => "sent",
            PartiallyDelivered => "partially_delivered",
            Undelivered => "undelivered",
            Failed => "failed",
            Canceled => "canceled",
            Delivered => "delivered",
            Read => "read",
            Receiving => "receiving",
            Received => "received",
        }
    }

    /// The status of Twilio's word.
    ///
    /// # Errors
    /// When Twilio invented a new one; never taken for an old one.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownWord {
                what: "message status",
                word: word.to_owned(),
            })
    }

    /// How far a message has come. Callbacks come in any order and without a time, so this alone tells which
    /// of two is the later. A delivery outranks a failure: the handset's word stands above the network's.
    pub fn rank(self) -> u8 {
        match self {
            Scheduled => 1,
            Accepted => 2,
            Queued | Receiving => 3,
            Sending => 4,
            Sent => 5,
            PartiallyDelivered => 6,
            Undelivered | Failed | Canceled => 7,
            Delivered | Received => 8,
            Read => 9,
        }
    }

    /// The status to store when `reported` arrives, or `None` when it says nothing new. A rank only rises;
    /// of equal ranks the first stands.
    pub fn advance(current: Option<Self>, reported: Self) -> Option<Self> {
        (current.is_none_or(|current| reported.rank() > current.rank())).then_some(reported)
    }

    /// The contact did not get it, and will not.
    pub fn is_failure(self) -> bool {
        matches!(self, Undelivered | Failed | Canceled)
    }
}

impl fmt::Display for MessageStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    #[test]
    fn every_word_of_twilio_is_known_and_no_other() {
        for status in MessageStatus::ALL {
            assert_eq!(MessageStatus::parse(status.as_str()), Ok(status));
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{status}\""));
        }
        assert_eq!(
            MessageStatus::parse("teleported").unwrap_err().to_string(),
            "`teleported` is not a message status"
        );
    }

    #[test]
    fn a_read_message_does_not_become_sent_again() {
        assert_eq!(MessageStatus::advance(Some(Read), Sent), None);
        assert_eq!(MessageStatus::advance(Some(Queued), Sent), Some(Sent));
        assert_eq!(MessageStatus::advance(None, Queued), Some(Queued));
    }

    proptest! {
        #[test]
        fn callbacks_in_any_order_end_at_the_highest_rank(
            reported in proptest::collection::vec(select(MessageStatus::ALL.to_vec()), 1..12),
        ) {
            let mut at = None;
            for status in &reported {
                let next = MessageStatus::advance(at, *status);
                prop_assert!(next.is_none_or(|next| at.is_none_or(|at: MessageStatus| next.rank() > at.rank())));
                at = next.or(at);
            }
            prop_assert_eq!(at.map(MessageStatus::rank), reported.iter().map(|status| status.rank()).max());
        }
    }
}
