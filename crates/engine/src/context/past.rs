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
}

/// An intent whose fate nobody has recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent {
    pub(super) attempt: u32,
    /// When the first intent of the step was committed; what was sent for it cannot be older.
    pub(super) first_at: DateTime<Utc>,
    /// When this one was.
    pub(super) at: DateTime<Utc>,
    /// When the sender itself saw that it cannot know; `None` where the sender died.
    pub(super) seen_unknown: Option<DateTime<Utc>>,
    /// Since when its fate is being looked for.
    pub(super) held_from: DateTime<Utc>,
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
                }
                EventKind::ActivityUnknown => {
                    if let Some(intent) = &mut past.intent {
                        intent.seen_unknown = Some(event.at);
                    }
                }
                EventKind::ActivityAttempted | EventKind::ActivityReconciled => {
                    past.failed = attempt;
                    past.intent = None;
                }
                EventKind::ActivityCompleted => past.result = Some(Ok(event.data.unwrap_or_default())),
                EventKind::ActivityFailed => past.result = Some(Err(fault(event.data))),
                EventKind::Retried => {
                    // What has succeeded is never run again.
                    past.result = past.result.filter(Result::is_ok);
                    past.failed = 0;
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
