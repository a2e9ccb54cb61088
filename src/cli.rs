//! The command line.
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{commands, config::Config, dev, serve};

/// Answers a business's WhatsApp, SMS and calls over Twilio, durably.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything by one command, on an SQLite file, with a simulated Twilio and a telephone on a page
    Dev,
    /// Takes webhooks, serves pages and API
    Serve {
        /// Works on runs too: the one-process production
        #[arg(long)]
        worker: bool,
    },
    /// Works on runs
    Worker,
    /// Brings the schema of the database up or down
    Migrate {
        #[command(subcommand)]
        direction: Option<commands::migrate::Direction>,
    },
    /// Fills the database with something to look at
    Seed,
    /// Says of each setting and each server what it is, whether it works, and what to do
    Check {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows runs, and does with them what a person may
    Runs {
        #[command(subcommand)]
        act: Box<commands::runs::Act>,
    },
    /// Shows and sets what each owner may have of the workers' time
    Owners {
        #[command(subcommand)]
        act: commands::owners::Act,
    },
    /// How long finished runs are kept
    Retention {
        #[command(subcommand)]
        act: commands::retention::Act,
    },
    /// Erases the key of an owner, and with it whatever its runs were given, did and answered
    EraseOwner {
        /// The owner's id
        owner: String,
        /// Does it without asking
        #[arg(long)]
        yes: bool,
    },
    /// Shows and changes what the clock starts
    Schedules {
        #[command(subcommand)]
        act: commands::schedules::Act,
    },
    /// Measures the ordinary processes with a simulated Twilio, on `DATABASE_URL`; docs/PERFORMANCE.md says how
    Bench(commands::bench::Bench),
    /// Kills, freezes and cuts off real processes under load, on servers of its own, and counts what that cost
    Chaos(commands::chaos::Chaos),
    /// The simulated Twilio of `bench` and `chaos`
    #[command(hide = true)]
    SimulatedTwilio(commands::simulated_twilio::SimulatedTwilio),
}

impl Cli {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::from_env()?;
        match self.command {
            Command::Dev => dev::run(config).await?,
            Command::Serve { worker } => serve::serve(config, worker).await?,
            Command::Worker => serve::worker(config).await?,
            Command::Migrate { direction } => {
                return commands::migrate::run(&config, direction.unwrap_or_default()).await;
            }
            Command::Seed => commands::seed::run(config).await?,
            Command::Check { json } => return commands::check::run(config, json).await,
            Command::Runs { act } => return commands::runs::run(&config, *act).await,
            Command::Owners { act } => return commands::owners::run(&config, act).await,
            Command::Retention { act } => commands::retention::run(&config, act).await?,
            Command::EraseOwner { owner, yes } => {
                return commands::erase_owner::run(&config, &owner, yes).await;
            }
            Command::Schedules { act } => return commands::schedules::run(config, act).await,
            Command::Bench(bench) => bench.run(&config).await?,
            Command::Chaos(chaos) => return chaos.run().await,
            Command::SimulatedTwilio(twilio) => twilio.run().await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
