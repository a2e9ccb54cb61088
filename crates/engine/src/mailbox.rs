//! What was sent to a run that a worker has in memory: signals, and the orders of a person.
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{
    RunId, Storage, StorageError,
    storage::{Head, Signal},
};

/// The signals of one run, as far as they have been read.
#[derive(Debug)]
pub(crate) struct Mailbox {
    run: RunId,
    signals: Mutex<Vec<Signal>>,
    arrived: watch::Sender<i64>,
    /// The place in whose lane the run listens for others that become ready, while it does.
    listens: Mutex<Option<Head>>,
    followed: watch::Sender<bool>,
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
            listens: Mutex::default(),
            followed: watch::Sender::default(),
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

    /// Hears whether another run of the lane is ready, for as long as what is returned lives.
    pub(crate) fn listen_behind(&self, head: Head) -> Listening<'_> {
        self.followed.send_replace(false);
        *self.head() = Some(head);
        Listening { mailbox: self }
    }

    /// As what the run listens for others, if it does.
    pub(crate) fn listens(&self) -> Option<Head> {
        self.head().clone()
    }

    /// Another run of the lane is ready.
    pub(crate) fn tell_followed(&self) {
        self.followed.send_replace(true);
    }

    fn head(&self) -> MutexGuard<'_, Option<Head>> {
        self.listens.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A run that wants to know of others that become ready.
#[derive(Debug)]
pub(crate) struct Listening<'a> {
    mailbox: &'a Mailbox,
}

impl Listening<'_> {
    /// Waits until there is one.
    pub(crate) async fn followed(&self) {
        let mut followed = self.mailbox.followed.subscribe();
        // The sender lives as long as this does.
        let _ = followed.wait_for(|followed| *followed).await;
    }

    /// Waits for the next.
    pub(crate) fn forget(&self) {
        self.mailbox.followed.send_replace(false);
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        *self.mailbox.head() = None;
    }
}
