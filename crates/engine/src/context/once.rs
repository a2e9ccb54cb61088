//! A call that must not happen twice and that nobody else protects.
//!
//! The intent is on disk before the call; whatever then prevents the answer from being written down, the next one to
//! hold the run finds the intent and asks outside what became of it, before anything is repeated.
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tracing::Instrument;

use super::{
    Core, Part,
    activity::count,
    call::{Call, Step},
    checkpoint::{Broken, Draft, StepWork},
    core::lock,
    fate::Fate,
    past::{Intent, Past, Unseen},
};
use crate::{
    Event, EventKind, Fault, Prepared, spans,
    storage::{Append, now},
};

/// The pauses between two tries: doubled from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often it is tried to let an activity write down what its failure means.
const WRITES: u32 = 8;

impl Core {
    pub(super) async fn once(&self, step: Step, past: Past) -> Result<Value, Fault> {
        let op = step.op;
        let result = self.once_to_its_end(step, past).await;
        lock(&self.intended).remove(&op);
        self.stir();
        result
    }

    async fn once_to_its_end(&self, step: Step, past: Past) -> Result<Value, Fault> {
        let first = past.first.unwrap_or_else(now);
        let Past {
            mut failed,
            intent: mut open,
            decided,
            ..
        } = past;
        let mut decided = decided;
        loop {
            if let Some(intent) = open {
                lock(&self.intended).insert(step.op);
                let call = self.call(&step, intent.attempt, now(), Some(intent.first_at));
                match self.find_out(&call, intent, decided.take()).await {
                    Fate::Happened(value) => return self.conclude(&step, call, value).await,
                    Fate::Undecided(fault) => {
                        return Err(self.fail_after_intent(&step, intent.attempt, fault).await);
                    }
                    Fate::DidNotHappen => {
                        let event = self.step_event(
                            &step,
                            EventKind::ActivityReconciled,
                            intent.attempt,
                            call.started,
                        );
                        self.note(event).await;
                        lock(&self.intended).remove(&step.op);
                        failed = failed.max(intent.attempt);
                        if step.activity.retry().wait(failed, None, 0.0).is_none() {
                            let told =
                                format!("{} did not happen, and its attempts are exhausted", step.name);
                            let fault = Fault::retry("exhausted", told);
                            return Err(self.fail_after_intent(&step, failed, fault).await);
                        }
                    }
                }
            }
            self.may_act(step.op, step.name).await?;
            let (number, started) = (failed + 1, now());
            lock(&self.intended).insert(step.op);
            let intent = self.intend(&step, number, started);
            let intended = match intent.instrument(spans::intent(step.name, number)).await {
                Ok(event) if event.kind == EventKind::ActivityCompleted => {
                    return Ok(event.data.unwrap_or_default());
                }
                Ok(event) => event,
                Err(fault) => {
                    lock(&self.intended).remove(&step.op);
                    failed = self.after_failure(&step, number, started, first, fault).await?;
                    open = None;
                    continue;
                }
            };
            let first_at = open.map_or(intended.at, |intent| intent.first_at);
            let call = self.call(&step, number, started, Some(first_at));
            let result = if self.may_still_call(intended.at) {
                let _bound = self.bind(step.op);
                let begun = now();
                let span = spans::attempt(step.name, number);
                let result = self.attempt(call.clone()).instrument(span.clone()).await;
                spans::attempted(span, &result);
                count(&step, begun, &result);
                result
            } else {
                // Nothing has left this process.
                Err(Fault::retry(
                    "lease",
                    "the lease was too short to send; nothing was sent",
                ))
            };
            open = match result {
                Ok(value) => return self.conclude(&step, call, value).await,
                Err(Fault::Unknown { failure, under_way }) => {
                    let event = self.step_event(&step, EventKind::ActivityUnknown, number, started);
                    let at = event.at;
                    let mut data = serde_json::to_value(&failure).unwrap_or_default();
                    if let Some(data) = data.as_object_mut().filter(|_| under_way) {
                        data.insert("under_way".to_owned(), true.into());
                    }
                    self.note(Event {
                        data: Some(data),
                        ..event
                    })
                    .await;
                    Some(Intent {
                        attempt: number,
                        first_at,
                        at: intended.at,
                        seen_unknown: Some(Unseen { at, under_way }),
                        held_from: at,
                    })
                }
                Err(fault) => {
                    lock(&self.intended).remove(&step.op);
                    failed = self.after_failure(&step, number, started, first, fault).await?;
                    None
                }
            };
        }
    }

