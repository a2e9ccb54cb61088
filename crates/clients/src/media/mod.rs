//! Attachments: what they are by their content, and where they are kept.

mod content;
mod incoming;
mod ogg;
mod store;
mod vcard;

pub use content::{Content, NotAsDeclared};
pub use incoming::Incoming;
pub use store::{MediaStore, MediaStoreError, Rendition, Stored};
