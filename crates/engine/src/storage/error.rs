//! What can go wrong with the database.
use sea_orm::DbErr;

use super::{LARGEST, dialect::is_transient};

/// Why the storage did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The run has changed hands; whoever asked holds it no longer, and nothing was written.
    #[error("the run has changed hands")]
    Stale,
    /// The database refused, or is away.
    #[error("database: {0}")]
    Database(#[from] DbErr),
    /// Something else in the same commit failed; the same thing may succeed by itself.
    #[error("the commit failed for another's sake")]
    Interrupted,
    /// The process is going down.
    #[error("the journal writer has stopped")]
    Stopped,
    /// A document is larger than may be kept; nothing was written.
    #[error("{bytes} bytes of JSON are too many: at most {} can be kept", LARGEST)]
    TooLarge {
        /// The length of its JSON.
        bytes: usize,
    },
    /// What the database keeps is sealed, and this process cannot open it.
    #[error("SECRET_KEY {0}: the payloads in this database are sealed")]
    Secret(&'static str),
}

impl StorageError {
    /// Whether the same thing may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => is_transient(error),
            Self::Interrupted => true,
            Self::Stale | Self::Stopped | Self::TooLarge { .. } | Self::Secret(_) => false,
        }
    }
}
