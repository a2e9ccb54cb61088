//! Proof from outside that a call happened, whose answer nobody saw.
use sea_orm::DatabaseTransaction;

use super::{
    ControlError,
    answer::{is_of_unknown_fate, last_of_step},
    failed_steps, find,
    retry::retry,
};
use crate::{
    EventKind, RunId, RunState,
    storage::{Storage, StorageError, signals},
};

impl Storage {
    /// Tells the run of a `Once` call that there is proof now, in the transaction that writes the proof down where
    /// [`Activity::reconcile`](crate::Activity::reconcile) finds it: it looks at once. One that was parked because nobody
    /// could tell looks again. The call is known by its [`Attempt::key`](crate::Attempt::key). Returns the run, for
    /// [`Engine::wake`](crate::Engine::wake); none where nobody asks: there is no such call, its end is known, or who
    /// makes it is about to hear of it himself.
    ///
    /// It locks the run, so it comes before whatever else the transaction changes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prove(tx: &DatabaseTransaction, key: &str) -> Result<Option<RunId>, StorageError> {
        let Some((run, op)) = key.rsplit_once('-') else {
            return Ok(None);
        };
        let Ok(op) = op.parse() else {
            return Ok(None);
        };
        let run = RunId::from(run);
        match tell(tx, &run, op).await {
            Ok(told) => Ok(told.then_some(run)),
            Err(ControlError::Storage(error)) => Err(error),
            // It has ended, or goes on already.
            Err(_) => Ok(None),
        }
    }
}

/// Whether the run asks what became of its call at step `op`; then it is told.
async fn tell(tx: &DatabaseTransaction, id: &RunId, op: i64) -> Result<bool, ControlError> {
    let Some(last) = last_of_step(tx, id, op).await?.filter(is_of_unknown_fate) else {
        return Ok(false);
    };
    let run = find(tx, id).await?;
    let asks = last.kind == EventKind::ActivityUnknown
        || run.waiting_for.is_some_and(|what| what.starts_with("reconcile:"));
    match run.state {
        RunState::Parked if failed_steps(tx, id).await?.1.contains(&op) => {
            retry(tx, id).await?;
            Ok(true)
        }
        RunState::Queued | RunState::Running | RunState::Waiting if asks => {
            let (step, key) = (op.to_string(), format!("evidence:{}", last.seq));
            signals::deliver(tx, id, "evidence", Some(&step), Some(&key), None).await
        }
        _ => Ok(false),
    }
}
