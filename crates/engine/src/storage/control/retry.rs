//! Another try at what failed.
use futures::FutureExt;
use sea_orm::DatabaseTransaction;

use super::{ControlError, failed_steps, requeue, take};
use crate::{
    Event, EventKind, RunId, RunState,
    storage::{Storage, events, now},
};

/// What can be tried again, in words.
pub(super) const ONLY_PARKED: &str = "only a parked run can be retried";

impl Storage {
    /// Gives a parked run another try at what failed. It keeps what it has done; if it had a place in a lane, it gets a
    /// new one at the end.
    ///
    /// # Errors
    /// When there is no such run, or it is not parked.
    pub async fn retry(&self, id: &RunId) -> Result<(), ControlError> {
        let id = id.clone();
        let done = self
            .transaction(move |tx| async move { retry(tx, &id).await }.boxed())
            .await;
        self.after_act(done)
    }
}

pub(super) async fn retry(tx: &DatabaseTransaction, id: &RunId) -> Result<(), ControlError> {
    let run = take(tx, id).await?;
    if run.state != RunState::Parked {
        return Err(ControlError::WrongState(run.state, ONLY_PARKED));
    }
    let (seq, steps) = failed_steps(tx, id).await?;
    write_retried(tx, id, seq, &steps).await?;
    requeue(tx, &run).await
}

/// One event for each step that is to be tried again, after number `seq`; one without a step if there is none.
pub(super) async fn write_retried(
    tx: &DatabaseTransaction,
    id: &RunId,
    seq: i64,
    steps: &[i64],
) -> Result<(), ControlError> {
    let steps: Vec<_> = match steps {
        [] => vec![None],
        steps => steps.iter().copied().map(Some).collect(),
    };
    let events: Vec<_> = (seq + 1..)
        .zip(steps)
        .map(|(seq, op)| Event::new(seq, op, EventKind::Retried, now()))
        .collect();
    let events: Vec<_> = events.iter().map(|event| (id, event)).collect();
    Ok(events::write_events(tx, &events).await?)
}
