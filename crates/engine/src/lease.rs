//! A worker's own view of how long it may still act.
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

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
        }
    }

    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    /// A heartbeat sent at `sent` is on disk.
    pub(crate) fn renew(&self, sent: Instant) {
        *self
            .renewed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = sent;
        self.beat.notify_one();
    }

    /// Waits for the next heartbeat that is on disk.
    pub(crate) async fn renewed(&self) {
        self.beat.notified().await;
    }

    /// The time for which nobody else can have taken this worker's runs over.
    pub(crate) fn left(&self) -> Duration {
        let renewed = *self
            .renewed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        self.duration.saturating_sub(renewed.elapsed())
    }
}
