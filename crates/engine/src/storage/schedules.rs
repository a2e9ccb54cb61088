//! The rows of schedules.
//!
//! Invariant: a tick's run and the move of `next_at` past it are one commit, and the run's key names the tick; so a tick
//! starts one run, whoever fires it. A schedule's row is locked before keys, lanes and runs.
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Value};

use super::{
    Page, Storage, StorageError, dialect,
    firing::{new_run, start},
    now, statement,
};
use crate::{Backfilled, NewSchedule, Overlap, RunId, Schedule, ScheduleError, Started, ticks::Ticks};

pub(super) const COLUMNS: &str =
    "id, workflow, input, owner, cron, time_zone, overlap, catch_up_seconds, paused, next_at,
    last_at, last_run, missed, skipped, created_at, updated_at";

impl Storage {
    /// Writes a schedule that is not there yet.
    pub(crate) async fn create_schedule(
        &self,
        new: NewSchedule,
        next: Option<DateTime<Utc>>,
    ) -> Result<Schedule, ScheduleError> {
        self.transaction(move |tx| {
            async move {
                if !insert(tx, &new, next).await? {
                    return Err(ScheduleError::Taken(new.id));
                }
                find(tx, &new.id, new.owner.as_deref(), "").await
            }
            .boxed()
        })
        .await
    }

    /// Writes a schedule, in the place of the one of that name if its owner is the same.
    pub(crate) async fn replace_schedule(
        &self,
        new: NewSchedule,
        next: Option<DateTime<Utc>>,
    ) -> Result<Schedule, ScheduleError> {
        self.transaction(move |tx| {
            async move {
                if !insert(tx, &new, next).await? {
                    let old = lock(tx, &new.id, None).await?;
                    if old.owner != new.owner {
                        return Err(ScheduleError::Taken(new.id));
                    }
                    update(tx, &old, &new, next).await?;
                }
                find(tx, &new.id, new.owner.as_deref(), "").await
            }
            .boxed()
        })
        .await
    }

    /// One schedule.
    pub(crate) async fn schedule(&self, id: &str, owner: Option<&str>) -> Result<Schedule, ScheduleError> {
        find(self.reader(), id, owner, "").await
    }

