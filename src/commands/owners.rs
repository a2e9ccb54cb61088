//! `recado owners`: what each owner may have of the workers' time, and what it wants done with sends of unknown fate.
use std::{
    num::{NonZeroU8, NonZeroU32},
    process::ExitCode,
};

use clap::Subcommand;
use futures::FutureExt;
use recado_domain::{OwnerId, UnknownSend};
use recado_engine::{Policy, Storage, StorageOptions, dispatch::Bells};
use recado_store::owners::{self, LONGEST_QUIET_PERIOD};
use serde_json::json;

mod way_out;

use super::say;
use crate::{app, config::Config};

/// What to do with owners.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Act {
    /// How the runs of owners are claimed while others have runs too
    Policy {
        #[command(subcommand)]
        act: PolicyAct,
    },
    /// Shows, or sets, what becomes of an owner's messages of which nobody can tell whether they were sent
    UnknownSend {
        /// The owner's id
        owner: String,
        /// hold: they are looked for, then a person is asked; resend: they may arrive twice; give_up: they may never
        #[arg(value_parser = |word: &str| UnknownSend::parse(word))]
        policy: Option<UnknownSend>,
    },
    /// Shows, or sets, how long a contact of an owner must have written nothing before an agent is asked
    QuietPeriod {
        /// The owner's id
        owner: String,
        /// Seconds, from 0 to 60
        #[arg(value_parser = parse_seconds)]
        seconds: Option<f64>,
        /// Goes by QUIET_PERIOD again
        #[arg(long, conflicts_with = "seconds")]
        reset: bool,
    },
    /// Shows, or sets, what goes where WhatsApp takes no text of an owner's: after its 24 hours, or where it does not
    /// deliver
    WayOut {
        /// The owner's id
        owner: String,
        #[command(flatten)]
        wanted: way_out::Wanted,
    },
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=LONGEST_QUIET_PERIOD).contains(&seconds) => Ok(seconds),
        _ => Err(format!(
            "must be a number of seconds from 0 to {LONGEST_QUIET_PERIOD}"
        )),
    }
}

/// What to do with policies.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PolicyAct {
    /// Lists the policies that were set; all other owners have a weight of 1 and no cap
    List {
        /// Prints JSON, one policy a line
        #[arg(long)]
        json: bool,
    },
    /// Sets the policy of an owner; what is not given is as for all others
    Set {
        /// Its id
        owner: String,
        /// How many of its runs are claimed in one turn, from 1 to 255
        #[arg(long, default_value = "1")]
        weight: NonZeroU8,
        /// The most of its runs in the hands of workers at the same time; no limit if absent
        #[arg(long)]
        most_running: Option<NonZeroU32>,
    },
}

pub(crate) async fn run(config: &Config, act: Act) -> anyhow::Result<ExitCode> {
    let act = match act {
        Act::Policy { act } => act,
        Act::UnknownSend { owner, policy } => return unknown_send(config, owner, policy).await,
        Act::QuietPeriod {
            owner,
            seconds,
            reset,
        } => {
            let wanted = (reset || seconds.is_some()).then_some(seconds);
            return quiet_period(config, owner, wanted).await;
        }
        Act::WayOut { owner, wanted } => return way_out::run(config, owner, wanted).await,
    };
    let bells = match &config.redis_url {
        Some(url) => Bells::redis(url, "runs").await?,
        None => Bells::in_process(),
    };
    let storage = Storage::open(&StorageOptions::new(&config.database_url), move || bells.ring()).await?;
    match act {
        PolicyAct::List { json } => {
            if !json {
                say(format!(
                    "{:26}  {:>6}  {:>12}  since",
                    "owner", "weight", "most running"
                ));
            }
            for policy in storage.policies().await? {
                say(if json {
                    as_json(&policy).to_string()
                } else {
                    as_line(&policy)
                });
            }
        }
        PolicyAct::Set {
            owner,
            weight,
            most_running,
        } => say(as_line(&storage.set_policy(&owner, weight, most_running).await?)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn unknown_send(
    config: &Config,
    owner: String,
    policy: Option<UnknownSend>,
) -> anyhow::Result<ExitCode> {
    let storage = app::storage(config, || {}).await?;
    let id = OwnerId::from(owner.as_str());
    if owners::find(storage.reader(), &id).await?.is_none() {
        return Ok(nobody(&owner));
    }
    if let Some(policy) = policy {
        let id = id.clone();
        let set = storage.transaction(move |tx| {
            async move { anyhow::Ok(owners::set_unknown_send(tx, &id, policy).await?) }.boxed()
        });
        set.await?;
    }
    say(owners::unknown_send(storage.reader(), &id).await?);
    Ok(ExitCode::SUCCESS)
}

/// Sets what is `wanted`, if anything, and shows what is set.
async fn quiet_period(
    config: &Config,
    owner: String,
    wanted: Option<Option<f64>>,
) -> anyhow::Result<ExitCode> {
    let storage = app::storage(config, || {}).await?;
    let id = OwnerId::from(owner.as_str());
    if let Some(seconds) = wanted {
        let id = id.clone();
        let set = storage.transaction(move |tx| {
            async move { anyhow::Ok(owners::set_quiet_period(tx, &id, seconds).await?) }.boxed()
        });
        set.await?;
    }
    let Some(found) = owners::find(storage.reader(), &id).await? else {
        return Ok(nobody(&owner));
    };
    say(match found.settings()?.quiet_period {
        Some(seconds) => format!("{seconds} s"),
        None => "as QUIET_PERIOD says".to_owned(),
    });
    Ok(ExitCode::SUCCESS)
}

fn nobody(owner: &str) -> ExitCode {
    crate::tell(&format!("recado: there is no owner {owner}"));
    ExitCode::from(4)
}

fn as_line(policy: &Policy) -> String {
    let most = policy.most_running.map(|most| most.to_string());
    let since = policy
        .updated_at
        .map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string());
    format!(
        "{:26}  {:>6}  {:>12}  {}",
        policy.owner,
        policy.weight,
        most.as_deref().unwrap_or("-"),
        since.as_deref().unwrap_or("-"),
    )
}

fn as_json(policy: &Policy) -> serde_json::Value {
    json!({
        "owner": policy.owner, "weight": policy.weight, "most_running": policy.most_running,
        "updated_at": policy.updated_at,
    })
}
