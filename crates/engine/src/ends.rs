//! Who in this process waits for the end of a run.
//!
//! A run that ends here tells those who wait at once; one that ends in another process is found by a look at the
//! database, one look for all that are awaited.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time};

use crate::{Engine, Run, RunId, StorageError, engine::Shared};

/// How often it is looked for runs that end in other processes.
const LOOK: Duration = Duration::from_millis(50);

/// Hears of an end.
pub(crate) type End = oneshot::Receiver<Arc<Run>>;

/// The runs whose end is awaited.
#[derive(Default)]
pub(crate) struct Ends(Mutex<Awaited>);

#[derive(Default)]
struct Awaited {
    runs: HashMap<RunId, Vec<oneshot::Sender<Arc<Run>>>>,
    /// Whether somebody looks already.
    looked_for: bool,
}

impl Ends {
    fn lock(&self) -> std::sync::MutexGuard<'_, Awaited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of the end of `run` from now on.
    fn listen(&self, run: &RunId) -> End {
        let (tell, heard) = oneshot::channel();
        self.lock().runs.entry(run.clone()).or_default().push(tell);
        heard
    }

    /// Tells everyone who waits for it that a run has ended, and how.
    pub(crate) fn tell(&self, run: &RunId, ended: impl FnOnce() -> Run) {
        let Some(waiting) = self.lock().runs.remove(run) else {
            return;
        };
        let ended = Arc::new(ended());
        for tell in waiting {
            let _ = tell.send(ended.clone());
        }
    }

    /// The runs that somebody still waits for; `None`, and nobody looks any more, if there are none.
    fn awaited(&self) -> Option<Vec<RunId>> {
        let mut awaited = self.lock();
        awaited.runs.retain(|_, waiting| {
            waiting.retain(|tell| !tell.is_closed());
            !waiting.is_empty()
        });
        awaited.looked_for = !awaited.runs.is_empty();
        awaited.looked_for.then(|| awaited.runs.keys().cloned().collect())
    }
}

impl Engine {
    /// Waits until a run has ended, `patience` at most. `None` if it has not, or there is none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ended(&self, run: &RunId, patience: Duration) -> Result<Option<Run>, StorageError> {
        // Who asks before he listens misses an end between the two.
        let end = self.listen(run);
        let found = self.storage().run(run).await?;
        if found.as_ref().is_none_or(|run| run.state.is_final()) || patience.is_zero() {
            return Ok(found.filter(|run| run.state.is_final()));
        }
        Ok(self.heard(end, patience).await)
    }

    /// Hears of the end of a run from now on, if it ends here; wherever it does, once [`Engine::heard`] is asked.
    pub(crate) fn listen(&self, run: &RunId) -> End {
        self.shared.ends.listen(run)
    }

    /// Waits for an end, `patience` at most.
    pub(crate) async fn heard(&self, end: End, patience: Duration) -> Option<Run> {
        if !std::mem::replace(&mut self.shared.ends.lock().looked_for, true) {
            tokio::spawn(look(self.shared.clone()));
        }
        let run = time::timeout(patience, end).await.ok()?.ok()?;
        Some(Arc::unwrap_or_clone(run))
    }
}

/// Looks for runs that ended elsewhere, for as long as any is awaited.
async fn look(shared: Arc<Shared>) {
    loop {
        time::sleep(LOOK).await;
        let Some(awaited) = shared.ends.awaited() else {
            return;
        };
        if let Err(error) = look_once(&shared, &awaited).await {
            tracing::warn!(%error, "it cannot be seen which runs have ended");
        }
    }
}

async fn look_once(shared: &Shared, awaited: &[RunId]) -> Result<(), StorageError> {
    for id in shared.storage.ended_of(awaited).await? {
        if let Some(run) = shared.storage.run(&id).await? {
            shared.ends.tell(&id, || run);
        }
    }
    Ok(())
}
