//! A worker: claims ready runs and works on them, says that it is alive, and takes over from those that are not.
use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use crate::{
    Engine, StorageError,
    desk::{Desk, Opened},
    lease::{Hold, Lease},
    storage::now,
};

/// How often a worker looks whether its runs were told anything.
const POST: Duration = Duration::from_millis(100);
/// The most runs that one claim takes, so that several workers share a backlog.
const CLAIM: usize = 64;

impl Engine {
    /// Works until `stop`, then lets its runs go on for the grace time and gives back what is left. Dropped before that,
    /// it falls silent at once, as a process does that is killed.
    pub async fn work(&self, stop: CancellationToken) {
        let worker = format!("worker-{}", ulid::Ulid::generate());
        let lease = Arc::new(Lease::new(worker.clone(), self.shared.settings.lease));
        let heard = Arc::new(Notify::new());
        // The heart beats until the last run is out of hand.
        let dead = CancellationToken::new();
        let mut parts = JoinSet::new();
        parts.spawn(self.clone().beat(lease.clone(), dead.clone()));
        while lease.left().is_zero() && !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = lease.renewed() => {}
            }
        }
        let bells = self.shared.bells.clone();
        parts.spawn({
            let (worker, heard, stop) = (worker.clone(), heard.clone(), stop.clone());
            async move { bells.listen(&worker, heard, stop).await }
        });
        parts.spawn(self.clone().sweep(lease.clone(), heard.clone(), stop.clone()));
        parts.spawn(self.clone().deliver_until(lease.clone(), dead.clone()));
        tracing::info!(worker, "working");
        let desk = Desk::new(lease.clone(), self.shared.settings.concurrency);
        let opened = Opened::new(&self.shared, &desk);
        self.claim_until(&lease, &heard, &stop, &desk).await;
        let mut runs = desk.close();
        let all = async { while runs.join_next().await.is_some() {} };
        if time::timeout(self.shared.settings.grace, all).await.is_err() {
            tracing::warn!(
                worker,
                "some runs did not come to rest; others will go on with them"
            );
        }
        runs.shutdown().await;
        drop(opened);
        dead.cancel();
        while parts.join_next().await.is_some() {}
        if let Err(error) = self.shared.storage.release(&worker).await {
            tracing::warn!(worker, %error, "the runs were not given back; they are taken over when the lease is out");
        }
    }

    async fn claim_until(
        &self,
        lease: &Arc<Lease>,
        heard: &Notify,
        stop: &CancellationToken,
        desk: &Arc<Desk>,
    ) {
        let slots = desk.slots();
        while !stop.is_cancelled() {
            // Taken before the claim: a start may want the same room, and what is claimed must have it.
            let room = desk.room(CLAIM);
            let claimed = match room.len() {
                0 => Ok(Vec::new()),
                _ if lease.left().is_zero() => Ok(Vec::new()),
                free => self.shared.storage.claim(lease.worker(), free as u64).await,
            };
            let full = match claimed {
                Ok(claimed) => {
                    let full = claimed.len() == room.len();
                    if full && !room.is_empty() {
                        self.shared.bells.ring();
                    }
                    for (claimed, slot) in claimed.into_iter().zip(room) {
                        desk.take(self.shared.clone(), claimed, slot);
                    }
                    desk.set_open(!full);
                    full
                }
                Err(error) => {
                    drop(room);
                    log_unless_away("claim", &error);
                    false
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                // There may be more where these came from, for others now and for this worker as soon as it has room.
                permit = slots.acquire(), if full => drop(permit),
                () = heard.notified(), if !full => {}
                () = time::sleep(self.shared.settings.sweep), if !full => {}
            }
        }
    }

    async fn beat(self, lease: Arc<Lease>, dead: CancellationToken) {
        let settings = &self.shared.settings;
        let mut tick = time::interval(settings.lease / 5);
        tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = dead.cancelled() => return,
                _ = tick.tick() => {}
            }
            let sent = Instant::now();
            match self
                .shared
                .storage
                .heartbeat(lease.worker(), &settings.build)
                .await
            {
                Ok(()) => lease.renew(sent),
                Err(error) => log_unless_away("heartbeat", &error),
            }
        }
    }

    /// Brings signals to the runs that this worker has in memory, and word of those that are ready behind them.
    async fn deliver_until(self, lease: Arc<Lease>, dead: CancellationToken) {
        loop {
            tokio::select! {
                () = dead.cancelled() => return,
                () = time::sleep(POST) => {}
            }
            let idle = {
                let mailboxes = self
                    .shared
                    .mailboxes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                mailboxes.is_empty()
            };
            if idle {
                continue;
            }
            if let Err(error) = self.deliver(&lease).await {
                log_unless_away("deliver signals", &error);
            }
        }
    }

    async fn deliver(&self, lease: &Lease) -> Result<(), StorageError> {
        for (run, inbox) in self.shared.storage.inboxes(lease.worker()).await? {
            let mailbox = {
                let mailboxes = self
                    .shared
                    .mailboxes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                mailboxes.get(&run).cloned()
            };
            if let Some(mailbox) = mailbox.filter(|mailbox| mailbox.seen() < inbox) {
                mailbox.read(&self.shared.storage).await?;
            }
        }
        self.tell_heads().await
    }

    /// Tells the runs that listen for others of their lanes if one is ready. Who becomes ready tells nobody: it is seen
    /// as long as it is so, and so cannot be missed.
    async fn tell_heads(&self) -> Result<(), StorageError> {
        let listening: Vec<_> = {
            let mailboxes = self
                .shared
                .mailboxes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let listening = mailboxes.values().filter_map(|mailbox| mailbox.listens());
            listening.collect()
        };
        for run in self.shared.storage.followed(&listening).await? {
            let mailboxes = self
                .shared
                .mailboxes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(mailbox) = mailboxes.get(&run) {
                mailbox.tell_followed();
            }
        }
        Ok(())
    }

    /// Finds what no bell announced: runs whose time has come and runs of the dead.
    async fn sweep(self, lease: Arc<Lease>, heard: Arc<Notify>, stop: CancellationToken) {
        let settings = &self.shared.settings;
        let mut look_for_the_dead = Instant::now();
        let mut strays = HashSet::new();
        loop {
            let mut found = 0;
            if look_for_the_dead <= Instant::now() && !lease.left().is_zero() {
                let sole = self.shared.storage.is_sole().then(|| lease.worker());
                match self.shared.storage.take_over(settings.lease, sole).await {
                    Ok(taken) if taken > 0 => {
                        tracing::warn!(taken, "took runs over from workers that have fallen silent");
                        metrics::counter!("recado_runs_taken_over_total").increment(taken);
                        found += taken;
                    }
                    Ok(_) => {}
                    Err(error) => log_unless_away("take over", &error),
                }
                match self.drop_strays(&lease, &mut strays).await {
                    Ok(dropped) => found += dropped,
                    Err(error) => log_unless_away("look for strays", &error),
                }
                look_for_the_dead = Instant::now() + settings.sweep.max(settings.lease / 5);
            }
            match self.shared.storage.wake_due().await {
                Ok(due) => found += due,
                Err(error) => log_unless_away("wake due runs", &error),
            }
            match self.fire_due_schedules().await {
                Ok(fired) => found += fired.started,
                Err(error) => log_unless_away("start what is scheduled", &error),
            }
            if found > 0 {
                heard.notify_one();
                self.shared.storage.ready();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = time::sleep(self.until_next_due().await) => {}
            }
        }
    }

    /// Gives back runs that this worker holds in the database and not in memory, at two looks in a row.
    async fn drop_strays(&self, lease: &Lease, seen: &mut HashSet<Hold>) -> Result<u64, StorageError> {
        let strays = self.shared.storage.held_by(lease.worker()).await?;
        let strays: HashSet<_> = strays.into_iter().filter(|run| !lease.holds(run)).collect();
        let twice: Vec<_> = strays.intersection(seen).map(|(run, _)| run.clone()).collect();
        *seen = strays;
        if twice.is_empty() {
            return Ok(0);
        }
        tracing::error!(runs = ?twice, "runs were dropped without an end; they are queued again");
        self.shared.storage.give_back(lease.worker(), twice).await
    }

    /// The time until the next timer, a sweep at most.
    async fn until_next_due(&self) -> Duration {
        let sweep = self.shared.settings.sweep;
        match self.shared.storage.next_due().await {
            Ok(Some(due)) => (due - now())
                .to_std()
                .unwrap_or_default()
                .clamp(Duration::from_millis(5), sweep),
            _ => sweep,
        }
    }
}

fn log_unless_away(what: &str, error: &StorageError) {
    if error.is_transient() {
        tracing::warn!(%error, "cannot {what}: the database is away");
    } else {
        tracing::error!(%error, "cannot {what}");
    }
}
