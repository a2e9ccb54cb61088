//! What a test's process has in its memory, and dies with.
use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::{sync::Notify, task::JoinSet};

use super::simulation::Simulation;
use crate::{
    Engine, Filter, RunState, Settings, Storage, StorageError, StorageOptions,
    dispatch::Bells,
    execute::execute,
    lease::Lease,
    registry::Registry,
    surroundings::{self, Surroundings},
};

/// The lease of a process that nobody competes with.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// The most runs that are looked at, or taken up, at a time.
const MANY: u64 = 1000;

/// How the runs of an engine stand.
pub(super) enum Standing {
    /// Something is under way.
    Busy,
    /// Nothing goes on before this time, or before somebody says something.
    AtRest(Option<DateTime<Utc>>),
}

/// One process, from its start to its end.
pub(super) struct Memory {
    pub(super) engine: Engine,
    simulation: Simulation,
    lease: Arc<Lease>,
    runs: JoinSet<()>,
    ready: Arc<Notify>,
}

impl Memory {
    /// Starts on the database at `url`, and takes over what an earlier process had in hand.
    pub(super) async fn begin(
        simulation: Simulation,
        registry: Arc<Registry>,
        url: &str,
    ) -> Result<Self, StorageError> {
        let ready = Arc::new(Notify::new());
        let around = simulation.surroundings();
        let (engine, lease) = surroundings::within(around, {
            let bell = ready.clone();
            async move {
                let storage = Storage::open(&StorageOptions::new(url), move || bell.notify_one()).await?;
                storage.lock_alone();
                let worker = format!("test-{}", ulid::Ulid::generate());
                storage.take_over(Duration::ZERO, Some(&worker)).await?;
                let lease = Arc::new(Lease::new(worker, FOR_EVER));
                lease.renew(Instant::now());
                let engine = Engine::of(registry, storage, Bells::in_process(), settings());
                Ok::<_, StorageError>((engine, lease))
            }
        })
        .await?;
        Ok(Self {
            engine,
            simulation,
            lease,
            runs: JoinSet::new(),
            ready,
        })
    }

    /// Forgets everything at once.
    pub(super) async fn end(mut self) {
        self.runs.shutdown().await;
    }

    /// Waits until something may have changed.
    pub(super) async fn stirred(&mut self) {
        tokio::select! {
            Some(_) = self.runs.join_next() => {}
            () = self.ready.notified() => {}
            () = self.simulation.stirred() => {}
            // A transaction that is on its way tells nobody.
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    }

    /// Takes up what is ready, and says how all of it stands.
    pub(super) async fn look(&mut self) -> Result<Standing, StorageError> {
        // What has just been told or woken moves first.
        tokio::task::yield_now().await;
        while self.runs.try_join_next().is_some() {}
        let now = self.simulation.now();
        let in_memory = self.in_memory();
        let busy = |rest: &crate::context::Rest| rest.busy > self.simulation.lingering(&rest.run);
        let first = self.simulation.first_sleeper();
        let first = in_memory.iter().filter_map(|rest| rest.until).chain(first).min();
        if in_memory.iter().any(busy) || first.is_some_and(|first| first <= now) {
            return Ok(Standing::Busy);
        }
        // The memory was looked at before: only what is done here, or by the test, makes any of it busy again.
        let storage = self.engine.storage();
        let open = Filter {
            unfinished: true,
            ..Filter::default()
        };
        let (mut due, mut ready) = (first, false);
        for run in storage.runs(&open, MANY, None).await?.items {
            match run.state {
                RunState::Queued => ready = true,
                RunState::Waiting => due = due.into_iter().chain(run.until).min(),
                RunState::Running => {
                    let Some(rest) = in_memory.iter().find(|rest| rest.run == run.id) else {
                        return Ok(Standing::Busy);
                    };
                    if rest.mailbox.seen() < run.inbox {
                        rest.mailbox.read(storage).await?;
                        return Ok(Standing::Busy);
                    }
                }
                _ => {}
            }
        }
        if due.is_some_and(|due| due <= now) {
            storage.wake_due().await?;
            return Ok(Standing::Busy);
        }
        if ready && self.take_up().await? > 0 {
            return Ok(Standing::Busy);
        }
        Ok(Standing::AtRest(due))
    }

    fn in_memory(&self) -> Vec<crate::context::Rest> {
        let cores = &self.engine.shared.cores;
        let mut cores = cores.lock().unwrap_or_else(PoisonError::into_inner);
        cores.retain(|core| core.strong_count() > 0);
        cores
            .iter()
            .filter_map(|core| Some(core.upgrade()?.rest()))
            .collect()
    }

    async fn take_up(&mut self) -> Result<usize, StorageError> {
        let claimed = self.engine.storage().claim(self.lease.worker(), MANY).await?;
        let number = claimed.len();
        for claimed in claimed {
            let held = self.lease.hold((claimed.run.id.clone(), claimed.run.epoch));
            let (shared, lease) = (self.engine.shared.clone(), self.lease.clone());
            let around: Arc<dyn Surroundings> = self.simulation.surroundings();
            self.runs.spawn(surroundings::within(around, async move {
                execute(shared, lease, claimed).await;
                drop(held);
            }));
        }
        Ok(number)
    }
}

/// Every wait is a row, so that whatever waits is replayed; what was sent shows at the vendor's almost at once.
fn settings() -> Settings {
    Settings {
        short_wait: Duration::ZERO,
        listing_delay: Duration::from_millis(200),
        build: "test".to_owned(),
        ..Settings::default()
    }
}
