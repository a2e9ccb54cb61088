//! What can go wrong in the store.
use recado_domain::{InvalidAddress, UnknownWord};
use sea_orm::{DbErr, RuntimeErr, SqlxError};

/// Why a verb did not do its work. Nothing of it is written, unless the verb's own text says otherwise.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or did not answer.
    #[error(transparent)]
    Db(#[from] DbErr),
    /// There is no such thing, or not for this owner.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It exists already, for somebody else.
    #[error("this {0} is taken")]
    Taken(&'static str),
    /// Somebody else changed the row first; read it again.
    #[error("the {0} was changed in the meantime")]
    Stale(&'static str),
    /// A stored value is none that this build knows.
    #[error("a stored {what} makes no sense: {problem}")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A sealed value does not open: it was sealed under another key, or damaged.
    #[error("a sealed value does not open: SECRET_KEY is not the one it was sealed with")]
    Sealed,
    /// The text given as a key is too short.
    #[error("SECRET_KEY has {0} characters, at least 32 are needed")]
    WeakSecret(usize),
}

impl StoreError {
    /// Whether the same call may succeed a moment later: the connection broke, the pool was exhausted, a lock was
    /// not to be had, another transaction was in the way, or the row was [`StoreError::Stale`].
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Db(DbErr::ConnectionAcquire(_)) | Self::Stale(_) => true,
            Self::Db(
                DbErr::Conn(RuntimeErr::SqlxError(error))
                | DbErr::Exec(RuntimeErr::SqlxError(error))
                | DbErr::Query(RuntimeErr::SqlxError(error)),
            ) => is_transient(error),
            _ => false,
        }
    }
}

/// Codes: SQLite's SQLITE_BUSY (5) and SQLITE_LOCKED (6) in the low byte; Postgres's classes 08 (connection),
/// 40 (serialisation, deadlock), 53 (resources), 57P (shut down), and 55P03 (lock not available).
fn is_transient(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => true,
        SqlxError::Database(error) => error.code().is_some_and(|code| {
            if code.len() == 5 {
                ["08", "40", "53", "57P", "55P03"]
                    .iter()
                    .any(|class| code.starts_with(class))
            } else {
                code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
            }
        }),
        _ => false,
    }
}

impl From<UnknownWord> for StoreError {
    fn from(error: UnknownWord) -> Self {
        Self::Corrupt {
            what: error.what,
            problem: error.to_string(),
        }
    }
}

impl From<InvalidAddress> for StoreError {
    fn from(error: InvalidAddress) -> Self {
        Self::Corrupt {
            what: "address",
            problem: error.to_string(),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt {
            what: "JSON text",
            problem: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_connection_that_ends_in_the_middle_of_a_sentence_is_no_refusal() {
        let told = |error| StoreError::Db(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))));
        assert!(
            told(SqlxError::Protocol(
                "unexpected response from SSLRequest: 0x00".to_owned()
            ))
            .is_transient()
        );
        assert!(!told(SqlxError::RowNotFound).is_transient());
    }
}
