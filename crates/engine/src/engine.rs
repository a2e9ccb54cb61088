//! The engine: starts runs, and knows what it takes to work on them.
mod control;
mod counted;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    Activity, NewRun, Run, RunId, Settings, Started, Storage, StorageError, Workflow, crash, desk::Desk,
    dispatch::Bells, ends::Ends, mailbox::Mailbox, registry::Registry, storage::now,
};

/// What every run of this process shares.
pub(crate) struct Shared {
    pub(crate) storage: Storage,
    pub(crate) registry: Arc<Registry>,
    pub(crate) settings: Settings,
    pub(crate) bells: Bells,
    pub(crate) started_at: DateTime<Utc>,
    /// What is told to the runs that this process has in memory.
    pub(crate) mailboxes: Mutex<HashMap<RunId, Arc<Mailbox>>>,
    /// The worker of this process, while it takes runs.
    pub(crate) desk: Mutex<Option<Arc<Desk>>>,
    /// Who waits for the end of a run.
    pub(crate) ends: Ends,
    /// Whether runs are replayed against their journals and go no further.
    pub(crate) replays_only: bool,
    /// The runs that this process has in memory.
    #[cfg(feature = "testing")]
    pub(crate) cores: Mutex<Vec<std::sync::Weak<crate::context::Core>>>,
}

/// Starts runs and works on them. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("storage", &self.shared.storage)
            .finish_non_exhaustive()
    }
}

/// An engine that is being put together.
pub struct EngineBuilder<E> {
    env: Arc<E>,
    registry: Registry,
}

impl<E> std::fmt::Debug for EngineBuilder<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder").finish_non_exhaustive()
    }
}

/// How a run is started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// A key that names this run for ever: a second start with it finds the first.
    pub key: Option<String>,
    /// Whose run it is, where that is known at the start.
    pub owner: Option<String>,
    /// The lane in whose order the run takes its turn.
    pub lane: Option<String>,
    /// How many runs of the lane may be past `enter_lane` at the same time, in the order of their starts. The lane
    /// keeps it until a start says otherwise; one that never heard of it has 1. 0 counts as 1.
    pub width: Option<u32>,
}

/// Why a run was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This build has no workflow of that name.
    #[error("there is no workflow `{0}`")]
    UnknownWorkflow(String),
    /// The workflow cannot read the input; why.
    #[error("{0}")]
    Unfit(String),
    /// The database did not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl<E: Send + Sync + 'static> EngineBuilder<E> {
    /// An engine whose activities see `env`.
    pub fn new(env: Arc<E>) -> Self {
        Self {
            env,
            registry: Registry::default(),
        }
    }

    /// Makes a workflow known.
    #[must_use]
    pub fn workflow<W: Workflow>(mut self) -> Self {
        self.registry.workflow::<W>();
        self
    }

    /// Makes an activity known.
    #[must_use]
    pub fn activity<A: Activity<E>>(mut self) -> Self {
        self.registry.activity::<E, A>(self.env.clone());
        self
    }

    /// The engine, on `storage`, with `bells` to wake its workers.
    pub fn build(self, storage: Storage, bells: Bells, settings: Settings) -> Engine {
        Engine::of(Arc::new(self.registry), storage, bells, settings)
    }

    /// What it takes to build the same engine more than once.
    #[cfg(feature = "testing")]
    pub(crate) fn into_registry(self) -> Registry {
        self.registry
    }
}

