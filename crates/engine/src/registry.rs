//! Which workflows and activities this process knows, with their types erased and the environment bound.
use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;

use crate::{
    Activity, Context, Fault, Outcome, Workflow,
    erased::{AnyActivity, Bound, panicked, unreadable, write},
};

/// How a workflow ended, with its type erased.
pub(crate) struct Ended {
    pub(crate) word: &'static str,
    pub(crate) failed: bool,
    pub(crate) output: Value,
}

type WorkflowFn =
    Box<dyn for<'a> Fn(Value, &'a mut Context) -> BoxFuture<'a, Result<Ended, Fault>> + Send + Sync>;

/// Says why a workflow cannot read an input.
type InputFn = fn(&Value) -> Result<(), String>;

/// What this process can run.
#[derive(Default)]
pub(crate) struct Registry {
    workflows: HashMap<&'static str, WorkflowFn>,
    inputs: HashMap<&'static str, InputFn>,
    activities: HashMap<&'static str, Arc<dyn AnyActivity>>,
    #[cfg(feature = "testing")]
    stand_in: Option<StandIn>,
}

/// What a test puts in the place of the activity of a name, of which this build may have one.
#[cfg(feature = "testing")]
pub(crate) type StandIn =
    Box<dyn Fn(&str, Option<Arc<dyn AnyActivity>>) -> Option<Arc<dyn AnyActivity>> + Send + Sync>;

impl Registry {
    pub(crate) fn workflow<W: Workflow>(&mut self) {
        let run: WorkflowFn = Box::new(|input, ctx| {
            async move {
                let call: W = serde_json::from_value(input).map_err(|error| unreadable(W::NAME, &error))?;
                let output = call.run(ctx).await?;
                Ok(Ended {
                    word: output.word(),
                    failed: output.failed(),
                    output: write(W::NAME, &output)?,
                })
            }
            .boxed()
        });
        self.workflows.insert(W::NAME, run);
        self.inputs.insert(W::NAME, |input| {
            let read = W::deserialize(input).map(drop);
            read.map_err(|error| format!("{} cannot read it: {error}", W::NAME))
        });
    }

    /// Whether this build has the workflow.
    pub(crate) fn knows(&self, workflow: &str) -> bool {
        self.workflows.contains_key(workflow)
    }

    /// The names of the workflows, sorted.
    pub(crate) fn workflows(&self) -> Vec<&'static str> {
        sorted(self.workflows.keys())
    }

    /// The names of the activities, sorted.
    pub(crate) fn activities(&self) -> Vec<&'static str> {
        sorted(self.activities.keys())
    }

    /// Whether the workflow can read `input`; if not, why.
    pub(crate) fn accepts(&self, workflow: &str, input: &Value) -> Result<(), String> {
        self.inputs.get(workflow).map_or(Ok(()), |accepts| accepts(input))
    }

    pub(crate) fn activity<E, A>(&mut self, env: Arc<E>)
    where
        E: Send + Sync + 'static,
        A: Activity<E>,
    {
        self.activities.insert(A::NAME, Arc::new(Bound::<E, A>::new(env)));
    }

    /// Calls a workflow, or says that this build does not know it.
    pub(crate) async fn call(&self, name: &str, input: Value, ctx: &mut Context) -> Result<Ended, Fault> {
        let Some(run) = self.workflows.get(name) else {
            return Err(Fault::fatal(
                "unknown_workflow",
                format!("this build has no workflow {name}"),
            ));
        };
        AssertUnwindSafe(run(input, ctx))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(panicked(name, &*panic)))
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<dyn AnyActivity>> {
        let found = self.activities.get(name).cloned();
        #[cfg(feature = "testing")]
        if let Some(stand_in) = &self.stand_in {
            return stand_in(name, found);
        }
        found
    }

    #[cfg(feature = "testing")]
    pub(crate) fn stand_in(&mut self, stand_in: StandIn) {
        self.stand_in = Some(stand_in);
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a &'static str>) -> Vec<&'static str> {
    let mut names: Vec<_> = names.copied().collect();
    names.sort_unstable();
    names
}
