//! Which writer has what.
use tokio::sync::mpsc;

use super::segment::Job;

/// Who writes what: on SQLite one writer everything.
pub(super) struct Writers {
    /// All starts, so that their order in a lane is that of the calls, and no answer to a webhook waits for a checkpoint.
    pub(super) starts: mpsc::Sender<Job>,
    /// Checkpoints.
    pub(super) checkpoints: mpsc::Sender<Job>,
    /// Steps that share a transaction, and on SQLite work that brings its own statements.
    pub(super) steps: mpsc::Sender<Job>,
    /// Runs that ask for their turn, who wait for the locks of lanes.
    pub(super) entries: mpsc::Sender<Job>,
}

impl Writers {
    pub(super) fn one(writer: mpsc::Sender<Job>) -> Self {
        Self {
            starts: writer.clone(),
            checkpoints: writer.clone(),
            steps: writer.clone(),
            entries: writer,
        }
    }
}
