//! What a person may do with a run: rows first, wake-ups second.
use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};

use super::{Storage, StorageError, dialect, fold, inspect, lanes, now, statement};
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
    /// The database did not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<DbErr> for ControlError {
    fn from(error: DbErr) -> Self {
        Self::Storage(error.into())
    }
}

impl Storage {
    /// Gives a parked run another try at what failed. It keeps what it has done; if it had a place in a lane, it gets a
    /// new one at the end.
    ///
    /// # Errors
    /// When there is no such run, or it is not parked.
    pub async fn retry(&self, id: &RunId) -> Result<(), ControlError> {
        let id = id.clone();
        self.transaction(move |tx| async move { retry(tx, &id).await }.boxed())
            .await?;
        self.ready();
        Ok(())
    }
}

async fn retry(tx: &DatabaseTransaction, id: &RunId) -> Result<(), ControlError> {
    let found = find(tx, id).await?;
    if let Some(lane) = &found.lane {
        lanes::lock(tx, lane).await?;
    }
    let run = lock(tx, id).await?;
    if run.state != RunState::Parked {
        return Err(ControlError::WrongState(
            run.state,
            "only a parked run can be retried",
        ));
    }
    let place = match &run.lane {
        Some(lane) => Some(lanes::take_new_place(tx, id, lane).await?),
        None => None,
    };
    let (seq, op) = last_event(tx, id).await?;
    let event = Event::new(seq + 1, op, EventKind::Retried, now());
    fold::write_events(tx, &[(id, &event)]).await?;
    let sql = "update runs set state = 'queued', epoch = epoch + 1, waiting_for = 'worker', since = $2, until = null,
        place = $3, worker = null, attempt = 0, takeovers = 0 where id = $1";
    let values: Vec<Value> = vec![id.as_str().into(), now().into(), place.into()];
    tx.execute_raw(statement(tx, sql, values)).await?;
    Ok(())
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

/// The number of the last event, and the step that failed.
async fn last_event(tx: &DatabaseTransaction, id: &RunId) -> Result<(i64, Option<i64>), DbErr> {
    let sql = "select seq, op from journal where run = $1 order by seq desc limit 1";
    match tx
        .query_one_raw(statement(tx, sql, vec![id.as_str().into()]))
        .await?
    {
        Some(row) => Ok((row.try_get("", "seq")?, row.try_get("", "op")?)),
        None => Ok((0, None)),
    }
}
