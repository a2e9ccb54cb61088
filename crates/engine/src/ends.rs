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

/// The runs whose end is awaited.
#[derive(Default)]
pub(crate) struct Ends(Mutex<Awaited>);

#[derive(Default)]
struct Awaited {
    runs: HashMap<RunId, Vec<oneshot::Sender<()>>>,
    /// Whether somebody looks already.
    looked_for: bool,
}

impl Ends {
    fn lock(&self) -> std::sync::MutexGuard<'_, Awaited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of the end of `run` from now on.
    fn listen(&self, run: &RunId) -> oneshot::Receiver<()> {
        let (tell, heard) = oneshot::channel();
        self.lock().runs.entry(run.clone()).or_default().push(tell);
        heard
    }

    /// Tells everyone that `run` has ended.
    pub(crate) fn tell(&self, run: &RunId) {
        let waiting = self.lock().runs.remove(run);
        for tell in waiting.into_iter().flatten() {
            let _ = tell.send(());
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
        let heard = self.shared.ends.listen(run);
        let found = self.storage().run(run).await?;
        if found.is_none() || patience.is_zero() {
            return Ok(found.filter(|run| run.state.is_final()));
        }
        if found.as_ref().is_some_and(|run| run.state.is_final()) {
            return Ok(found);
        }
        if !std::mem::replace(&mut self.shared.ends.lock().looked_for, true) {
            tokio::spawn(look(self.shared.clone()));
        }
        if time::timeout(patience, heard).await.is_err() {
            return Ok(None);
        }
        let found = self.storage().run(run).await?;
        Ok(found.filter(|run| run.state.is_final()))
    }
}

/// Looks for runs that ended elsewhere, for as long as any is awaited.
async fn look(shared: Arc<Shared>) {
    loop {
        time::sleep(LOOK).await;
        let Some(awaited) = shared.ends.awaited() else {
            return;
        };
        match shared.storage.ended_of(&awaited).await {
            Ok(ended) => ended.iter().for_each(|run| shared.ends.tell(run)),
            Err(error) => tracing::warn!(%error, "it cannot be seen which runs have ended"),
        }
    }
}
