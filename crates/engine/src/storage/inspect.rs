//! Reading runs and journals, for the engine and for people.
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde_json::Value as Json;

use super::{
    Storage, StorageError,
    payload::{self, keys_of_run, keys_of_this_run, opened},
    rows::{Rows, cells},
    statement,
};
use crate::{Event, EventKind, Run, RunId, RunState};

pub(super) const RUN_COLUMNS: &str = concat!(
    "id, workflow, key, owner, state, outcome, waiting_for, since, until, lane, place,
    worker, epoch, takeovers, attempt, build, error, created_at, finished_at, inbox, parent, parent_op, on_close, ",
    opened!("input", keys_of_this_run!(), "input"),
    ", ",
    opened!("output", keys_of_this_run!(), "output"),
);

/// The columns of an event; named one by one, so that a plan outlives a migration that adds one.
pub(super) const EVENT_COLUMNS: &str = concat!(
    "j.run, j.seq, j.op, j.kind, j.name, j.hash, j.attempt, j.started_at, j.at, ",
    opened!("j.input", keys_of_run!("j.run"), "input"),
    ", ",
    opened!("j.data", keys_of_run!("j.run"), "data"),
);

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

impl Storage {
    /// One run.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn run(&self, id: &RunId) -> Result<Option<Run>, StorageError> {
        let sql = format!("select {RUN_COLUMNS} from runs where id = $1");
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), &sql, vec![id.as_str().into()]))
            .await?;
        Ok(row.as_ref().map(run).transpose()?)
    }

    /// Which of `runs` have ended.
    pub(crate) async fn ended_of(&self, runs: &[RunId]) -> Result<Vec<RunId>, StorageError> {
        let mut asked = Rows::new(&[("run", "text")]);
        for run in runs {
            asked.push(cells![run]);
        }
        let sql =
            "select t.run as run from {rows} join runs r on r.id = t.run where r.finished_at is not null";
        let asked = asked.statement(self.reader().get_database_backend(), sql, vec![]);
        let rows = self.reader().query_all_raw(asked).await?;
        rows.iter()
            .map(|row| Ok(RunId::from(row.try_get::<String>("", "run")?)))
            .collect()
    }

    /// The run that a key names.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn run_by_key(&self, workflow: &str, key: &str) -> Result<Option<RunId>, StorageError> {
        let sql = "select run from run_keys where workflow = $1 and key = $2";
        let values = vec![workflow.into(), key.into()];
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), sql, values))
            .await?;
        Ok(row
            .map(|row| row.try_get::<String>("", "run"))
            .transpose()?
            .map(RunId::from))
    }

    /// When the oldest run that a worker could begin with was put in line, if there is one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn oldest_queued(&self) -> Result<Option<DateTime<Utc>>, StorageError> {
        // As the index on open runs has it.
        let sql =
            "select since from runs where state = 'queued' and state <> 'completed' order by id limit 1";
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), sql, vec![]))
            .await?;
        Ok(row.map(|row| row.try_get("", "since")).transpose()?)
    }

    /// How many runs wait for their turn in a lane, and since when the one that has waited longest does.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn waiting_in_lanes(&self) -> Result<(i64, Option<DateTime<Utc>>), StorageError> {
        let sql = "select count(*) as n, min(since) as oldest from runs
            where state = 'waiting' and waiting_for = 'lane' and state <> 'completed'";
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), sql, vec![]))
            .await?;
        match row {
            Some(row) => Ok((row.try_get("", "n")?, row.try_get("", "oldest")?)),
            None => Ok((0, None)),
        }
    }
}

pub(super) fn document(text: Option<String>) -> Result<Option<Json>, DbErr> {
    text.map(|text| payload::open(&text)).transpose()
}

pub(super) fn run(row: &QueryResult) -> Result<Run, DbErr> {
    let state: String = row.try_get("", "state")?;
    let id: String = row.try_get("", "id")?;
    Ok(Run {
        id: id.into(),
        workflow: row.try_get("", "workflow")?,
        key: row.try_get("", "key")?,
        owner: row.try_get("", "owner")?,
        state: RunState::parse(&state).ok_or_else(|| DbErr::Type(format!("no such state: {state}")))?,
        outcome: row.try_get("", "outcome")?,
        waiting_for: row.try_get("", "waiting_for")?,
        since: row.try_get("", "since")?,
        until: row.try_get("", "until")?,
        lane: row.try_get("", "lane")?,
        place: row.try_get("", "place")?,
        worker: row.try_get("", "worker")?,
        epoch: row.try_get("", "epoch")?,
        takeovers: row.try_get("", "takeovers")?,
        attempt: row.try_get("", "attempt")?,
        build: row.try_get("", "build")?,
        input: document(row.try_get("", "input")?)?.unwrap_or_default(),
        output: document(row.try_get("", "output")?)?,
        error: row.try_get("", "error")?,
        created_at: row.try_get("", "created_at")?,
        finished_at: row.try_get("", "finished_at")?,
        inbox: row.try_get("", "inbox")?,
        parent: row.try_get::<Option<String>>("", "parent")?.map(RunId::from),
        parent_op: row.try_get("", "parent_op")?,
        on_close: row.try_get("", "on_close")?,
    })
}

/// An event, of a row with [`EVENT_COLUMNS`].
pub(super) fn event(row: &QueryResult) -> Result<Event, DbErr> {
    event_with(row, payload::open)
}

/// An event, whose documents `open` opens.
pub(super) fn event_with(
    row: &QueryResult,
    open: impl Fn(&str) -> Result<Json, DbErr>,
) -> Result<Event, DbErr> {
    let document = |column| -> Result<Option<Json>, DbErr> {
        let text: Option<String> = row.try_get("", column)?;
        text.map(|text| open(&text)).transpose()
    };
    let kind: String = row.try_get("", "kind")?;
    Ok(Event {
        seq: row.try_get("", "seq")?,
        op: row.try_get("", "op")?,
        kind: EventKind::parse(&kind).ok_or_else(|| DbErr::Type(format!("no such event: {kind}")))?,
        name: row.try_get("", "name")?,
        hash: row.try_get("", "hash")?,
        attempt: row.try_get("", "attempt")?,
        started_at: row.try_get("", "started_at")?,
        at: row.try_get("", "at")?,
        input: document("input")?,
        data: document("data")?,
    })
}
