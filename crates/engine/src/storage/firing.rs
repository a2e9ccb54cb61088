//! Starting what schedules start.
//!
//! Invariant: a tick's run and the move of `next_at` past it are one commit, and the run's key names the tick; so a tick
//! starts one run, whoever fires it. A schedule's row is locked before keys, lanes and runs.
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::{
    Storage, StorageError, dialect, fold, now,
    rows::{Column, Rows, cells},
    schedules::{COLUMNS, schedule},
    statement,
};
use crate::{
    NewRun, Overlap, RunId, Schedule, Started,
    ticks::{Due, Ticks},
};

/// The most schedules that one transaction fires.
const BATCH: i64 = 64;
/// The most ticks of one schedule that one transaction starts.
const TICKS: usize = 64;

const IDS: &[Column] = &[("id", "text")];

impl Storage {
    /// When the next tick of any schedule is due.
    pub(crate) async fn next_tick(&self) -> Result<Option<DateTime<Utc>>, StorageError> {
        let sql = "select next_at from schedules where next_at is not null order by next_at, id limit 1";
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), sql, vec![]))
            .await?;
        Ok(row.map(|row| row.try_get("", "next_at")).transpose()?)
    }

    /// Starts what is due at `at`, a batch of schedules at most.
    pub(crate) async fn fire_due_schedules(
        &self,
        at: DateTime<Utc>,
        build: &str,
    ) -> Result<Batch, StorageError> {
        self.make_room(at).await?;
        let build = build.to_owned();
        let fired: Result<Batch, StorageError> = self
            .control(move |tx| async move { Ok(fire(tx, at, &build).await?) }.boxed())
            .await;
        let fired = fired?;
        if !fired.started.is_empty() {
            self.ready();
        }
        Ok(fired)
    }
}

/// What one transaction fired.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The workflows that were started, one by one.
    pub(crate) started: Vec<String>,
    /// How many schedules moved on.
    pub(crate) schedules: usize,
    pub(crate) missed: u64,
    pub(crate) skipped: u64,
}

const MOVES: &[Column] = &[
    ("id", "text"),
    ("next_at", "timestamptz"),
    ("last_at", "timestamptz"),
    ("last_run", "text"),
    ("missed", "bigint"),
    ("skipped", "bigint"),
];

async fn fire(tx: &DatabaseTransaction, at: DateTime<Utc>, build: &str) -> Result<Batch, DbErr> {
    let due = lock_due(tx, at).await?;
    if due.is_empty() {
        return Ok(Batch::default());
    }
    let busy = busy(tx, &due).await?;
    let moves: Vec<Move> = due
        .iter()
        .map(|schedule| Move::of(schedule, at, busy.contains(&schedule.id)))
        .collect();
    let runs: Vec<_> = moves
        .iter()
        .flat_map(|moved| moved.starts.iter().map(|tick| (moved.schedule, *tick)))
        .map(|(schedule, tick)| (schedule, new_run(schedule, schedule.key(tick), build)))
        .collect();
    let mut started = start(tx, runs).await?.into_iter();
    let mut batch = Batch {
        schedules: due.len(),
        ..Batch::default()
    };
    let mut rows = Rows::new(MOVES);
    for moved in &moves {
        let mut last = None;
        for (tick, started) in moved.starts.iter().zip(started.by_ref()) {
            // A tick that a backfill has started already stays that one run.
            if started.new {
                batch.started.push(moved.schedule.workflow.clone());
                last = Some((*tick, started.run));
            }
        }
        batch.missed += moved.missed as u64;
        batch.skipped += moved.skipped as u64;
        rows.push(cells![
            moved.schedule.id,
            moved.next,
            last.as_ref().map(|(tick, _)| *tick),
            last.map(|(_, run)| run),
            moved.missed,
            moved.skipped,
        ]);
    }
    let sql = "update schedules set next_at = t.next_at, last_at = coalesce(t.last_at, schedules.last_at),
            last_run = coalesce(t.last_run, schedules.last_run), missed = schedules.missed + t.missed,
            skipped = schedules.skipped + t.skipped
        from {rows} where schedules.id = t.id";
    tx.execute_raw(rows.statement(tx.get_database_backend(), sql, vec![]))
        .await?;
    Ok(batch)
}

/// The schedules that are due, for nobody else to fire.
async fn lock_due(tx: &DatabaseTransaction, at: DateTime<Utc>) -> Result<Vec<Schedule>, DbErr> {
    let sql = format!(
        "select {COLUMNS} from schedules where next_at is not null and next_at <= $1 order by next_at, id limit $2{}",
        dialect::skip_locked(tx.get_database_backend())
    );
    let rows = tx
        .query_all_raw(statement(tx, &sql, vec![at.into(), BATCH.into()]))
        .await?;
    rows.iter().map(schedule).collect()
}

/// Which of these schedules have a run at work. Forgets the runs that have ended.
async fn busy(tx: &DatabaseTransaction, schedules: &[Schedule]) -> Result<BTreeSet<String>, DbErr> {
    let rows = || {
        let mut rows = Rows::new(IDS);
        for schedule in schedules {
            rows.push(cells![schedule.id]);
        }
        rows
    };
    let backend = tx.get_database_backend();
    let forget = "delete from schedule_runs where schedule in (select t.id from {rows}) and not exists (
        select 1 from runs r where r.id = schedule_runs.run
            and r.state in ('queued', 'running', 'waiting', 'parked'))";
    tx.execute_raw(rows().statement(backend, forget, vec![])).await?;
    let sql = "select distinct s.schedule from {rows} join schedule_runs s on s.schedule = t.id
        join runs r on r.id = s.run where r.state in ('queued', 'running', 'waiting')";
    let found = tx.query_all_raw(rows().statement(backend, sql, vec![])).await?;
    found.iter().map(|row| row.try_get("", "schedule")).collect()
}

