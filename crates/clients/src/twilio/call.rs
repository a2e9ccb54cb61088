//! A call as Twilio knows it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::message::{count, date};
use super::price::{Price, decimal};

/// A call, in or out, as the REST API shows it.
///
/// Source: <https://www.twilio.com/docs/voice/api/call-resource>.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// `CA` and 32 hexadecimal digits.
    pub sid: String,
    /// In Twilio's words, such as `in-progress`; new ones may appear.
    pub status: String,
    /// Who is called.
    pub to: String,
    /// Who calls.
    pub from: String,
    /// `inbound`, `outbound-api`, `outbound-dial` or of a trunk.
    pub direction: String,
    /// How long it was, in seconds; absent before its end.
    pub duration: Option<u32>,
    /// Who answered, where machine detection was asked for: `human`, `machine_start`, ….
    pub answered_by: Option<String>,
    /// When Twilio took it, to the second.
    pub date_created: Option<DateTime<Utc>>,
    /// What Twilio charges for it; absent until some time after its end.
    pub price: Option<Price>,
}

/// Says nothing of who speaks with whom.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("sid", &self.sid)
            .field("status", &self.status)
            .field("direction", &self.direction)
            .field("date_created", &self.date_created)
            .finish_non_exhaustive()
    }
}

/// The resource as it stands in an answer: dates by RFC 2822, the duration as text.
#[derive(Deserialize)]
pub(super) struct CallResource {
    sid: String,
    status: String,
    to: Option<String>,
    from: Option<String>,
    #[serde(default)]
    direction: String,
    #[serde(default, deserialize_with = "count")]
    duration: Option<u32>,
    answered_by: Option<String>,
    #[serde(default, deserialize_with = "date")]
    date_created: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "decimal")]
    price: Option<String>,
    price_unit: Option<String>,
}

impl From<CallResource> for Call {
    fn from(seen: CallResource) -> Self {
        Self {
            sid: seen.sid,
            status: seen.status,
            to: seen.to.unwrap_or_default(),
            from: seen.from.unwrap_or_default(),
            direction: seen.direction,
            duration: seen.duration,
            answered_by: seen.answered_by,
            date_created: seen.date_created,
            price: Price::read(seen.price.as_deref(), seen.price_unit.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_that_has_ended_is_read_and_not_shown() {
        let resource = json!({
            "sid": "CA1", "status": "completed", "to": "+5511987654321", "from": "+14155238886",
            "direction": "outbound-api", "duration": "15", "answered_by": null, "price": "-0.03",
            "date_created": "Fri, 21 Nov 2025 12:00:01 +0000", "start_time": null, "queue_time": "1000",
        });
        let call: Call = serde_json::from_value::<CallResource>(resource)
            .expect("a call")
            .into();
        assert_eq!((call.duration, call.answered_by.as_deref()), (Some(15), None));
        assert_eq!(call.price, None, "without a unit it says nothing");
        assert!(call.date_created.is_some());
        let shown = format!("{call:?}");
        assert!(shown.contains("CA1") && !shown.contains("5511"), "{shown}");
    }
}
