//! How a run's events reach the disk, and how a run waits.
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sea_orm::DatabaseTransaction;
use serde_json::Value;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::{
    Joint, Part, Step,
    call::Call,
    core::{Core, Idling, Leave, Wait, lock},
};
use crate::{
    Event, EventKind, Failure, Fault, RunState, classes,
    journal::LaneHold,
    registry::Ended,
    spans,
    storage::{
        Append, Head, NewValue, StorageError, Update, after, guard, lock_behind, lock_lane, now, recorded,
        write_one,
    },
    surroundings,
};

/// What a transaction locks before its run: whoever ends a run locks its lane first, and then the run and its parent.
#[derive(Clone, Debug)]
pub(super) enum First {
    /// The lane in which it starts a run, or which it leaves.
    Lane(String),
    /// The lane of this head, and the runs behind it that it may take along.
    Behind(Head),
}

/// The end of the journal as this worker knows it.
#[derive(Debug)]
pub(super) struct Tail {
    seq: i64,
    /// Events that ride with the next checkpoint that is awaited.
    pending: Vec<Event>,
    /// Published values that do the same.
    values: Vec<NewValue>,
    /// Checkpoints that were sent and not awaited.
    in_flight: Vec<oneshot::Receiver<Result<(), StorageError>>>,
}

impl Tail {
    pub(super) fn new(seq: i64) -> Self {
        Self {
            seq,
            pending: Vec::new(),
            values: Vec::new(),
            in_flight: Vec::new(),
        }
    }

    /// Gives `event` the next number.
    pub(super) fn push(&mut self, event: Event) {
        self.seq += 1;
        self.pending.push(Event {
            seq: self.seq,
            ..event
        });
    }

    /// The last of what was published under a name counts.
    pub(super) fn publish(&mut self, name: &str, data: Value) {
        self.values.retain(|value| value.name != name);
        self.values.push(NewValue {
            name: name.to_owned(),
            data,
        });
    }
}