    /// Schedules by name, those after `cursor`.
    pub(crate) async fn schedules(
        &self,
        owner: Option<&str>,
        limit: u64,
        cursor: Option<&str>,
    ) -> Result<Page<Schedule>, StorageError> {
        let mut values: Vec<Value> = vec![(limit as i64 + 1).into(), cursor.unwrap_or_default().into()];
        let mut sql = format!("select {COLUMNS} from schedules where id > $2");
        if let Some(owner) = owner {
            values.push(owner.into());
            sql.push_str(" and owner = $3");
        }
        sql.push_str(" order by id limit $1");
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), &sql, values))
            .await?;
        let mut items = rows.iter().map(schedule).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() as u64 > limit;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Page { items, next })
    }

    /// Stops a schedule from starting anything by itself.
    pub(crate) async fn pause_schedule(
        &self,
        id: &str,
        owner: Option<&str>,
    ) -> Result<Schedule, ScheduleError> {
        let sql = "update schedules set paused = true, next_at = null, updated_at = $2 where id = $1";
        let (id, owner) = (id.to_owned(), owner.map(str::to_owned));
        self.transaction(move |tx| {
            async move {
                let found = lock(tx, &id, owner.as_deref()).await?;
                if !found.paused {
                    let values: Vec<Value> = vec![id.as_str().into(), now().into()];
                    tx.execute_raw(statement(tx, sql, values)).await?;
                }
                find(tx, &id, None, "").await
            }
            .boxed()
        })
        .await
    }

    /// Lets a schedule go on with its next tick from now.
    pub(crate) async fn resume_schedule(
        &self,
        id: &str,
        owner: Option<&str>,
    ) -> Result<Schedule, ScheduleError> {
        let sql = "update schedules set paused = false, next_at = $3, updated_at = $2 where id = $1";
        let (id, owner) = (id.to_owned(), owner.map(str::to_owned));
        self.transaction(move |tx| {
            async move {
                let found = lock(tx, &id, owner.as_deref()).await?;
                if found.paused {
                    let next = Ticks::parse(&found.cron, &found.time_zone)?.after(now());
                    let values: Vec<Value> = vec![id.as_str().into(), now().into(), next.into()];
                    tx.execute_raw(statement(tx, sql, values)).await?;
                }
                find(tx, &id, None, "").await
            }
            .boxed()
        })
        .await
    }

    /// Forgets a schedule. Its runs stay, and the keys of its ticks.
    pub(crate) async fn delete_schedule(&self, id: &str, owner: Option<&str>) -> Result<(), ScheduleError> {
        let (id, owner) = (id.to_owned(), owner.map(str::to_owned));
        self.transaction(move |tx| {
            async move {
                lock(tx, &id, owner.as_deref()).await?;
                for sql in [
                    "delete from schedule_runs where schedule = $1",
                    "delete from schedules where id = $1",
                ] {
                    tx.execute_raw(statement(tx, sql, vec![id.as_str().into()]))
                        .await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Starts a run of the schedule now, whether a tick is due or not.
    pub(crate) async fn trigger_schedule(
        &self,
        id: &str,
        owner: Option<&str>,
        build: &str,
    ) -> Result<(Schedule, Started), ScheduleError> {
        let sql = "update schedules set last_at = $2, last_run = $3 where id = $1";
        let (id, owner, build) = (id.to_owned(), owner.map(str::to_owned), build.to_owned());
        let done = self
            .transaction(move |tx| {
                async move {
                    let schedule = lock(tx, &id, owner.as_deref()).await?;
                    let key = format!("schedule:{id}:manual:{}", ulid::Ulid::generate());
                    let started = start(tx, vec![(&schedule, new_run(&schedule, key, &build))]).await?;
                    let started = started.into_iter().next().ok_or(StorageError::Interrupted)?;
                    let values: Vec<Value> = vec![id.into(), now().into(), started.run.as_str().into()];
                    tx.execute_raw(statement(tx, sql, values)).await?;
                    Ok::<_, ScheduleError>((schedule, started))
                }
                .boxed()
            })
            .await?;
        self.ready();
        Ok(done)
    }

    /// Starts the runs of ticks that are over, those that have not been started yet.
    pub(crate) async fn backfill_schedule(
        &self,
        schedule: Schedule,
        ticks: Vec<DateTime<Utc>>,
        build: &str,
    ) -> Result<Backfilled, ScheduleError> {
        let build = build.to_owned();
        let done = self
            .transaction(move |tx| {
                async move {
                    let schedule = lock(tx, &schedule.id, schedule.owner.as_deref()).await?;
                    let runs: Vec<_> = ticks
                        .iter()
                        .map(|tick| (&schedule, new_run(&schedule, schedule.key(*tick), &build)))
                        .collect();
                    let mut done = Backfilled::default();
                    for started in start(tx, runs).await? {
                        match started.new {
                            true => done.started.push(started.run),
                            false => done.already += 1,
                        }
                    }
                    Ok::<_, ScheduleError>(done)
                }
                .boxed()
            })
            .await?;
        if !done.started.is_empty() {
            self.ready();
        }
        Ok(done)
    }
}

/// Inserts a schedule. Returns whether its name was free.
async fn insert(
    tx: &DatabaseTransaction,
    new: &NewSchedule,
    next: Option<DateTime<Utc>>,
) -> Result<bool, DbErr> {
    let sql = "insert into schedules (id, workflow, input, owner, cron, time_zone, overlap, catch_up_seconds, next_at,
            created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) on conflict (id) do nothing";
    let mut values = vec![Value::from(new.id.as_str())];
    values.extend(written(new));
    values.extend([next.into(), now().into()]);
    Ok(tx.execute_raw(statement(tx, sql, values)).await?.rows_affected() == 1)
}

async fn update(
    tx: &DatabaseTransaction,
    old: &Schedule,
    new: &NewSchedule,
    next: Option<DateTime<Utc>>,
) -> Result<(), DbErr> {
    let same = (&old.cron, &old.time_zone) == (&new.cron, &new.time_zone);
    let next = match () {
        () if old.paused => None,
        // A tick that is due already is not lost by a change of something else.
        () if same => old.next_at,
        () => next,
    };
    let sql =
        "update schedules set workflow = $2, input = $3, owner = $4, cron = $5, time_zone = $6, overlap = $7,
        catch_up_seconds = $8, next_at = $9, updated_at = $10 where id = $1";
    let mut values = vec![Value::from(new.id.as_str())];
    values.extend(written(new));
    values.extend([next.into(), now().into()]);
    tx.execute_raw(statement(tx, sql, values)).await.map(drop)
}

/// What the caller says of a schedule, in the order of both statements.
fn written(new: &NewSchedule) -> [Value; 7] {
    [
        new.workflow.as_str().into(),
        new.input.to_string().into(),
        new.owner.clone().into(),
        new.cron.as_str().into(),
        new.time_zone.as_str().into(),
        new.overlap.as_str().into(),
        (new.catch_up.as_secs() as i64).into(),
    ]
}

/// The schedule, for nobody else to change.
async fn lock(tx: &DatabaseTransaction, id: &str, owner: Option<&str>) -> Result<Schedule, ScheduleError> {
    let lock = dialect::for_update(tx.get_database_backend(), "schedules");
    find(tx, id, owner, &lock).await
}

async fn find(
    conn: &impl ConnectionTrait,
    id: &str,
    owner: Option<&str>,
    lock: &str,
) -> Result<Schedule, ScheduleError> {
    let sql = format!("select {COLUMNS} from schedules where id = $1{lock}");
    let row = conn.query_one_raw(statement(conn, &sql, vec![id.into()])).await?;
    row.as_ref()
        .map(schedule)
        .transpose()?
        .filter(|found| owner.is_none() || found.owner.as_deref() == owner)
        .ok_or_else(|| ScheduleError::NoSuchSchedule(id.to_owned()))
}

pub(super) fn schedule(row: &QueryResult) -> Result<Schedule, DbErr> {
    let (input, overlap): (String, String) = (row.try_get("", "input")?, row.try_get("", "overlap")?);
    let catch_up: i64 = row.try_get("", "catch_up_seconds")?;
    let last_run: Option<String> = row.try_get("", "last_run")?;
    Ok(Schedule {
        id: row.try_get("", "id")?,
        workflow: row.try_get("", "workflow")?,
        input: serde_json::from_str(&input).map_err(|error| DbErr::Json(error.to_string()))?,
        owner: row.try_get("", "owner")?,
        cron: row.try_get("", "cron")?,
        time_zone: row.try_get("", "time_zone")?,
        overlap: Overlap::parse(&overlap)
            .ok_or_else(|| DbErr::Type(format!("no such overlap: {overlap}")))?,
        catch_up: Duration::from_secs(catch_up.unsigned_abs()),
        paused: row.try_get("", "paused")?,
        next_at: row.try_get("", "next_at")?,
        last_at: row.try_get("", "last_at")?,
        last_run: last_run.map(RunId::from),
        missed: row.try_get("", "missed")?,
        skipped: row.try_get("", "skipped")?,
        created_at: row.try_get("", "created_at")?,
        updated_at: row.try_get("", "updated_at")?,
    })
}
