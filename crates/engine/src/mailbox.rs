//! What was sent to a run that a worker has in memory: signals, and the orders of a person.
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{RunId, Storage, StorageError, storage::Signal};

/// The signals of one run, as far as they have been read.
#[derive(Debug)]
pub(crate) struct Mailbox {
    run: RunId,
    signals: Mutex<Vec<Signal>>,
    arrived: watch::Sender<i64>,
}

/// What the signals of a run come to, for the engine itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    pub(crate) cancel: bool,
    pub(crate) terminate: bool,
    pub(crate) paused: bool,
    /// The number of the last signal that was looked at.
    pub(crate) seen: i64,
}

impl Mailbox {
    pub(crate) fn new(run: RunId) -> Self {
        Self {
            run,
            signals: Mutex::default(),
            arrived: watch::Sender::default(),
        }
    }

    fn signals(&self) -> MutexGuard<'_, Vec<Signal>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last signal that has been read.
    pub(crate) fn seen(&self) -> i64 {
        self.signals().last().map_or(0, |signal| signal.n)
    }

    /// Reads what is new.
    pub(crate) async fn read(&self, storage: &Storage) -> Result<(), StorageError> {
        let fresh = storage.signals_after(&self.run, self.seen()).await?;
        let seen = {
            let mut signals = self.signals();
            let seen = signals.last().map_or(0, |signal| signal.n);
            signals.extend(fresh.into_iter().filter(|signal| signal.n > seen));
            signals.last().map_or(0, |signal| signal.n)
        };
        self.arrived
            .send_if_modified(|known| std::mem::replace(known, seen) != seen);
        Ok(())
    }

    /// Hears of what arrives from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<i64> {
        self.arrived.subscribe()
    }

    pub(crate) fn orders(&self) -> Orders {
        let mut orders = Orders::default();
        for signal in self.signals().iter() {
            orders.seen = signal.n;
            match signal.kind.as_str() {
                "cancel" => orders.cancel = true,
                "terminate" => orders.terminate = true,
                "pause" => orders.paused = true,
                "resume" => orders.paused = false,
                _ => {}
            }
        }
        orders
    }

    /// The first signal that `wanted` accepts.
    pub(crate) fn find(&self, wanted: impl Fn(&Signal) -> bool) -> Option<Signal> {
        self.signals().iter().find(|signal| wanted(signal)).cloned()
    }
}
