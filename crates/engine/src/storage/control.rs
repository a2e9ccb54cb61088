//! What a person, or a program, may do with a run: rows first, wake-ups second.
//!
//! Invariant: who changes a run that nobody holds, or cuts its holder off, raises its epoch under the lock of its row,
//! so that nothing that was on its way from a former holder is written any more.
mod answer;
mod batch;
mod fork;
mod halt;
mod prove;
mod retry;
mod stop;
mod tell;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};
use serde_json::Value as Json;

pub(super) use self::stop::{cancel_in, terminate_in};
pub use self::{
    answer::Decision,
    batch::{Act, Mode, Touched},
};
use super::{Storage, StorageError, dialect, events, inspect, lanes, now, statement};
use crate::{Event, EventKind, Run, RunId, RunState};

/// Why an act on a run was refused.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such run, or not for this owner.
    #[error("there is no run {0}")]
    NoSuchRun(RunId),
    /// The act does not fit the state that the run is in; and what it would fit.
    #[error("the run is {0}; {1}")]
    WrongState(RunState, &'static str),
    /// The act does not fit what the run has done; why, and what would fit.
    #[error("{0}")]
    Unfit(String),
    /// The database did not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<DbErr> for ControlError {
    fn from(error: DbErr) -> Self {
        Self::Storage(error.into())
    }
}

/// Locks the run's lane, if it has one, then the run; and returns it as it is now that nobody else changes it.
async fn take(tx: &DatabaseTransaction, id: &RunId) -> Result<Run, ControlError> {
    if let Some(lane) = &find(tx, id).await?.lane {
        lanes::lock(tx, lane).await?;
    }
    lock(tx, id).await
}

/// The run as it is now that nobody else changes it.
pub(super) async fn lock(tx: &DatabaseTransaction, id: &RunId) -> Result<Run, ControlError> {
    let lock = dialect::for_update(tx.get_database_backend(), "r");
    let sql = format!("select r.id from runs r where r.id = $1{lock}");
    tx.query_one_raw(statement(tx, &sql, vec![id.as_str().into()]))
        .await?;
    find(tx, id).await
}

async fn find(tx: &DatabaseTransaction, id: &RunId) -> Result<Run, ControlError> {
    let sql = format!("select {} from runs where id = $1", inspect::RUN_COLUMNS);
    let row = tx
        .query_one_raw(statement(tx, &sql, vec![id.as_str().into()]))
        .await?;
    Ok(inspect::run(
        &row.ok_or_else(|| ControlError::NoSuchRun(id.clone()))?,
    )?)
}

/// Queues a run that was parked. If it has lost its place in its lane, it gets a new one at the end.
async fn requeue(tx: &DatabaseTransaction, run: &Run) -> Result<(), ControlError> {
    let place = match &run.lane {
        Some(lane) if !lanes::has_place(tx, run, lane).await? => {
            Some(lanes::take_new_place(tx, &run.id, lane).await?)
        }
        Some(_) => run.place,
        None => None,
    };
    let sql = "update runs set state = 'queued', epoch = epoch + 1, waiting_for = 'worker', since = $2, until = null,
        place = $3, worker = null, attempt = 0, takeovers = 0 where id = $1";
    let values: Vec<Value> = vec![run.id.as_str().into(), now().into(), place.into()];
    tx.execute_raw(statement(tx, sql, values)).await?;
    Ok(())
}

/// The number of the last event of a run; 0 if it has none.
async fn last_seq(tx: &DatabaseTransaction, id: &RunId) -> Result<i64, DbErr> {
    let sql = "select seq from journal where run = $1 order by seq desc limit 1";
    let row = tx
        .query_one_raw(statement(tx, sql, vec![id.as_str().into()]))
        .await?;
    row.map_or(Ok(0), |row| row.try_get("", "seq"))
}

/// Writes an event that belongs to no step, with the next number.
async fn note(
    tx: &DatabaseTransaction,
    id: &RunId,
    kind: EventKind,
    data: Option<Json>,
) -> Result<(), DbErr> {
    let event = Event::new(last_seq(tx, id).await? + 1, None, kind, now());
    events::write_events(tx, &[(id, &Event { data, ..event })]).await
}

/// The steps at which a parked run failed, and the number of its last event. None where something else parked it.
async fn failed_steps(tx: &DatabaseTransaction, id: &RunId) -> Result<(i64, Vec<i64>), ControlError> {
    let sql = format!(
        "select {} from journal j where j.run = $1 order by j.seq desc limit 1",
        inspect::EVENT_COLUMNS
    );
    let row = tx
        .query_one_raw(statement(tx, &sql, vec![id.as_str().into()]))
        .await?;
    let Some(event) = row.as_ref().map(inspect::event).transpose()? else {
        return Ok((0, Vec::new()));
    };
    let several = match event.kind {
        EventKind::Parked => event
            .data
            .and_then(|data| serde_json::from_value(data.get("ops")?.clone()).ok()),
        _ => None,
    };
    Ok((
        event.seq,
        several.unwrap_or_else(|| event.op.into_iter().collect()),
    ))
}

impl Storage {
    /// Rings for runs that an act may have queued, if it was done.
    fn after_act<T>(&self, done: Result<T, ControlError>) -> Result<T, ControlError> {
        if done.is_ok() {
            self.ready();
        }
        done
    }
}
