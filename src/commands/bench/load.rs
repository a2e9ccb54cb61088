//! Load: so many at once, or so many a second.
use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};

/// How much, and how fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// How many in all.
    pub(super) count: u64,
    /// How many at once; without a rate.
    pub(super) in_flight: u64,
    /// How many begin a second, whatever became of those before.
    pub(super) rate: Option<u64>,
}

/// The most that are on their way at once where a rate is asked for that nothing keeps up with.
const MOST: usize = 20_000;

impl Load {
    /// Calls `one` with 0, 1, 2, … and the moment from which its time counts: now, or when the rate would have had it
    /// begin, so that a stall counts for all that it delayed. Returns what each came to and how long all took.
    ///
    /// # Errors
    /// The first that `one` returned.
    pub(super) async fn run<T, F>(
        &self,
        one: impl Fn(u64, Instant) -> F,
    ) -> anyhow::Result<(Vec<T>, Duration)>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        let begun = Instant::now();
        let made = match self.rate {
            None => {
                let calls = stream::iter(0..self.count).map(|number| one(number, Instant::now()));
                calls
                    .buffer_unordered(self.in_flight as usize)
                    .try_collect()
                    .await?
            }
            Some(rate) => {
                let calls = stream::iter(0..self.count).map(|number| {
                    let due = begun + Duration::from_secs_f64(number as f64 / rate as f64);
                    let call = &one;
                    async move {
                        tokio::time::sleep_until(due.into()).await;
                        call(number, due).await
                    }
                });
                calls.buffer_unordered(MOST).try_collect().await?
            }
        };
        Ok((made, begun.elapsed()))
    }
}

/// Milliseconds since `begun`.
pub(super) fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}
