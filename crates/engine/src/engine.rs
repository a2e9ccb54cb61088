//! The engine: starts runs, and knows what it takes to work on them.
mod control;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};

use crate::{
    Activity, NewRun, RunId, Settings, Started, Storage, StorageError, Workflow, crash, dispatch::Bells,
    mailbox::Mailbox, registry::Registry, storage::now,
};

/// What every run of this process shares.
pub(crate) struct Shared {
    pub(crate) storage: Storage,
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    pub(crate) bells: Bells,
    pub(crate) started_at: DateTime<Utc>,
    /// What is told to the runs that this process has in memory.
    pub(crate) mailboxes: Mutex<HashMap<RunId, Arc<Mailbox>>>,
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
        let registry = self.registry;
        Engine {
            shared: Arc::new(Shared {
                storage,
                registry,
                settings: crash::settings(settings),
                bells,
                started_at: now(),
                mailboxes: Mutex::default(),
            }),
        }
    }
}

impl Engine {
    /// Starts a run, once per key. When this returns, the run is on the disk.
    ///
    /// # Errors
    /// When the database refuses. While it is away this waits; drop the future to give up.
    pub async fn start<W: Workflow>(&self, call: &W, start: Start) -> Result<Started, StorageError> {
        let run = self.new_run(call, start)?;
        let started = self.shared.storage.start(run).await?;
        count_start::<W>(&started);
        Ok(started)
    }

    fn new_run<W: Workflow>(&self, call: &W, start: Start) -> Result<NewRun, StorageError> {
        let input = serde_json::to_value(call)
            .map_err(|error| StorageError::Database(sea_orm::DbErr::Json(error.to_string())))?;
        let id = RunId::fresh();
        Ok(NewRun {
            key: start.key.unwrap_or_else(|| id.to_string()),
            id,
            workflow: W::NAME.to_owned(),
            owner: start.owner,
            lane: start.lane,
            width: start.width.map(|width| width.max(1)),
            input,
            build: self.shared.settings.build.clone(),
            parent: None,
        })
    }

    /// The engine's rows.
    pub fn storage(&self) -> &Storage {
        &self.shared.storage
    }

    /// The doorbell.
    pub fn bells(&self) -> &Bells {
        &self.shared.bells
    }
}

fn count_start<W: Workflow>(started: &Started) {
    if started.new {
        metrics::counter!("recado_runs_started_total", "workflow" => W::NAME).increment(1);
    }
}
