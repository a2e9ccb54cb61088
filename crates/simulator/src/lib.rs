//! A Twilio and a language model provider that misbehave on request.
//!
//! Invariant: this crate shares no type with the clients it is used to test; it parses raw
//! requests itself, so that a misunderstanding cannot be made on both sides at once.
//!
//! What it is told is written to a [`Book`] before it answers, because a Twilio does not forget
//! when our process dies.

mod address;
mod book;
mod calls;
mod carrier;
mod config;
mod connection;
mod entry;
mod faults;
mod inbound;
mod index;
mod knowledge;
mod media;
mod model;
mod multipart;
mod request;
mod routes;
mod routing;
mod script;
mod server;
mod signature;
mod speech;
mod state;
mod telephone;
mod twilio;
mod voice;
mod webhook;

pub use book::Book;
pub use calls::{Call, CallStatus, Recording, inbound::Ring};
pub use config::{Account, Config};
pub use entry::{Delivery, Direction, Entry, Message, RequestRecord, Status, StatusChange};
pub use faults::{
    CallFaults, CallbackFaults, CreateFault, Faults, MediaFaults, ModelFaults, SpeechFaults, TwilioFaults,
};
pub use inbound::{Inbound, InboundError, Received};
pub use media::Media;
pub use routes::routes;
pub use script::{Answer, ModelMode};
pub use server::Simulator;
pub use signature::sign;
pub use state::State;
