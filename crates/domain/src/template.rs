//! A message that was written, and for WhatsApp approved, before anybody was meant by it.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A template of Twilio's Content API, and what stands in its gaps. `Debug` leaves out what that is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// `HX` and 32 hexadecimal digits.
    pub sid: String,
    /// The texts of its variables, by name; in most templates `1`, `2`, ….
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

impl Template {
    /// Whether a text is the SID of a template. Source: <https://www.twilio.com/docs/content>.
    pub fn is_sid(text: &str) -> bool {
        text.strip_prefix("HX")
            .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template")
            .field("sid", &self.sid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_templates_sid_is_told_from_others() {
        assert!(Template::is_sid("HX0123456789abcdef0123456789abcdef"));
        for other in ["", "HX", "HX012345678", "MG0123456789abcdef0123456789abcdef"] {
            assert!(!Template::is_sid(other), "{other}");
        }
    }
}
