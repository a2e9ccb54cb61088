//! What the test kit sees of a run in memory.
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    Context,
    core::{Core, lock},
};
use crate::{RunId, mailbox::Mailbox};

/// How a run in memory stands: whether it goes on by itself must be known before the clock is moved.
pub(crate) struct Rest {
    pub(crate) run: RunId,
    /// Branches that do something; an activity that is under way is one of them.
    pub(crate) busy: usize,
    /// When the first of the others goes on without a word.
    pub(crate) until: Option<DateTime<Utc>>,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Context {
    /// Says that the run has ended: whatever its journal does not know, it never did.
    pub(crate) fn has_ended(&self) {
        lock(&self.core.history).end();
    }
}

impl Core {
    /// Lets the test kit see this run.
    pub(super) fn show(self: &Arc<Self>) {
        lock(&self.shared.cores).push(Arc::downgrade(self));
    }

    pub(crate) fn rest(&self) -> Rest {
        let branches = lock(&self.branches);
        let mail = self.mailbox.seen();
        let idle = branches.idle.values().filter(|idling| idling.seen >= mail);
        let busy = (branches.live.max(1) + usize::from(branches.decided)).saturating_sub(idle.count());
        let until = branches
            .idle
            .values()
            .filter_map(|idling| idling.wait.until)
            .min();
        Rest {
            run: self.run.id.clone(),
            // Where all of it waits, it is being put down: here every wait is a row, and it is gone in a moment.
            busy: busy.max(1),
            until,
            mailbox: self.mailbox.clone(),
        }
    }
}
