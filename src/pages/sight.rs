//! What a page shows of what people wrote and of their numbers: masked, until the operator reveals it.
//!
//! Invariant: nothing is shown whole without a row of `audit` that says so, written before.
use chrono::{DateTime, TimeDelta, Utc};
use recado_domain::AuditId;
use recado_store::{StoreError, audit};
use serde_json::{Number, Value};

use super::text::{masked, pretty};
use crate::app::App;

/// The act, as it stands in the audit.
pub(super) const REVEAL: &str = "reveal";
/// For how long what was revealed stays so, in minutes.
const LASTS: i64 = 15;
/// Under such a name stands what somebody said, whatever it looks like.
const SAID: [&str; 23] = [
    "answer",
    "body",
    "caption",
    "content",
    "data",
    "description",
    "digits",
    "heard",
    "more",
    "profile_name",
    "profilename",
    "question",
    "reply",
    "said",
    "say",
    "speech",
    "speechresult",
    "summary",
    "text",
    "transcript",
    "variables",
    "waid",
    "words",
];

/// Under such a name stands one of Twilio's forms, as names and values.
const FORM: &str = "form";
/// Fields of Twilio's forms whose values say nothing of a person.
const OPEN: [&str; 21] = [
    "AccountSid",
    "ApiVersion",
    "CallSid",
    "CallStatus",
    "ChannelInstallSid",
    "ChannelPrefix",
    "Direction",
    "MediaContentType0",
    "MessageSid",
    "MessageStatus",
    "MessageType",
    "MessagingServiceSid",
    "NumMedia",
    "NumSegments",
    "OriginalRepliedMessageSid",
    "RecordingSid",
    "RecordingStatus",
    "SmsMessageSid",
    "SmsSid",
    "SmsStatus",
    "StirVerstat",
];
/// A number of so many digits can be somebody's telephone.
const CALLED: usize = 7;

/// Fields of Twilio's forms, whose names say nothing of a person.
const FIELDS: [&str; 20] = [
    "AccountSid",
    "ApiVersion",
    "Body",
    "ChannelInstallSid",
    "ChannelPrefix",
    "From",
    "MediaContentType0",
    "MediaUrl0",
    "MessageSid",
    "MessageStatus",
    "MessageType",
    "MessagingServiceSid",
    "NumMedia",
    "NumSegments",
    "ProfileName",
    "SmsMessageSid",
    "SmsSid",
    "SmsStatus",
    "To",
    "WaId",
];

/// Whether texts and numbers are to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Sight {
    /// No number is whole, and no text of a person's is there.
    #[default]
    Masked,
    /// All is there.
    Whole {
        /// The row of the audit.
        key: String,
        /// When it is masked again.
        until: DateTime<Utc>,
    },
}

impl Sight {
    /// What `subject` may be seen with by whoever names this row of the audit, if any.
    pub(super) async fn of(app: &App, subject: &str, reveal: &str) -> Result<Self, StoreError> {
        if reveal.is_empty() {
            return Ok(Self::Masked);
        }
        let (id, lasts) = (AuditId::from(reveal), TimeDelta::minutes(LASTS));
        let conn = &app.environment.database;
        let done = audit::done_at(conn, &id, REVEAL, subject, Utc::now() - lasts).await?;
        Ok(done.map_or(Self::Masked, |at| Self::Whole {
            key: reveal.to_owned(),
            until: at + lasts,
        }))
    }

    /// When it is masked again, if it is not.
    pub(super) fn until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Masked => None,
            Self::Whole { until, .. } => Some(*until),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }

    /// What links carry, so that the next page shows as much.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Masked => None,
            Self::Whole { key, .. } => Some(key),
        }
    }

    /// A document with line breaks.
    pub(super) fn document(&self, value: &Value) -> String {
        match self {
            Self::Masked => pretty(&covered(value)),
            Self::Whole { .. } => pretty(value),
        }
    }

    /// The same as JSON.
    pub(super) fn value(&self, value: &Value) -> Value {
        match self {
            Self::Masked => covered(value),
            Self::Whole { .. } => value.clone(),
        }
    }

    /// What somebody wrote.
    pub(super) fn said(&self, text: &str) -> String {
        match self {
            Self::Masked => cover(text),
            Self::Whole { .. } => text.to_owned(),
        }
    }

    /// A text of ours in which numbers may stand.
    pub(super) fn told(&self, text: &str) -> String {
        match self {
            Self::Masked => masked(text),
            Self::Whole { .. } => text.to_owned(),
        }
    }
}

/// A document whose form can be seen, and nothing that a person wrote. What does not look like a word or an id of ours
/// counts as written by a person.
fn covered(value: &Value) -> Value {
    match value {
        Value::String(text) if is_plain(text) => value.clone(),
        Value::String(text) => cover(text).into(),
        Value::Array(pair) if is_field(pair) => {
            let hidden = pair[0].as_str().is_some_and(is_said);
            let value = if hidden {
                blank(&pair[1])
            } else {
                covered(&pair[1])
            };
            Value::Array(vec![pair[0].clone(), value])
        }
        Value::Array(items) => items.iter().map(covered).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let value = match name.as_str() {
                    FORM => form(value),
                    name if is_said(name) => blank(value),
                    _ => covered(value),
                };
                (name.clone(), value)
            })
            .collect(),
        Value::Number(number) if is_called(number) => blank(value),
        other => other.clone(),
    }
}

