//! The engine in the hands of a test.
use std::{future::Future, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{
    Script,
    memory::{Memory, Standing},
    simulation::Simulation,
};
use crate::{
    ControlError, Engine, EngineBuilder, Event, Export, Run, RunId, Signal, Start, StorageError, Workflow,
    registry::Registry,
    storage::after,
    surroundings::{self, Point},
};

/// How often the clock may be moved before a test is taken to go on for ever.
const MOST_MOVES: usize = 10_000;

/// An engine on an SQLite file of its own, with time, activities and crashes in the hands of a test.
///
/// Time stands, from midnight of 2030-01-01 on, while anything is under way; [`settle`](Self::settle) and
/// [`advance`](Self::advance) then move it to what is due next. Back-offs take as long as they may, without jitter. Every
/// wait takes the run out of memory, so that each is also a replay. Dropped processes are followed by another on the same file.
///
/// Its methods panic where the test cannot go on: the database fails, a workflow asks for an activity that neither the
/// script nor the engine has, or the runs never come to rest.
pub struct TestEngine {
    simulation: Simulation,
    script: Script,
    registry: Arc<Registry>,
    url: String,
    memory: Option<Memory>,
    processes: u32,
}

impl std::fmt::Debug for TestEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestEngine")
            .field("now", &self.now())
            .field("processes", &self.processes)
            .finish_non_exhaustive()
    }
}

