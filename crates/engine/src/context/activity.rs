//! An activity to its result: replayed, or attempted until it succeeds or may not be tried again.
use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tracing::{Instrument, Span};

use super::{
    Call, Core, Leave, Part, Step,
    checkpoint::{Draft, StepWork},
    core::Wait,
    past::Past,
    wait::Woken,
};
use crate::{
    Effect, Event, EventKind, Fault, canonical, classes, crash, spans,
    storage::{after, now},
    surroundings::chance,
};

/// How often an attempt's progress is written down.
const PROGRESS: Duration = Duration::from_millis(500);

impl Core {
    pub(super) async fn activity(
        &self,
        op: i64,
        last: i64,
        name: &'static str,
        input: Value,
    ) -> Result<Value, Fault> {
        let hash = canonical::hash(&input);
        let events = self.recall(op, last, name).await;
        let shown = self.shared.replays_only.then(|| both_inputs(&events, &input));
        let past = match Past::read(op, name, &hash, events) {
            Ok(past) => past,
            Err(mut failure) => {
                failure.message.extend(shown);
                return self.leave(Leave::Parked(failure)).await;
            }
        };
        if let Some(result) = past.result {
            if matches!(result, Err(Fault::Cancelled { .. })) {
                self.deliver_cancel();
            }
            return result;
        }
        self.goes_on(op, name).await;
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
        // A retry that is not due yet, because a signal woke the run before its time.
        if let Some(due) = past.again_at.filter(|_| past.intent.is_none()) {
            Box::pin(self.until(&step, past.failed, due, past.told.clone())).await?;
        }
        match step.activity.effect() {
            Effect::Once => Box::pin(self.once(step, past)).await,
            _ => self.repeat(step, past).await,
        }
    }

    /// Attempts that may simply be repeated.
    async fn repeat(&self, step: Step, past: Past) -> Result<Value, Fault> {
        let effect = step.activity.effect();
        let (mut failed, first) = (past.failed, past.first.unwrap_or_else(now));
        loop {
            self.may_act(step.op, step.name).await?;
            if effect == Effect::Idempotent {
                self.flush(None).await;
            }
            let (number, started) = (failed + 1, now());
            let span = spans::attempt(step.name, number);
            let result = match effect {
                Effect::Database => {
                    let work = Box::pin(self.in_transaction(&step, number, started));
                    work.instrument(span.clone()).await
                }
                _ => {
                    let work = self.attempt_or_cancel(&step, number, started);
                    work.instrument(span.clone()).await?
                }
            };
            spans::attempted(span, &result);
            count(&step, started, &result);
            match result {
                Ok(value) => {
                    if effect != Effect::Database {
                        self.note(Event {
                            data: Some(value.clone()),
                            ..self.step_event(&step, EventKind::ActivityCompleted, number, started)
                        })
                        .await;
                    }
                    if effect == Effect::Idempotent {
                        self.flush(None).await;
                    }
                    return Ok(value);
                }
                Err(fault) => {
                    let waiting = self.after_failure(&step, number, started, first, fault);
                    failed = Box::pin(waiting).await?;
                }
            }
        }
    }

