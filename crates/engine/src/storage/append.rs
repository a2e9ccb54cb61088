//! A checkpoint, as it travels to the writer.
use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use crate::{Event, Run, RunId, RunState};

/// A checkpoint: events of one run, and what they make of its present state.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) run: RunId,
    pub(crate) epoch: i64,
    pub(crate) events: Vec<Event>,
    pub(crate) update: Option<Update>,
    /// What the run publishes.
    pub(crate) values: Vec<NewValue>,
    /// The place in its lane that the run gives up with this commit.
    pub(crate) leave: Option<(String, i64)>,
    /// Who is told of the run's end.
    pub(crate) parent: Option<RunId>,
    /// Whether the run's end means something for runs that it started.
    pub(crate) children: bool,
}

/// Something that a run publishes under a name.
#[derive(Clone, Debug)]
pub(crate) struct NewValue {
    pub(crate) name: String,
    pub(crate) data: Json,
}

impl Append {
    /// A checkpoint of `event` and of what rides with it, which leaves the run's present state as it is.
    pub(crate) fn of(run: &RunId, epoch: i64, pending: Vec<Event>, event: Event) -> Self {
        let events = pending.into_iter().chain([event]).collect();
        Self {
            run: run.clone(),
            epoch,
            events,
            values: Vec::new(),
            update: None,
            leave: None,
            parent: None,
            children: false,
        }
    }

    /// What it is, in a few words: its last event, or else the state that it brings.
    pub(super) fn told(&self) -> String {
        let event = self.events.last().map(|event| {
            let words = [event.op.map(|op| op.to_string()), event.name.clone()];
            let [op, name] = words.map(Option::unwrap_or_default);
            format!("{op} {} {name}", event.kind.as_str())
        });
        let state = self.update.as_ref().map(|update| match &update.waiting_for {
            Some(reason) => format!("{}, {reason}", update.state),
            None => update.state.to_string(),
        });
        let told = [event, state].into_iter().flatten();
        told.map(|part| part.trim().to_owned())
            .collect::<Vec<_>>()
            .join(": ")
    }
}

/// The new present state of a run.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) state: RunState,
    pub(crate) outcome: Option<String>,
    pub(crate) waiting_for: Option<String>,
    pub(crate) since: DateTime<Utc>,
    pub(crate) until: Option<DateTime<Utc>>,
    pub(crate) attempt: i64,
    pub(crate) owner: Option<String>,
    pub(crate) output: Option<Json>,
    pub(crate) error: Option<String>,
    /// The last signal that the run has read; if there are later ones, it does not go to sleep.
    pub(crate) seen: i64,
}

impl Update {
    /// The run, with this for its present state.
    pub(crate) fn of(self, run: &Run) -> Run {
        Run {
            state: self.state,
            outcome: self.outcome,
            waiting_for: self.waiting_for,
            since: self.since,
            until: self.until,
            attempt: self.attempt,
            owner: self.owner.or_else(|| run.owner.clone()),
            output: self.output,
            error: self.error,
            finished_at: self.state.is_final().then_some(self.since),
            takeovers: 0,
            worker: run.worker.clone().filter(|_| self.state == RunState::Running),
            ..run.clone()
        }
    }
}
