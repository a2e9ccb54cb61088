//! Where a start hands its run to the worker of its own process, so that it need not be claimed.
//!
//! The commit that starts the run says already in whose hands it is. So nobody else ever has it, and should this process
//! die before it takes the run up, it is taken over like any other.
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use crate::{Run, engine::Shared, execute::execute, lease::Lease, storage::Claimed};

/// The worker of a process, as those see it who bring it runs.
pub(crate) struct Desk {
    lease: Arc<Lease>,
    slots: Arc<Semaphore>,
    /// Whether nobody waits in the database: who does was there first.
    open: AtomicBool,
    /// The runs in this worker's memory; `None` when it takes no more.
    runs: Mutex<Option<JoinSet<()>>>,
}

/// Room for one run.
pub(crate) struct Seat {
    desk: Arc<Desk>,
    slot: OwnedSemaphorePermit,
}

impl Desk {
    pub(crate) fn new(lease: Arc<Lease>, places: usize) -> Arc<Self> {
        Arc::new(Self {
            lease,
            slots: Arc::new(Semaphore::new(places)),
            open: AtomicBool::new(false),
            runs: Mutex::new(Some(JoinSet::new())),
        })
    }

    /// Says whether runs may be waiting in the database.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    pub(crate) fn slots(&self) -> &Arc<Semaphore> {
        &self.slots
    }

    /// Room for runs that are to be claimed, `most` at most.
    pub(crate) fn room(&self, most: usize) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| self.slots.clone().try_acquire_owned().ok())
            .take(most)
            .collect()
    }

    /// Room for a run that is to be started, if there is any and nobody has waited for it longer.
    pub(crate) fn offer(self: &Arc<Self>) -> Option<Seat> {
        if !self.open.load(Ordering::Relaxed) || self.lease.left().is_zero() {
            return None;
        }
        let slot = self.slots.clone().try_acquire_owned().ok()?;
        Some(Seat {
            desk: self.clone(),
            slot,
        })
    }

    /// Works on a run.
    pub(crate) fn take(self: &Arc<Self>, shared: Arc<Shared>, claimed: Claimed, slot: OwnedSemaphorePermit) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(runs) = runs.as_mut() else {
            return;
        };
        while runs.try_join_next().is_some() {}
        let lease = self.lease.clone();
        let held = lease.hold((claimed.run.id.clone(), claimed.run.epoch));
        runs.spawn(async move {
            execute(shared, lease, claimed).await;
            drop((held, slot));
        });
    }

    /// Takes no more. Returns the runs that are in memory.
    pub(crate) fn close(&self) -> JoinSet<()> {
        self.set_open(false);
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.take().unwrap_or_default()
    }
}

impl Seat {
    pub(crate) fn worker(&self) -> &str {
        self.desk.lease.worker()
    }

    /// Works on `run`, which begins in the hands of this worker.
    pub(crate) fn take(self, shared: Arc<Shared>, run: Run) {
        let claimed = Claimed {
            run,
            events: Ok(Vec::new()),
            taken_from: None,
        };
        self.desk.take(shared, claimed, self.slot);
    }
}

/// The desk of a worker while it works; dropped, the worker falls silent.
pub(crate) struct Opened {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
}

impl Opened {
    pub(crate) fn new(shared: &Arc<Shared>, desk: &Arc<Desk>) -> Self {
        *shared.desk.lock().unwrap_or_else(PoisonError::into_inner) = Some(desk.clone());
        Self {
            shared: shared.clone(),
            desk: desk.clone(),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut desk = self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner);
        // Another worker of this process may have opened one since.
        if desk.as_ref().is_some_and(|desk| Arc::ptr_eq(desk, &self.desk)) {
            *desk = None;
        }
        drop(self.desk.close());
    }
}
