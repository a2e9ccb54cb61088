//! Surroundings of a test: a clock that stands until it is moved, and a process that dies where it is told to.
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeZone, Utc};
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{Notify, watch};

use crate::{
    RunId,
    storage::after,
    surroundings::{Point, Surroundings},
};

/// A made-up time and a made-up life of a process. Clones are the same.
#[derive(Clone)]
pub(super) struct Simulation(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Told whenever the clock is moved.
    clock: watch::Sender<DateTime<Utc>>,
    /// Told whenever the process dies.
    death: watch::Sender<()>,
    /// Told whenever something began to wait.
    stirred: Notify,
}

#[derive(Default)]
struct State {
    sleepers: BTreeMap<u64, DateTime<Utc>>,
    next_sleeper: u64,
    /// Activities that do nothing but let time pass, by run.
    lingering: HashMap<RunId, usize>,
    commits: u32,
    /// Where the process is to die, and the next one, and so on, each counted from `counted_from` commits.
    crashes: VecDeque<(Point, u32)>,
    counted_from: u32,
    dead: bool,
}

impl Simulation {
    /// It is the first of January 2030, midnight.
    pub(super) fn new() -> Self {
        let start = Utc.with_ymd_and_hms(2030, 1, 1, 0, 0, 0);
        Self(Arc::new(Inner {
            state: Mutex::default(),
            clock: watch::Sender::new(start.single().unwrap_or_default()),
            death: watch::Sender::new(()),
            stirred: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As what the engine takes its surroundings.
    pub(super) fn surroundings(&self) -> Arc<dyn Surroundings> {
        Arc::new(self.clone())
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        *self.0.clock.borrow()
    }

    /// Moves the clock, never back.
    pub(super) fn set(&self, to: DateTime<Utc>) {
        self.0.clock.send_if_modified(|now| {
            let later = to > *now;
            *now = to.max(*now);
            later
        });
    }

    /// When the first of those wakes that sleep in memory.
    pub(super) fn first_sleeper(&self) -> Option<DateTime<Utc>> {
        self.state().sleepers.values().min().copied()
    }

    /// How many activities of `run` only let time pass.
    pub(super) fn lingering(&self, run: &RunId) -> usize {
        self.state().lingering.get(run).copied().unwrap_or_default()
    }

    /// Says that an activity of `run` does nothing but let time pass, until what is returned is dropped.
    pub(super) fn linger(&self, run: &RunId) -> Lingering {
        *self.state().lingering.entry(run.clone()).or_default() += 1;
        self.0.stirred.notify_one();
        Lingering(self.clone(), run.clone())
    }

    /// Waits until something began to wait.
    pub(super) async fn stirred(&self) {
        self.0.stirred.notified().await;
    }

    /// How many commits the process has made or begun.
    pub(super) fn commits(&self) -> u32 {
        self.state().commits
    }

    /// The process is to die at its `n`th commit from now; where one is to die already, the next one at its `n`th.
    pub(super) fn crash_at(&self, point: Point, n: u32) {
        let mut state = self.state();
        if state.crashes.is_empty() {
            state.counted_from = state.commits;
        }
        state.crashes.push_back((point, n.max(1)));
    }

    pub(super) fn die(&self) {
        self.state().dead = true;
        self.0.death.send_replace(());
        self.0.stirred.notify_one();
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Another process begins, a moment later.
    pub(super) fn begin_again(&self) {
        let mut state = self.state();
        (state.dead, state.counted_from) = (false, state.commits);
        drop(state);
        self.set(after(self.now(), Duration::from_millis(1)));
    }
}

impl Surroundings for Simulation {
    fn now(&self) -> DateTime<Utc> {
        self.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let until = after(self.now(), duration);
        let (here, mut clock) = (self.clone(), self.0.clock.subscribe());
        async move {
            let _sleeper = Sleeper::new(&here, until);
            let _ = clock.wait_for(|now| *now >= until).await;
        }
        .boxed()
    }

    fn is_the_end(&self, point: Point) -> bool {
        let mut state = self.state();
        if state.dead {
            return true;
        }
        state.commits += u32::from(point == Point::BeforeCommit);
        let here = (point, state.commits - state.counted_from);
        let end = state.crashes.front() == Some(&here);
        if end {
            state.crashes.pop_front();
        }
        drop(state);
        if end {
            self.die();
        }
        end
    }

    fn death(&self) -> BoxFuture<'static, ()> {
        let mut death = self.0.death.subscribe();
        async move { drop(death.changed().await) }.boxed()
    }
}

/// Something that sleeps in memory.
struct Sleeper(Simulation, u64);

impl Sleeper {
    fn new(simulation: &Simulation, until: DateTime<Utc>) -> Self {
        let mut state = simulation.state();
        let id = state.next_sleeper;
        state.next_sleeper += 1;
        state.sleepers.insert(id, until);
        simulation.0.stirred.notify_one();
        Self(simulation.clone(), id)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.state().sleepers.remove(&self.1);
    }
}

/// An activity that only lets time pass.
pub(super) struct Lingering(Simulation, RunId);

impl Drop for Lingering {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if let Some(count) = state.lingering.get_mut(&self.1) {
            *count -= 1;
        }
    }
}
