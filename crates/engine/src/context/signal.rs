//! What others tell a run while it is under way.
use std::{marker::PhantomData, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Context, Core,
    ask::{AnyAsk, Ask, Own, read},
    core::{Wait, lock},
    past,
    wait::Woken,
};
use crate::{
    Event, EventKind, Fault,
    storage::{after, now},
};

/// Something that a run can be told by [`Engine::signal`](crate::Engine::signal).
pub trait Signal: Serialize + DeserializeOwned + Send + 'static {
    /// The durable name; it never changes its meaning.
    const NAME: &'static str;
}

/// The receipt of a signal, as something to join or to race with. `None` when the time was up first.
#[derive(Debug)]
pub struct Receive<S> {
    timeout: Option<Duration>,
    signal: PhantomData<fn() -> S>,
}

impl<S: Signal> Receive<S> {
    /// Waits for ever.
    pub fn new() -> Self {
        Self {
            timeout: None,
            signal: PhantomData,
        }
    }

    /// Waits for `timeout` at the most.
    pub fn within(timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..Self::new()
        }
    }
}

impl<S: Signal> Default for Receive<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Signal> Ask<Own> for Receive<S> {
    type Output = Option<S>;

    fn into_any(self) -> AnyAsk {
        AnyAsk::Signal {
            name: S::NAME,
            timeout: self.timeout,
        }
    }

    fn read(value: Value) -> Result<Option<S>, Fault> {
        match value {
            Value::Object(mut received) => {
                read(S::NAME, received.remove("data").unwrap_or_default()).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Context {
    /// Waits for a signal, for ever or for `timeout`. Signals of one name are received in the order in which they were
    /// sent, each once, also those that were sent before anybody waited for them.
    ///
    /// # Errors
    /// [`Fault::Cancelled`]; a fatal fault where what was sent is no `S`.
    pub async fn signal<S: Signal>(&mut self, timeout: Option<Duration>) -> Result<Option<S>, Fault> {
        self.ask(Receive {
            timeout,
            signal: PhantomData,
        })
        .await
    }
}

impl Core {
    /// `{"n", "data"}` of the signal, or null when the time was up.
    pub(super) async fn signal(
        &self,
        op: i64,
        last: i64,
        name: &'static str,
        timeout: Option<Duration>,
    ) -> Result<Value, Fault> {
        let events = self.recall_named(op, last, name).await;
        if self.was_cancelled(&events) {
            return Err(Fault::cancelled());
        }
        for event in &events {
            match event.kind {
                EventKind::SignalReceived => return Ok(event.data.clone().unwrap_or_default()),
                EventKind::SignalTimedOut => return Ok(Value::Null),
                _ => {}
            }
        }
        let until = match events.iter().find_map(past::until) {
            Some(until) => Some(until),
            None => {
                let until = timeout.map(|timeout| after(now(), timeout));
                if events.is_empty() {
                    self.may_act(op, name).await?;
                    self.note_signal(op, name, EventKind::SignalAwaited, json!({ "until": until }))
                        .await;
                }
                until
            }
        };
        loop {
            let seen = self.mailbox.seen();
            self.may_act(op, name).await?;
            if let Some(data) = self.receive(op, name).await {
                return Ok(data);
            }
            if until.is_some_and(|until| until <= now()) {
                self.note_signal(op, name, EventKind::SignalTimedOut, Value::Null)
                    .await;
                return Ok(Value::Null);
            }
            let wait = Wait {
                reason: format!("signal:{name}"),
                until,
                attempt: 0,
                error: None,
            };
            let _: Woken = self.wait(op, wait, seen).await;
        }
    }

    /// Takes the first signal of that name that nobody has received, and writes that down.
    ///
    /// Invariant: it is taken, written down and returned without a pause between, and not by a step that has lost its
    /// race; so that whoever takes a signal is the one that receives it.
    async fn receive(&self, op: i64, name: &str) -> Option<Value> {
        self.next_signal(name)?;
        let mut tail = self.tail.lock().await;
        if lock(&self.lost).contains(&op) {
            drop(tail);
            return std::future::pending().await;
        }
        let signal = self.next_signal(name)?;
        lock(&self.consumed).insert(signal.n);
        let data = json!({ "n": signal.n, "data": signal.data });
        tail.push(Event {
            name: Some(name.to_owned()),
            data: Some(data.clone()),
            ..Self::event(Some(op), EventKind::SignalReceived)
        });
        Some(data)
    }

    /// The first signal of that name that nobody has received.
    fn next_signal(&self, name: &str) -> Option<crate::storage::Signal> {
        let consumed = lock(&self.consumed);
        self.mailbox.find(|signal| {
            signal.kind == "signal" && signal.name.as_deref() == Some(name) && !consumed.contains(&signal.n)
        })
    }

    async fn note_signal(&self, op: i64, name: &str, kind: EventKind, data: Value) {
        self.note(Event {
            name: Some(name.to_owned()),
            data: Some(data),
            ..Self::event(Some(op), kind)
        })
        .await;
    }
}
