//! Parts of journals and of families, for pages: what they read is bounded, however long a run is.
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::{
    Storage, StorageError,
    inspect::{RUN_COLUMNS, run},
    journals::{self, Depth, Part, Read},
    rows::{Rows, cells},
    statement,
};
use crate::{Event, Run, RunId, RunState};

/// A run that another one started, without its documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offspring {
    /// Its id.
    pub id: RunId,
    /// Its workflow.
    pub workflow: String,
    /// Where it stands.
    pub state: RunState,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Who stands before a place in a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// How many.
    pub runs: i64,
    /// The first of them.
    pub head: RunId,
}

fn readable(events: Vec<Read>) -> impl Iterator<Item = Result<Event, DbErr>> {
    events.into_iter().map(|event| event.map_err(|(_, error)| error))
}

impl Storage {
    /// The events of a run after number `seq`, in order, `limit` at most.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn events_after(&self, id: &RunId, seq: i64, limit: u64) -> Result<Vec<Event>, StorageError> {
        // They are numbered without a gap.
        let part = Part {
            depth: Depth::Whole,
            after: seq,
            until: seq.saturating_add_unsigned(limit),
        };
        let mut read = journals::read(self.reader(), [id], part).await?;
        let events = read.remove(id).unwrap_or_default();
        Ok(readable(events).collect::<Result<_, _>>()?)
    }

    /// How many events a run has, which is the number of its last.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn event_count(&self, id: &RunId) -> Result<i64, StorageError> {
        let sql = "select coalesce(max(seq), 0) as n from journal where run = $1";
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), sql, vec![id.as_str().into()]))
            .await?;
        Ok(row
            .map(|row| row.try_get("", "n"))
            .transpose()?
            .unwrap_or_default())
    }

    /// The first `each` events of each of these runs, in order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn first_events(&self, ids: &[RunId], each: u32) -> Result<Vec<(RunId, Event)>, StorageError> {
        let part = Part {
            depth: Depth::Whole,
            after: 0,
            until: i64::from(each),
        };
        let read = journals::read(self.reader(), ids, part).await?;
        let mut runs: Vec<_> = read.into_iter().collect();
        runs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let of_run = |(run, events)| readable(events).map(move |event| Ok((RunId::clone(&run), event?)));
        runs.into_iter().flat_map(of_run).collect()
    }

    /// The number of the last event of each of these runs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_events(&self, ids: &[RunId]) -> Result<HashMap<RunId, i64>, StorageError> {
        let sql = "select t.run as run,
            (select coalesce(max(j.seq), 0) from journal j where j.run = t.run) as n from {rows}";
        let rows = self.of_runs(ids, sql).await?;
        let last = |row: &QueryResult| {
            Ok((
                RunId::from(row.try_get::<String>("", "run")?),
                row.try_get("", "n")?,
            ))
        };
        rows.iter().map(last).collect()
    }

    /// These runs, as far as they are there, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn runs_by_id(&self, ids: &[RunId]) -> Result<Vec<Run>, StorageError> {
        let sql =
            format!("select {RUN_COLUMNS} from runs where id in (select t.run from {{rows}}) order by id");
        let rows = self.of_runs(ids, &sql).await?;
        Ok(rows.iter().map(run).collect::<Result<_, _>>()?)
    }

    /// The first runs that the run started as children, oldest first, `limit` at most.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn first_children(&self, id: &RunId, limit: u64) -> Result<Vec<Offspring>, StorageError> {
        let sql = "select id, workflow, state, finished_at from runs where parent = $1 order by id limit $2";
        let values = vec![id.as_str().into(), (limit as i64).into()];
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), sql, values))
            .await?;
        rows.iter()
            .map(|row| {
                let state: String = row.try_get("", "state")?;
                Ok(Offspring {
                    id: row.try_get::<String>("", "id")?.into(),
                    workflow: row.try_get("", "workflow")?,
                    state: RunState::parse(&state)
                        .ok_or_else(|| sea_orm::DbErr::Type(format!("no such state: {state}")))?,
                    finished_at: row.try_get("", "finished_at")?,
                })
            })
            .collect()
    }

    /// Who stands before `place` in `lane`; `None` for its head.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn before_in_lane(&self, lane: &str, place: i64) -> Result<Option<Before>, StorageError> {
        let sql = "select count(*) as n,
                (select h.run from lane_places h where h.lane = $1 order by h.place limit 1) as run
            from lane_places p where p.lane = $1 and p.place < $2";
        let values = vec![lane.into(), place.into()];
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), sql, values))
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let (runs, head) = (row.try_get("", "n")?, row.try_get::<Option<String>>("", "run")?);
        Ok(head.filter(|_| runs > 0).map(|head| Before {
            runs,
            head: head.into(),
        }))
    }

    async fn of_runs(&self, ids: &[RunId], sql: &str) -> Result<Vec<QueryResult>, StorageError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut asked = Rows::new(&[("run", "text")]);
        for id in ids {
            asked.push(cells![id]);
        }
        let asked = asked.statement(self.reader().get_database_backend(), sql, vec![]);
        Ok(self.reader().query_all_raw(asked).await?)
    }
}