/// How a schedule moves on.
struct Move<'a> {
    schedule: &'a Schedule,
    starts: Vec<DateTime<Utc>>,
    missed: i64,
    skipped: i64,
    next: Option<DateTime<Utc>>,
}

impl<'a> Move<'a> {
    fn of(schedule: &'a Schedule, at: DateTime<Utc>, busy: bool) -> Self {
        let ticks = Ticks::parse(&schedule.cron, &schedule.time_zone);
        let due = match (ticks, schedule.next_at) {
            (Ok(ticks), Some(next)) => ticks.due(next, at, schedule.catch_up, TICKS),
            (ticks, _) => {
                // One that a newer build cannot read must not keep the others of its batch from being fired.
                let error = ticks.err().map(|error| error.to_string());
                tracing::error!(schedule.id, error, "a schedule cannot be read; it starts nothing");
                let (ticks, missed, next) = (Vec::new(), 0, None);
                Due { ticks, missed, next }
            }
        };
        let mut starts = due.ticks;
        let found = starts.len();
        match schedule.overlap {
            Overlap::Skip => starts.truncate(if busy { 0 } else { 1 }),
            // Each would end the one before it.
            Overlap::Cancel | Overlap::Terminate => drop(starts.drain(..found.saturating_sub(1))),
            Overlap::Queue | Overlap::Allow => {}
        }
        Self {
            skipped: (found - starts.len()) as i64,
            starts,
            schedule,
            missed: due.missed,
            next: due.next,
        }
    }
}

pub(super) fn new_run(schedule: &Schedule, key: String, build: &str) -> NewRun {
    NewRun {
        worker: None,
        id: RunId::fresh(),
        workflow: schedule.workflow.clone(),
        key,
        owner: schedule.owner.clone(),
        lane: matches!(schedule.overlap, Overlap::Queue | Overlap::Cancel)
            .then(|| format!("schedule:{}", schedule.id)),
        input: schedule.input.clone(),
        build: build.to_owned(),
        width: None,
        parent: None,
    }
}

const PLACES: &[Column] = &[("lane", "text"), ("place", "bigint"), ("run", "text")];
const STARTED: &[Column] = &[("schedule", "text"), ("run", "text"), ("lane", "text")];

/// Starts runs of schedules whose rows are locked, each once per key.
pub(super) async fn start(
    tx: &DatabaseTransaction,
    mut runs: Vec<(&Schedule, NewRun)>,
) -> Result<Vec<Started>, DbErr> {
    // Ids of one millisecond have no order of their own; runs are claimed, and listed, by id.
    let ids: BTreeSet<RunId> = runs.iter().map(|(_, run)| run.id.clone()).collect();
    for ((_, run), id) in runs.iter_mut().zip(ids) {
        run.id = id;
    }
    let starts: Vec<&NewRun> = runs.iter().map(|(_, run)| run).collect();
    let folded = fold::apply(tx, &starts, &[]).await?;
    let (mut noted, mut queued) = (Rows::new(STARTED), Rows::new(STARTED));
    for ((schedule, run), _) in runs
        .iter()
        .zip(folded.started.iter().map(|begun| &begun.started))
        .filter(|(_, started)| started.new)
    {
        noted.push(cells![schedule.id, run.id, run.lane]);
        if run.lane.is_some() {
            queued.push(cells![schedule.id, run.id, run.lane]);
        }
    }
    let backend = tx.get_database_backend();
    if !noted.is_empty() {
        let sql = "insert into schedule_runs (schedule, run) select t.schedule, t.run from {rows}";
        tx.execute_raw(noted.statement(backend, sql, vec![])).await?;
    }
    hold_back(tx, queued).await?;
    Ok(folded.started.into_iter().map(|begun| begun.started).collect())
}

/// Puts those of the new runs down that are not the heads of their lanes, which are locked; leaving wakes them. So runs
/// of a workflow that knows nothing of lanes come one after another too.
async fn hold_back(tx: &DatabaseTransaction, queued: Rows) -> Result<(), DbErr> {
    if queued.is_empty() {
        return Ok(());
    }
    let backend = tx.get_database_backend();
    let sql =
        "select p.lane, p.place, p.run from {rows} join lane_places p on p.lane = t.lane and p.run = t.run
        where exists (select 1 from lane_places q where q.lane = p.lane and q.place < p.place)";
    let (mut places, mut runs) = (Rows::new(PLACES), Rows::new(PLACES));
    for row in tx.query_all_raw(queued.statement(backend, sql, vec![])).await? {
        let (lane, place, run): (String, i64, String) = (
            row.try_get("", "lane")?,
            row.try_get("", "place")?,
            row.try_get("", "run")?,
        );
        places.push(cells![lane, place, run]);
        runs.push(cells![lane, place, run]);
    }
    if places.is_empty() {
        return Ok(());
    }
    let sql =
        "update lane_places set waiting = true where (lane, place) in (select t.lane, t.place from {rows})";
    tx.execute_raw(places.statement(backend, sql, vec![])).await?;
    let sql = "update runs set state = 'waiting', waiting_for = 'lane', since = $2
        where id in (select t.run from {rows})";
    tx.execute_raw(runs.statement(backend, sql, vec![now().into()]))
        .await
        .map(drop)
}