impl TestEngine {
    /// Starts on the migrated SQLite file at `url` with the workflows of `engine`, and with its activities where
    /// `script` has nothing for them.
    pub async fn new<E: Send + Sync + 'static>(engine: EngineBuilder<E>, script: Script, url: &str) -> Self {
        let simulation = Simulation::new();
        script.perform_in(simulation.clone());
        let mut test = Self {
            registry: registry(engine, &script),
            simulation,
            script,
            url: url.to_owned(),
            memory: None,
            processes: 0,
        };
        test.begin().await;
        test
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        self.simulation.now()
    }

    /// The engine of the present process, for all that this type has no method for: see [`TestEngine::within`].
    pub fn engine(&self) -> &Engine {
        &self.memory().engine
    }

    /// Awaits `work` in the time of this engine.
    pub async fn within<F: Future>(&self, work: F) -> F::Output {
        surroundings::within(self.simulation.surroundings(), work).await
    }

    /// Starts a run and lets it go on for as long as it can by itself. Returns its result.
    ///
    /// # Panics
    /// Also where it does not complete.
    pub async fn run<W: Workflow>(&mut self, call: &W) -> W::Output {
        let run = self.start(call, Start::default()).await;
        self.settle().await;
        self.output::<W>(&run).await
    }

    /// Starts a run. It moves only when the test lets it.
    pub async fn start<W: Workflow>(&mut self, call: &W, start: Start) -> RunId {
        // As who starts runs for others does: what is not confirmed is started again, and found.
        let key = start.key.unwrap_or_else(|| ulid::Ulid::generate().to_string());
        let start = Start {
            key: Some(key),
            ..start
        };
        loop {
            let started = self.within(self.engine().start(call, start.clone())).await;
            match started {
                Ok(started) => return started.run,
                Err(error) => self.survive(error).await,
            }
        }
    }

    /// Sends a run a signal. It is received when the test lets the run move.
    pub async fn signal<S: Signal>(&mut self, run: &RunId, signal: &S) {
        let key = ulid::Ulid::generate().to_string();
        loop {
            let told = self.engine().signal(run, S::NAME, signal, Some(&key));
            match self.within(told).await {
                Ok(_) => return,
                Err(ControlError::Storage(error)) => self.survive(error).await,
                Err(error) => panic!("{run} was not told {}: {error}", S::NAME),
            }
        }
    }

    /// Does all that can be done without time passing. Returns when something is due next.
    pub async fn work(&mut self) -> Option<DateTime<Utc>> {
        loop {
            if self.simulation.is_dead() {
                self.begin().await;
            }
            match self.memory_mut().look().await {
                Ok(Standing::Busy) => self.memory_mut().stirred().await,
                Ok(Standing::AtRest(due)) if !self.simulation.is_dead() => {
                    self.complain_of_unscripted();
                    return due;
                }
                Ok(Standing::AtRest(_)) => {}
                Err(error) => self.survive(error).await,
            }
        }
    }

    /// Does all that can be done, through every wait for a time, until nothing goes on unless somebody says something.
    /// Schedules do not tick meanwhile: they would go on for ever.
    pub async fn settle(&mut self) {
        for _ in 0..MOST_MOVES {
            match self.work().await {
                Some(due) => self.simulation.set(due),
                None => return,
            }
        }
        panic!("the clock was moved {MOST_MOVES} times, and the runs have not come to rest");
    }

    /// Lets `time` pass, and all happen that is due in it, schedules too.
    pub async fn advance(&mut self, time: Duration) {
        let goal = after(self.now(), time);
        for _ in 0..MOST_MOVES {
            let due = self.work().await;
            let tick = self.engine().storage().next_tick().await;
            let tick = tick.unwrap_or_else(|error| panic!("schedules cannot be read: {error}"));
            let Some(next) = due.into_iter().chain(tick).min().filter(|next| *next <= goal) else {
                self.simulation.set(goal);
                return;
            };
            self.simulation.set(next);
            if tick.is_some_and(|tick| tick <= self.now())
                && let Err(error) = self.within(self.engine().fire_due_schedules()).await
            {
                self.survive(error).await;
            }
        }
        panic!("the clock was moved {MOST_MOVES} times within {time:?}");
    }

    /// A run as it stands.
    pub async fn status(&self, run: &RunId) -> Run {
        match self.engine().storage().run(run).await {
            Ok(Some(run)) => run,
            Ok(None) => panic!("there is no run {run}"),
            Err(error) => panic!("{run} cannot be read: {error}"),
        }
    }

    /// The result of a run that has completed.
    pub async fn output<W: Workflow>(&self, run: &RunId) -> W::Output {
        let run = self.status(run).await;
        let output = run.output.clone().map(W::Output::deserialize);
        match output {
            Some(Ok(output)) => output,
            Some(Err(error)) => panic!("the result of {} does not fit: {error}", W::NAME),
            None => panic!(
                "{} has no result: it is {}, waits for {:?} until {:?}, and its error is {:?}",
                W::NAME,
                run.state,
                run.waiting_for,
                run.until,
                run.error
            ),
        }
    }

    /// The journal of a run, in order.
    pub async fn journal(&self, run: &RunId) -> Vec<Event> {
        let journal = self.engine().storage().journal(run).await;
        journal.unwrap_or_else(|error| panic!("the journal of {run} cannot be read: {error}"))
    }

    /// What [`replay`](super::replay) takes.
    pub async fn export(&self, run: &RunId) -> Export {
        match self.engine().storage().export(run).await {
            Ok(Some(export)) => export,
            Ok(None) => panic!("there is no run {run}"),
            Err(error) => panic!("{run} cannot be read: {error}"),
        }
    }

    /// How many commits were made or begun until now: the places at which a process can die so that it matters.
    pub fn commits(&self) -> u32 {
        self.simulation.commits()
    }

    /// How many processes there have been until now: one, and another after each crash.
    pub fn processes(&self) -> u32 {
        self.processes
    }

    /// The process will die just before its `n`th commit from now, 1 being the next. What it did in the commit is gone.
    /// Said again, it is about the process after that, from its beginning.
    pub fn crash_before_commit(&mut self, n: u32) {
        self.simulation.crash_at(Point::BeforeCommit, n);
    }

    /// The process will die just after its `n`th commit from now, before anybody hears of it.
    /// Said again, it is about the process after that, from its beginning.
    pub fn crash_after_commit(&mut self, n: u32) {
        self.simulation.crash_at(Point::AfterCommit, n);
    }

    /// The process dies now. Another begins.
    pub async fn crash(&mut self) {
        self.simulation.die();
        self.begin().await;
    }

    /// The process dies, and one of another build begins: a test that what is open goes on with changed workflows.
    pub async fn deploy<E: Send + Sync + 'static>(&mut self, engine: EngineBuilder<E>) {
        self.registry = registry(engine, &self.script);
        self.crash().await;
    }

    async fn begin(&mut self) {
        loop {
            if let Some(memory) = self.memory.take() {
                memory.end().await;
            }
            if self.processes > 0 {
                self.simulation.begin_again();
            }
            self.processes += 1;
            match Memory::begin(self.simulation.clone(), self.registry.clone(), &self.url).await {
                Ok(memory) => {
                    self.memory = Some(memory);
                    return;
                }
                // It died at once.
                Err(_) if self.simulation.is_dead() => {}
                Err(error) => panic!("{} cannot be opened: {error}", self.url),
            }
        }
    }

    /// An error that comes from the death of the process is followed by another process.
    async fn survive(&mut self, error: StorageError) {
        if !self.simulation.is_dead() {
            panic!("the database failed: {error}");
        }
        self.begin().await;
    }

    fn memory(&self) -> &Memory {
        self.memory
            .as_ref()
            .unwrap_or_else(|| unreachable!("there is always a process"))
    }

    fn memory_mut(&mut self) -> &mut Memory {
        self.memory
            .as_mut()
            .unwrap_or_else(|| unreachable!("there is always a process"))
    }

    fn complain_of_unscripted(&self) {
        let unscripted = self.script.unscripted();
        if !unscripted.is_empty() {
            panic!("the script has nothing (more) for {}", unscripted.join(", "));
        }
    }
}

fn registry<E: Send + Sync + 'static>(engine: EngineBuilder<E>, script: &Script) -> Arc<Registry> {
    let mut registry = engine.into_registry();
    let script = script.clone();
    registry.stand_in(Box::new(move |name, real| script.find(name, real)));
    Arc::new(registry)
}
