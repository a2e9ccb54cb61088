//! The journal of a run: what happened, append-only, in order; and the same as replay reads it.
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A `Once` activity is about to call out; from here on it may have happened.
    ActivityIntended,
    /// An attempt failed and may be repeated.
    ActivityAttempted,
    /// Nobody knows whether the last intent happened.
    ActivityUnknown,
    /// The last intent was shown not to have happened, so it may be repeated.
    ActivityReconciled,
    /// The activity has a result.
    ActivityCompleted,
    /// The activity failed for good; the workflow received the fault.
    ActivityFailed,
    /// The run took the head of its lane.
    LaneEntered,
    /// The run gave its place in its lane up.
    LaneLeft,
    /// A worker took the run over from one that had fallen silent, named in `data`.
    TakenOver,
    /// The run cannot go on without a person.
    Parked,
    /// A person asked for another try.
    Retried,
    /// A timer was set; `data` says until when.
    TimerSet,
    /// The time of a timer has come.
    TimerFired,
    /// The run waits for a signal.
    SignalAwaited,
    /// The run took a signal.
    SignalReceived,
    /// No signal came in time.
    SignalTimedOut,
    /// The run started another.
    ChildStarted,
    /// A run that this one started has ended.
    ChildFinished,
    /// A value was recorded, so that a replay sees the same.
    Recorded,
    /// The run was tagged, to be found by it.
    Tagged,
    /// The version of a change that the run goes by.
    VersionMarked,
    /// Which of several things came first.
    RaceWon,
    /// The run took notice that it is to stop.
    Cancelled,
    /// The run is not to go on before it is resumed.
    Paused,
    /// The run may go on.
    Resumed,
    /// A person gave the step its result instead of another try.
    Skipped,
    /// The run began as a copy of another's events up to here; `data` says whose.
    Forked,
    /// Another run answers for this one.
    Merged,
    /// The run took others of its lane along; `data` says which, and what they offered.
    Gathered,
    /// The call was dropped because another run of the lane became ready, to be asked again with what that one offers.
    Superseded,
    /// The run went on as a new one with a journal of its own.
    ContinuedAsNew,
    /// The run was ended by force.
    Terminated,
    /// A person or the owner's policy said what became of an intent of unknown fate.
    ActivityDecided,
}

impl EventKind {
    /// The word in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ActivityIntended => "activity_intended",
            Self::ActivityAttempted => "activity_attempted",
            Self::ActivityUnknown => "activity_unknown",
            Self::ActivityReconciled => "activity_reconciled",
            Self::ActivityCompleted => "activity_completed",
            Self::ActivityFailed => "activity_failed",
            Self::LaneEntered => "lane_entered",
            Self::LaneLeft => "lane_left",
            Self::TakenOver => "taken_over",
            Self::Parked => "parked",
            Self::Retried => "retried",
            Self::TimerSet => "timer_set",
            Self::TimerFired => "timer_fired",
            Self::SignalAwaited => "signal_awaited",
            Self::SignalReceived => "signal_received",
            Self::SignalTimedOut => "signal_timed_out",
            Self::ChildStarted => "child_started",
            Self::ChildFinished => "child_finished",
            Self::Recorded => "recorded",
            Self::Tagged => "tagged",
            Self::VersionMarked => "version_marked",
            Self::RaceWon => "race_won",
            Self::Cancelled => "cancelled",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Skipped => "skipped",
            Self::Forked => "forked",
            Self::Merged => "merged",
            Self::Gathered => "gathered",
            Self::Superseded => "superseded",
            Self::ContinuedAsNew => "continued_as_new",
            Self::Terminated => "terminated",
            Self::ActivityDecided => "activity_decided",
        }
    }

    /// Whether a step ends with it.
    pub(crate) fn concludes(self) -> bool {
        matches!(
            self,
            Self::ActivityCompleted
                | Self::ActivityFailed
                | Self::Skipped
                | Self::Cancelled
                | Self::TimerFired
                | Self::SignalReceived
                | Self::SignalTimedOut
                | Self::ChildFinished
        )
    }

    /// The kind that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        serde_json::from_value(Value::from(word)).ok()
    }
}

/// One event of a run.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its number in the run, from 1, without a gap.
    pub seq: i64,
    /// The step of the workflow that it belongs to: the how-manieth thing that the workflow asked its context for.
    pub op: Option<i64>,
    /// What it says.
    pub kind: EventKind,
    /// The activity, or what else the step is about.
    pub name: Option<String>,
    /// The hash of the step's input.
    pub hash: Option<String>,
    /// The attempt, from 1.
    pub attempt: Option<i64>,
    /// When that attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was written down.
    pub at: DateTime<Utc>,
    /// The step's input, on the first event that shows it.
    pub input: Option<Value>,
    /// The result, the fault, or what else the kind needs.
    pub data: Option<Value>,
}

impl Event {
    /// An event that says no more than its kind.
    pub(crate) fn new(seq: i64, op: Option<i64>, kind: EventKind, at: DateTime<Utc>) -> Self {
        Self {
            seq,
            op,
            kind,
            name: None,
            hash: None,
            attempt: None,
            started_at: None,
            at,
            input: None,
            data: None,
        }
    }
}

/// The journal of a run, by step.
#[derive(Debug, Default)]
pub(crate) struct History {
    steps: HashMap<i64, Vec<Event>>,
    last_seq: i64,
    last_op: i64,
    lane: LaneHold,
    /// Since when it is the head of its lane.
    entered_at: Option<DateTime<Utc>>,
    /// What was gathered, and after which step.
    gathered: Vec<(i64, Value)>,
    /// Signals that were received, by number.
    consumed: HashSet<i64>,
    versions: HashMap<String, bool>,
    tags: HashMap<String, String>,
    children: bool,
}

