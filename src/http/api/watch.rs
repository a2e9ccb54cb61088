//! What is stuck, who works, and who waits in line, as JSON.
use std::time::Duration;

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Query, payload::Json};
use recado_engine::{Backlog, Cause, HeldLane, Worker};

use super::{Operator, Tag, lists};
use crate::{app::App, http::Problem, line::Line};

/// What an operator watches.
pub(super) struct Watch;

/// Runs that do not go on for one cause.
#[derive(Object)]
pub(super) struct CauseItem {
    /// parked: they cannot go on without a person. failing: three attempts or more have failed. slow: they wait, or are
    /// at work, for longer than they should.
    kind: String,
    /// The class of their error; empty where there is none.
    class: String,
    workflow: String,
    /// The step that failed; null where no step did.
    step: Option<String>,
    /// What those that are not parked wait for.
    waiting_for: Option<String>,
    /// How many they are.
    runs: i64,
    /// Since when the first of them stands so.
    first: DateTime<Utc>,
    /// Since when the last of them stands so.
    last: DateTime<Utc>,
    /// One of them.
    example: String,
    /// The line that finds them, for the list of runs and for a batch.
    q: String,
}

/// What is stuck.
#[derive(Object)]
pub(super) struct CausePage {
    items: Vec<CauseItem>,
    /// Always null: the list is whole, or `cut`.
    next: Option<String>,
    /// Whether there is more than is looked at, so that only the oldest runs are counted.
    cut: bool,
}

/// A worker that was heard of within a day.
#[derive(Object)]
pub(super) struct WorkerItem {
    /// Fresh at every start.
    id: String,
    build: String,
    started_at: DateTime<Utc>,
    heartbeat_at: DateTime<Utc>,
    /// How long ago its last heartbeat was, by the database's clock.
    silent_seconds: f64,
    /// Whether that is too recent for its runs to be given to others.
    alive: bool,
    /// How many runs it has in hand.
    runs: i64,
}

/// Workers, those heard of last first.
#[derive(Object)]
pub(super) struct WorkerPage {
    items: Vec<WorkerItem>,
    /// Always null: the list is whole.
    next: Option<String>,
}

/// What an owner has in line and in hand.
#[derive(Object)]
pub(super) struct QueueItem {
    /// Null where it is not known yet whose runs they are.
    owner: Option<String>,
    /// How many wait for a worker.
    queued: i64,
    /// How many are in the hands of workers.
    running: i64,
    /// Since when the one waits that was put in line first.
    oldest: Option<DateTime<Utc>>,
    /// How many are claimed in one turn.
    weight: i64,
    /// The most in the hands of workers at the same time; null: no limit.
    most_running: Option<i64>,
}

/// Owners with runs in line or in hand, those with the longest line first.
#[derive(Object)]
pub(super) struct QueuePage {
    items: Vec<QueueItem>,
    /// Always null: those with the longest lines are shown, as many as `limit` says.
    next: Option<String>,
}

/// A lane in which runs wait for others.
#[derive(Object)]
pub(super) struct LaneItem {
    lane: String,
    /// How many runs wait in it.
    waiting: i64,
    /// Since when the one waits that has waited longest.
    since: DateTime<Utc>,
    /// The run at its head.
    head: String,
    workflow: String,
    /// The state of the head.
    state: String,
    /// What the head waits for.
    head_waits_for: Option<String>,
    /// Since when.
    head_since: DateTime<Utc>,
}

/// Lanes in which somebody waits, those that have waited longest first.
#[derive(Object)]
pub(super) struct LanePage {
    items: Vec<LaneItem>,
    /// Always null: those that have waited longest are shown, as many as `limit` says.
    next: Option<String>,
}

#[OpenApi(tag = "Tag::Watch")]
impl Watch {
    /// Lists what is parked, failing or waiting for too long, by cause
    #[oai(path = "/stuck", method = "get")]
    async fn stuck(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Query<Option<String>>,
    ) -> poem::Result<Json<CausePage>> {
        let owner = owner.0.filter(|owner| !owner.is_empty());
        let stuck = app.engine.storage().stuck(owner.as_deref()).await;
        let stuck = stuck.map_err(Problem::from)?;
        let item = |cause: Cause| CauseItem {
            q: Line::of_cause(&cause, owner.as_deref()).to_string(),
            kind: cause.kind.as_str().to_owned(),
            class: cause.class,
            workflow: cause.workflow,
            step: cause.step,
            waiting_for: cause.waiting_for,
            runs: cause.runs,
            first: cause.first,
            last: cause.last,
            example: cause.example.to_string(),
        };
        Ok(Json(CausePage {
            items: stuck.causes.into_iter().map(item).collect(),
            next: None,
            cut: stuck.is_cut,
        }))
    }

    /// Lists the workers that were heard of within a day
    #[oai(path = "/workers", method = "get")]
    async fn workers(&self, Data(app): Data<&App>, _operator: Operator) -> poem::Result<Json<WorkerPage>> {
        let lease = app.engine.settings().lease;
        let workers = app.engine.storage().workers().await.map_err(Problem::from)?;
        Ok(Json(WorkerPage {
            items: workers
                .into_iter()
                .map(|worker| WorkerItem::of(worker, lease))
                .collect(),
            next: None,
        }))
    }

    /// Lists what owners have in line and in hand
    #[oai(path = "/queues", method = "get")]
    async fn queues(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Query<Option<String>>,
        limit: Query<Option<u64>>,
    ) -> poem::Result<Json<QueuePage>> {
        let owner = owner.0.filter(|owner| !owner.is_empty());
        let limit = lists::limit(limit.0)?;
        let backlogs = app.engine.storage().backlogs(owner.as_deref(), limit).await;
        let backlogs = backlogs.map_err(Problem::from)?;
        Ok(Json(QueuePage {
            items: backlogs.into_iter().map(QueueItem::from).collect(),
            next: None,
        }))
    }

    /// Lists the lanes in which somebody waits, with who holds them up
    #[oai(path = "/lanes", method = "get")]
    async fn lanes(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Query<Option<String>>,
        limit: Query<Option<u64>>,
    ) -> poem::Result<Json<LanePage>> {
        let owner = owner.0.filter(|owner| !owner.is_empty());
        let limit = lists::limit(limit.0)?;
        let lanes = app.engine.storage().held_lanes(owner.as_deref(), limit).await;
        let lanes = lanes.map_err(Problem::from)?;
        Ok(Json(LanePage {
            items: lanes.into_iter().map(LaneItem::from).collect(),
            next: None,
        }))
    }
}

impl WorkerItem {
    fn of(worker: Worker, lease: Duration) -> Self {
        Self {
            alive: worker.is_alive(lease),
            silent_seconds: worker.silent_for.as_seconds_f64(),
            id: worker.id,
            build: worker.build,
            started_at: worker.started_at,
            heartbeat_at: worker.heartbeat_at,
            runs: worker.runs,
        }
    }
}

impl From<Backlog> for QueueItem {
    fn from(line: Backlog) -> Self {
        Self {
            owner: line.owner,
            queued: line.queued,
            running: line.running,
            oldest: line.oldest,
            weight: line.weight,
            most_running: line.most_running,
        }
    }
}

impl From<HeldLane> for LaneItem {
    fn from(lane: HeldLane) -> Self {
        Self {
            lane: lane.lane,
            waiting: lane.waiting,
            since: lane.since,
            head: lane.head.to_string(),
            workflow: lane.workflow,
            state: lane.state.to_string(),
            head_waits_for: lane.head_waits_for,
            head_since: lane.head_since,
        }
    }
}
