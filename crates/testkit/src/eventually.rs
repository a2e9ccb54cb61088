//! Waiting for what a test cannot be told of.
use std::{panic::Location, time::Duration};

/// Time between two looks: short beside anything that a test waits for, long beside a query.
const STEP: Duration = Duration::from_millis(10);

/// Looks every 10 ms until `probe` returns `Some`, and returns that. The only place in our tests that sleeps.
///
/// # Panics
/// After `timeout`, naming the line that waited. A `probe` that hangs counts as not yet.
#[track_caller]
pub fn eventually<T>(
    timeout: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let looking = async {
            loop {
                if let Some(found) = probe().await {
                    return found;
                }
                tokio::time::sleep(STEP).await;
            }
        };
        match tokio::time::timeout(timeout, looking).await {
            Ok(found) => found,
            Err(_) => panic!("what {caller} waits for did not come within {timeout:?}"),
        }
    }
}
