//! What runs take from around them besides the database: the time, chance, and that their process lives on.
//!
//! This is the engine's one clock. It is ambient, because the work of runs travels into the tasks of the journal's
//! writers, through hands that have no business with it. Nobody sets it but the test kit: then a day's sleep takes no
//! time, and a process dies where a test wants it to.
use std::{future::Future, sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound, Utc};
use futures::{
    FutureExt,
    future::{BoxFuture, pending},
};

/// A moment at which a process may die, so that it matters to what is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// All is written, and nothing is committed.
    BeforeCommit,
    /// It is committed, and nobody has been told.
    AfterCommit,
}

/// Surroundings that a test makes up.
pub(crate) trait Surroundings: Send + Sync {
    fn now(&self) -> DateTime<Utc>;
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// Whether the process is to die here.
    fn is_the_end(&self, point: Point) -> bool;
    /// Waits for the death of the process.
    fn death(&self) -> BoxFuture<'static, ()>;
}

tokio::task_local! {
    static PRESENT: Arc<dyn Surroundings>;
}

fn with<T>(look: impl FnOnce(&Arc<dyn Surroundings>) -> T) -> Option<T> {
    PRESENT.try_with(look).ok()
}

/// The wall clock at the precision that both databases keep: microseconds.
pub(crate) fn now() -> DateTime<Utc> {
    with(|around| around.now()).unwrap_or_else(|| Utc::now().trunc_subsecs(6))
}

/// Waits, in the time that [`now`] tells.
pub(crate) async fn sleep(duration: Duration) {
    match with(|around| around.sleep(duration)) {
        Some(sleep) => sleep.await,
        None => tokio::time::sleep(duration).await,
    }
}

/// What `work` comes to, or `None` when `limit` is over first, in the time that [`now`] tells.
pub(crate) async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = sleep(limit) => None,
    }
}

/// A number in 0..1, by chance.
pub(crate) fn chance() -> f64 {
    with(|_| 0.0).unwrap_or_else(rand::random)
}

/// Goes on, unless the process is to die here.
pub(crate) async fn pass(point: Point) {
    if with(|around| around.is_the_end(point)).unwrap_or_default() {
        pending().await
    }
}

/// `work` for a task of its own: in the surroundings of the one that starts it, and no longer than their process lives.
pub(crate) fn inherited(work: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, ()> {
    let Some(around) = with(Arc::clone) else {
        return work.boxed();
    };
    let death = around.death();
    let mortal = async move {
        tokio::select! {
            () = work => {}
            () = death => {}
        }
    };
    PRESENT.scope(around, mortal).boxed()
}

/// Runs `work` in these surroundings.
#[cfg(feature = "testing")]
pub(crate) fn within<F: Future>(
    around: Arc<dyn Surroundings>,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    PRESENT.scope(around, work)
}
