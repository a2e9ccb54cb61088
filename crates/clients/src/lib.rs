//! The vendors Recado talks to: Twilio, language models, speech; and the storage that attachments are kept in.
//!
//! A client says what happened to one request, precisely enough that the engine can decide what comes next;
//! it never repeats a request by itself, and knows no database.
//!
//! Invariant: credentials, message texts and telephone numbers are in no `Debug`, no `Display` and no log line.

mod bounded_body;
mod http;
pub mod media;
pub mod models;
mod retry_after;
pub mod speech;
pub mod twilio;

pub use http::{SetupError, http};
