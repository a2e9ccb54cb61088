//! Twilio's identifiers: two letters and 32 hexadecimal digits.

use super::FormError;

/// A message's SID, as it came; `field` is named if it is none.
pub(super) fn message(sid: String, field: &'static str) -> Result<String, FormError> {
    of(&["SM", "MM"], sid, field)
}

/// An account's SID, as it came; `field` is named if it is none.
pub(super) fn account(sid: String, field: &'static str) -> Result<String, FormError> {
    of(&["AC"], sid, field)
}

/// A call's SID, as it came; `field` is named if it is none.
pub(super) fn call(sid: String, field: &'static str) -> Result<String, FormError> {
    of(&["CA"], sid, field)
}

/// A recording's SID, as it came; `field` is named if it is none.
pub(super) fn recording(sid: String, field: &'static str) -> Result<String, FormError> {
    of(&["RE"], sid, field)
}

fn of(prefixes: &[&str], sid: String, field: &'static str) -> Result<String, FormError> {
    if is_sid(&sid, prefixes) {
        Ok(sid)
    } else {
        Err(FormError::Malformed { field })
    }
}

fn is_sid(text: &str, prefixes: &[&str]) -> bool {
    prefixes
        .iter()
        .filter_map(|prefix| text.strip_prefix(prefix))
        .any(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
