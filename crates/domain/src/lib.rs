//! Leaf types of the domain: what a message, a number or a conversation *is*. No input or output here.
mod address;
mod call;
mod campaign;
mod conversation;
mod id;
mod message;
mod opt_out;
mod phone;
pub mod price;
mod template;
pub mod text;
mod unknown_send;

pub use address::{Address, Channel, InvalidAddress};
pub use call::{CallStatus, MachineDetection, RecordingStatus};
pub use campaign::{CampaignMessage, CampaignState, Fields, Gap};
pub use conversation::{Actor, ConversationState, Transition};
pub use id::{AccountId, AuditId, CallId, ContactId, ConversationId, MessageId, OwnerId, UserId};
pub use message::{Direction, MessageStatus};
pub use opt_out::OptOut;
pub use phone::{InvalidPhone, PhoneNumber};
pub use template::Template;
pub use unknown_send::UnknownSend;

/// A word that is none of those a type knows; `what` names the type in a reader's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a {what}")]
pub struct UnknownWord {
    /// What was expected, e.g. `message status`.
    pub what: &'static str,
    /// What was found.
    pub word: String,
}
