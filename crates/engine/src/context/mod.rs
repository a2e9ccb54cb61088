//! What a workflow may ask for, and the checkpoint that each answer leaves.
mod call;
mod checkpoint;
mod lane;
mod once;
mod past;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub(crate) use self::checkpoint::{Exit, Leave};
use self::{
    call::{Call, Step},
    checkpoint::StepWork,
    past::Past,
};
use crate::{
    Activity, Effect, Event, EventKind, Fault, Run, RunId, canonical,
    engine::Shared,
    journal::{History, LaneHold},
    lease::Lease,
    storage::{Append, Claimed, StorageError, after, now},
};

/// A workflow's only way to the world. Everything it answers is recorded, and answered the same on replay.
pub struct Context {
    shared: Arc<Shared>,
    lease: Arc<Lease>,
    run: Run,
    history: History,
    lane: LaneHold,
    op: i64,
    seq: i64,
    /// Events that ride with the next checkpoint that is awaited.
    pending: Vec<Event>,
    /// Checkpoints that were sent and not awaited.
    in_flight: Vec<tokio::sync::oneshot::Receiver<Result<(), StorageError>>>,
    exit: Arc<Exit>,
    /// The last step that failed, and how.
    failed: Option<(i64, Fault)>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("run", &self.run.id)
            .field("op", &self.op)
            .finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, lease: Arc<Lease>, claimed: Claimed) -> Self {
        let (events, unreadable) = match claimed.events {
            Ok(events) => (events, None),
            Err(unreadable) => (Vec::new(), Some(unreadable)),
        };
        let history = History::new(events);
        let mut context = Self {
            shared,
            lease,
            // What cannot be read may hold its lane.
            lane: unreadable.as_ref().map_or(history.lane(), |_| LaneHold::Held),
            seq: unreadable.map_or(history.last_seq(), |unreadable| unreadable.last_seq),
            history,
            run: claimed.run,
            op: 0,
            pending: Vec::new(),
            in_flight: Vec::new(),
            exit: Arc::default(),
            failed: None,
        };
        if let Some(from) = claimed.taken_from {
            let event = context.event(None, EventKind::TakenOver);
            context.pending.push(Event {
                data: Some(Value::from(from)),
                ..event
            });
        }
        context
    }

    /// The run's id, the same for ever.
    pub fn run_id(&self) -> &RunId {
        &self.run.id
    }

    /// Says whose run this is, from the next checkpoint on.
    pub fn tag_owner(&mut self, owner: &str) {
        self.run.owner = Some(owner.to_owned());
    }

    /// Runs an activity to its result, through failures and crashes; on replay, the recorded result.
    ///
    /// # Errors
    /// The activity's fault, when it is fatal or when the retries are exhausted. A workflow that lets it pass is parked.
    pub async fn run<E, A: Activity<E>>(&mut self, activity: A) -> Result<A::Output, Fault> {
        let input = serde_json::to_value(&activity)
            .map_err(|error| Fault::fatal("unserialisable", format!("the input of {}: {error}", A::NAME)))?;
        let value = self.step(A::NAME, input).await?;
        serde_json::from_value(value).map_err(|error| {
            Fault::fatal(
                "unreadable",
                format!(
                    "the recorded result of {} does not fit this build: {error}",
                    A::NAME
                ),
            )
        })
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    async fn step(&mut self, name: &'static str, input: Value) -> Result<Value, Fault> {
        let result = self.replay_or_run(name, input).await;
        if let Err(fault) = &result {
            self.failed = Some((self.op, fault.clone()));
        }
        result
    }

    async fn replay_or_run(&mut self, name: &'static str, input: Value) -> Result<Value, Fault> {
        self.op += 1;
        let (op, hash) = (self.op, canonical::hash(&input));
        let events = self.history.take(op);
        if events.is_empty() && op < self.history.last_op() {
            return self.leave(self.mismatch(op, name)).await;
        }
        let past = match Past::read(op, name, &hash, events) {
            Ok(past) => past,
            Err(failure) => return self.leave(Leave::Parked(failure)).await,
        };
        if let Some(result) = past.result {
            return result;
        }
        let Some(activity) = self.shared.registry.find(name) else {
            return Err(Fault::fatal(
                "unknown_activity",
                format!("this build has no activity {name}"),
            ));
        };
        let step = Step {
            op,
            name,
            hash,
            input: Arc::new(input),
            activity,
        };
        match step.activity.effect() {
            Effect::Once => self.once(step, past).await,
            _ => self.repeat(step, past.failed).await,
        }
    }

    /// Attempts that may simply be repeated.
    async fn repeat(&mut self, step: Step, mut failed: u32) -> Result<Value, Fault> {
        if step.activity.effect() == Effect::Idempotent {
            self.flush(None).await;
        }
        loop {
            let (number, started) = (failed + 1, now());
            let result = match step.activity.effect() {
                Effect::Database => self.in_transaction(&step, number, started).await,
                _ => self.attempt(self.call(&step, number, started, None)).await,
            };
            count(&step, &result);
            match result {
                Ok(value) => {
                    if step.activity.effect() != Effect::Database {
                        let event = self.step_event(&step, EventKind::ActivityCompleted, number, started);
                        self.pending.push(Event {
                            data: Some(value.clone()),
                            ..event
                        });
                    }
                    if step.activity.effect() == Effect::Idempotent {
                        self.flush(None).await;
                    }
                    return Ok(value);
                }
                Err(fault) => failed = self.after_failure(&step, number, started, fault).await?,
            }
        }
    }

    fn call(
        &self,
        step: &Step,
        number: u32,
        started: DateTime<Utc>,
        intended_at: Option<DateTime<Utc>>,
    ) -> Call {
        let limit = step.activity.timeout();
        Call {
            run: self.run.id.clone(),
            owner: self.run.owner.clone(),
            op: step.op,
            name: step.name,
            number,
            started,
            intended_at,
            input: step.input.clone(),
            activity: step.activity.clone(),
            limit: if intended_at.is_some() {
                limit.min(self.shared.settings.request_timeout)
            } else {
                limit
            },
        }
    }

    /// One attempt outside of any transaction. If it takes long, the run says that it waits for it.
    async fn attempt(&mut self, call: Call) -> Result<Value, Fault> {
        let attempt = call.attempt(None);
        let work = call.in_time(call.activity.run(&call.input, &attempt));
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => return result,
            () = tokio::time::sleep(self.shared.settings.visible_after) => {}
        }
        let until = after(call.started, call.limit);
        let update = self.running(format!("activity:{}", call.name), call.number, Some(until), None);
        self.send(Some(update)).await;
        work.await
    }

    /// One attempt whose writes and whose checkpoint commit together.
    async fn in_transaction(
        &mut self,
        step: &Step,
        number: u32,
        started: DateTime<Utc>,
    ) -> Result<Value, Fault> {
        let completed = self.step_event(step, EventKind::ActivityCompleted, number, started);
        let (seq, epoch, pending) = (completed.seq, self.run.epoch, self.pending.clone());
        let call = self.call(step, number, started, None);
        let work = move || -> StepWork {
            let (call, pending, completed) = (call.clone(), pending.clone(), completed.clone());
            Box::new(move |tx| {
                Box::pin(async move {
                    let attempt = call.attempt(Some(tx));
                    let value = call.in_time(call.activity.run(&call.input, &attempt)).await?;
                    let event = Event {
                        at: now(),
                        data: Some(value),
                        ..completed
                    };
                    Ok((event.clone(), Append::of(&call.run, epoch, pending, event)))
                })
            })
        };
        self.transact(seq, work)
            .await
            .map(|event| event.data.unwrap_or_default())
    }

    /// Records a failed attempt and waits for the next. Returns the number of attempts that have failed.
    ///
    /// # Errors
    /// The fault itself, when there is to be no other attempt.
    async fn after_failure(
        &mut self,
        step: &Step,
        number: u32,
        started: DateTime<Utc>,
        fault: Fault,
    ) -> Result<u32, Fault> {
        if fault.failure().class == "database" && self.shared.storage.wait_until_back().await {
            return Ok(number - 1);
        }
        let wait = match &fault {
            Fault::Fatal { .. } => None,
            Fault::Retry { after, .. } => step.activity.retry().wait(number, *after, rand::random()),
            Fault::Unknown { .. } => step.activity.retry().wait(number, None, rand::random()),
        };
        let data = serde_json::to_value(&fault).unwrap_or_default();
        let told = fault.to_string();
        tracing::info!(run.id = %self.run.id, attempt = number, class = fault.failure().class, "{} failed", step.name);
        let kind = if wait.is_some() {
            EventKind::ActivityAttempted
        } else {
            EventKind::ActivityFailed
        };
        let event = self.step_event(step, kind, number, started);
        self.pending.push(Event {
            data: Some(data),
            ..event
        });
        match wait {
            None => Err(fault),
            Some(wait) => {
                self.pause(format!("retry:{}", step.name), wait, number, told)
                    .await;
                Ok(number)
            }
        }
    }
}

fn count(step: &Step, result: &Result<Value, Fault>) {
    let class = match result {
        Ok(_) => "ok".to_owned(),
        Err(fault) => fault.failure().class.clone(),
    };
    metrics::counter!("recado_activity_attempts_total", "activity" => step.name, "result" => class)
        .increment(1);
}
