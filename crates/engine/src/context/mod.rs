//! What a workflow may ask for, and the checkpoint that each answer leaves.
mod activity;
mod ask;
mod call;
mod checkpoint;
mod child;
mod core;
mod ending;
mod fate;
mod gather;
mod join;
mod joint;
mod lane;
mod marks;
mod once;
mod past;
#[cfg(feature = "testing")]
mod probe;
mod pulse;
mod signal;
mod tail;
mod timer;
mod wait;

use std::sync::Arc;

use serde_json::Value;

use self::{
    ask::AnyAsk,
    call::{Call, Step},
    core::lock,
};
pub use self::{
    ask::{Ask, Own},
    child::{Child, ChildRun, OnClose},
    gather::{Gathered, Patience},
    join::{Group, Race},
    signal::{Receive, Signal},
    timer::Sleep,
};
#[cfg(feature = "testing")]
pub(crate) use self::{child::CONTINUED, probe::Rest};
pub(crate) use self::{
    core::{Core, Exit, Leave},
    joint::{Joint, Part},
    pulse::Pulse,
};
use crate::{
    Activity, Failure, Fault, RunId, RunState, engine::Shared, lease::Lease, mailbox::Mailbox,
    registry::Ended, storage::Claimed,
};

/// A workflow's only way to the world. Everything it answers is recorded, and answered the same on replay.
pub struct Context {
    core: Arc<Core>,
    /// The last step that was asked for.
    op: i64,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("run", &self.core.run.id)
            .field("op", &self.op)
            .finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(
        shared: Arc<Shared>,
        lease: Arc<Lease>,
        mailbox: Arc<Mailbox>,
        claimed: Claimed,
    ) -> Self {
        let core = Arc::new(Core::new(shared, lease, mailbox, claimed));
        #[cfg(feature = "testing")]
        core.show();
        Self { core, op: 0 }
    }

    /// The run's id, the same for ever.
    pub fn run_id(&self) -> &RunId {
        &self.core.run.id
    }

    /// Says whose run this is, from the next checkpoint on.
    pub fn tag_owner(&mut self, owner: &str) {
        *lock(&self.core.owner) = Some(owner.to_owned());
    }

    /// Runs an activity to its result, through failures and crashes; on replay, the recorded result.
    ///
    /// # Errors
    /// The activity's fault, when it is fatal or when the retries are exhausted; [`Fault::Cancelled`] where the run is
    /// to be cancelled. A workflow that lets a fault pass is parked, one that lets the cancel pass is cancelled.
    pub async fn run<E, A: Activity<E>>(&mut self, activity: A) -> Result<A::Output, Fault> {
        self.ask(activity).await
    }

    /// Asks for one thing, and waits for it.
    ///
    /// # Errors
    /// As the thing itself says.
    pub async fn ask<M, A: Ask<M>>(&mut self, ask: A) -> Result<A::Output, Fault> {
        let op = self.next(1);
        let value = self.core.answer(op, op, ask.into_any()).await?;
        A::read(value).inspect_err(|fault| self.core.note_failure(op, fault))
    }

    /// Whether the run was told to be cancelled. The first thing that the workflow then asks for answers
    /// [`Fault::Cancelled`], and all that it asks for after that goes on as usual, so that it can put right what it did.
    pub fn cancelled(&self) -> bool {
        *lock(&self.core.cancelled)
    }

    /// Ends this run and goes on as a new one with the input `next`, an empty journal and the same key. Signals that
    /// were not received go with it.
    pub async fn continue_as_new<W: crate::Workflow>(&mut self, next: &W) -> Result<W::Output, Fault> {
        let input = serde_json::to_value(next)
            .map_err(|error| Fault::fatal("unserialisable", format!("the next {}: {error}", W::NAME)))?;
        if W::NAME != self.core.run.workflow {
            return Err(Fault::fatal(
                "another_workflow",
                "a run goes on as the workflow that it is",
            ));
        }
        self.core.leave(Leave::Continued(input)).await
    }

    /// The number of the first of `n` steps.
    fn next(&mut self, n: usize) -> i64 {
        lock(&self.core.failed).clear();
        let first = self.op + 1;
        self.op += n as i64;
        first
    }

    pub(crate) fn exit(&self) -> Arc<Exit> {
        self.core.exit.clone()
    }

    /// Reads what the run was told before it was taken up.
    pub(crate) async fn read_mail(&self) {
        if self.core.run.inbox > 0 {
            while self.core.mailbox.read(&self.core.shared.storage).await.is_err() {
                self.core.shared.storage.wait_until_back().await;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }

    /// Puts the end of a workflow that returned down.
    pub(crate) async fn conclude(&self, result: Result<Ended, Fault>) {
        match result {
            Ok(ended) => match self.left_over() {
                None => self.core.finish(ended).await,
                Some(failure) => self.core.park(failure).await,
            },
            Err(Fault::Cancelled { .. }) => self.core.end_as(RunState::Cancelled).await,
            Err(fault) => self.core.park(fault.failure().clone()).await,
        }
    }

    /// Puts down why a workflow that did not return was left.
    pub(crate) async fn left(&self, reason: Leave) {
        match reason {
            Leave::Suspended | Leave::Lost => {}
            Leave::Parked(failure) => self.core.park(failure).await,
            Leave::Terminated => self.core.end_as(RunState::Terminated).await,
            Leave::Continued(input) => self.core.go_on_as_new(input).await,
        }
    }

    /// What the journal knows and the workflow of this build did not ask for.
    pub(crate) fn left_over(&self) -> Option<Failure> {
        let history = lock(&self.core.history);
        let (op, event) = history.left_over()?;
        let name = event.name.as_deref().unwrap_or(event.kind.as_str());
        Some(Failure::new(
            "replay_mismatch",
            format!("step {op}: the journal has {name}, the workflow of this build ends before it"),
        ))
    }
}

impl Core {
    /// Answers one ask as step `op` of a group that ends with step `last`.
    async fn answer(&self, op: i64, last: i64, ask: AnyAsk) -> Result<Value, Fault> {
        let result = match ask {
            AnyAsk::Activity { name, input } => self.activity(op, last, name, input).await,
            // Boxed, as is what else few steps come to: a step's state is moved about, with room for all of it.
            AnyAsk::Sleep(duration) => Box::pin(self.sleep(op, last, duration)).await,
            AnyAsk::Signal { name, timeout } => Box::pin(self.signal(op, last, name, timeout)).await,
            AnyAsk::Child { workflow, run } => Box::pin(self.child_end(op, last, workflow, run)).await,
            AnyAsk::Broken(fault) => Err(fault),
        };
        if let Err(fault) = &result {
            self.note_failure(op, fault);
        }
        result
    }

    fn note_failure(&self, op: i64, fault: &Fault) {
        lock(&self.failed).push((op, fault.clone()));
    }
}
