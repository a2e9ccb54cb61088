//! How a run's events reach the disk.
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sea_orm::DatabaseTransaction;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::{
    Joint, Part, Step,
    call::Call,
    core::{Core, Leave, Wait},
    tail::Tail,
};
use crate::{
    Event, EventKind, Failure, Fault, RunState, spans,
    storage::{
        Append, Head, NewValue, StorageError, Update, guard, lock_behind, lock_lane, now, recorded, write_one,
    },
};

/// What a transaction locks before its run: whoever ends a run locks its lane first, and then the run and its parent.
#[derive(Clone, Debug)]
pub(super) enum First {
    /// The lane in which it starts a run, or which it leaves.
    Lane(String),
    /// The lane of this head, and the runs behind it that it may take along.
    Behind(Head),
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

/// The event that a step's transaction is to write, and what rides with it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) event: Event,
    pub(super) pending: Vec<Event>,
    pub(super) values: Vec<NewValue>,
}

impl Draft {
    /// The checkpoint that holds the draft with `event` as what became of it.
    pub(super) fn append(self, core_run: &crate::RunId, epoch: i64, event: Event) -> Append {
        Append {
            values: self.values,
            ..Append::of(core_run, epoch, self.pending, event)
        }
    }
}

impl Core {
    /// An event of step `op`, without a number yet.
    pub(super) fn event(op: Option<i64>, kind: EventKind) -> Event {
        Event::new(0, op, kind, now())
    }

    /// Writes an event down, to ride with the next checkpoint.
    pub(super) async fn note(&self, event: Event) {
        self.tail.lock().await.push(event);
    }

    pub(super) fn step_event(
        &self,
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
            ..Self::event(Some(step.op), kind)
        }
    }

    pub(super) fn update(&self, state: RunState, waiting_for: Option<String>, attempt: u32) -> Update {
        Update {
            state,
            outcome: None,
            waiting_for,
            since: now(),
            until: None,
            attempt: attempt.into(),
            owner: self.owner(),
            output: None,
            error: None,
            seen: self.mailbox.seen(),
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
    pub(super) fn waiting(&self, wait: &Wait) -> Update {
        Update {
            until: wait.until,
            error: wait.error.clone(),
            ..self.update(RunState::Waiting, Some(wait.reason.clone()), wait.attempt)
        }
    }

    pub(super) fn append(&self, tail: &mut Tail, update: Option<Update>) -> Append {
        Append {
            run: self.run.id.clone(),
            epoch: self.run.epoch,
            events: std::mem::take(&mut tail.pending),
            values: std::mem::take(&mut tail.values),
            update,
            leave: None,
            parent: None,
            children: false,
        }
    }

    /// Sends what is pending towards the disk, without waiting for it.
    pub(super) async fn send(&self, update: Option<Update>) {
        let mut tail = self.tail.lock().await;
        self.send_holding(&mut tail, update).await;
    }

    async fn send_holding(&self, tail: &mut Tail, update: Option<Update>) {
        let append = self.append(tail, update);
        match self.shared.storage.append(append).await {
            Ok(committed) => tail.in_flight.push(committed),
            Err(error) => self.broken(error).await,
        }
    }

    /// Waits until all that was sent is on the disk.
    async fn settle(&self, tail: &mut Tail) {
        let in_flight = std::mem::take(&mut tail.in_flight);
        if !in_flight.is_empty() {
            self.settled(in_flight).instrument(spans::commit()).await;
        }
    }

    async fn settled(&self, in_flight: Vec<oneshot::Receiver<Result<(), StorageError>>>) {
        for committed in in_flight {
            match committed.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.broken(error).await,
                Err(_) => self.broken(StorageError::Stopped).await,
            }
        }
    }

    /// Brings everything so far to the disk, and `update` with it.
    pub(super) async fn flush(&self, update: Option<Update>) {
        let mut tail = self.tail.lock().await;
        if update.is_some() || !tail.pending.is_empty() {
            self.send_holding(&mut tail, update).await;
        }
        self.settle(&mut tail).await;
    }

    /// Brings everything so far to the disk and takes what is pending, for a transaction that writes it itself.
    pub(super) async fn pending(&self) -> Vec<Event> {
        let mut tail = self.tail.lock().await;
        self.settle(&mut tail).await;
        tail.pending.clone()
    }

    pub(super) async fn broken<T>(&self, error: StorageError) -> T {
        match error {
            StorageError::Stale | StorageError::Stopped | StorageError::Interrupted => {
                metrics::counter!("recado_leases_lost_total").increment(1);
                self.leave_now(Leave::Lost).await
            }
            error => {
                let told = format!("the journal cannot be written: {error}");
                self.leave_now(Leave::Parked(Failure::new("journal", told))).await
            }
        }
    }

    /// Runs what `work` makes in a transaction that also writes `event`, until it is known whether that committed.
    ///
    /// A commit whose answer got lost is found by the event's number, under the lock of the run's row, so that nothing
    /// is done twice. No other branch writes meanwhile.
    pub(super) async fn transact(
        &self,
        event: Event,
        work: impl Fn(Draft) -> StepWork,
    ) -> Result<Event, Fault> {
        self.transact_behind(None, event, work).await
    }

    /// Performs a part of `call` in a transaction with steps of other runs, that writes `event` and `update` too.
    pub(super) async fn transact_jointly(
        &self,
        part: Part,
        call: Call,
        event: Event,
        update: Option<Update>,
    ) -> Result<Event, Fault> {
        let _bound = self.bind(call.op);
        let mut tail = self.tail.lock().await;
        self.settle(&mut tail).await;
        let step = Joint {
            call,
            part,
            epoch: self.run.epoch,
            draft: tail.draft(event),
            update,
        };
        let performed = match self.shared.storage.step(step).instrument(spans::commit()).await {
            Ok(performed) => performed,
            Err(error) => self.broken(error).await,
        };
        if performed.is_ok() {
            tail.wrote_draft();
        }
        performed
    }

    /// [`Core::transact`], with `first` locked before the run.
    pub(super) async fn transact_behind(
        &self,
        first: Option<First>,
        event: Event,
        work: impl Fn(Draft) -> StepWork,
    ) -> Result<Event, Fault> {
        let _bound = self.bind(event.op.unwrap_or_default());
        let mut tail = self.tail.lock().await;
        self.settle(&mut tail).await;
        let draft = tail.draft(event);
        let seq = draft.event.seq;
        let mut wait = Duration::from_millis(20);
        loop {
            let (run, epoch, work) = (self.run.id.clone(), self.run.epoch, work(draft.clone()));
            let first = first.clone();
            let committed = self.shared.storage.transaction(move |tx| {
                Box::pin(async move {
                    match &first {
                        Some(First::Lane(lane)) => lock_lane(tx, lane).await.map_err(StorageError::from)?,
                        Some(First::Behind(head)) => lock_behind(tx, head).await?,
                        None => {}
                    }
                    guard(tx, &run, epoch).await?;
                    if let Some(event) = recorded(tx, &run, seq).await? {
                        return Ok(event);
                    }
                    let (event, append) = work(tx).await?;
                    write_one(tx, &append).await?;
                    Ok(event)
                })
            });
            match committed.instrument(spans::commit()).await {
                Ok(event) => {
                    tail.wrote_draft();
                    return Ok(event);
                }
                Err(Broken::Fault(fault)) => return Err(fault),
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
}