/// What woke a waiting branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    Due,
    /// Signals arrived.
    Mail,
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

    fn update(&self, state: RunState, waiting_for: Option<String>, attempt: u32) -> Update {
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

    fn append(&self, tail: &mut Tail, update: Option<Update>) -> Append {
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
        let seq = tail.seq + 1;
        let step = Joint {
            call,
            part,
            epoch: self.run.epoch,
            draft: Draft {
                event: Event { seq, ..event },
                pending: tail.pending.clone(),
                values: tail.values.clone(),
            },
            update,
        };
        let performed = match self.shared.storage.step(step).instrument(spans::commit()).await {
            Ok(performed) => performed,
            Err(error) => self.broken(error).await,
        };
        if performed.is_ok() {
            tail.pending.clear();
            tail.values.clear();
            tail.seq = seq;
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
        let seq = tail.seq + 1;
        let draft = Draft {
            event: Event { seq, ..event },
            pending: tail.pending.clone(),
            values: tail.values.clone(),
        };
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
                    tail.pending.clear();
                    tail.values.clear();
                    tail.seq = seq;
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

    /// Waits until `wait` is over, or signals after number `seen` arrive: in memory while it is short or another branch
    /// is at work, else as a row that brings the run back.
    pub(super) async fn wait(&self, op: i64, wait: Wait, seen: i64) -> Woken {
        let (mut mail, mut ended) = (self.mailbox.listen(), self.ended.subscribe());
        let _idle = Idle::new(self, op, wait.clone(), seen);
        let mut shown = false;
        loop {
            if self.mailbox.seen() > seen {
                return Woken::Mail;
            }
            let left = wait
                .until
                .map(|until| (until - now()).to_std().unwrap_or_default());
            if left.is_some_and(|left| left.is_zero()) {
                return Woken::Due;
            }
            let short = left.is_some_and(|left| left <= self.shared.settings.short_wait);
            if let Some(first) = self.all_idle(op)
                && !short
            {
                self.flush(Some(self.waiting(&first))).await;
                return self.leave(Leave::Suspended).await;
            }
            if !std::mem::replace(&mut shown, true) {
                let update = self.running(wait.reason.clone(), wait.attempt, wait.until, wait.error.clone());
                self.send(Some(update)).await;
            }
            let due = async {
                match left {
                    Some(left) => surroundings::sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                _ = mail.changed() => {}
                _ = ended.changed() => {}
            }
        }
    }

    /// If every branch waits, and for longer than is worth the memory: what is due first.
    fn all_idle(&self, op: i64) -> Option<Wait> {
        let branches = lock(&self.branches);
        let lost = branches.decided && !lock(&self.intended).contains(&op);
        if lost || branches.idle.len() < branches.live {
            return None;
        }
        let first = branches
            .idle
            .values()
            .map(|idling| &idling.wait)
            .min_by_key(|wait| wait.until.unwrap_or(DateTime::<Utc>::MAX_UTC))?;
        let short = first
            .until
            .is_some_and(|until| until <= after(now(), self.shared.settings.short_wait));
        (!short).then(|| first.clone())
    }

    /// The last checkpoint of a run that ended.
    pub(super) async fn finish(&self, ended: Ended) {
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
        self.count_end(ended.word);
        self.close(update).await;
    }

    /// The last checkpoint of a run that was cancelled or terminated.
    pub(super) async fn end_as(&self, state: RunState) {
        self.count_end(state.as_str());
        if state == RunState::Terminated {
            self.note(Self::event(None, EventKind::Terminated)).await;
        }
        self.close(self.update(state, None, 0)).await;
    }

    /// The state of a run that ended with an outcome of the engine's own.
    pub(super) fn ended_as(&self, outcome: &str, output: Value) -> Update {
        Update {
            outcome: Some(outcome.to_owned()),
            output: Some(output),
            ..self.update(RunState::Completed, None, 0)
        }
    }

    fn count_end(&self, outcome: &'static str) {
        metrics::counter!("recado_runs_finished_total", "workflow" => self.run.workflow.clone(), "outcome" => outcome)
            .increment(1);
        let seconds = (now() - self.run.created_at).as_seconds_f64().max(0.0);
        metrics::histogram!("recado_run_seconds", "workflow" => self.run.workflow.clone(), "outcome" => outcome)
            .record(seconds);
        spans::ended(&self.run.id, &self.run.workflow, outcome);
    }

    /// The last checkpoint of a run that cannot go on without a person. It gives its place in the lane up.
    pub(super) async fn park(&self, failure: Failure) {
        if self.mailbox.orders().cancel {
            return self.end_as(RunState::Cancelled).await;
        }
        let told = format!("{}: {}", failure.class, failure.message);
        tracing::warn!(run.id = %self.run.id, class = failure.class, "parked");
        self.note_left_lane().await;
        // Only the steps that failed last, and only if the workflow let the fault pass, are tried again.
        let failed: Vec<_> = {
            let failed = lock(&self.failed);
            let passed = failed.iter().any(|(_, fault)| fault.failure() == &failure);
            failed.iter().filter(|_| passed).map(|(op, _)| *op).collect()
        };
        let mut data = serde_json::to_value(&failure).unwrap_or_default();
        if failed.len() > 1
            && let Some(data) = data.as_object_mut()
        {
            data.insert("ops".to_owned(), Value::from(failed.clone()));
        }
        self.note(Event {
            data: Some(data),
            ..Self::event(failed.first().copied(), EventKind::Parked)
        })
        .await;
        let class = classes::label(&failure.class);
        metrics::counter!("recado_runs_parked_total", "workflow" => self.run.workflow.clone(), "class" => class)
            .increment(1);
        let update = Update {
            error: Some(told),
            ..self.update(RunState::Parked, Some("a person".to_owned()), 0)
        };
        self.close(update).await;
    }

    async fn note_left_lane(&self) {
        if *lock(&self.lane) == LaneHold::Held {
            self.note(Self::event(None, EventKind::LaneLeft)).await;
        }
    }

    /// What is left when the end of a run itself is refused by the database: to say so.
    async fn park_bare(&self, error: StorageError) {
        tracing::error!(run.id = %self.run.id, %error, "the end of a run cannot be written");
        let told = format!("journal: the end of this run cannot be written: {error}");
        let update = Update {
            error: Some(told),
            ..self.update(RunState::Parked, Some("a person".to_owned()), 0)
        };
        self.note_left_lane().await;
        self.note(Self::event(None, EventKind::Parked)).await;
        let leave = self.run.lane.clone().zip(self.run.place);
        let append = Append {
            leave,
            ..self.append(&mut *self.tail.lock().await, Some(update))
        };
        if let Ok(committed) = self.shared.storage.append(append).await {
            let _ = committed.await;
        }
    }

    async fn close(&self, update: Update) {
        let over = update.state.is_final();
        let end = over.then(|| update.clone());
        let committed = {
            let mut tail = self.tail.lock().await;
            let append = Append {
                leave: self.run.lane.clone().zip(self.run.place),
                parent: self.run.parent.clone().filter(|_| over),
                children: over && *lock(&self.children),
                ..self.append(&mut tail, Some(update))
            };
            let in_flight = std::mem::take(&mut tail.in_flight);
            let Ok(committed) = self.shared.storage.append(append).await else {
                return;
            };
            for earlier in in_flight {
                let _ = earlier.await;
            }
            committed.instrument(spans::commit()).await
        };
        if let (Some(end), Ok(Ok(()))) = (end, &committed) {
            self.shared.ends.tell(&self.run.id, || end.of(&self.run));
        }
        match committed {
            Ok(Err(StorageError::Stale)) => metrics::counter!("recado_leases_lost_total").increment(1),
            Ok(Err(error)) => self.park_bare(error).await,
            Ok(Ok(())) | Err(_) => {}
        }
    }
}

/// A branch that waits, for as long as this lives.
struct Idle<'a> {
    core: &'a Core,
    op: i64,
}

impl<'a> Idle<'a> {
    fn new(core: &'a Core, op: i64, wait: Wait, seen: i64) -> Self {
        lock(&core.branches).idle.insert(op, Idling { wait, seen });
        core.stir();
        Self { core, op }
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        lock(&self.core.branches).idle.remove(&self.op);
    }
}
