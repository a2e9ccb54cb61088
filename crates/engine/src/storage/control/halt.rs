//! Pause and resume.
use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, Value};

use super::{ControlError, note, take};
use crate::{
    EventKind, Run, RunId, RunState,
    storage::{Storage, now, signals, statement},
};

impl Storage {
    /// Keeps a run from going on until it is resumed: one that a worker holds, after the activity in hand. It keeps its
    /// place in its lane, so that those behind it wait too. One that is paused already stays so.
    ///
    /// # Errors
    /// When there is no such run, or it is parked or has ended.
    pub async fn pause(&self, id: &RunId) -> Result<(), ControlError> {
        let id = id.clone();
        let done = self
            .transaction(move |tx| async move { pause(tx, &id).await }.boxed())
            .await;
        self.after_act(done)
    }

    /// Lets a paused run go on.
    ///
    /// # Errors
    /// When there is no such run, or it is not paused.
    pub async fn resume(&self, id: &RunId) -> Result<(), ControlError> {
        let id = id.clone();
        let done = self
            .transaction(move |tx| async move { resume(tx, &id).await }.boxed())
            .await;
        self.after_act(done)
    }
}

async fn pause(tx: &DatabaseTransaction, id: &RunId) -> Result<(), ControlError> {
    let run = take(tx, id).await?;
    match run.state {
        RunState::Running => {
            if !is_told_to_pause(tx, id).await? {
                signals::deliver(tx, id, "pause", None, None, None).await?;
            }
            Ok(())
        }
        _ if is_paused(&run) => Ok(()),
        RunState::Queued | RunState::Waiting => {
            note(tx, id, EventKind::Paused, None).await?;
            let sql =
                "update runs set state = 'waiting', epoch = epoch + 1, waiting_for = 'resume', since = $2,
                until = null, worker = null where id = $1";
            let values: Vec<Value> = vec![id.as_str().into(), now().into()];
            tx.execute_raw(statement(tx, sql, values)).await?;
            Ok(())
        }
        state => Err(ControlError::WrongState(
            state,
            "only a queued, running or waiting run can be paused",
        )),
    }
}

async fn resume(tx: &DatabaseTransaction, id: &RunId) -> Result<(), ControlError> {
    let run = take(tx, id).await?;
    if is_paused(&run) {
        return unpause(tx, &run).await;
    }
    let told = !run.state.is_final() && is_told_to_pause(tx, id).await?;
    if !told {
        return Err(ControlError::WrongState(
            run.state,
            "only a paused run can be resumed",
        ));
    }
    signals::deliver(tx, id, "resume", None, None, None)
        .await
        .map(drop)
}

/// Whether it sleeps until it is resumed.
pub(super) fn is_paused(run: &Run) -> bool {
    run.state == RunState::Waiting && run.waiting_for.as_deref() == Some("resume")
}

/// Queues a paused run.
pub(super) async fn unpause(tx: &DatabaseTransaction, run: &Run) -> Result<(), ControlError> {
    // Who reads the orders of the run from the first must find that the last one is to go.
    signals::deliver(tx, &run.id, "resume", None, None, None).await?;
    note(tx, &run.id, EventKind::Resumed, None).await?;
    let sql = "update runs set state = 'queued', epoch = epoch + 1, waiting_for = 'worker', since = $2, until = null
        where id = $1";
    let values: Vec<Value> = vec![run.id.as_str().into(), now().into()];
    tx.execute_raw(statement(tx, sql, values)).await?;
    Ok(())
}

/// Whether the last order of that kind is to pause.
async fn is_told_to_pause(tx: &DatabaseTransaction, id: &RunId) -> Result<bool, ControlError> {
    let sql =
        "select kind from signals where run = $1 and kind in ('pause', 'resume') order by n desc limit 1";
    let row = tx
        .query_one_raw(statement(tx, sql, vec![id.as_str().into()]))
        .await?;
    let last: Option<String> = row.map(|row| row.try_get("", "kind")).transpose()?;
    Ok(last.as_deref() == Some("pause"))
}