/// What the journal says of the run's place in its lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LaneHold {
    #[default]
    NotEntered,
    Held,
    /// It was held, and lost when the run was parked; the workflow still believes that it holds it.
    Lost,
}

impl History {
    pub(crate) fn new(events: Vec<Event>) -> Self {
        let mut history = Self::default();
        for event in events {
            history.last_seq = history.last_seq.max(event.seq);
            match (event.kind, event.op) {
                (EventKind::LaneEntered, _) => {
                    history.lane = LaneHold::Held;
                    history.entered_at = Some(event.at);
                }
                (EventKind::Gathered, _) => {
                    let runs = event.data.as_ref().and_then(|data| data.get("runs")).cloned();
                    history.gathered.extend(number(&event, "after").zip(runs));
                }
                (EventKind::LaneLeft, _) => history.lane = LaneHold::Lost,
                (EventKind::SignalReceived | EventKind::ActivityDecided, _) => {
                    history.consumed.extend(number(&event, "n"));
                }
                (EventKind::VersionMarked, _) => {
                    history
                        .versions
                        .extend(event.name.clone().map(|name| (name, true)));
                }
                (EventKind::Tagged, _) => {
                    let value = event.data.as_ref().and_then(Value::as_str).map(str::to_owned);
                    history.tags.extend(event.name.clone().zip(value));
                }
                (EventKind::ChildStarted, _) => {
                    let on_close = event
                        .data
                        .as_ref()
                        .and_then(|data| data.get("on_close")?.as_str());
                    history.children |= on_close.is_some_and(|on_close| on_close != "abandon");
                }
                _ => {}
            }
            if let Some(op) = event.op {
                history.last_op = history.last_op.max(op);
                history.steps.entry(op).or_default().push(event);
            }
        }
        history
    }

    pub(crate) fn last_seq(&self) -> i64 {
        self.last_seq
    }

    /// The last step that the journal knows.
    pub(crate) fn last_op(&self) -> i64 {
        self.last_op
    }

    /// Says that no step follows.
    #[cfg(feature = "testing")]
    pub(crate) fn end(&mut self) {
        self.last_op = i64::MAX;
    }

    pub(crate) fn lane(&self) -> LaneHold {
        self.lane
    }

    /// Since when it is the head of its lane, if it is.
    pub(crate) fn entered_at(&self) -> Option<DateTime<Utc>> {
        self.entered_at
    }

    /// Takes what was gathered after step `op`, the earliest first; replay needs each once.
    pub(crate) fn take_gathered(&mut self, op: i64) -> Option<Value> {
        let index = self.gathered.iter().position(|(after, _)| *after == op)?;
        Some(self.gathered.remove(index).1)
    }

    /// Takes the events of step `op` if it was superseded.
    pub(crate) fn take_superseded(&mut self, op: i64) -> Option<Vec<Event>> {
        let events = self.steps.get(&op)?;
        let superseded = events.iter().any(|event| event.kind == EventKind::Superseded);
        superseded.then(|| self.take(op))
    }

    /// Takes the events of step `op`; replay needs each once.
    pub(crate) fn take(&mut self, op: i64) -> Vec<Event> {
        self.steps.remove(&op).unwrap_or_default()
    }

    /// The first step that the journal knows and nobody asked for.
    pub(crate) fn left_over(&self) -> Option<(i64, &Event)> {
        self.steps
            .iter()
            .filter_map(|(op, events)| Some((*op, events.first()?)))
            .min_by_key(|(op, _)| *op)
    }

    /// The signals that the workflow has received, by number.
    pub(crate) fn consumed(&self) -> &HashSet<i64> {
        &self.consumed
    }

    /// Whether children were started whose fate depends on the run's end.
    pub(crate) fn has_children(&self) -> bool {
        self.children
    }

    /// Whether the run goes the new way of a change, if that is known.
    pub(crate) fn version(&self, change: &str) -> Option<bool> {
        self.versions.get(change).copied()
    }

    pub(crate) fn mark_version(&mut self, change: &str, new: bool) {
        self.versions.insert(change.to_owned(), new);
    }

    /// Sets a tag; false if it has that value.
    pub(crate) fn tag(&mut self, name: &str, value: &str) -> bool {
        self.tags.insert(name.to_owned(), value.to_owned()).as_deref() != Some(value)
    }

    /// Which of the steps from `first` to `last` was the first to come to an end, counted from 0.
    pub(crate) fn first_concluded(&self, first: i64, last: i64) -> Option<usize> {
        let concluded = |op: i64| {
            let events = self.steps.get(&op)?;
            let end = events.iter().rfind(|event| event.kind.concludes())?;
            Some((end.seq, (op - first) as usize))
        };
        (first..=last).filter_map(concluded).min().map(|(_, index)| index)
    }

    /// Whether step `op` has an intent to call out whose fate nobody has recorded.
    pub(crate) fn has_open_intent(&self, op: i64) -> bool {
        let last = self.steps.get(&op).and_then(|events| {
            events.iter().rfind(|event| {
                event.kind.concludes()
                    || matches!(
                        event.kind,
                        EventKind::ActivityIntended
                            | EventKind::ActivityAttempted
                            | EventKind::ActivityReconciled
                    )
            })
        });
        last.is_some_and(|event| event.kind == EventKind::ActivityIntended)
    }
}

fn number(event: &Event, field: &str) -> Option<i64> {
    event.data.as_ref()?.get(field)?.as_i64()
}
