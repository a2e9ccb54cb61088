//! What a run's trace is told: spans of the target [`TRACE`], which exist only where a process exports traces.
//!
//! A run has one trace for ever, whichever processes work on it: its id is the trace's, so that nothing need be stored
//! or handed on. Spans name runs, steps and workers, never what a run is about.
use tracing::{Span, field};

use crate::{Fault, Run, RunId, classes};

/// Without a listener of this target its spans cost nothing.
const TRACE: &str = "recado::trace";

/// The time for which a worker holds a run. Its fields stand on every line of the log inside, so that it is there
/// whatever level the log is set to.
pub(crate) fn work(run: &Run) -> Span {
    tracing::error_span!(target: "recado::run", parent: None, "work", run.id = %run.id, trace_id = %run.id.trace_id(), workflow = run.workflow, epoch = run.epoch)
}

/// The time from when a run was ready until a worker had it.
pub(crate) fn claimed(run: &Run, worker: &str) {
    drop(
        tracing::info_span!(target: TRACE, parent: None, "claim", otel.kind = "consumer", run.id = %run.id, worker, epoch = run.epoch, begun = run.since.timestamp_micros()),
    );
}

/// The whole run, above everything that its trace holds. It is told at the run's end.
pub(crate) fn ended(run: &RunId, workflow: &str, outcome: &str) {
    drop(
        tracing::info_span!(target: TRACE, parent: None, "run", otel.name = workflow, root = true, run.id = %run, outcome),
    );
}

/// One attempt at an activity.
pub(crate) fn attempt(activity: &str, number: u32) -> Span {
    tracing::info_span!(target: TRACE, "attempt", otel.name = activity, activity, attempt = number, result = field::Empty, error = field::Empty)
}

/// Says what came of an attempt, and ends it.
pub(crate) fn attempted<T>(span: Span, result: &Result<T, Fault>) {
    match result {
        Ok(_) => span.record("result", "ok"),
        Err(fault) => {
            let class = classes::label(&fault.failure().class);
            span.record("result", class.as_str()).record("error", true)
        }
    };
}

/// The transaction that says that a call is about to go out.
pub(crate) fn intent(activity: &str, number: u32) -> Span {
    tracing::info_span!(target: TRACE, "intent", otel.name = format!("intent {activity}"), activity, attempt = number)
}

/// A look outside for what became of a call.
pub(crate) fn reconcile(activity: &str, number: u32) -> Span {
    tracing::info_span!(target: TRACE, "reconcile", otel.name = format!("reconcile {activity}"), activity, attempt = number)
}

/// The wait for the disk.
pub(crate) fn commit() -> Span {
    tracing::info_span!(target: TRACE, "commit")
}
