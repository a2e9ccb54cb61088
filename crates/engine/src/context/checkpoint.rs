//! How a run's events reach the disk, and how a run leaves the memory.
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sea_orm::DatabaseTransaction;
use tokio::sync::Notify;

use super::{Context, Step};
use crate::{
    Event, EventKind, Failure, Fault, RunState,
    journal::LaneHold,
    registry::Ended,
    storage::{Append, StorageError, Update, after, guard, now, recorded, write_one},
};

/// Why a run is dropped from memory before its workflow has returned.
#[derive(Debug)]
pub(crate) enum Leave {
    /// It waits, and the database says for what.
    Suspended,
    /// Somebody else holds it.
    Lost,
    /// It cannot go on without a person.
    Parked(Failure),
}

/// The way out of a workflow that must not notice it.
#[derive(Debug, Default)]
pub(crate) struct Exit {
    reason: Mutex<Option<Leave>>,
    left: Notify,
}

impl Exit {
    /// Waits until the run leaves.
    pub(crate) async fn left(&self) -> Leave {
        loop {
            self.left.notified().await;
            if let Some(reason) = self.reason.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return reason;
            }
        }
    }
}

/// What can end a transaction of a step.
pub(super) enum Broken {
    Storage(StorageError),
    Fault(Fault),
}

impl From<StorageError> for Broken {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The statements of a step, which bring the event that concludes them and the checkpoint that holds it.
pub(super) type StepWork =
    Box<dyn for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<(Event, Append), Broken>> + Send>;

impl Context {
    /// Leaves the workflow for good: whoever awaits this is dropped.
    pub(super) async fn leave<T>(&self, reason: Leave) -> T {
        *self.exit.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.exit.left.notify_one();
        std::future::pending().await
    }

    pub(crate) fn exit(&self) -> std::sync::Arc<Exit> {
        self.exit.clone()
    }

    pub(super) fn mismatch(&self, op: i64, name: &str) -> Leave {
        Leave::Parked(Failure::new(
            "replay_mismatch",
            format!(
                "step {op}: the journal goes on after it without {name}, which the workflow of this build asks for"
            ),
        ))
    }

    /// The next event of this run.
    pub(super) fn event(&mut self, op: Option<i64>, kind: EventKind) -> Event {
        self.seq += 1;
        Event::new(self.seq, op, kind, now())
    }

    pub(super) fn step_event(
        &mut self,
        step: &Step,
        kind: EventKind,
        number: u32,
        started: DateTime<Utc>,
    ) -> Event {
        // The input is shown once: where the step began.
        let first = number == 1
            && matches!(
                kind,
                EventKind::ActivityCompleted
                    | EventKind::ActivityIntended
                    | EventKind::ActivityAttempted
                    | EventKind::ActivityFailed
            );
        Event {
            name: Some(step.name.to_owned()),
            hash: Some(step.hash.clone()),
            attempt: Some(number.into()),
            started_at: Some(started),
            input: first.then(|| (*step.input).clone()),
            ..self.event(Some(step.op), kind)
        }
    }

    fn update(&self, state: RunState, waiting_for: Option<String>, attempt: u32) -> Update {
        Update {
            state,
            outcome: None,
            waiting_for,
            since: now(),
            until: None,
            attempt: attempt.into(),
            owner: self.run.owner.clone(),
            output: None,
            error: None,
        }
    }

    /// The state of a run that this worker goes on with.
    pub(super) fn running(
        &self,
        waiting_for: String,
        attempt: u32,
        until: Option<DateTime<Utc>>,
        error: Option<String>,
    ) -> Update {
        Update {
            until,
            error,
            ..self.update(RunState::Running, Some(waiting_for), attempt)
        }
    }

    /// The state of a run that waits in nobody's hands.
    pub(super) fn waiting(&self, waiting_for: &str) -> Update {
        self.update(RunState::Waiting, Some(waiting_for.to_owned()), 0)
    }

    fn append(&mut self, update: Option<Update>) -> Append {
        let events = std::mem::take(&mut self.pending);
        Append {
            run: self.run.id.clone(),
            epoch: self.run.epoch,
            events,
            update,
            leave: None,
        }
    }

    /// Sends what is pending towards the disk, without waiting for it.
    pub(super) async fn send(&mut self, update: Option<Update>) {
        let append = self.append(update);
        match self.shared.storage.append(append).await {
            Ok(committed) => self.in_flight.push(committed),
            Err(error) => self.broken(error).await,
        }
    }

    /// Waits until all that was sent is on the disk.
    pub(super) async fn settle(&mut self) {
        for committed in std::mem::take(&mut self.in_flight) {
            match committed.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.broken(error).await,
                Err(_) => self.broken(StorageError::Stopped).await,
            }
        }
    }

    /// Brings everything so far to the disk, and `update` with it.
    pub(super) async fn flush(&mut self, update: Option<Update>) {
        if update.is_some() || !self.pending.is_empty() {
            self.send(update).await;
        }
        self.settle().await;
    }

    pub(super) async fn broken(&mut self, error: StorageError) {
        match error {
            StorageError::Stale | StorageError::Stopped | StorageError::Interrupted => {
                metrics::counter!("recado_leases_lost_total").increment(1);
                self.leave(Leave::Lost).await
            }
            error => {
                let told = format!("the journal cannot be written: {error}");
                self.leave(Leave::Parked(Failure::new("journal", told))).await
            }
        }
    }

