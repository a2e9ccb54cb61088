//! The part of a journal that a page shows: a run of ten thousand events opens as soon as one of ten.
use recado_engine::{Event, Run, RunId, Storage, StorageError};

use super::{WINDOW, asked::Asked};

/// Some events of a run, in order.
pub(super) struct Window {
    /// The number of the event before the first.
    pub(super) after: i64,
    pub(super) events: Vec<Event>,
    /// How many events the run has.
    pub(super) count: i64,
}

impl Window {
    /// Reads those that `asked` asks for; else of a run that has ended the first, and of any other the last, which say
    /// what it does.
    pub(super) async fn read(storage: &Storage, run: &Run, asked: &Asked) -> Result<Self, StorageError> {
        let count = storage.event_count(&run.id).await?;
        let last = (count - WINDOW).max(0);
        let after = match asked.after {
            Some(after) => after.min((count - 1).max(0)),
            None if run.state.is_final() => 0,
            None => last,
        };
        let events = Self::events(storage, &run.id, after).await?;
        Ok(Self {
            after,
            // Events may have come in between.
            count: count.max(events.last().map_or(0, |event| event.seq)),
            events,
        })
    }

    pub(super) async fn events(
        storage: &Storage,
        id: &RunId,
        after: i64,
    ) -> Result<Vec<Event>, StorageError> {
        storage.events_after(id, after, WINDOW as u64).await
    }

    /// The number of the last event in it.
    pub(super) fn last(&self) -> i64 {
        self.events.last().map_or(self.after, |event| event.seq)
    }

    /// Where the part before begins, if there is one.
    pub(super) fn earlier(&self) -> Option<i64> {
        (self.after > 0).then(|| (self.after - WINDOW).max(0))
    }

    /// Where the part behind begins, if there is one.
    pub(super) fn later(&self) -> Option<i64> {
        (self.last() < self.count).then(|| self.last())
    }

    /// Where the last part begins.
    pub(super) fn end(&self) -> i64 {
        (self.count - WINDOW).max(0)
    }
}
