//! Twilio: what it posts to us, and what we ask of it.

mod account;
mod call;
mod call_form;
mod client;
mod create_call;
mod create_message;
mod credentials;
mod error;
mod errors;
mod fetch;
mod fetch_media;
mod form;
mod inbound_content;
mod inbound_form;
mod list;
mod list_calls;
mod list_media;
mod list_messages;
mod media_stream;
mod message;
mod price;
mod redacted;
mod sid;
mod signature;
mod status_form;
mod typing;

pub use account::Account;
pub use call::Call;
pub use call_form::{CallForm, RecordingForm};
pub use client::Client;
pub use create_call::{CallScript, CreateCall};
pub use create_message::{CreateMessage, Sender, Template};
pub use credentials::Credentials;
pub use error::{TwilioError, Uncertainty};
pub use errors::{ERRORS, ErrorClass, KnownError, class_of, code_label, known};
pub use fetch_media::{Downloaded, FetchMedia, MediaError};
pub use form::{FormError, parse_form};
pub use inbound_content::{
    Choice, ChoiceOf, Forwarded, InboundContent, Location, Place, Referral, RepliedTo,
};
pub use inbound_form::{InboundForm, Media};
pub use list::Page;
pub use list_messages::ListMessages;
pub use media_stream::MediaStream;
pub use message::Message;
pub use price::Price;
pub use signature::{sign, verify, verify_json};
pub use status_form::StatusForm;
