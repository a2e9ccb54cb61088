//! A run in a worker's memory: what all its branches share.
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::tail::Tail;
use crate::{
    Event, EventKind, Failure, Fault, Run,
    engine::Shared,
    journal::{History, LaneHold},
    lease::Lease,
    mailbox::Mailbox,
    storage::{Claimed, now},
};

/// Why a run is dropped from memory before its workflow has returned.
#[derive(Debug)]
pub(crate) enum Leave {
    /// It waits, and the database says for what.
    Suspended,
    /// Somebody else holds it.
    Lost,
    /// It cannot go on without a person.
    Parked(Failure),
    /// It was told to end at once.
    Terminated,
    /// It goes on as a new run with this input.
    Continued(Value),
}

/// The way out of a workflow that must not notice it.
#[derive(Debug, Default)]
pub(crate) struct Exit {
    reason: Mutex<Option<Leave>>,
    left: Notify,
}

impl Exit {
    /// Whether the run is about to leave.
    pub(super) fn is_open(&self) -> bool {
        lock(&self.reason).is_some()
    }

    /// Waits until the run leaves.
    pub(crate) async fn left(&self) -> Leave {
        loop {
            self.left.notified().await;
            if let Some(reason) = lock(&self.reason).take() {
                return reason;
            }
        }
    }
}

/// What a branch waits for.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    pub(super) reason: String,
    pub(super) until: Option<DateTime<Utc>>,
    pub(super) attempt: u32,
    pub(super) error: Option<String>,
}

/// A branch that waits, and the number of the last signal that it knew of when it began to.
#[derive(Clone, Debug)]
pub(super) struct Idling {
    pub(super) wait: Wait,
    #[cfg_attr(
        not(feature = "testing"),
        expect(dead_code, reason = "the test kit asks for it")
    )]
    pub(super) seen: i64,
}

/// The branches of a run: one, or as many as a join or a race has.
#[derive(Debug)]
pub(super) struct Branches {
    pub(super) live: usize,
    /// Those that wait for something that only time or a signal brings, by step.
    pub(super) idle: HashMap<i64, Idling>,
    /// Whether a race has been won whose losers are still there. Only one that must come to its end may let the run
    /// sleep; the others are about to be dropped.
    pub(super) decided: bool,
}