    /// Runs what `work` makes in a transaction that also writes event `seq`, until it is known whether that committed.
    ///
    /// A commit whose answer got lost is found by the event's number, under the lock of the run's row, so that nothing
    /// is done twice.
    pub(super) async fn transact(&mut self, seq: i64, work: impl Fn() -> StepWork) -> Result<Event, Fault> {
        self.settle().await;
        let mut wait = Duration::from_millis(20);
        loop {
            let (run, epoch, work) = (self.run.id.clone(), self.run.epoch, work());
            let committed = self.shared.storage.transaction(move |tx| {
                Box::pin(async move {
                    guard(tx, &run, epoch).await?;
                    if let Some(event) = recorded(tx, &run, seq).await? {
                        return Ok(event);
                    }
                    let (event, append) = work(tx).await?;
                    write_one(tx, &append).await?;
                    Ok(event)
                })
            });
            match committed.await {
                Ok(event) => {
                    self.pending.clear();
                    return Ok(event);
                }
                Err(Broken::Fault(fault)) => {
                    // The number of the event that was not written is free again.
                    self.seq = seq - 1;
                    return Err(fault);
                }
                Err(Broken::Storage(error)) if error.is_transient() => {
                    tracing::warn!(run.id = %self.run.id, %error, "a step waits for the database");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(1));
                    self.shared.storage.wait_until_back().await;
                }
                Err(Broken::Storage(error)) => self.broken(error).await,
            }
        }
    }

    /// Waits: in memory if it is short, else as a row that brings the run back when it is due.
    pub(super) async fn pause(&mut self, waiting_for: String, wait: Duration, attempt: u32, error: String) {
        let until = Some(after(now(), wait));
        if wait <= self.shared.settings.short_wait {
            let update = self.running(waiting_for, attempt, until, Some(error));
            self.send(Some(update)).await;
            tokio::time::sleep(wait).await;
            return;
        }
        let update = Update {
            until,
            error: Some(error),
            ..self.update(RunState::Waiting, Some(waiting_for), attempt)
        };
        self.flush(Some(update)).await;
        self.leave(Leave::Suspended).await
    }

    /// The last checkpoint of a run that ended.
    pub(crate) async fn finish(&mut self, ended: Ended) {
        let state = if ended.failed {
            RunState::Failed
        } else {
            RunState::Completed
        };
        let update = Update {
            outcome: Some(ended.word.to_owned()),
            output: Some(ended.output),
            ..self.update(state, None, 0)
        };
        metrics::counter!("recado_runs_finished_total", "workflow" => self.run.workflow.clone(), "outcome" => ended.word)
            .increment(1);
        self.close(update).await;
    }

    /// The last checkpoint of a run that cannot go on without a person. It gives its place in the lane up.
    pub(crate) async fn park(&mut self, failure: Failure) {
        let told = format!("{}: {}", failure.class, failure.message);
        tracing::warn!(run.id = %self.run.id, class = failure.class, "parked");
        if self.lane == LaneHold::Held {
            let left = self.event(None, EventKind::LaneLeft);
            self.pending.push(left);
        }
        // Only the step that failed last, and only if the workflow let its fault pass, is tried again.
        let failed = self
            .failed
            .take()
            .filter(|(op, fault)| *op == self.op && fault.failure() == &failure);
        let op = failed.map(|(op, _)| op);
        let event = self.event(op, EventKind::Parked);
        let data = serde_json::to_value(&failure).ok();
        self.pending.push(Event { data, ..event });
        metrics::counter!("recado_runs_parked_total", "workflow" => self.run.workflow.clone(), "class" => failure.class)
            .increment(1);
        let update = Update {
            error: Some(told),
            ..self.update(RunState::Parked, Some("a person".to_owned()), 0)
        };
        self.close(update).await;
    }

    /// What is left when the end of a run itself is refused by the database: to say so.
    async fn park_bare(&mut self, error: StorageError) {
        tracing::error!(run.id = %self.run.id, %error, "the end of a run cannot be written");
        let told = format!("journal: the end of this run cannot be written: {error}");
        let update = Update {
            error: Some(told),
            ..self.update(RunState::Parked, Some("a person".to_owned()), 0)
        };
        if self.lane == LaneHold::Held {
            let left = self.event(None, EventKind::LaneLeft);
            self.pending.push(left);
        }
        let parked = self.event(None, EventKind::Parked);
        self.pending.push(parked);
        let leave = self.run.lane.clone().zip(self.run.place);
        let append = Append {
            leave,
            ..self.append(Some(update))
        };
        if let Ok(committed) = self.shared.storage.append(append).await {
            let _ = committed.await;
        }
    }

    async fn close(&mut self, update: Update) {
        let leave = self.run.lane.clone().zip(self.run.place);
        let append = Append {
            leave,
            ..self.append(Some(update))
        };
        let in_flight = std::mem::take(&mut self.in_flight);
        let committed = match self.shared.storage.append(append).await {
            Ok(committed) => committed,
            Err(_) => return,
        };
        for earlier in in_flight {
            let _ = earlier.await;
        }
        match committed.await {
            Ok(Err(StorageError::Stale)) => metrics::counter!("recado_leases_lost_total").increment(1),
            Ok(Err(error)) => self.park_bare(error).await,
            Ok(Ok(())) | Err(_) => {}
        }
    }
}