    /// One attempt that the cancel of the run may break off.
    async fn attempt_or_cancel(
        &self,
        step: &Step,
        number: u32,
        started: DateTime<Utc>,
    ) -> Result<Result<Value, Fault>, Fault> {
        let mut mail = self.mailbox.listen();
        let work = self.attempt(self.call(step, number, started, None));
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return Ok(result),
                _ = mail.changed() => if self.is_to_be_cancelled() {
                    self.may_act(step.op, step.name).await?;
                }
            }
        }
    }

    pub(super) fn call(
        &self,
        step: &Step,
        number: u32,
        started: DateTime<Utc>,
        intended_at: Option<DateTime<Utc>>,
    ) -> Call {
        let limit = step.activity.timeout();
        Call {
            run: self.run.id.clone(),
            owner: self.owner(),
            op: step.op,
            name: step.name,
            number,
            started,
            intended_at,
            input: step.input.clone(),
            activity: step.activity.clone(),
            pulse: Arc::default(),
            within: Span::current(),
            limit: if intended_at.is_some() {
                limit.min(self.shared.settings.request_timeout)
            } else {
                limit
            },
        }
    }

    /// One attempt outside of any transaction. If it takes long, the run says that it waits for it; what it tells of
    /// its progress is written down for the next attempt.
    pub(super) async fn attempt(&self, call: Call) -> Result<Value, Fault> {
        let silence = call.activity.heartbeat();
        if silence.is_some() {
            call.pulse.begin(
                self.shared
                    .storage
                    .progress(&call.run, call.op)
                    .await
                    .ok()
                    .flatten(),
            );
        }
        let attempt = call.attempt(None);
        let work = crash::call(
            || call.told(),
            call.in_time(call.activity.run(&call.input, &attempt)),
        );
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => return result,
            () = tokio::time::sleep(self.shared.settings.visible_after) => {}
        }
        let until = after(call.started, call.limit);
        let update = self.running(format!("activity:{}", call.name), call.number, Some(until), None);
        self.send(Some(update)).await;
        let Some(silence) = silence else {
            return work.await;
        };
        loop {
            let quiet = silence.saturating_sub(call.pulse.silent_for());
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(PROGRESS.min(quiet)) => {}
            }
            if call.pulse.silent_for() >= silence {
                let told = format!(
                    "{} gave no sign of life for {} s",
                    call.name,
                    silence.as_secs_f32()
                );
                return Err(call.too_late("heartbeat_timeout", told));
            }
            self.write_progress(&call).await;
        }
    }

    async fn write_progress(&self, call: &Call) {
        let Some(details) = call.pulse.take_news() else {
            return;
        };
        let storage = &self.shared.storage;
        if let Err(error) = storage
            .write_progress(&call.run, self.run.epoch, call.op, details)
            .await
        {
            tracing::warn!(run.id = %self.run.id, %error, "the progress of {} was not written down", call.name);
        }
    }

    /// One attempt whose writes and whose checkpoint commit together.
    async fn in_transaction(&self, step: &Step, number: u32, started: DateTime<Utc>) -> Result<Value, Fault> {
        let completed = self.step_event(step, EventKind::ActivityCompleted, number, started);
        let epoch = self.run.epoch;
        let call = self.call(step, number, started, None);
        if step.activity.together() {
            let done = self.transact_jointly(Part::Run, call, completed, None).await;
            return done.map(|event| event.data.unwrap_or_default());
        }
        let work = move |draft: Draft| -> StepWork {
            let call = call.clone();
            Box::new(move |tx| {
                Box::pin(async move {
                    let attempt = call.attempt(Some(tx));
                    let work = call.in_time(call.activity.run(&call.input, &attempt));
                    let value = crash::call(|| call.told(), work).await?;
                    let event = Event {
                        at: now(),
                        data: Some(value),
                        ..draft.event.clone()
                    };
                    Ok((event.clone(), draft.append(&call.run, epoch, event)))
                })
            })
        };
        self.transact(completed, work)
            .await
            .map(|event| event.data.unwrap_or_default())
    }

    /// Records a failed attempt and waits for the next. Returns the number of attempts that have failed.
    ///
    /// # Errors
    /// The fault itself, when there is to be no other attempt.
    pub(super) async fn after_failure(
        &self,
        step: &Step,
        number: u32,
        started: DateTime<Utc>,
        first: DateTime<Utc>,
        fault: Fault,
    ) -> Result<u32, Fault> {
        if fault.is_of_database() && self.shared.storage.wait_until_back().await {
            return Ok(number - 1);
        }
        let retry = step.activity.retry();
        let wait = match &fault {
            Fault::Fatal { .. } | Fault::Cancelled { .. } => None,
            _ if retry.is_final(&fault.failure().class) => None,
            Fault::Retry { after, .. } => retry.wait(number, *after, chance()),
            Fault::Unknown { .. } => retry.wait(number, None, chance()),
        };
        let wait = wait.filter(|wait| {
            let deadline = step.activity.deadline().map(|deadline| after(first, deadline));
            deadline.is_none_or(|deadline| after(now(), *wait) < deadline)
        });
        tracing::info!(run.id = %self.run.id, attempt = number, class = fault.failure().class, "{} failed", step.name);
        let Some(wait) = wait else {
            let failed = self.step_event(step, EventKind::ActivityFailed, number, started);
            return Err(self.fail(step, failed, fault).await);
        };
        let due = after(now(), wait);
        let mut data = serde_json::to_value(&fault).unwrap_or_default();
        if let Some(data) = data.as_object_mut() {
            data.insert(
                "again_at".to_owned(),
                serde_json::to_value(due).unwrap_or_default(),
            );
        }
        self.note(Event {
            data: Some(data),
            ..self.step_event(step, EventKind::ActivityAttempted, number, started)
        })
        .await;
        self.until(step, number, due, Some(fault.to_string())).await?;
        Ok(number)
    }

    /// Gives up: the workflow receives the fault, which is returned.
    pub(super) async fn fail(&self, step: &Step, failed: Event, fault: Fault) -> Fault {
        let failed = Event {
            data: serde_json::to_value(&fault).ok(),
            ..failed
        };
        // What a call means that may have happened after all is not decided here.
        if step.activity.effect() == Effect::Once && !matches!(fault, Fault::Unknown { .. }) {
            self.fail_with_writes(step, failed, &fault).await;
        } else {
            self.note(failed).await;
        }
        fault
    }

    /// Waits for the time of the next attempt.
    async fn until(
        &self,
        step: &Step,
        failed: u32,
        due: DateTime<Utc>,
        told: Option<String>,
    ) -> Result<(), Fault> {
        loop {
            let seen = self.mailbox.seen();
            self.may_act(step.op, step.name).await?;
            let wait = Wait {
                reason: format!("retry:{}", step.name),
                until: Some(due),
                attempt: failed,
                error: told.clone(),
            };
            if self.wait(step.op, wait, seen).await == Woken::Due {
                return Ok(());
            }
        }
    }
}

/// For a replay test; the error of a real run does not tell its documents in the clear.
fn both_inputs(events: &[Event], asked: &Value) -> String {
    let recorded = events.iter().find_map(|event| event.input.as_ref());
    let recorded = recorded.map_or_else(|| "nothing".to_owned(), canonical::sorted);
    format!(
        "\n  recorded: {recorded}\n  asked:    {}",
        canonical::sorted(asked)
    )
}

/// Counts an attempt that began at `started`.
pub(super) fn count(step: &Step, started: DateTime<Utc>, result: &Result<Value, Fault>) {
    let class = match result {
        Ok(_) => "ok".to_owned(),
        Err(fault) => classes::label(&fault.failure().class),
    };
    metrics::counter!("recado_activity_attempts_total", "activity" => step.name, "result" => class)
        .increment(1);
    metrics::histogram!("recado_activity_seconds", "activity" => step.name)
        .record((now() - started).as_seconds_f64().max(0.0));
}
