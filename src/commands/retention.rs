//! `recado retention`: how long finished runs, and what contacts attached, are kept.
use anyhow::Context as _;
use clap::Subcommand;
use recado_clients::media::MediaStore;

use super::say;
use crate::{app, config::Config, media};

/// What goes in one commit.
const BATCH: u64 = 100;

/// What to do with retention.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Act {
    /// Lists for how many days which owner's finished runs are kept
    List,
    /// Sets for how many days finished runs and attachments are kept; workers delete them within minutes after
    Set {
        /// The owner's id; without it the rule for those who have none of their own
        #[arg(long)]
        owner: Option<String>,
        /// The days after the end of a run
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500), required_unless_present = "unset")]
        days: Option<u32>,
        /// Takes the rule back: an owner is under the rule for all again, and without that one runs are kept for ever
        #[arg(long, conflicts_with = "days")]
        unset: bool,
    },
    /// Deletes at once what is no longer kept; the keys of runs stay
    Purge,
}

pub(crate) async fn run(config: &Config, act: Act) -> anyhow::Result<()> {
    let storage = app::storage(config, || {}).await?;
    match act {
        Act::List => {
            let retention = storage.retention().await?;
            if !retention.iter().any(|one| one.owner.is_empty()) {
                say(format!("{:26}  for ever", "all others"));
            }
            for one in retention {
                let owner = if one.owner.is_empty() {
                    "all others"
                } else {
                    &one.owner
                };
                say(format!("{owner:26}  {} days", one.days));
            }
        }
        Act::Set {
            owner,
            days,
            unset: _,
        } => {
            storage
                .set_retention(owner.as_deref().unwrap_or_default(), days)
                .await?;
            say("from now on");
        }
        Act::Purge => {
            let now = chrono::Utc::now();
            let purged = storage.purge(now, BATCH).await?;
            say(format!("{purged} runs deleted"));
            let files = MediaStore::open(&config.media_url).context("MEDIA_URL")?;
            let purged = media::purge(&storage, &files, now).await?;
            say(format!("{purged} attachments deleted"));
        }
    }
    Ok(())
}
