//! Runs that a run starts.
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Context, Core, Leave,
    ask::{AnyAsk, Ask, Own, read, written},
    checkpoint::{Draft, First, StepWork},
    core::{Wait, lock},
};
use crate::{
    Event, EventKind, Fault, NewRun, Outcome, Run, RunId, RunState, Workflow,
    run::Parent,
    storage::{Append, now, start_in},
};

/// What a parent's end means for a child that has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnClose {
    /// Nothing: it goes on alone.
    #[default]
    Abandon,
    /// It is cancelled.
    Cancel,
    /// It is terminated.
    Terminate,
}

impl OnClose {
    /// The word in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Abandon => "abandon",
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
        }
    }
}

/// How a child is started.
#[derive(Clone, Debug, Default)]
pub struct Child {
    /// A key that names the child for ever; without one it has a key of its own.
    pub key: Option<String>,
    /// The lane in whose order it takes its turn.
    pub lane: Option<String>,
    /// How many runs of the lane may be past its entrance at the same time; as it was, or one, if absent.
    pub width: Option<u32>,
    /// What the parent's end means for it.
    pub on_close: OnClose,
}

/// A child that was started. Ask the context for it to wait for its end.
#[derive(Debug)]
pub struct ChildRun<W> {
    run: RunId,
    workflow: PhantomData<fn() -> W>,
}

impl<W> ChildRun<W> {
    /// Its id.
    pub fn run_id(&self) -> &RunId {
        &self.run
    }
}

impl<W: Workflow> Ask<Own> for ChildRun<W>
where
    W::Output: Outcome,
{
    type Output = W::Output;

    fn into_any(self) -> AnyAsk {
        AnyAsk::Child {
            workflow: W::NAME,
            run: self.run,
        }
    }

    fn read(value: Value) -> Result<W::Output, Fault> {
        read(W::NAME, value)
    }
}

impl Context {
    /// Starts a child, in the same commit that records it. Wait for it with [`Context::ask`], or let it go.
    ///
    /// # Errors
    /// [`Fault::Cancelled`]; a fatal fault where its input cannot be written.
    pub async fn start<W: Workflow>(&mut self, call: &W, child: Child) -> Result<ChildRun<W>, Fault> {
        let op = self.next(1);
        let input = written(W::NAME, call)?;
        let run = self
            .core
            .start_child(op, W::NAME, input, child)
            .await
            .inspect_err(|fault| lock(&self.core.failed).push((op, fault.clone())))?;
        Ok(ChildRun {
            run,
            workflow: PhantomData,
        })
    }
}

impl Core {
    async fn start_child(
        &self,
        op: i64,
        workflow: &'static str,
        input: Value,
        child: Child,
    ) -> Result<RunId, Fault> {
        let events = self.recall_named(op, op, workflow).await;
        if self.was_cancelled(&events) {
            return Err(Fault::cancelled());
        }
        let started = events.iter().find(|event| event.kind == EventKind::ChildStarted);
        if let Some(run) = started.and_then(|event| event.data.as_ref()?.get("run")?.as_str()) {
            return Ok(RunId::from(run));
        }
        self.may_act(op, workflow).await?;
        let id = RunId::fresh();
        let new = NewRun {
            worker: None,
            key: child.key.unwrap_or_else(|| id.to_string()),
            id,
            workflow: workflow.to_owned(),
            owner: self.owner(),
            lane: child.lane,
            width: child.width,
            input,
            build: self.shared.settings.build.clone(),
            parent: Some(Parent {
                run: self.run.id.clone(),
                op,
                on_close: child.on_close.as_str(),
            }),
        };
        let (epoch, run) = (self.run.epoch, self.run.id.clone());
        let lane = new.lane.clone().map(First::Lane);
        let event = Event {
            name: Some(workflow.to_owned()),
            ..Self::event(Some(op), EventKind::ChildStarted)
        };
        let work = move |draft: Draft| -> StepWork {
            let (new, run) = (new.clone(), run.clone());
            Box::new(move |tx| {
                Box::pin(async move {
                    let started = start_in(tx, &new).await?;
                    let event = Event {
                        data: Some(
                            json!({ "run": started.run, "on_close": new.parent.as_ref().map(|p| p.on_close) }),
                        ),
                        at: now(),
                        ..draft.event.clone()
                    };
                    Ok((event.clone(), draft.append(&run, epoch, event)))
                })
            })
        };
        let event = self.transact_behind(lane, event, work).await?;
        if child.on_close != OnClose::Abandon {
            *lock(&self.children) = true;
        }
        metrics::counter!("recado_runs_started_total", "workflow" => workflow).increment(1);
        self.shared.storage.ready();
        let run = event.data.as_ref().and_then(|data| data.get("run")?.as_str());
        Ok(RunId::from(run.unwrap_or_default()))
    }

