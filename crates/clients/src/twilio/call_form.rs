//! What Twilio posts of calls and of their recordings.
//!
//! Sources: <https://www.twilio.com/docs/voice/twiml#request-parameters>,
//! <https://www.twilio.com/docs/voice/api/call-resource#statuscallback>,
//! <https://www.twilio.com/docs/voice/api/recording#recordingstatuscallback>.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::form::{FormError, number, required, storable, value};
use super::sid;

/// How far a call has come, or that one comes in and Twilio asks what to do with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallForm {
    /// The call: `CA` and 32 hexadecimal digits.
    pub call_sid: String,
    /// The account: `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// In Twilio's words, lower case, such as `in-progress`; new ones may appear.
    pub call_status: String,
    /// How long it was, in seconds; with its end.
    pub duration: Option<u32>,
    /// Who answered, where machine detection was asked for.
    pub answered_by: Option<String>,
    /// Twilio's error code, with `failed`.
    pub error_code: Option<u32>,
    /// Who calls, as Twilio tells; a withheld number is a word such as `anonymous`.
    pub from: Option<String>,
    /// Who is called.
    pub to: Option<String>,
    /// Whether a `<Record>` has just ended and asks how to go on; Twilio names the recording by its URL, not always by its
    /// SID.
    pub has_recorded: bool,
}

impl CallForm {
    /// Reads the form of a call.
    ///
    /// # Errors
    /// [`FormError::Missing`] or [`FormError::Malformed`], naming the field.
    pub fn from_fields(fields: &[(String, String)]) -> Result<Self, FormError> {
        let fields = storable(fields);
        let optional = |name| value(&fields, &[name]).map(str::to_owned);
        Ok(Self {
            call_sid: sid::call(required(&fields, &["CallSid"])?, "CallSid")?,
            account_sid: sid::account(required(&fields, &["AccountSid"])?, "AccountSid")?,
            call_status: required(&fields, &["CallStatus"])?.to_ascii_lowercase(),
            duration: number(&fields, "CallDuration")?,
            answered_by: optional("AnsweredBy"),
            error_code: number(&fields, "ErrorCode")?,
            from: optional("From"),
            to: optional("To"),
            has_recorded: value(&fields, &["RecordingUrl", "RecordingSid"]).is_some(),
        })
    }
}

/// Says nothing of who speaks with whom.
impl fmt::Debug for CallForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallForm")
            .field("call_sid", &self.call_sid)
            .field("call_status", &self.call_status)
            .finish_non_exhaustive()
    }
}

/// How far a recording has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingForm {
    /// The recording: `RE` and 32 hexadecimal digits.
    pub recording_sid: String,
    /// Its call.
    pub call_sid: String,
    /// The account.
    pub account_sid: String,
    /// In Twilio's words, lower case, such as `completed`.
    pub recording_status: String,
    /// How long it is, in seconds; Twilio writes -1 where it does not know.
    pub duration: Option<u32>,
    /// Twilio's error code, with `failed`.
    pub error_code: Option<u32>,
}

impl RecordingForm {
    /// Reads the form of a recording's status callback.
    ///
    /// # Errors
    /// [`FormError::Missing`] or [`FormError::Malformed`], naming the field.
    pub fn from_fields(fields: &[(String, String)]) -> Result<Self, FormError> {
        let fields = storable(fields);
        Ok(Self {
            recording_sid: sid::recording(required(&fields, &["RecordingSid"])?, "RecordingSid")?,
            call_sid: sid::call(required(&fields, &["CallSid"])?, "CallSid")?,
            account_sid: sid::account(required(&fields, &["AccountSid"])?, "AccountSid")?,
            recording_status: required(&fields, &["RecordingStatus"])?.to_ascii_lowercase(),
            duration: value(&fields, &["RecordingDuration"]).and_then(|text| text.parse().ok()),
            error_code: number(&fields, "ErrorCode")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::parse_form;

    const CALL: &str =
        "CallSid=CA0123456789abcdef0123456789abcdef&AccountSid=AC0123456789abcdef0123456789abcdef";

    fn fields(extra: &str) -> Vec<(String, String)> {
        parse_form(format!("{CALL}&{extra}").as_bytes(), 50).expect("a form")
    }

    #[test]
    fn the_end_of_a_call_tells_how_long_it_was() {
        let form = CallForm::from_fields(&fields(
            "CallStatus=Completed&CallDuration=15&AnsweredBy=human&From=%2B5511987654321",
        ))
        .expect("a call");
        assert_eq!(
            (form.call_status.as_str(), form.duration),
            ("completed", Some(15))
        );
        assert_eq!(form.answered_by.as_deref(), Some("human"));
        assert!(!format!("{form:?}").contains("5511"));
        assert_eq!(
            CallForm::from_fields(&fields("CallDuration=1")),
            Err(FormError::Missing { field: "CallStatus" })
        );
    }

    #[test]
    fn the_end_of_a_recording_is_known_by_its_url_alone() {
        let recorded = |extra| {
            CallForm::from_fields(&fields(extra))
                .expect("a call")
                .has_recorded
        };
        assert!(recorded(
            "CallStatus=in-progress&RecordingUrl=https%3A%2F%2Fa.example%2FRE1"
        ));
        assert!(!recorded("CallStatus=ringing"));
    }

    #[test]
    fn a_recording_whose_length_is_unknown_is_read() {
        let sid = "RecordingSid=RE0123456789abcdef0123456789abcdef";
        let form = RecordingForm::from_fields(&fields(&format!(
            "{sid}&RecordingStatus=absent&RecordingDuration=-1"
        )))
        .expect("a recording");
        assert_eq!((form.recording_status.as_str(), form.duration), ("absent", None));
        assert_eq!(
            RecordingForm::from_fields(&fields("RecordingSid=..%2F&RecordingStatus=absent")),
            Err(FormError::Malformed {
                field: "RecordingSid"
            })
        );
    }
}
