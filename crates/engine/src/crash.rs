//! Where a crash is tried out, in a build with the feature `crash` alone; in all others nothing of this is left.
//!
//! A *point* is the moment just before or just after a commit of a run's life or an outside call. It is named by what it
//! is (`commit inbound_message 3 activity_completed persist`, `call reply 1`), with a number where a process passes
//! several of the same name (`#2`), and its side (`:before`, `:after`). A commit that holds the rows of several runs is a
//! point for each of them. Heartbeats, and sweeps that find nothing, are none. `on.rs` says how a process is told what
//! to do at which point.
#[cfg(not(feature = "crash"))]
mod off;
#[cfg(feature = "crash")]
mod on;

use std::future::Future;

#[cfg(not(feature = "crash"))]
use off as side;
#[cfg(feature = "crash")]
use on as side;

pub(crate) use self::side::{call, note, note_whole, settings, transaction, without};
use crate::surroundings::{self, Point};

/// A part of the engine that a mutant does without.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protection {
    /// A call of unknown fate is looked for before it is repeated.
    Reconciling,
    /// Who has lost a run cannot write.
    Epoch,
    /// A key starts one run.
    Key,
}

/// A commit, which [`note`] has named. The process may die before it and after it.
pub(crate) async fn commit<T>(commit: impl Future<Output = T>) -> T {
    surroundings::pass(Point::BeforeCommit).await;
    let committed = side::commit(commit).await;
    surroundings::pass(Point::AfterCommit).await;
    committed
}
