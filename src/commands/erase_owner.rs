//! `recado erase-owner`: the end of what the runs of an owner hold, and of the files that its contacts sent.
use std::process::ExitCode;

use anyhow::Context as _;
use recado_clients::media::MediaStore;
use recado_domain::OwnerId;
use recado_store::media;

use super::say;
use crate::{app, config::Config};

/// Exits with 2 where it was not told `--yes`, and with 4 where there is nothing to erase.
pub(crate) async fn run(config: &Config, owner: &str, yes: bool) -> anyhow::Result<ExitCode> {
    if !yes {
        say(format!(
            "this makes the input, the result and the journal of every run of {owner} unreadable for ever, and parks \
             those that are not finished, and removes every file that its contacts attached; backups made before still \
             have both; add --yes to do it"
        ));
        return Ok(ExitCode::from(2));
    }
    let storage = app::storage(config, || {}).await?;
    let is_erased = storage.erase_owner_key(owner).await?;
    let files = MediaStore::open(&config.media_url).context("MEDIA_URL")?;
    let removed = files.erase(owner).await.context("MEDIA_URL")?;
    let id = OwnerId::from(owner);
    let expired = storage
        .transaction(move |tx| Box::pin(async move { anyhow::Ok(media::expire_all(tx, &id).await?) }))
        .await?;
    if removed > 0 || expired > 0 {
        say(format!("{removed} files of {owner} are removed"));
    }
    if is_erased {
        say(format!("the key of {owner} is erased"));
    } else {
        crate::tell(&format!("recado: {owner} has no key: none of its runs is sealed"));
    }
    Ok(match is_erased || removed > 0 || expired > 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(4),
    })
}