/// What the branches of a run share. Cheap to share, because every method takes `&self`.
pub(crate) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) lease: Arc<Lease>,
    pub(super) run: Run,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) owner: Mutex<Option<String>>,
    pub(super) history: Mutex<History>,
    pub(super) lane: Mutex<LaneHold>,
    /// Since when it is the head of its lane.
    pub(super) entered_at: Mutex<Option<DateTime<Utc>>>,
    /// The pen: whoever holds it writes the next event.
    pub(super) tail: tokio::sync::Mutex<Tail>,
    pub(super) exit: Arc<Exit>,
    /// The steps of the present group that failed, and how.
    pub(super) failed: Mutex<Vec<(i64, Fault)>>,
    pub(super) branches: Mutex<Branches>,
    /// Told whenever a branch ends.
    pub(super) ended: watch::Sender<u64>,
    /// Steps that are on their way to the disk or to the outside, and must not be dropped now.
    pub(super) bound: Mutex<HashSet<i64>>,
    /// Steps whose intent to call out is open; a race does not drop them.
    pub(super) intended: Mutex<HashSet<i64>>,
    /// Steps that have lost the present race.
    pub(super) lost: Mutex<HashSet<i64>>,
    /// Signals that the workflow has received.
    pub(super) consumed: Mutex<HashSet<i64>>,
    /// Whether the cancel has been told to the workflow.
    pub(super) cancelled: Mutex<bool>,
    /// Whether there are children whose fate depends on this run's end.
    pub(super) children: Mutex<bool>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub(super) fn new(
        shared: Arc<Shared>,
        lease: Arc<Lease>,
        mailbox: Arc<Mailbox>,
        claimed: Claimed,
    ) -> Self {
        let (events, unreadable) = match claimed.events {
            Ok(events) => (events, None),
            Err(unreadable) => (Vec::new(), Some(unreadable)),
        };
        let history = History::new(events);
        let last_seq = unreadable
            .as_ref()
            .map_or(history.last_seq(), |unreadable| unreadable.last_seq);
        let mut tail = Tail::new(last_seq);
        if let Some(from) = claimed.taken_from {
            tail.push(Event {
                data: Some(Value::from(from)),
                ..Event::new(0, None, EventKind::TakenOver, now())
            });
        }
        Self {
            shared,
            lease,
            mailbox,
            owner: Mutex::new(claimed.run.owner.clone()),
            // What cannot be read may hold its lane.
            lane: Mutex::new(unreadable.map_or(history.lane(), |_| LaneHold::Held)),
            entered_at: Mutex::new(history.entered_at()),
            consumed: Mutex::new(history.consumed().clone()),
            children: Mutex::new(history.has_children()),
            history: Mutex::new(history),
            run: claimed.run,
            tail: tokio::sync::Mutex::new(tail),
            exit: Arc::default(),
            failed: Mutex::default(),
            branches: Mutex::new(Branches {
                live: 1,
                idle: HashMap::new(),
                decided: false,
            }),
            ended: watch::Sender::default(),
            bound: Mutex::default(),
            intended: Mutex::default(),
            lost: Mutex::default(),
            cancelled: Mutex::default(),
        }
    }

    pub(super) fn owner(&self) -> Option<String> {
        lock(&self.owner).clone()
    }

    /// Leaves the workflow for good: whoever awaits this is dropped, with all branches.
    pub(super) async fn leave<T>(&self, reason: Leave) -> T {
        let mut ended = self.ended.subscribe();
        // What is on its way to the outside or to the disk is not dropped.
        while !matches!(reason, Leave::Lost) && !lock(&self.bound).is_empty() {
            let _ = ended.changed().await;
        }
        self.leave_now(reason).await
    }

    /// The same, whatever else is under way.
    pub(super) async fn leave_now<T>(&self, reason: Leave) -> T {
        *lock(&self.exit.reason) = Some(reason);
        self.exit.left.notify_one();
        std::future::pending().await
    }

    /// Keeps step `op` from being dropped until the guard is.
    pub(super) fn bind(&self, op: i64) -> Bound<'_> {
        let new = lock(&self.bound).insert(op);
        Bound { core: self, op, new }
    }

    /// Says that something has changed that another branch may wait for.
    pub(super) fn stir(&self) {
        self.ended.send_modify(|n| *n += 1);
    }

    /// What the journal says of step `op`, the last of whose group is `last`.
    ///
    /// Leaves where the journal goes on without it: the workflow of this build asks for something new.
    pub(super) async fn recall(&self, op: i64, last: i64, name: &str) -> Vec<Event> {
        let (events, goes_on) = {
            let mut history = lock(&self.history);
            (history.take(op), last < history.last_op())
        };
        if events.is_empty() && goes_on {
            let told = format!(
                "step {op}: the journal goes on after it without {name}, which the workflow of this build asks for"
            );
            return self
                .leave(Leave::Parked(Failure::new("replay_mismatch", told)))
                .await;
        }
        events
    }

    /// The same for a step that is known by its name alone.
    pub(super) async fn recall_named(&self, op: i64, last: i64, name: &str) -> Vec<Event> {
        let events = self.recall(op, last, name).await;
        let other = events
            .iter()
            .find_map(|event| event.name.as_deref().filter(|recorded| *recorded != name));
        match other {
            None => events,
            Some(recorded) => {
                let told = format!(
                    "step {op}: the journal has {recorded}, the workflow of this build asks for {name}; run the build \
                     that started it, or guard the change"
                );
                self.leave(Leave::Parked(Failure::new("replay_mismatch", told)))
                    .await
            }
        }
    }

    /// Leaves where the run is only replayed: here the journal ends, and the workflow asks for more.
    pub(super) async fn goes_on(&self, op: i64, name: &str) {
        if self.shared.replays_only {
            let told = format!(
                "step {op}: the journal ends before {name}, which the workflow of this build asks for"
            );
            self.leave_now(Leave::Parked(Failure::new("journal_ends", told)))
                .await
        }
    }

    /// Whether a new step may begin: not while the run is paused, and not when it is to end.
    ///
    /// # Errors
    /// The cancel, once.
    pub(super) async fn may_act(&self, op: i64, name: &str) -> Result<(), Fault> {
        self.goes_on(op, name).await;
        loop {
            let orders = self.mailbox.orders();
            if orders.terminate {
                return self.leave(Leave::Terminated).await;
            }
            if orders.cancel && self.deliver_cancel() {
                self.note(Event {
                    name: Some(name.to_owned()),
                    ..Event::new(0, Some(op), EventKind::Cancelled, now())
                })
                .await;
                return Err(Fault::cancelled());
            }
            if !orders.paused {
                return Ok(());
            }
            let wait = Wait {
                reason: "resume".to_owned(),
                until: None,
                attempt: 0,
                error: None,
            };
            Box::pin(self.wait(op, wait, orders.seen)).await;
        }
    }

    /// Whether a cancel is waiting to be told, without telling it.
    pub(super) fn is_to_be_cancelled(&self) -> bool {
        self.mailbox.orders().cancel && !*lock(&self.cancelled)
    }

    /// Notes that the workflow learns of the cancel now; false if it has before.
    pub(super) fn deliver_cancel(&self) -> bool {
        !std::mem::replace(&mut *lock(&self.cancelled), true)
    }
}

/// A step that must not be dropped.
pub(super) struct Bound<'a> {
    core: &'a Core,
    op: i64,
    new: bool,
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        if self.new {
            lock(&self.core.bound).remove(&self.op);
            self.core.stir();
        }
    }
}
