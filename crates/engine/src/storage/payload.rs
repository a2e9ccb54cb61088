//! How a JSON document becomes the text of a column, and back.
//!
//! A small one is its own JSON. With a [`Codec`] it is `@aes:` and what the key of its run sealed of it, packed; that key
//! stands in `runs.payload_key`, sealed by the key of the run's owner, which stands in `owner_keys`, sealed by the codec's. So a
//! run changes its owner by one short text, and an owner's key erased erases whatever it had. A text that is large then
//! is a row of `blobs`, and the column holds `@blob:` and its id. JSON never begins with `@`.
//!
//! Reading one needs no trip of its own: [`opened!`] selects a text together with the keys that open it. Who reads many of
//! a run asks for its keys once, and has an [`Opener`].
mod codec;
mod keys;
mod packed;
mod ring;
mod sealer;

use std::{future::Future, io, sync::OnceLock};

use sea_orm::DbErr;
use serde_json::{Value as Json, json};

pub use self::codec::Codec;
use self::codec::Key;
pub(super) use self::{
    codec::admit,
    sealer::{Sealer, store},
};
use super::StorageError;

/// The most that stands in the row itself, in bytes.
const INLINE: usize = 64 * 1024;
/// The most that a document may have, in bytes of JSON.
pub(crate) const LARGEST: usize = 4 * 1024 * 1024;

const BLOB: &str = "@blob:";
const AES: &str = "@aes:";
/// The length of the id of an owner's key, a ULID.
const KEY_ID: usize = 26;

/// The keys of a row of `runs`, for [`opened!`].
macro_rules! keys_of_this_run {
    () => {
        "coalesce(payload_key, '') || '|'
            || coalesce((select k.sealed from owner_keys k where k.id = substr(payload_key, 1, 26)), '')"
    };
}

/// The keys of the run that a column of another table names, for [`opened!`].
macro_rules! keys_of_run {
    ($run:literal) => {
        concat!(
            "coalesce((select r.payload_key || '|' || coalesce(k.sealed, '') from runs r
                left join owner_keys k on k.id = substr(r.payload_key, 1, 26) where r.id = ",
            $run,
            "), '|')"
        )
    };
}

/// The expression that selects a document's text as it is stored, whether it is in the row or in a blob, for an
/// [`Opener`].
macro_rules! stored {
    ($column:literal) => {
        concat!(
            "case when ",
            $column,
            " like '@blob:%' then coalesce((select b.data from blobs b where b.id = substr(",
            $column,
            ", 7)), ",
            $column,
            ") else ",
            $column,
            " end"
        )
    };
}

/// The expression that selects a document's text, with the keys to it.
macro_rules! opened {
    ($column:literal, $keys:expr, $name:literal) => {
        concat!(
            "case when ",
            $column,
            " like '@%' then '@' || ",
            $keys,
            " || '|' || ",
            $crate::storage::payload::stored!($column),
            " else ",
            $column,
            " end as ",
            $name
        )
    };
}
pub(super) use {keys_of_run, keys_of_this_run, opened, stored};

tokio::task_local! {
    /// What seals in this transaction. It goes beside the calls because transactions pass through many hands, those of
    /// activities too, none of which has any business with it.
    static CODEC: Option<Codec>;
}

/// Runs `work`, in whose transaction documents are stored by `codec`.
pub(super) fn within<F: Future>(codec: Option<Codec>, work: F) -> impl Future<Output = F::Output> {
    CODEC.scope(codec, work)
}

/// Invariant: nothing is stored in the clear because somebody forgot to say how it is to be stored.
fn codec() -> Result<Option<Codec>, DbErr> {
    CODEC
        .try_with(Option::clone)
        .map_err(|_| DbErr::Custom("a document was stored outside of the storage's transactions".to_owned()))
}

/// The id of the owner's key that a run's is sealed under, from its `payload_key`.
pub(super) fn key_id(payload_key: &str) -> &str {
    payload_key.split_once(':').map_or("", |(id, _)| id)
}

/// What is read where the owner's key has been erased.
pub(super) fn erased() -> Json {
    json!({"erased": true})
}

/// The document of a text that was selected by [`opened!`].
///
/// # Errors
/// When it is not JSON, its blob is gone, or this process has not the `SECRET_KEY` that it was sealed under.
pub(super) fn open(text: &str) -> Result<Json, DbErr> {
    let Some(rest) = text.strip_prefix('@') else {
        return parse(text.as_bytes());
    };
    let (keys, stored) = rest
        .match_indices('|')
        .nth(1)
        .map(|(at, _)| (&rest[..at], &rest[at + 1..]))
        .ok_or_else(|| DbErr::Custom("a document was selected without its keys".to_owned()))?;
    Opener::of(keys).open(stored)
}

fn parse(text: &[u8]) -> Result<Json, DbErr> {
    serde_json::from_slice(text).map_err(|error| DbErr::Json(error.to_string()))
}

/// Opens the documents of one run. Its key is unsealed when the first sealed one comes, and once.
pub(super) struct Opener<'a> {
    run_key: &'a str,
    owner_key: &'a str,
    key: OnceLock<Result<Key, DbErr>>,
}

impl<'a> Opener<'a> {
    /// With what [`keys_of_run!`] selects.
    pub(super) fn of(keys: &'a str) -> Self {
        let (run_key, owner_key) = keys.split_once('|').unwrap_or_default();
        Self {
            run_key,
            owner_key,
            key: OnceLock::new(),
        }
    }

    /// The document of a text that [`stored!`] selects; errors as [`open`].
    pub(super) fn open(&self, stored: &str) -> Result<Json, DbErr> {
        match stored.strip_prefix(AES) {
            None if stored.starts_with(BLOB) => Err(DbErr::Custom("a document's blob is gone".to_owned())),
            None => parse(stored.as_bytes()),
            Some("") => Ok(erased()),
            Some(_) if self.run_key.is_empty() => {
                Err(DbErr::Custom("a sealed document's run has no key".to_owned()))
            }
            Some(_) if self.owner_key.is_empty() => Ok(erased()),
            Some(sealed) => {
                let key = self
                    .key
                    .get_or_init(|| codec::run_key(self.run_key, self.owner_key));
                parse(&packed::unpack(
                    key.as_ref().map_err(Clone::clone)?.open(sealed, "")?,
                )?)
            }
        }
    }
}

/// The length of a document's JSON, in bytes.
pub(crate) fn size(document: &Json) -> usize {
    let mut count = Count(0);
    // Counting never fails, and neither does a document's way into JSON.
    let _ = serde_json::to_writer(&mut count, document);
    count.0
}

/// Refuses a document that is too large to be kept.
///
/// # Errors
/// [`StorageError::TooLarge`].
pub(crate) fn refuse_too_large(document: &Json) -> Result<(), StorageError> {
    match size(document) {
        bytes if bytes > LARGEST => Err(StorageError::TooLarge { bytes }),
        _ => Ok(()),
    }
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