/// A form of Twilio's: of what it holds only that is left which is known to say nothing of a person.
fn form(value: &Value) -> Value {
    let field = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(name), value]) if OPEN.contains(&name.as_str()) => {
            Value::Array(vec![pair[0].clone(), covered(value)])
        }
        Some([Value::String(name), value]) => {
            let name = if FIELDS.contains(&name.as_str()) {
                pair[0].clone()
            } else {
                cover(name).into()
            };
            Value::Array(vec![name, blank(value)])
        }
        _ => blank(pair),
    };
    match value {
        Value::Array(fields) => fields.iter().map(field).collect(),
        other => blank(other),
    }
}

/// The same, and no text or number in it is left.
fn blank(value: &Value) -> Value {
    match value {
        Value::String(text) => cover(text).into(),
        Value::Number(number) => cover(&number.to_string()).into(),
        Value::Array(items) => items.iter().map(blank).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), blank(value)))
            .collect(),
        other => other.clone(),
    }
}

/// A number keeps its country and its end; of any other text there is only how long it is.
fn cover(text: &str) -> String {
    let number = text.split_once(':').map_or(text, |(_, number)| number);
    let is_number = number.len() > 1
        && number
            .strip_prefix('+')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    match text.chars().count() {
        0 => String::new(),
        _ if is_number => masked(text),
        length => format!("•••• ({length})"),
    }
}

/// A name and a value, of Twilio's form.
fn is_field(pair: &[Value]) -> bool {
    matches!(pair, [Value::String(name), Value::String(_)] if FIELDS.contains(&name.as_str()))
}

/// Whether it is long enough to be a telephone's.
fn is_called(number: &Number) -> bool {
    let text = number.to_string();
    let whole = text.split(['.', 'e']).next().unwrap_or_default();
    whole.bytes().filter(u8::is_ascii_digit).count() >= CALLED
}

fn is_said(name: &str) -> bool {
    SAID.iter().any(|said| name.eq_ignore_ascii_case(said))
}

/// Words of ours, ids, keys made of ids, and times.
fn is_plain(text: &str) -> bool {
    let is_word = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
    };
    let is_sid = |part: &str| {
        part.len() == 34
            && part.bytes().take(2).all(|byte| byte.is_ascii_uppercase())
            && part.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit())
    };
    let is_ulid = |part: &str| {
        part.len() == 26
            && part
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let is_token =
        |part: &str| part.split('-').next().is_some_and(is_ulid) && part.len() < 48 && part.is_ascii();
    let is_time = chrono::DateTime::parse_from_rfc3339(text).is_ok();
    is_time
        || (text.len() <= 128
            && text
                .split(':')
                .all(|part| is_word(part) || is_sid(part) || is_ulid(part) || is_token(part)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_a_person_wrote_or_may_be_called_by_is_left() {
        let document = json!({
            "owner": "default", "sid": "SM0123456789abcdef0123456789abcdef", "from": "whatsapp:+5511987654321",
            "body": "sim", "more": ["oi", ["ok"]], "unheard_of": "Rua das Flores 7", "single": "Ana", "units": 3,
            "two": ["Ana", "bia"], "form": [["Body", "sim"], ["WaId", "5511987654321"], ["ProfileName", "ana"], ["NumMedia", "0"]],
            "conversation": "01JD0000000000000000000000", "at": "2026-01-31T10:00:00Z", "digits": "5511987654321",
            "run": "01JD0000000000000000000000-7", "url": "https://example.com/a b", "state": "human_handoff",
        });
        let seen = Sight::Masked.value(&document);
        assert_eq!(
            seen,
            json!({
                "owner": "default", "sid": "SM0123456789abcdef0123456789abcdef", "from": "whatsapp:+55 •••• 4321",
                "body": "•••• (3)", "more": ["•••• (2)", ["•••• (2)"]], "unheard_of": "•••• (16)",
                "single": "•••• (3)", "units": 3,
                "two": ["•••• (3)", "bia"],
                "form": [["Body", "•••• (3)"], ["WaId", "•••• (13)"], ["ProfileName", "•••• (3)"], ["NumMedia", "•••• (1)"]],
                "conversation": "01JD0000000000000000000000", "at": "2026-01-31T10:00:00Z", "digits": "•••• (13)",
                "run": "01JD0000000000000000000000-7", "url": "•••• (23)", "state": "human_handoff",
            })
        );
        let whole = Sight::Whole {
            key: "01".to_owned(),
            until: Utc::now(),
        };
        assert_eq!(whole.value(&document), document);
    }

    #[test]
    fn a_number_that_is_no_text_and_a_form_show_no_more_of_a_person() {
        let document = json!({
            "units": 123_456, "called": 5_511_987_654_321_u64, "ratio": 0.123_456_789, "digits": 42, "more": [7, true],
            "form": [
                ["Caption", "maria"], ["SmsStatus", "received"], ["From", "client:maria"], ["NumMedia", "maria silva"],
                ["Body", 5], "maria", ["To", "whatsapp:+5511987654321"],
            ],
            "inner": { "form": { "Caption": "maria" } },
        });
        assert_eq!(
            Sight::Masked.value(&document),
            json!({
                "units": 123_456, "called": "•••• (13)", "ratio": 0.123_456_789, "digits": "•••• (2)",
                "more": ["•••• (1)", true],
                "form": [
                    ["•••• (7)", "•••• (5)"], ["SmsStatus", "received"], ["From", "•••• (12)"], ["NumMedia", "•••• (11)"],
                    ["Body", "•••• (1)"], "•••• (5)", ["To", "whatsapp:+55 •••• 4321"],
                ],
                "inner": { "form": { "Caption": "•••• (5)" } },
            })
        );
    }
}
