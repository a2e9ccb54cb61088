//! An account as Twilio knows it.

use serde::{Deserialize, Serialize};

/// An account, to check that credentials are right and what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// `AC` and 32 hexadecimal digits.
    pub sid: String,
    /// The name it has in Twilio's console.
    pub friendly_name: String,
    /// `active`, `suspended` or `closed`.
    pub status: String,
    /// `Trial` or `Full`; a trial account sends to verified numbers only.
    #[serde(rename = "type", default)]
    pub kind: String,
}
