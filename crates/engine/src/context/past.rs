//! What the journal says of one step, as replay needs it.
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{Event, EventKind, Failure, Fault};

/// The past of one activity step.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// What the workflow received, if it did.
    pub(super) result: Option<Result<Value, Fault>>,
    /// Attempts that failed since a person last asked for another try.
    pub(super) failed: u32,
    /// The intent to call out whose fate is open (`Once`).
    pub(super) intent: Option<Intent>,
    /// What a person has decided about it.
    pub(super) decided: Option<Decision>,
    /// When the first attempt began, since a person last asked for another try.
    pub(super) first: Option<DateTime<Utc>>,
    /// When the next attempt is due, and why the last one failed.
    pub(super) again_at: Option<DateTime<Utc>>,
    pub(super) told: Option<String>,
}

/// What a person decides about a call of which nobody can tell whether it happened.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    /// It happened, and this is its result.
    Happened(Value),
    /// It did not, or it does not matter: once more.
    Resend,
    /// The workflow receives a fault that [`is_given_up`](Fault::is_given_up).
    GiveUp,
}

impl Decision {
    /// Reads `{"decision", "result"}`.
    pub(super) fn read(data: Option<&Value>) -> Option<Self> {
        let data = data?;
        match data.get("decision")?.as_str()? {
            "happened" => Some(Self::Happened(data.get("result").cloned().unwrap_or_default())),
            "resend" => Some(Self::Resend),
            "give_up" => Some(Self::GiveUp),
            _ => None,
        }
    }
}

/// Until when the event says that the step waits.
pub(super) fn until(event: &Event) -> Option<DateTime<Utc>> {
    let until = event.data.as_ref()?.get("until")?;
    serde_json::from_value(until.clone()).ok()
}

/// An intent whose fate nobody has recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent {
    pub(super) attempt: u32,
    /// When the first intent of the step was committed; what was sent for it cannot be older.
    pub(super) first_at: DateTime<Utc>,
    /// When this one was.
    pub(super) at: DateTime<Utc>,
    /// What the sender itself saw; `None` where it died.
    pub(super) seen_unknown: Option<Unseen>,
    /// Since when its fate is being looked for.
    pub(super) held_from: DateTime<Utc>,
}

/// That the sender saw that it cannot know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unseen {
    pub(super) at: DateTime<Utc>,
    /// Whether the other side may still be at it.
    pub(super) under_way: bool,
}

impl Unseen {
    /// Reads the event that says so, whose data is the fault.
    fn read(event: &Event) -> Self {
        let told = event.data.as_ref().and_then(|data| data.get("under_way"));
        Self {
            at: event.at,
            under_way: told.and_then(Value::as_bool).unwrap_or_default(),
        }
    }
}

impl Past {
    /// Reads the events of step `op`, which the workflow now asks for as `name` with an input of `hash`.
    ///
    /// # Errors
    /// When the journal knows the step as something else.
    pub(super) fn read(op: i64, name: &str, hash: &str, events: Vec<Event>) -> Result<Self, Failure> {
        let mut past = Self::default();
        let mut first_intent = None;
        for event in events {
            let recorded = (
                event.name.as_deref().unwrap_or(name),
                event.hash.as_deref().unwrap_or(hash),
            );
            if recorded != (name, hash) {
                let (recorded_name, recorded_hash) = recorded;
                return Err(Failure::new(
                    "replay_mismatch",
                    format!(
                        "step {op}: the journal has {recorded_name} (input {recorded_hash}), the workflow of this \
                         build asks for {name} (input {hash}); run the build that started it, or guard the change"
                    ),
                ));
            }
            let attempt = event.attempt.unwrap_or_default() as u32;
            past.first = past.first.or(event.started_at);
            match event.kind {
                EventKind::ActivityIntended => {
                    let first_at = *first_intent.get_or_insert(event.at);
                    let (at, held_from) = (event.at, event.at);
                    past.intent = Some(Intent {
                        attempt,
                        first_at,
                        at,
                        seen_unknown: None,
                        held_from,
                    });
                    past.decided = None;
                }
                EventKind::ActivityUnknown => {
                    if let Some(intent) = &mut past.intent {
                        intent.seen_unknown = Some(Unseen::read(&event));
                    }
                }
                EventKind::ActivityAttempted | EventKind::ActivityReconciled => {
                    past.failed = attempt;
                    past.intent = None;
                    let again_at = event.data.as_ref().and_then(|data| data.get("again_at"));
                    past.again_at = again_at.and_then(|at| serde_json::from_value(at.clone()).ok());
                    past.told = event.data.and_then(|data| {
                        let fault: Fault = serde_json::from_value(data).ok()?;
                        Some(fault.to_string())
                    });
                }
                EventKind::ActivityCompleted | EventKind::Skipped => {
                    past.result = Some(Ok(event.data.unwrap_or_default()));
                }
                EventKind::ActivityFailed => past.result = Some(Err(fault(event.data))),
                EventKind::Cancelled => past.result = Some(Err(Fault::cancelled())),
                EventKind::ActivityDecided => {
                    past.decided = Decision::read(event.data.as_ref());
                    past.result = past.result.filter(Result::is_ok);
                }
                EventKind::Retried => {
                    // What has succeeded is never run again.
                    past.result = past.result.filter(Result::is_ok);
                    past.failed = 0;
                    (past.first, past.again_at) = (None, None);
                    if let Some(intent) = &mut past.intent {
                        intent.held_from = event.at;
                    }
                }
                _ => {}
            }
        }
        Ok(past)
    }
}

fn fault(data: Option<Value>) -> Fault {
    data.and_then(|data| serde_json::from_value(data).ok())
        .unwrap_or_else(|| Fault::fatal("unreadable", "the recorded fault does not fit this build"))
}
