//! Files, and campaigns, go as their owners no longer keep them, by the same days as runs.
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use recado_clients::media::{MediaStore, MediaStoreError, Rendition};
use recado_domain::OwnerId;
use recado_engine::Storage;
use recado_store::{
    media::{self, Media},
    owners,
};
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// How often somebody looks.
const PAUSE: Duration = Duration::from_secs(600);
/// How many are looked at in one go.
const BATCH: u64 = 100;
/// A file that was written so lately may be of a message that is just coming in with the same content.
const FRESH: TimeDelta = TimeDelta::hours(1);

/// Removes files as their retention runs out, until `stop`. Several processes may do so at once.
pub(crate) async fn purge_until(app: &App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        let purged = tokio::select! {
            () = stop.cancelled() => return,
            purged = purge(app.engine.storage(), &app.environment.media, Utc::now()) => purged,
        };
        match purged {
            Ok(0) => {}
            Ok(purged) => {
                metrics::counter!("recado_media_purged_total").increment(purged);
                tracing::info!(purged, "attachments that are no longer kept are gone");
            }
            Err(error) => tracing::warn!(%error, "attachments that are no longer kept wait"),
        }
    }
}

/// Removes the files of messages that are older than their owners keep things. The file goes first: who dies in between
/// finds it gone the next time, and never a file that nothing leads to. Returns how many attachments those were.
///
/// # Errors
/// Those of the database and of the storage; what was removed before stays so.
pub(crate) async fn purge(storage: &Storage, files: &MediaStore, now: DateTime<Utc>) -> anyhow::Result<u64> {
    let retention = storage.retention().await?;
    if retention.is_empty() {
        return Ok(0);
    }
    let days = |owner: &str| {
        retention
            .iter()
            .find(|one| one.owner == owner)
            .map(|one| one.days)
    };
    let mut purged = 0;
    for owner in owners::list(storage.reader()).await? {
        let Some(days) = days(&owner.id).or_else(|| days("")) else {
            continue;
        };
        let Some(until) = now.checked_sub_signed(TimeDelta::days(i64::from(days))) else {
            continue;
        };
        let owner = OwnerId::from(owner.id);
        crate::campaigns::forget(storage, &owner, until).await?;
        loop {
            let old = media::older(storage.reader(), &owner, until, BATCH).await?;
            let mut gone = 0;
            for one in &old {
                gone += u64::from(remove(storage, files, &owner, one, until, now).await?);
            }
            purged += gone;
            if gone == 0 || (old.len() as u64) < BATCH {
                break;
            }
        }
    }
    Ok(purged)
}

/// Whether the attachment is gone.
async fn remove(
    storage: &Storage,
    files: &MediaStore,
    owner: &OwnerId,
    one: &Media,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> anyhow::Result<bool> {
    if let Some(hash) = &one.sha256
        && !media::is_needed(storage.reader(), owner, hash, until).await?
    {
        match files.look(owner.as_str(), hash, Rendition::Original).await {
            Ok(there) if there.written_at > now - FRESH => return Ok(false),
            Ok(_) => files.remove(owner.as_str(), hash).await?,
            Err(MediaStoreError::Gone) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (owner, id) = (owner.clone(), one.id.clone());
    let expired = storage
        .transaction(move |tx| Box::pin(async move { anyhow::Ok(media::expire(tx, &owner, &id).await?) }));
    expired.await?;
    Ok(true)
}
