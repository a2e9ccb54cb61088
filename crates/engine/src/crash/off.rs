//! What is left of it in production: nothing.
use std::future::Future;

use super::Protection;
use crate::Settings;

/// Whether this process does without `protection`: never.
#[inline]
pub(crate) const fn without(_: Protection) -> bool {
    false
}

/// Says what a part of the present transaction is.
#[inline]
pub(crate) fn note(_: impl FnOnce() -> String) {}

/// Says what the present transaction is, if nobody has.
#[inline]
pub(crate) fn note_whole(_: &'static str) {}

/// A transaction, from its beginning to its end.
#[inline]
pub(crate) fn transaction<F: Future>(work: F) -> F {
    work
}

/// A commit, which [`note`] has named.
#[inline]
pub(super) fn commit<F: Future>(commit: F) -> F {
    commit
}

/// A call to the outside.
#[inline]
pub(crate) fn call<F: Future>(_: impl FnOnce() -> String, call: F) -> F {
    call
}

/// The settings that the engine goes by.
#[inline]
pub(crate) fn settings(settings: Settings) -> Settings {
    settings
}
