//! Sends a message.

use std::fmt;

use super::message::MessageResource;
use super::{Client, Credentials, Message, TwilioError};

/// A message to send: a text, media, both, or a template. Twilio takes no idempotency key: sent twice, it arrives twice.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateMessage {
    /// Whom to: `+…` or `whatsapp:+…`.
    pub to: String,
    /// Whom from.
    pub sender: Sender,
    /// The text, at most 1600 characters; left out where it is empty.
    pub body: String,
    /// Where Twilio fetches what is attached: at most 10, on WhatsApp one.
    pub media_urls: Vec<String>,
    /// The template that is sent instead of a text.
    pub template: Option<Template>,
    /// Where Twilio shall post what becomes of it.
    pub status_callback: Option<String>,
}

/// A message that was written, and for WhatsApp approved, beforehand.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    /// `ContentSid`: `HX` and 32 hexadecimal digits.
    pub sid: String,
    /// `ContentVariables`: a JSON object of texts; left out where there is none.
    pub variables: Option<String>,
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
        let body = Some(("Body", self.body.as_str())).filter(|(_, body)| !body.is_empty());
        let media = self.media_urls.iter().map(|url| ("MediaUrl", url.as_str()));
        let template = self.template.as_ref();
        let content = template.map(|template| ("ContentSid", template.sid.as_str()));
        let variables =
            template.and_then(|template| Some(("ContentVariables", template.variables.as_deref()?)));
        let callback = self.status_callback.as_deref().map(|url| ("StatusCallback", url));
        [("To", self.to.as_str()), sender]
            .into_iter()
            .chain(body)
            .chain(media)
            .chain(content)
            .chain(variables)
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