    /// Commits the intent, and what the activity prepares with it. The event tells whether there is anything to call.
    async fn intend(&self, step: &Step, number: u32, started: DateTime<Utc>) -> Result<Event, Fault> {
        let intended = self.step_event(step, EventKind::ActivityIntended, number, started);
        let epoch = self.run.epoch;
        let update = self.running(format!("activity:{}", step.name), number, None, None);
        let call = self.call(step, number, started, None);
        if step.activity.together() {
            return self
                .transact_jointly(Part::Prepare, call, intended, Some(update))
                .await;
        }
        let work = move |draft: Draft| -> StepWork {
            let (call, update) = (call.clone(), update.clone());
            Box::new(move |tx| {
                Box::pin(async move {
                    let attempt = call.attempt(Some(tx));
                    let prepared = call.in_time(call.activity.prepare(&call.input, &attempt)).await?;
                    let intended = draft.event.clone();
                    let event = match prepared {
                        // The clock of the intent starts here, not before the transaction had its turn.
                        Prepared::Go => Event {
                            at: now(),
                            ..intended
                        },
                        Prepared::Settled(value) => Event {
                            kind: EventKind::ActivityCompleted,
                            data: Some(value),
                            ..intended
                        },
                    };
                    let append = Append {
                        update: Some(update),
                        ..draft.append(&call.run, epoch, event.clone())
                    };
                    Ok((event, append))
                })
            })
        };
        self.transact(intended, work).await
    }

    /// Whether nobody else can have taken the run over, and the request is sure to begin within a lease of its intent.
    ///
    /// The residual window: a process frozen between this question and the first byte on the wire.
    fn may_still_call(&self, intended_at: DateTime<Utc>) -> bool {
        let lease = self.shared.settings.lease;
        let age = (now() - intended_at).to_std().unwrap_or_default();
        self.lease.left() > lease / 10 && age < lease
    }

    /// Commits the result, and what the activity writes with it. It has happened: nothing but a fault that will never
    /// go away keeps it from being recorded.
    async fn conclude(&self, step: &Step, call: Call, value: Value) -> Result<Value, Fault> {
        let mut wait = Duration::from_millis(20);
        loop {
            let completed = self.step_event(step, EventKind::ActivityCompleted, call.number, call.started);
            let completed = Event {
                input: None,
                data: Some(value.clone()),
                ..completed
            };
            match self.record(&call, completed).await {
                Ok(event) => return Ok(event.data.unwrap_or_default()),
                Err(fault @ Fault::Fatal { .. }) => {
                    // It happened, so that its failure is nothing to be written by the activity.
                    self.note(Event {
                        data: serde_json::to_value(&fault).ok(),
                        input: None,
                        ..self.step_event(step, EventKind::ActivityFailed, call.number, now())
                    })
                    .await;
                    return Err(fault);
                }
                Err(fault) => {
                    tracing::warn!(run.id = %self.run.id, class = fault.failure().class, "recording {} failed", step.name);
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(1));
                    self.shared.storage.wait_until_back().await;
                }
            }
        }
    }

    async fn record(&self, call: &Call, completed: Event) -> Result<Event, Fault> {
        let epoch = self.run.epoch;
        let call = call.clone();
        if call.activity.together() {
            return self.transact_jointly(Part::Record, call, completed, None).await;
        }
        let work = move |draft: Draft| -> StepWork {
            let call = call.clone();
            Box::new(move |tx| {
                Box::pin(async move {
                    let output = draft.event.data.clone().unwrap_or_default();
                    let attempt = call.attempt(Some(tx));
                    call.in_time(call.activity.record(&call.input, &attempt, &output))
                        .await
                        .map_err(Broken::Fault)?;
                    let event = draft.event.clone();
                    Ok((event.clone(), draft.append(&call.run, epoch, event)))
                })
            })
        };
        self.transact(completed, work).await
    }

    /// The failure of a step whose input stands at its intent.
    async fn fail_after_intent(&self, step: &Step, number: u32, fault: Fault) -> Fault {
        let failed = self.step_event(step, EventKind::ActivityFailed, number, now());
        self.fail(
            step,
            Event {
                input: None,
                ..failed
            },
            fault,
        )
        .await
    }

    /// Commits the failure of the step, and what the activity writes with it. Where that cannot be written, the failure
    /// is noted all the same.
    pub(super) async fn fail_with_writes(&self, step: &Step, failed: Event, fault: &Fault) {
        let epoch = self.run.epoch;
        let number = u32::try_from(failed.attempt.unwrap_or_default()).unwrap_or_default();
        let call = self.call(step, number, now(), None);
        let work = {
            let fault = fault.clone();
            move |draft: Draft| -> StepWork {
                let (call, fault) = (call.clone(), fault.clone());
                Box::new(move |tx| {
                    Box::pin(async move {
                        let attempt = call.attempt(Some(tx));
                        call.in_time(call.activity.failed(&call.input, &attempt, &fault))
                            .await?;
                        let event = draft.event.clone();
                        Ok((event.clone(), draft.append(&call.run, epoch, event)))
                    })
                })
            }
        };
        let mut wait = PAUSES.0;
        for _ in 0..WRITES {
            match self.transact(failed.clone(), &work).await {
                Ok(_) => return,
                Err(broken) => {
                    tracing::warn!(run.id = %self.run.id, class = broken.failure().class, "writing down that {} failed did not succeed", step.name);
                    if !matches!(broken, Fault::Retry { .. }) {
                        break;
                    }
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(PAUSES.1);
            self.shared.storage.wait_until_back().await;
        }
        self.note(failed).await;
    }
}
