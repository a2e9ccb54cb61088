//! One run in the hands of a worker: replay, go on, and put the end down.
use std::sync::Arc;

use crate::{Context, Failure, context::Leave, engine::Shared, lease::Lease, storage::Claimed};

/// A run whose worker fell silent so often in a row, without a checkpoint between, is not tried again.
const MOST_TAKEOVERS: i64 = 10;

/// Works on a claimed run until it ends, waits, or is lost.
pub(crate) async fn execute(shared: Arc<Shared>, lease: Arc<Lease>, claimed: Claimed) {
    let (workflow, input) = (claimed.run.workflow.clone(), claimed.run.input.clone());
    let refused = refused(&claimed);
    let mut ctx = Context::new(shared.clone(), lease, claimed);
    if let Some(failure) = refused {
        return ctx.park(failure).await;
    }
    let exit = ctx.exit();
    let ended = {
        let work = async {
            ctx.enter_again().await;
            shared.registry.call(&workflow, input, &mut ctx).await
        };
        tokio::select! {
            biased;
            reason = exit.left() => Err(reason),
            result = work => Ok(result),
        }
    };
    match ended {
        Ok(Ok(ended)) => match ctx.left_over() {
            None => ctx.finish(ended).await,
            Some(failure) => ctx.park(failure).await,
        },
        Ok(Err(fault)) => ctx.park(fault.failure().clone()).await,
        Err(Leave::Parked(failure)) => ctx.park(failure).await,
        Err(Leave::Suspended | Leave::Lost) => {}
    }
}

/// Why a run is not even begun with.
fn refused(claimed: &Claimed) -> Option<Failure> {
    if let Err(unreadable) = &claimed.events {
        let told = format!(
            "this build cannot read its journal ({}); run the build that wrote it",
            unreadable.told
        );
        return Some(Failure::new("unreadable", told));
    }
    (claimed.run.takeovers >= MOST_TAKEOVERS).then(|| {
        let told = format!("its worker fell silent {MOST_TAKEOVERS} times in a row; whatever it does next may end the process");
        Failure::new("crash_loop", told)
    })
}

impl Context {
    /// What the journal knows and the workflow of this build did not ask for.
    fn left_over(&self) -> Option<Failure> {
        let (op, event) = self.history().left_over()?;
        let name = event.name.as_deref().unwrap_or(event.kind.as_str());
        Some(Failure::new(
            "replay_mismatch",
            format!("step {op}: the journal has {name}, the workflow of this build ends before it"),
        ))
    }
}
