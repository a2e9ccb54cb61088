//! The end of a run's journal.
use serde_json::Value;
use tokio::sync::oneshot;

use super::checkpoint::Draft;
use crate::{
    Event,
    storage::{NewValue, StorageError},
};

/// The end of the journal as this worker knows it.
#[derive(Debug)]
pub(super) struct Tail {
    seq: i64,
    /// Events that ride with the next checkpoint that is awaited.
    pub(super) pending: Vec<Event>,
    /// Published values that do the same.
    pub(super) values: Vec<NewValue>,
    /// Checkpoints that were sent and not awaited.
    pub(super) in_flight: Vec<oneshot::Receiver<Result<(), StorageError>>>,
}

impl Tail {
    pub(super) fn new(seq: i64) -> Self {
        Self {
            seq,
            pending: Vec::new(),
            values: Vec::new(),
            in_flight: Vec::new(),
        }
    }

    /// Gives `event` the next number.
    pub(super) fn push(&mut self, event: Event) {
        self.seq += 1;
        self.pending.push(Event {
            seq: self.seq,
            ..event
        });
    }

    /// The last of what was published under a name counts.
    pub(super) fn publish(&mut self, name: &str, data: Value) {
        self.values.retain(|value| value.name != name);
        self.values.push(NewValue {
            name: name.to_owned(),
            data,
        });
    }

    /// `event` with the next number, and what rides with it, for a transaction that writes them itself.
    pub(super) fn draft(&self, event: Event) -> Draft {
        Draft {
            event: Event {
                seq: self.seq + 1,
                ..event
            },
            pending: self.pending.clone(),
            values: self.values.clone(),
        }
    }

    /// What the last draft holds is on the disk.
    pub(super) fn wrote_draft(&mut self) {
        self.pending.clear();
        self.values.clear();
        self.seq += 1;
    }
}
