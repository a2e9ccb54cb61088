//! Twilio's identifiers: two letters and 32 hexadecimal digits.

use super::FormError;

const MESSAGE: [&str; 2] = ["SM", "MM"];
const ACCOUNT: [&str; 1] = ["AC"];

/// A message's SID, as it came; `field` is named if it is none.
pub(super) fn message(sid: String, field: &'static str) -> Result<String, FormError> {
    if is_sid(&sid, &MESSAGE) {
        Ok(sid)
    } else {
        Err(FormError::Malformed { field })
    }
}

/// An account's SID, as it came; `field` is named if it is none.
pub(super) fn account(sid: String, field: &'static str) -> Result<String, FormError> {
    if is_sid(&sid, &ACCOUNT) {
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
