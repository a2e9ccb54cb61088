//! The engine's times and numbers.
use std::time::Duration;

/// How an engine behaves; the defaults are those of the documentation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// After this silence a worker is taken for dead and its runs go to others.
    pub lease: Duration,
    /// The longest that the request of a `Once` activity may be on its way, and how long after that the other side may still
    /// be at it; nobody believes in its absence earlier.
    pub request_timeout: Duration,
    /// The longest until what happened at a vendor shows in the vendor's own list.
    pub listing_delay: Duration,
    /// The longest that an intent of unknown fate is held before a person is asked.
    pub hold: Duration,
    /// Waits up to this long keep the run in memory; longer ones are rows.
    pub short_wait: Duration,
    /// An activity that takes longer than this is shown as what the run waits for.
    pub visible_after: Duration,
    /// How often a worker looks for runs that no bell announced.
    pub sweep: Duration,
    /// The most runs in the hands of one worker.
    pub concurrency: usize,
    /// How long a worker that goes home lets its runs go on.
    pub grace: Duration,
    /// What the runs that start here are marked with.
    pub build: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            listing_delay: Duration::from_secs(10),
            hold: Duration::from_secs(600),
            short_wait: Duration::from_secs(2),
            visible_after: Duration::from_millis(100),
            sweep: Duration::from_secs(1),
            concurrency: 256,
            grace: Duration::from_secs(10),
            build: format!("recado {}", env!("CARGO_PKG_VERSION")),
        }
    }
}
