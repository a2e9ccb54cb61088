//! What the runs of a thread have done, kept from look to look: who follows it reads only what is new.
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use recado_engine::{Event, Run, RunId, Storage, StorageError};

use super::EVENTS;

/// Runs with their first events, as they were seen last.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<RunId, Known>>);

struct Known {
    run: Run,
    events: Vec<Event>,
}

impl Kept {
    /// These runs as they are now, as far as they are there, with the first events of each. One that has ended is never
    /// read again, and of another only what was added.
    pub(super) async fn look(
        &self,
        storage: &Storage,
        ids: &[RunId],
    ) -> Result<(Vec<Run>, Vec<(RunId, Event)>), StorageError> {
        let kept = std::mem::take(&mut *self.lock());
        let wanted = kept.into_iter().filter(|(id, _)| ids.contains(id));
        let (mut now, mut before): (HashMap<RunId, Known>, HashMap<RunId, Known>) =
            wanted.partition(|(_, known)| known.run.state.is_final());
        let moving: Vec<RunId> = ids.iter().filter(|id| !now.contains_key(id)).cloned().collect();
        // The runs first: a journal may then be ahead of its run, which the next look mends, and never behind its end.
        let moved = storage.runs_by_id(&moving).await?;
        let last = storage.last_events(&moving).await?;
        let fresh: Vec<RunId> = moving.into_iter().filter(|id| !before.contains_key(id)).collect();
        let mut read: HashMap<RunId, Vec<Event>> = HashMap::new();
        for (id, event) in storage.first_events(&fresh, EVENTS).await? {
            read.entry(id).or_default().push(event);
        }
        for run in moved {
            let mut events = match before.remove(&run.id) {
                Some(known) => known.events,
                None => read.remove(&run.id).unwrap_or_default(),
            };
            let (known, wanted) = (events.len() as i64, i64::from(EVENTS));
            if last.get(&run.id).is_some_and(|last| *last.min(&wanted) > known) {
                let more = (wanted - known).unsigned_abs();
                events.extend(storage.events_after(&run.id, known, more).await?);
            }
            now.insert(run.id.clone(), Known { run, events });
        }
        let mut runs: Vec<Run> = now.values().map(|known| known.run.clone()).collect();
        runs.sort_by(|one, other| one.id.cmp(&other.id));
        let of_run = |run: &Run| {
            let events = now.get(&run.id).map(|known| known.events.as_slice());
            let events = events.unwrap_or_default().iter();
            events
                .map(|event| (run.id.clone(), event.clone()))
                .collect::<Vec<_>>()
        };
        let events = runs.iter().flat_map(of_run).collect();
        *self.lock() = now;
        Ok((runs, events))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
