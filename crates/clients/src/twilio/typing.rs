//! Shows a WhatsApp contact that an answer is being written.

use serde::Deserialize;

use super::{Client, Credentials, TwilioError};

/// Twilio's API of messaging, which is not that of accounts.
const MESSAGING: &str = "https://messaging.twilio.com";
const API: &str = "https://api.twilio.com";

#[derive(Deserialize)]
struct Shown {}

impl Client {
    /// Marks a WhatsApp message as read and shows for up to 25 s that somebody types.
    /// Source: <https://www.twilio.com/docs/whatsapp/api/typing-indicators-resource>.
    ///
    /// # Errors
    /// [`TwilioError`]; nothing is lost by it.
    pub async fn show_typing(&self, credentials: &Credentials, message_sid: &str) -> Result<(), TwilioError> {
        let base = self.base().as_str().trim_end_matches('/');
        let base = if base == API { MESSAGING } else { base };
        let request = self
            .http
            .post(format!("{base}/v2/Indicators/Typing.json"))
            .form(&[("messageId", message_sid), ("channel", "whatsapp")]);
        self.send::<Shown>(credentials, request).await.map(drop)
    }
}
