//! Messages from contacts to us.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address;
use crate::entry::{Delivery, Direction, Message, Status, StatusChange};
use crate::media::Media;
use crate::state::State;
use crate::twilio::{inbound_params, new_sid};
use crate::{voice, webhook};

/// A message that a contact sends. Only sender and text are needed when there is one account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inbound {
    /// The account's SID; empty: the only account there is.
    pub account: String,
    /// The contact, E.164, with `whatsapp:` for that channel.
    pub from: String,
    /// Our address; empty: the account's first number, on the sender's channel.
    pub to: String,
    /// The text; `Body` is left out if it is empty.
    pub body: String,
    /// The contact's name on WhatsApp.
    pub profile_name: Option<String>,
    /// A SID of its own choice; one that is in the book already is delivered again.
    pub sid: Option<String>,
    /// Its webhook is never posted, as when nobody can be reached: it is in the book, and in Twilio's list.
    pub lost: bool,
    /// The messaging service whose number it reaches.
    pub service: Option<String>,
    /// SIDs of files that it carries, see [`State::put_media`].
    pub media: Vec<String>,
    /// The words of a voice note that it carries: made up, without a microphone; a transcription hears them again.
    pub voice: Option<String>,
    /// Further form fields, such as `NumMedia`, `MediaUrl0` or one that nobody has heard of. One
    /// that we would send ourselves is replaced.
    pub extra: Vec<(String, String)>,
}

/// What became of an inbound message.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    /// Its SID.
    pub sid: String,
    /// Every attempt to deliver it, in order.
    pub attempts: Vec<Arc<Delivery>>,
}

impl Received {
    /// The HTTP status of the last attempt, if it was answered.
    pub fn status(&self) -> Option<u16> {
        self.attempts.last().and_then(|last| last.answer)
    }

    /// Whether the last attempt was answered 2xx.
    pub fn is_accepted(&self) -> bool {
        self.attempts.last().is_some_and(|last| last.is_accepted())
    }
}

/// Why an inbound message could not even be tried.
#[derive(Debug, thiserror::Error)]
pub enum InboundError {
    /// The account does not exist, or was not named though there are several.
    #[error("account: no account {0:?}")]
    Account(String),
    /// An address is not one.
    #[error("{field}: must be E.164, such as +5511987654321 or whatsapp:+5511987654321")]
    Address {
        /// `from` or `to`.
        field: &'static str,
    },
    /// The account has nowhere to post it to.
    #[error("account {0} has no webhook_url")]
    NoWebhook(String),
    /// The book cannot be written.
    #[error("the book cannot be written")]
    Book(#[from] std::io::Error),
}

impl State {
    /// Sends a message from a contact: it is in the book first, then it is posted to the
    /// account's webhook, signed, with the retries that the URL's fragment asks for.
    ///
    /// # Errors
    /// Only if nothing was posted; a webhook that fails is a [`Received`].
    pub async fn send_inbound(self: &Arc<Self>, inbound: Inbound) -> Result<Received, InboundError> {
        let account = self.receiver(&inbound.account)?;
        let to = if inbound.to.is_empty() {
            let number = account
                .numbers
                .first()
                .map_or("", |n| address::without_channel(n));
            let prefix = if address::is_whatsapp(&inbound.from) {
                "whatsapp:"
            } else {
                ""
            };
            format!("{prefix}{number}")
        } else {
            inbound.to.clone()
        };
        for (field, address) in [("from", &inbound.from), ("to", &to)] {
            if !address::is_valid(address) {
                return Err(InboundError::Address { field });
            }
        }
        let Some(url) = account.webhook_url.as_deref() else {
            return Err(InboundError::NoWebhook(account.sid.clone()));
        };
        let mut inbound = inbound;
        if let Some(words) = &inbound.voice {
            let note = Media {
                content_type: "audio/ogg".to_owned(),
                bytes: voice::speak(words),
            };
            inbound.media.push(self.put_media(&note)?);
        }
        let message = self.receive(&inbound, &account.sid, to)?;
        if inbound.lost {
            return Ok(Received {
                sid: message.sid.clone(),
                attempts: Vec::new(),
            });
        }
        let mut extra = self.attached(&message);
        extra.retain(|(name, _)| !inbound.extra.iter().any(|(given, _)| given == name));
        extra.extend(inbound.extra.iter().cloned());
        let hook = webhook::Hook {
            url,
            auth_token: &account.auth_token,
            params: inbound_params(&message, inbound.profile_name.as_deref(), &extra),
            sid: &message.sid,
            status: Status::Received.as_str(),
        };
        let attempts = webhook::post(self, &hook).await?;
        Ok(Received {
            sid: message.sid.clone(),
            attempts,
        })
    }

    /// The fields that say what a message carries.
    fn attached(&self, message: &Message) -> Vec<(String, String)> {
        let media: Vec<_> = message
            .media
            .iter()
            .filter_map(|sid| Some((sid, self.media(sid)?)))
            .collect();
        if media.is_empty() {
            return Vec::new();
        }
        let mut fields = vec![("NumMedia".to_owned(), media.len().to_string())];
        for (place, (sid, file)) in media.iter().enumerate() {
            let url = self.media_url(&message.account, &message.sid, sid);
            fields.push((format!("MediaUrl{place}"), url));
            fields.push((format!("MediaContentType{place}"), file.content_type.clone()));
        }
        if let (true, Some((_, first))) = (address::is_whatsapp(&message.from), media.first()) {
            let kind = first.content_type.split('/').next();
            let kind = kind.filter(|kind| matches!(*kind, "image" | "audio" | "video"));
            let kind = kind.unwrap_or("document");
            fields.push(("MessageType".to_owned(), kind.to_owned()));
        }
        fields
    }

    pub(crate) fn receiver(&self, sid: &str) -> Result<Arc<crate::Account>, InboundError> {
        let found = match self.accounts().as_slice() {
            [only] if sid.is_empty() => Some(Arc::clone(only)),
            _ => self.account(sid),
        };
        found.ok_or_else(|| InboundError::Account(sid.to_owned()))
    }

    /// The message as it is in the book; it is written if it is new.
    fn receive(&self, inbound: &Inbound, account: &str, to: String) -> std::io::Result<Arc<Message>> {
        let received = StatusChange::now(Status::Received, None);
        self.book.insert_once(Arc::new(Message {
            sid: inbound.sid.clone().unwrap_or_else(|| new_sid("SM")),
            account: account.to_owned(),
            direction: Direction::Inbound,
            from: inbound.from.clone(),
            to,
            body: inbound.body.clone(),
            media: inbound.media.clone(),
            messaging_service: inbound.service.clone(),
            content: None,
            status_callback: None,
            created: received.at,
            statuses: vec![received],
        }))
    }
}
