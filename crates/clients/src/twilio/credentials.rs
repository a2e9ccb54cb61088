//! What proves to Twilio that we may act for an account.

use secrecy::SecretString;

/// The credentials of one account; each tenant has its own.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// The account's auth token, which also signs its webhooks.
    pub auth_token: SecretString,
}
