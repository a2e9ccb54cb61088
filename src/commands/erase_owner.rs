//! `recado erase-owner`: the end of what the runs of an owner hold.
use std::process::ExitCode;

use super::say;
use crate::{app, config::Config};

/// Exits with 2 where it was not told `--yes`, and with 4 where there is no key to erase.
pub(crate) async fn run(config: &Config, owner: &str, yes: bool) -> anyhow::Result<ExitCode> {
    if !yes {
        say(format!(
            "this makes the input, the result and the journal of every run of {owner} unreadable for ever, and parks \
             those that are not finished; backups made before still have the key; add --yes to do it"
        ));
        return Ok(ExitCode::from(2));
    }
    let storage = app::storage(config, || {}).await?;
    if storage.erase_owner_key(owner).await? {
        say(format!("the key of {owner} is erased"));
        return Ok(ExitCode::SUCCESS);
    }
    crate::tell(&format!("recado: {owner} has no key: none of its runs is sealed"));
    Ok(ExitCode::from(4))
}
