//! Parts of journals and of families, for pages: what they read is bounded, however long a run is.
use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use super::{
    Storage, StorageError,
    inspect::{EVENT_COLUMNS, RUN_COLUMNS, event, run},
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

impl Storage {
    /// The events of a run after number `seq`, in order, `limit` at most.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn events_after(&self, id: &RunId, seq: i64, limit: u64) -> Result<Vec<Event>, StorageError> {
        let sql = format!(
            "select {EVENT_COLUMNS} from journal j where j.run = $1 and j.seq > $2 order by j.seq limit $3"
        );
        let values = vec![id.as_str().into(), seq.into(), (limit as i64).into()];
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), &sql, values))
            .await?;
        Ok(rows.iter().map(event).collect::<Result<_, _>>()?)
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
        let sql = format!(
            "select {EVENT_COLUMNS} from {{rows}} join journal j on j.run = t.run and j.seq <= {each}
            order by j.run, j.seq"
        );
        let rows = self.of_runs(ids, &sql).await?;
        rows.iter()
            .map(|row| Ok((RunId::from(row.try_get::<String>("", "run")?), event(row)?)))
            .collect()
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

    async fn of_runs(&self, ids: &[RunId], sql: &str) -> Result<Vec<sea_orm::QueryResult>, StorageError> {
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
