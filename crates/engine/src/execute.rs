//! One run in the hands of a worker: replay, go on, and put the end down.
use std::sync::{Arc, PoisonError};

use tracing::Instrument;

use crate::{
    Context, Failure, RunId, context::Leave, engine::Shared, lease::Lease, mailbox::Mailbox, spans,
    storage::Claimed,
};

/// A run whose worker fell silent so often in a row, without a checkpoint between, is not tried again.
const MOST_TAKEOVERS: i64 = 10;

/// Works on a claimed run until it ends, waits, or is lost.
pub(crate) async fn execute(shared: Arc<Shared>, lease: Arc<Lease>, claimed: Claimed) {
    let span = spans::work(&claimed.run);
    work(shared, lease, claimed).instrument(span).await;
}

async fn work(shared: Arc<Shared>, lease: Arc<Lease>, claimed: Claimed) {
    let (workflow, input) = (claimed.run.workflow.clone(), claimed.run.input.clone());
    let refused = refused(&claimed);
    let delivery = Delivery::begin(shared.clone(), &claimed.run.id);
    let mut ctx = Context::new(shared.clone(), lease, delivery.mailbox.clone(), claimed);
    let exit = ctx.exit();
    let ended = {
        let work = async {
            ctx.read_mail().await;
            if let Some(failure) = refused {
                return Err(Leave::Parked(failure));
            }
            ctx.enter_again().await;
            Ok(shared.registry.call(&workflow, input, &mut ctx).await)
        };
        tokio::select! {
            biased;
            reason = exit.left() => Err(reason),
            result = work => result,
        }
    };
    match ended {
        Ok(result) => ctx.conclude(result).await,
        Err(reason) => ctx.left(reason).await,
    }
}

/// The mailbox of a run, on the list of this process while the run is in its memory.
struct Delivery {
    shared: Arc<Shared>,
    run: RunId,
    mailbox: Arc<Mailbox>,
}

impl Delivery {
    fn begin(shared: Arc<Shared>, run: &RunId) -> Self {
        let mailbox = Arc::new(Mailbox::new(run.clone()));
        let mut mailboxes = shared.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
        mailboxes.insert(run.clone(), mailbox.clone());
        drop(mailboxes);
        Self {
            shared,
            run: run.clone(),
            mailbox,
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let mut mailboxes = self
            .shared
            .mailboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The run may be back already, with a box of its own.
        if mailboxes
            .get(&self.run)
            .is_some_and(|present| Arc::ptr_eq(present, &self.mailbox))
        {
            mailboxes.remove(&self.run);
        }
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
