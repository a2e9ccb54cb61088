//! Attachments: what they are by their content, and where they are kept.

mod content;
mod ogg;
mod store;
mod vcard;

pub use content::{Content, NotAsDeclared};
pub use store::{MediaStore, MediaStoreError, Rendition, Stored};
