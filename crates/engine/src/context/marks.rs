//! Small things that a workflow may not ask the world for itself, and what it says about itself.
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Context, Core, Leave, core::lock};
use crate::{Event, EventKind, Failure, storage};

impl Context {
    /// The time, recorded, so that a replay sees the same.
    pub async fn now(&mut self) -> DateTime<Utc> {
        let op = self.next(1);
        let events = self.core.recall_named(op, op, "now").await;
        let recorded = events.iter().find_map(|event| {
            let data = event
                .data
                .as_ref()
                .filter(|_| event.kind == EventKind::Recorded)?;
            serde_json::from_value(data.clone()).ok()
        });
        if let Some(at) = recorded {
            return at;
        }
        let at = storage::now();
        self.core
            .note(Event {
                name: Some("now".to_owned()),
                data: serde_json::to_value(at).ok(),
                ..Core::event(Some(op), EventKind::Recorded)
            })
            .await;
        at
    }

    /// A new id: 32 hexadecimal digits that no other step of any run has, and that a replay finds again.
    pub fn id(&mut self) -> String {
        let op = self.next(1);
        let digest = Sha256::digest(format!("{}/{op}", self.core.run.id).as_bytes());
        digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether this run goes the new way of a change: true for runs that come by here first with a build that knows it,
    /// false for those that an older build took past this place. Once answered, the answer stays.
    pub async fn version(&mut self, change: &str) -> bool {
        let (known, replaying) = {
            let history = lock(&self.core.history);
            (history.version(change), history.last_op() > self.op)
        };
        if let Some(known) = known {
            return known;
        }
        lock(&self.core.history).mark_version(change, !replaying);
        if !replaying {
            self.core
                .note(Event {
                    name: Some(change.to_owned()),
                    ..Core::event(None, EventKind::VersionMarked)
                })
                .await;
        }
        !replaying
    }

    /// Puts a tag on the run, by which it can be searched for; a second value of the same name replaces the first.
    pub async fn tag(&mut self, name: &str, value: &str) {
        if !lock(&self.core.history).tag(name, value) {
            return;
        }
        self.core
            .note(Event {
                name: Some(name.to_owned()),
                data: Some(json!(value)),
                ..Core::event(None, EventKind::Tagged)
            })
            .await;
    }

    /// Publishes something of the workflow's state under a name, to be read while it runs
    /// ([`Storage::values`](crate::Storage::values)). It is written with the next checkpoint. What is too large to be
    /// kept parks the run.
    pub async fn publish(&mut self, name: &str, value: &impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        if let Err(error) = storage::refuse_too_large(&value) {
            let told = format!("what it publishes as {name}: {error}");
            let failure = Failure::new("too_large", told);
            return self.core.leave(Leave::Parked(failure)).await;
        }
        self.core.tail.lock().await.publish(name, value);
    }
}
