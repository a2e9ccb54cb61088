//! What a workflow is: a serialisable struct that is the call, and one function that is replayed.
use std::future::Future;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Context, Fault};

/// A durable workflow.
///
/// Invariant: `run` is deterministic. It reads no clock, draws no random number and touches nothing outside but through
/// its [`Context`], because after a crash it is called again and must ask for the same things in the same order.
pub trait Workflow: Serialize + DeserializeOwned + Send + 'static {
    /// The durable name; it never changes its meaning.
    const NAME: &'static str;
    /// What a completed run leaves behind.
    type Output: Outcome;

    /// Runs, or replays, the workflow. An `Err` parks the run for a person; it is never lost.
    fn run(self, ctx: &mut Context) -> impl Future<Output = Result<Self::Output, Fault>> + Send;
}

/// The end of a run in the workflow's own words.
pub trait Outcome: Serialize + DeserializeOwned + Send {
    /// One short word of a bounded set, e.g. `answered`; shown, filtered by and counted.
    fn word(&self) -> &'static str;

    /// Whether the workflow itself says that it failed.
    fn failed(&self) -> bool {
        false
    }
}

impl Outcome for () {
    fn word(&self) -> &'static str {
        "done"
    }
}
