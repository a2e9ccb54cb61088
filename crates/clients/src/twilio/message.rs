//! A message as Twilio knows it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use super::price::{Price, decimal};

/// A message, in or out, as the REST API shows it.
///
/// Source: <https://www.twilio.com/docs/messaging/api/message-resource>.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `SM` or `MM` and 32 hexadecimal digits.
    pub sid: String,
    /// In Twilio's words, such as `queued`; new ones may appear.
    pub status: String,
    /// Whom it went to: `+…` or `whatsapp:+…`.
    pub to: String,
    /// Whom it came from; absent until a messaging service has chosen the number.
    pub from: Option<String>,
    /// The service it was sent through.
    pub messaging_service_sid: Option<String>,
    /// The text; empty if it has none, or was redacted at Twilio.
    pub body: String,
    /// `inbound`, `outbound-api`, `outbound-call` or `outbound-reply`.
    pub direction: String,
    /// How many attachments it has.
    pub num_media: u32,
    /// When Twilio took it, to the second.
    pub date_created: Option<DateTime<Utc>>,
    /// When it was sent; absent while it waits.
    pub date_sent: Option<DateTime<Utc>>,
    /// Twilio's error code, if it failed.
    pub error_code: Option<u32>,
    /// Twilio's words for that error.
    pub error_message: Option<String>,
    /// What Twilio charges for it; absent until some time after its end.
    pub price: Option<Price>,
}

impl Message {
    /// Whether a contact sent it to us.
    pub fn is_inbound(&self) -> bool {
        self.direction == "inbound"
    }
}

/// Says nothing of who wrote what.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Message");
        shown
            .field("sid", &self.sid)
            .field("status", &self.status)
            .field("direction", &self.direction);
        shown
            .field("date_created", &self.date_created)
            .field("error_code", &self.error_code);
        shown.finish_non_exhaustive()
    }
}

/// The resource as it stands in an answer: dates by RFC 2822, counts as text.
#[derive(Deserialize)]
pub(super) struct MessageResource {
    sid: String,
    status: String,
    to: Option<String>,
    from: Option<String>,
    messaging_service_sid: Option<String>,
    body: Option<String>,
    #[serde(default)]
    direction: String,
    #[serde(default, deserialize_with = "count")]
    num_media: Option<u32>,
    #[serde(default, deserialize_with = "date")]
    date_created: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "date")]
    date_sent: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "count")]
    error_code: Option<u32>,
    error_message: Option<String>,
    #[serde(default, deserialize_with = "decimal")]
    price: Option<String>,
    price_unit: Option<String>,
}

impl From<MessageResource> for Message {
    fn from(seen: MessageResource) -> Self {
        Self {
            sid: seen.sid,
            status: seen.status,
            to: seen.to.unwrap_or_default(),
            from: seen.from,
            messaging_service_sid: seen.messaging_service_sid,
            body: seen.body.unwrap_or_default(),
            direction: seen.direction,
            num_media: seen.num_media.unwrap_or(0),
            date_created: seen.date_created,
            date_sent: seen.date_sent,
            error_code: seen.error_code,
            error_message: seen.error_message,
            price: Price::read(seen.price.as_deref(), seen.price_unit.as_deref()),
        }
    }
}

/// A date that we cannot read is as good as none: a message must not become unreadable, and so unprovable, for it.
pub(super) fn date<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text: Option<String> = Option::deserialize(from)?;
    let read = |text: String| {
        DateTime::parse_from_rfc2822(&text)
            .ok()
            .map(|date| date.with_timezone(&Utc))
    };
    Ok(text.and_then(read))
}

/// A number, or a number as text; anything else is as good as none.
pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Number(u32),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Count::deserialize(from)? {
        Count::Number(number) => Some(number),
        Count::Text(text) => text.parse().ok(),
        Count::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(resource: serde_json::Value) -> Message {
        serde_json::from_value::<MessageResource>(resource)
            .expect("a message")
            .into()
    }

    #[test]
    fn a_message_just_created_is_read() {
        let message = read(json!({
            "sid": "SM1", "status": "queued", "to": "+5511987654321", "from": null, "body": "olá", "direction": "outbound-api",
            "num_media": "0", "num_segments": "1", "date_created": "Fri, 21 Nov 2025 12:00:01 +0000", "date_sent": null,
            "error_code": null, "error_message": null, "price": null, "messaging_service_sid": "MG1", "tags": {"new": 1},
        }));
        assert_eq!(message.from, None);
        assert_eq!(message.date_sent, None);
        assert_eq!(
            message.date_created.map(|date| date.to_rfc3339()),
            Some("2025-11-21T12:00:01+00:00".to_owned())
        );
        assert!(!message.is_inbound());
    }

    #[test]
    fn counts_and_codes_are_read_as_numbers_and_as_text() {
        let message = read(json!({"sid": "SM1", "status": "failed", "num_media": "3", "error_code": 30007}));
        assert_eq!((message.num_media, message.error_code), (3, Some(30007)));
        let message = read(json!({"sid": "SM1", "status": "failed", "num_media": 3, "error_code": "30007"}));
        assert_eq!((message.num_media, message.error_code), (3, Some(30007)));
    }

    #[test]
    fn an_odd_date_does_not_spoil_the_message() {
        let message =
            read(json!({"sid": "SM1", "status": "sent", "date_created": "yesterday", "error_code": {}}));
        assert_eq!((message.date_created, message.error_code), (None, None));
    }

    #[test]
    fn debug_shows_neither_text_nor_number() {
        let message =
            read(json!({"sid": "SM1", "status": "sent", "to": "+5511987654321", "body": "segredo"}));
        let shown = format!("{message:?}");
        assert!(
            shown.contains("SM1") && !shown.contains("segredo") && !shown.contains("5511"),
            "{shown}"
        );
    }
}
