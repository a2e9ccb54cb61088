//! `recado owners`: what each owner may have of the workers' time, at the terminal.
use std::{
    num::{NonZeroU8, NonZeroU32},
    process::ExitCode,
};

use clap::Subcommand;
use recado_engine::{Policy, Storage, StorageOptions, dispatch::Bells};
use serde_json::json;

use super::say;
use crate::config::Config;

/// What to do with owners.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Act {
    /// How the runs of owners are claimed while others have runs too
    Policy {
        #[command(subcommand)]
        act: PolicyAct,
    },
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
    let Act::Policy { act } = act;
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
