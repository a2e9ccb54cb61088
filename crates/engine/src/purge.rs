//! Finished runs go when their owners no longer keep them.
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{Engine, storage::now};

/// How often somebody looks.
const PAUSE: Duration = Duration::from_secs(60);
/// What goes in one commit: few, because on SQLite everybody waits for it.
const BATCH: u64 = 100;

impl Engine {
    /// Deletes finished runs as their retention runs out, until `stop`. Several processes may do so at once.
    pub async fn purge_until(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            let purged = tokio::select! {
                () = stop.cancelled() => return,
                purged = self.storage().purge(now(), BATCH) => purged,
            };
            match purged {
                Ok(0) => {}
                Ok(purged) => {
                    metrics::counter!("recado_runs_purged_total").increment(purged);
                    tracing::info!(purged, "runs that are no longer kept are gone");
                }
                Err(error) => tracing::warn!(%error, "runs that are no longer kept wait for the database"),
            }
        }
    }
}
