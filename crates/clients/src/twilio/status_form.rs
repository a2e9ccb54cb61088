//! What Twilio posts when a message we sent changes its status.
//!
//! Source: <https://www.twilio.com/docs/messaging/guides/track-outbound-message-status>.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::form::{FormError, number, required, storable, value};
use super::sid;

/// A status callback. They come in any order and without a timestamp.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusForm {
    /// The message: `SM` or `MM` and 32 hexadecimal digits.
    pub message_sid: String,
    /// The account that sent it: `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// The status in Twilio's words, lower case, such as `delivered`; new ones may appear.
    pub message_status: String,
    /// Twilio's error code, with `failed` and `undelivered`.
    pub error_code: Option<u32>,
    /// Twilio's words for the error, if it sends them.
    pub error_message: Option<String>,
    /// The contact's address.
    pub to: Option<String>,
    /// Our address.
    pub from: Option<String>,
}

impl StatusForm {
    /// Reads the form of a status callback.
    ///
    /// # Errors
    /// [`FormError::Missing`] or [`FormError::Malformed`], naming the field.
    pub fn from_fields(fields: &[(String, String)]) -> Result<Self, FormError> {
        let fields = storable(fields);
        let optional = |name| value(&fields, &[name]).map(str::to_owned);
        Ok(Self {
            message_sid: sid::message(
                required(&fields, &["MessageSid", "SmsSid", "SmsMessageSid"])?,
                "MessageSid",
            )?,
            account_sid: sid::account(required(&fields, &["AccountSid"])?, "AccountSid")?,
            message_status: required(&fields, &["MessageStatus", "SmsStatus"])?.to_ascii_lowercase(),
            error_code: number(&fields, "ErrorCode")?,
            error_message: optional("ErrorMessage"),
            to: optional("To"),
            from: optional("From"),
        })
    }
}

/// Says nothing of whom the message went to.
impl fmt::Debug for StatusForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StatusForm");
        shown
            .field("message_sid", &self.message_sid)
            .field("account_sid", &self.account_sid);
        shown
            .field("message_status", &self.message_status)
            .field("error_code", &self.error_code);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::parse_form;

    const BODY: &str = "MessageSid=MM0123456789abcdef0123456789abcdef&AccountSid=AC0123456789abcdef0123456789abcdef&To=%2B5511987654321";

    fn status(extra: &str) -> Result<StatusForm, FormError> {
        StatusForm::from_fields(&parse_form(format!("{BODY}&{extra}").as_bytes(), 50).expect("a form"))
    }

    #[test]
    fn a_failure_has_its_code() {
        let form = status("MessageStatus=undelivered&ErrorCode=30005&ErrorMessage=Unknown+destination")
            .expect("a status");
        assert_eq!(form.message_status, "undelivered");
        assert_eq!(form.error_code, Some(30005));
        assert_eq!(form.error_message.as_deref(), Some("Unknown destination"));
    }

    #[test]
    fn an_empty_error_code_is_none_and_the_old_name_of_the_status_is_taken() {
        let form = status("SmsStatus=Delivered&ErrorCode=").expect("a status");
        assert_eq!(form.message_status, "delivered");
        assert_eq!(form.error_code, None);
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        assert_eq!(
            status(""),
            Err(FormError::Missing {
                field: "MessageStatus"
            })
        );
        assert_eq!(
            status("MessageStatus=failed&ErrorCode=x"),
            Err(FormError::Malformed { field: "ErrorCode" })
        );
    }

    #[test]
    fn debug_does_not_show_the_number() {
        let form = status("MessageStatus=sent").expect("a status");
        assert!(!format!("{form:?}").contains("5511987654321"));
    }
}
