//! Sends a text.

use std::fmt;

use super::message::MessageResource;
use super::{Client, Credentials, Message, TwilioError};

/// A text to send. Twilio takes no idempotency key: sent twice, it arrives twice.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateMessage {
    /// Whom to: `+…` or `whatsapp:+…`.
    pub to: String,
    /// Whom from.
    pub sender: Sender,
    /// The text, 1 to 1600 characters.
    pub body: String,
    /// Where Twilio shall post what becomes of it.
    pub status_callback: Option<String>,
}

/// Where a message comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Sender {
    /// One of the account's numbers: `+…` or `whatsapp:+…`.
    Number(String),
    /// A messaging service (`MG…`), which chooses the number.
    Service(String),
}

impl Client {
    /// Asks Twilio, once, to send a message. Success means that Twilio took it, not that it arrived.
    ///
    /// # Errors
    /// [`TwilioError`]; where [`TwilioError::may_have_happened`], the message may be on its way, and must be looked for
    /// before it is ever sent again.
    pub async fn create_message(
        &self,
        credentials: &Credentials,
        message: &CreateMessage,
    ) -> Result<Message, TwilioError> {
        let url = self.url(&credentials.account_sid, &["Messages"]);
        let request = self.http.post(url).form(&message.form());
        self.send::<MessageResource>(credentials, request)
            .await
            .map(Message::from)
    }
}

impl CreateMessage {
    fn form(&self) -> Vec<(&'static str, &str)> {
        let sender = match &self.sender {
            Sender::Number(number) => ("From", number.as_str()),
            Sender::Service(sid) => ("MessagingServiceSid", sid.as_str()),
        };
        let callback = self.status_callback.as_deref().map(|url| ("StatusCallback", url));
        [("To", self.to.as_str()), sender, ("Body", self.body.as_str())]
            .into_iter()
            .chain(callback)
            .collect()
    }
}

/// Says nothing of who is told what.
impl fmt::Debug for CreateMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateMessage")
            .field("characters", &self.body.chars().count())
            .finish_non_exhaustive()
    }
}

/// Says what kind of sender it is, not which.
impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number(_) => "Number(…)",
            Self::Service(_) => "Service(…)",
        })
    }
}
