//! How a run waits: in memory for a while, else as a row.
use chrono::{DateTime, Utc};

use super::core::{Core, Idling, Leave, Wait, lock};
use crate::{
    storage::{after, now},
    surroundings,
};

/// What woke a waiting branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    Due,
    /// Signals arrived.
    Mail,
}

impl Core {
    /// Waits until `wait` is over, or signals after number `seen` arrive: in memory while it is short or another branch
    /// is at work, else as a row that brings the run back.
    pub(super) async fn wait(&self, op: i64, wait: Wait, seen: i64) -> Woken {
        let (mut mail, mut ended) = (self.mailbox.listen(), self.ended.subscribe());
        let _idle = Idle::new(self, op, wait.clone(), seen);
        let mut shown = false;
        loop {
            if self.mailbox.seen() > seen {
                return Woken::Mail;
            }
            let left = wait
                .until
                .map(|until| (until - now()).to_std().unwrap_or_default());
            if left.is_some_and(|left| left.is_zero()) {
                return Woken::Due;
            }
            let short = left.is_some_and(|left| left <= self.shared.settings.short_wait);
            if let Some(first) = self.all_idle(op)
                && !short
            {
                self.flush(Some(self.waiting(&first))).await;
                return self.leave(Leave::Suspended).await;
            }
            if !std::mem::replace(&mut shown, true) {
                let update = self.running(wait.reason.clone(), wait.attempt, wait.until, wait.error.clone());
                self.send(Some(update)).await;
            }
            let due = async {
                match left {
                    Some(left) => surroundings::sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                _ = mail.changed() => {}
                _ = ended.changed() => {}
            }
        }
    }

    /// If every branch waits, and for longer than is worth the memory: what is due first.
    fn all_idle(&self, op: i64) -> Option<Wait> {
        let branches = lock(&self.branches);
        let lost = branches.decided && !lock(&self.intended).contains(&op);
        if lost || branches.idle.len() < branches.live {
            return None;
        }
        let first = branches
            .idle
            .values()
            .map(|idling| &idling.wait)
            .min_by_key(|wait| wait.until.unwrap_or(DateTime::<Utc>::MAX_UTC))?;
        let short = first
            .until
            .is_some_and(|until| until <= after(now(), self.shared.settings.short_wait));
        (!short).then(|| first.clone())
    }
}

/// A branch that waits, for as long as this lives.
struct Idle<'a> {
    core: &'a Core,
    op: i64,
}

impl<'a> Idle<'a> {
    fn new(core: &'a Core, op: i64, wait: Wait, seen: i64) -> Self {
        lock(&core.branches).idle.insert(op, Idling { wait, seen });
        core.stir();
        Self { core, op }
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        lock(&self.core.branches).idle.remove(&self.op);
    }
}