impl Engine {
    pub(crate) fn of(registry: Arc<Registry>, storage: Storage, bells: Bells, settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                storage,
                registry,
                settings: crash::settings(settings),
                bells,
                started_at: now(),
                mailboxes: Mutex::default(),
                desk: Mutex::default(),
                ends: Ends::default(),
                replays_only: false,
                #[cfg(feature = "testing")]
                cores: Mutex::default(),
            }),
        }
    }

    /// Starts a run, once per key. When this returns, the run is on the disk.
    ///
    /// # Errors
    /// When the database refuses. While it is away this waits; drop the future to give up.
    pub async fn start<W: Workflow>(&self, call: &W, start: Start) -> Result<Started, StorageError> {
        let run = self.new_run(call, start)?;
        self.begin(run).await
    }

    /// Starts a run of the workflow of that name and waits for its end, `patience` at most. Returns the run too if it has
    /// ended.
    ///
    /// # Errors
    /// When there is no such workflow, or it cannot read the input; and as [`Engine::start`].
    pub async fn run_named(
        &self,
        workflow: &str,
        input: Value,
        start: Start,
        patience: Duration,
    ) -> Result<(Started, Option<Run>), StartError> {
        self.check(workflow, &input)?;
        let run = self.run_of(workflow, input, start);
        let end = self.listen(&run.id);
        let started = self.begin(run).await?;
        let run = match started.new {
            true if patience.is_zero() => None,
            true => self.heard(end, patience).await,
            false => self.ended(&started.run, patience).await?,
        };
        Ok((started, run))
    }

    fn check(&self, workflow: &str, input: &Value) -> Result<(), StartError> {
        let registry = &self.shared.registry;
        if !registry.knows(workflow) {
            return Err(StartError::UnknownWorkflow(workflow.to_owned()));
        }
        registry.accepts(workflow, input).map_err(StartError::Unfit)
    }

    /// Commits a start, and hands the run to the worker of this process if that has room for it.
    async fn begin(&self, mut run: NewRun) -> Result<Started, StorageError> {
        let desk = {
            let desk = self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner);
            desk.clone()
        };
        let seat = desk.and_then(|desk| desk.offer());
        run.worker = seat.as_ref().map(|seat| seat.worker().to_owned());
        let workflow = run.workflow.clone();
        let (started, held) = self.shared.storage.start(run).await?;
        if let Some((seat, run)) = seat.zip(held) {
            seat.take(self.shared.clone(), run);
        }
        count_start(&workflow, &started);
        Ok(started)
    }

    fn new_run<W: Workflow>(&self, call: &W, start: Start) -> Result<NewRun, StorageError> {
        let input = serde_json::to_value(call)
            .map_err(|error| StorageError::Database(sea_orm::DbErr::Json(error.to_string())))?;
        Ok(self.run_of(W::NAME, input, start))
    }

    fn run_of(&self, workflow: &str, input: Value, start: Start) -> NewRun {
        let id = RunId::fresh();
        NewRun {
            worker: None,
            key: start.key.unwrap_or_else(|| id.to_string()),
            id,
            workflow: workflow.to_owned(),
            owner: start.owner,
            lane: start.lane,
            width: start.width.map(|width| width.max(1)),
            input,
            build: self.shared.settings.build.clone(),
            parent: None,
        }
    }

    /// The durable names of the workflows that this build has.
    pub fn workflows(&self) -> Vec<&'static str> {
        self.shared.registry.workflows()
    }

    /// The durable names of the activities that this build has.
    pub fn activities(&self) -> Vec<&'static str> {
        self.shared.registry.activities()
    }

    /// How many runs the worker of this process has in its memory, and how many it may have; `None` where it has none.
    pub fn load(&self) -> Option<(usize, usize)> {
        let desk = self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let places = self.shared.settings.concurrency;
        let free = desk.as_ref()?.slots().available_permits();
        Some((places.saturating_sub(free), places))
    }

    /// How many workers are alive, whichever process they are in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn workers_alive(&self) -> Result<i64, StorageError> {
        self.shared
            .storage
            .workers_alive(self.shared.settings.lease)
            .await
    }

    /// The engine's rows.
    pub fn storage(&self) -> &Storage {
        &self.shared.storage
    }

    /// Its times and numbers.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The doorbell.
    pub fn bells(&self) -> &Bells {
        &self.shared.bells
    }
}

fn count_start(workflow: &str, started: &Started) {
    if started.new {
        metrics::counter!("recado_runs_started_total", "workflow" => workflow.to_owned()).increment(1);
    }
}