    /// The output of a child that has ended.
    pub(super) async fn child_end(
        &self,
        op: i64,
        last: i64,
        workflow: &'static str,
        run: RunId,
    ) -> Result<Value, Fault> {
        let events = self.recall_named(op, last, workflow).await;
        if self.was_cancelled(&events) {
            return Err(Fault::cancelled());
        }
        if let Some(event) = events.iter().find(|event| event.kind == EventKind::ChildFinished) {
            return outcome(workflow, event.data.as_ref());
        }
        let mut child = run;
        loop {
            let seen = self.mailbox.seen();
            self.may_act(op, workflow).await?;
            match self.shared.storage.run(&child).await {
                Ok(Some(run)) if run.state.is_final() => {
                    if let Some(next) = self.continued(&run).await {
                        child = next;
                        continue;
                    }
                    let event = Event {
                        name: Some(workflow.to_owned()),
                        data: Some(
                            json!({ "run": run.id, "state": run.state.as_str(), "output": run.output }),
                        ),
                        ..Self::event(Some(op), EventKind::ChildFinished)
                    };
                    let result = outcome(workflow, event.data.as_ref());
                    self.note(event).await;
                    return result;
                }
                Ok(Some(_)) => {}
                Ok(None) => return Err(Fault::fatal("no_child", format!("the run {child} is gone"))),
                Err(error) => {
                    tracing::warn!(run.id = %self.run.id, %error, "a child cannot be looked at");
                    self.shared.storage.wait_until_back().await;
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            }
            let wait = Wait {
                reason: format!("child:{workflow}"),
                until: None,
                attempt: 0,
                error: None,
            };
            self.wait(op, wait, seen).await;
        }
    }

    /// The run as which a run goes on that did not really end.
    async fn continued(&self, run: &Run) -> Option<RunId> {
        if run.outcome.as_deref() != Some(CONTINUED) {
            return None;
        }
        let output = run.output.as_ref()?;
        output.get("as").and_then(Value::as_str).map(RunId::from)
    }

    /// Ends the run and starts the one that goes on, in one commit.
    pub(super) async fn go_on_as_new(&self, input: Value) {
        let id = RunId::fresh();
        let new = NewRun {
            worker: None,
            id: id.clone(),
            workflow: self.run.workflow.clone(),
            key: self.run.key.clone(),
            owner: self.owner(),
            lane: self.run.lane.clone(),
            width: None,
            input,
            build: self.shared.settings.build.clone(),
            parent: None,
        };
        let event = Event {
            data: Some(json!({ "run": id })),
            ..Self::event(None, EventKind::ContinuedAsNew)
        };
        let update = self.ended_as(CONTINUED, json!({ "as": id }));
        let (run, consumed) = (self.run.clone(), lock(&self.consumed).clone());
        let work = move |draft: Draft| -> StepWork {
            let (new, run, update, consumed) = (new.clone(), run.clone(), update.clone(), consumed.clone());
            Box::new(move |tx| {
                Box::pin(async move {
                    crate::storage::continue_in(tx, &run, &new, &consumed).await?;
                    let event = draft.event.clone();
                    let append = Append {
                        update: Some(update),
                        leave: run.lane.clone().zip(run.place),
                        ..draft.append(&run.id, run.epoch, event.clone())
                    };
                    Ok((event, append))
                })
            })
        };
        // A transaction of a finished workflow has nobody left to take its fault.
        let exit = self.exit.clone();
        let lane = self.run.lane.clone().map(First::Lane);
        tokio::select! {
            biased;
            reason = exit.left() => if let Leave::Parked(failure) = reason {
                Box::pin(self.park(failure)).await;
            },
            result = self.transact_behind(lane, event, work) => match result {
                Ok(_) => {
                    crate::spans::ended(&self.run.id, &self.run.workflow, CONTINUED);
                    self.shared.storage.ready();
                }
                Err(fault) => self.park(fault.failure().clone()).await,
            },
        }
    }
}

/// The outcome of a run that goes on as another.
pub(crate) const CONTINUED: &str = "continued";

fn outcome(workflow: &str, data: Option<&Value>) -> Result<Value, Fault> {
    let field = |name: &str| data.and_then(|data| data.get(name)).cloned().unwrap_or_default();
    match field("state").as_str().and_then(RunState::parse) {
        Some(RunState::Completed | RunState::Failed) => Ok(field("output")),
        Some(state) => Err(Fault::fatal(
            format!("child_{state}"),
            format!("the child {workflow} was {state}"),
        )),
        None => Err(Fault::fatal(
            "unreadable",
            "the recorded end of a child does not fit this build",
        )),
    }
}
