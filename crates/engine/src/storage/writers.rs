//! Which writer has what.
use tokio::sync::mpsc;

use super::segment::Job;
use crate::RunId;

/// Who writes what: on SQLite one writer everything.
pub(super) struct Writers {
    /// All starts, so that their order in a lane is that of the calls, and no answer to a webhook waits for a checkpoint.
    pub(super) starts: mpsc::Sender<Job>,
    /// Checkpoints, all of a run by the same writer.
    pub(super) checkpoints: Vec<mpsc::Sender<Job>>,
    /// Steps that share a transaction, and on SQLite work that brings its own statements.
    pub(super) steps: mpsc::Sender<Job>,
    /// Runs that ask for their turn, who wait for the locks of lanes.
    pub(super) entries: mpsc::Sender<Job>,
}

impl Writers {
    pub(super) fn one(writer: mpsc::Sender<Job>) -> Self {
        Self {
            starts: writer.clone(),
            checkpoints: vec![writer.clone()],
            steps: writer.clone(),
            entries: writer,
        }
    }

    pub(super) fn of(&self, run: &RunId) -> &mpsc::Sender<Job> {
        let hash = |sum: usize, byte: u8| sum.wrapping_mul(31).wrapping_add(byte.into());
        &self.checkpoints[run.as_str().bytes().fold(0, hash) % self.checkpoints.len()]
    }
}
