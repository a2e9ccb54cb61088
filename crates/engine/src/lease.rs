//! A worker's own view of how long it may still act.
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::RunId;

/// A run and the epoch of which it is held: the same run may come back before the last trace of it is gone.
pub(crate) type Hold = (RunId, i64);

/// The lease of one worker process.
///
/// Invariant: it never believes in more time than the other processes grant it, because it counts from the moment
/// *before* the heartbeat was sent.
#[derive(Debug)]
pub(crate) struct Lease {
    worker: String,
    duration: Duration,
    renewed: Mutex<Instant>,
    beat: Notify,
    held: Mutex<HashSet<Hold>>,
}

impl Lease {
    pub(crate) fn new(worker: String, duration: Duration) -> Self {
        // Expired until the first heartbeat is on disk.
        let renewed = Instant::now().checked_sub(duration).unwrap_or_else(Instant::now);
        Self {
            worker,
            duration,
            renewed: Mutex::new(renewed),
            beat: Notify::new(),
            held: Mutex::default(),
        }
    }

    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    /// A heartbeat sent at `sent` is on disk.
    pub(crate) fn renew(&self, sent: Instant) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = sent;
        self.beat.notify_one();
    }

    /// Waits for the next heartbeat that is on disk.
    pub(crate) async fn renewed(&self) {
        self.beat.notified().await;
    }

    /// The time for which nobody else can have taken this worker's runs over.
    pub(crate) fn left(&self) -> Duration {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        self.duration.saturating_sub(renewed.elapsed())
    }

    /// Notes that this worker has the run in memory, until the note is dropped.
    pub(crate) fn hold(self: &Arc<Self>, run: Hold) -> Held {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(run.clone());
        Held {
            lease: self.clone(),
            run,
        }
    }

    /// Whether this worker has the run in memory.
    pub(crate) fn holds(&self, run: &Hold) -> bool {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(run)
    }
}

/// A run in a worker's memory.
#[derive(Debug)]
pub(crate) struct Held {
    lease: Arc<Lease>,
    run: Hold,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lease
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.run);
    }
}
