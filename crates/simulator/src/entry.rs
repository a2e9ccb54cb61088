//! What a book holds, one JSON object a line.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::calls::Call;

/// One line of the book.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A message exists.
    Message(Arc<Message>),
    /// A message has a further status.
    Status {
        /// The message's SID.
        sid: String,
        /// What changed.
        #[serde(flatten)]
        change: StatusChange,
    },
    /// A call, as it stands from now on.
    Call(Arc<Call>),
    /// Somebody asked us for something.
    Request(Arc<RequestRecord>),
    /// We posted a webhook, once.
    Delivery(Arc<Delivery>),
}

/// A message of either direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `SM…` or `MM…`.
    pub sid: String,
    /// The account's SID.
    pub account: String,
    /// Which way it goes.
    pub direction: Direction,
    /// The sender, with its channel's prefix.
    pub from: String,
    /// The recipient, with its channel's prefix.
    pub to: String,
    /// The text; empty for pure media.
    pub body: String,
    /// `MediaUrl`s of an outbound message; SIDs of the files of an inbound one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
    /// The messaging service that was to choose the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messaging_service: Option<String>,
    /// The template of an outbound message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Where its statuses are posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_callback: Option<String>,
    /// When Twilio took it.
    pub created: DateTime<Utc>,
    /// All its statuses, the first one included, oldest first.
    pub statuses: Vec<StatusChange>,
}

impl Message {
    /// Its present status.
    pub fn status(&self) -> Status {
        self.statuses
            .last()
            .map_or(Status::Queued, |change| change.status)
    }

    /// When it left Twilio: `date_sent`, null until then.
    pub fn sent(&self) -> Option<DateTime<Utc>> {
        self.statuses
            .iter()
            .find(|change| change.status.has_left())
            .map(|change| change.at)
    }

    /// The error of its present status.
    pub fn error_code(&self) -> Option<u32> {
        self.statuses.iter().rev().find_map(|change| change.error_code)
    }

    /// The person's address, whichever way the message goes.
    pub fn contact(&self) -> &str {
        match self.direction {
            Direction::Inbound => &self.from,
            Direction::Outbound => &self.to,
        }
    }
}

/// Which way a message goes, seen from the business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From a contact to us.
    Inbound,
    /// From us to a contact.
    Outbound,
}

/// A message's status in Twilio's words, as far as the simulator uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The first of a message with a sender.
    Queued,
    /// The first of a message sent through a messaging service.
    Accepted,
    /// Handed to the carrier.
    Sent,
    /// On the contact's device.
    Delivered,
    /// Seen; WhatsApp only.
    Read,
    /// Lost after it was sent.
    Undelivered,
    /// Never sent.
    Failed,
    /// The only one of an inbound message.
    Received,
}

impl Status {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Received => "received",
        }
    }

    fn has_left(self) -> bool {
        !matches!(self, Self::Queued | Self::Accepted | Self::Failed)
    }
}

/// A status and since when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusChange {
    /// The new status.
    pub status: Status,
    /// When it began.
    pub at: DateTime<Utc>,
    /// Twilio's error, with `undelivered` and `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
}

impl StatusChange {
    /// A change that happens now.
    pub(crate) fn now(status: Status, error_code: Option<u32>) -> Self {
        Self {
            status,
            at: Utc::now(),
            error_code,
        }
    }
}

/// A request to Twilio or to the model, as it was received. Credentials are not kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// When.
    pub at: DateTime<Utc>,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path below the place where the simulator is mounted, without the query.
    pub path: String,
    /// Query and form as an object (a repeated key is an array), or the JSON body itself.
    pub params: serde_json::Value,
}

/// One attempt to post a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// When it began.
    pub at: DateTime<Utc>,
    /// The message, call or recording it is about.
    pub sid: String,
    /// The status it reports; `received` for an inbound message.
    pub status: String,
    /// The URL, without its fragment.
    pub url: String,
    /// 1 for the first attempt of a webhook.
    pub attempt: u32,
    /// The same for all attempts of one webhook: `I-Twilio-Idempotency-Token`.
    pub token: String,
    /// The HTTP status, if there was an answer.
    pub answer: Option<u16>,
    /// What went wrong, if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Delivery {
    /// Whether the receiver said 2xx.
    pub fn is_accepted(&self) -> bool {
        self.answer.is_some_and(|code| (200..300).contains(&code))
    }
}
