//! Campaigns go as their owners no longer keep them, by the same days as runs.
use chrono::{DateTime, Utc};
use recado_domain::OwnerId;
use recado_engine::Storage;
use recado_store::campaigns;

/// How many people are forgotten in one transaction.
const BATCH: u64 = 1000;

/// Forgets an owner's campaigns that ended before `until`, with whom they wrote to, and drafts as old as that.
///
/// # Errors
/// Those of the database; what was forgotten before stays so.
pub(crate) async fn forget(storage: &Storage, owner: &OwnerId, until: DateTime<Utc>) -> anyhow::Result<()> {
    loop {
        let owner = owner.clone();
        let gone = storage.transaction(move |tx| {
            Box::pin(async move { anyhow::Ok(campaigns::purge(tx, &owner, until, BATCH).await?) })
        });
        if gone.await? < BATCH {
            return Ok(());
        }
    }
}
