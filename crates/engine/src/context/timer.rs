//! Waiting for nothing but time.
use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Context, Core,
    ask::{AnyAsk, Ask, Own},
    core::Wait,
    past,
    wait::Woken,
};
use crate::{
    Event, EventKind, Fault,
    storage::{after, now},
};

const NAME: &str = "sleep";

/// A wait, as something to join or to race with.
#[derive(Clone, Copy, Debug)]
pub struct Sleep(pub Duration);

impl Ask<Own> for Sleep {
    type Output = ();

    fn into_any(self) -> AnyAsk {
        AnyAsk::Sleep(self.0)
    }

    fn read(_: Value) -> Result<(), Fault> {
        Ok(())
    }
}

impl Context {
    /// Waits. A long wait costs no memory, and goes on through restarts; it ends when it would have, not later.
    ///
    /// # Errors
    /// [`Fault::Cancelled`].
    pub async fn sleep(&mut self, duration: Duration) -> Result<(), Fault> {
        self.ask(Sleep(duration)).await
    }
}

impl Core {
    pub(super) async fn sleep(&self, op: i64, last: i64, duration: Duration) -> Result<Value, Fault> {
        let events = self.recall_named(op, last, NAME).await;
        if self.was_cancelled(&events) {
            return Err(Fault::cancelled());
        }
        if events.iter().any(|event| event.kind == EventKind::TimerFired) {
            return Ok(Value::Null);
        }
        let until = match events.iter().find_map(past::until) {
            Some(until) => until,
            None => {
                self.may_act(op, NAME).await?;
                let until = after(now(), duration);
                self.note(Event {
                    name: Some(NAME.to_owned()),
                    data: Some(json!({ "until": until })),
                    ..Self::event(Some(op), EventKind::TimerSet)
                })
                .await;
                until
            }
        };
        loop {
            let seen = self.mailbox.seen();
            self.may_act(op, NAME).await?;
            let wait = Wait {
                reason: "timer".to_owned(),
                until: Some(until),
                attempt: 0,
                error: None,
            };
            if self.wait(op, wait, seen).await == Woken::Due {
                break;
            }
        }
        self.note(Event {
            name: Some(NAME.to_owned()),
            ..Self::event(Some(op), EventKind::TimerFired)
        })
        .await;
        Ok(Value::Null)
    }

    /// Whether the cancel was told at the step of `events`; then it has been told now.
    pub(super) fn was_cancelled(&self, events: &[Event]) -> bool {
        let told = events.iter().any(|event| event.kind == EventKind::Cancelled);
        if told {
            self.deliver_cancel();
        }
        told
    }
}
