//! `recado migrate`: the schema.
use std::process::ExitCode;

use clap::Subcommand;
use recado_engine::Storage;
use recado_migrations::{Migrator, MigratorTrait};

use super::say;
use crate::config::Config;

/// Which way.
#[derive(Clone, Copy, Debug, Default, Subcommand)]
pub(crate) enum Direction {
    /// Applies what is missing
    #[default]
    Up,
    /// Takes the last migrations back; their tables and what is in them are gone
    Down {
        /// How many
        #[arg(long, default_value_t = 1)]
        steps: u32,
        /// Does it without asking
        #[arg(long)]
        yes: bool,
    },
    /// Shows what is applied; exits with 3 if something is missing
    Status,
}

/// Applies what is missing.
///
/// # Errors
/// When the database does not answer, or a migration fails.
pub(crate) async fn up(config: &Config) -> anyhow::Result<usize> {
    let db = Storage::connect(&config.database_url).await?;
    let pending = Migrator::get_pending_migrations(&db).await?.len();
    Migrator::up(&db, None).await?;
    Ok(pending)
}

pub(crate) async fn run(config: &Config, direction: Direction) -> anyhow::Result<ExitCode> {
    match direction {
        Direction::Up => match up(config).await? {
            0 => say("the schema is up to date"),
            applied => say(format!("{applied} migrations applied")),
        },
        Direction::Down { steps, yes } => {
            let db = Storage::connect(&config.database_url).await?;
            let applied = Migrator::get_applied_migrations(&db).await?;
            let names: Vec<_> = applied
                .iter()
                .rev()
                .take(steps as usize)
                .map(|one| one.name().to_owned())
                .collect();
            if names.is_empty() {
                say("nothing is applied");
                return Ok(ExitCode::SUCCESS);
            }
            if !yes {
                say(format!(
                    "this drops the tables of {} and all that is in them; add --yes to do it",
                    names.join(", ")
                ));
                return Ok(ExitCode::from(2));
            }
            Migrator::down(&db, Some(steps)).await?;
            say(format!("taken back: {}", names.join(", ")));
        }
        Direction::Status => {
            let db = Storage::connect(&config.database_url).await?;
            let pending = Migrator::get_pending_migrations(&db).await?;
            for one in Migrator::get_applied_migrations(&db).await? {
                say(format!("applied  {}", one.name()));
            }
            for one in &pending {
                say(format!("missing  {}", one.name()));
            }
            if !pending.is_empty() {
                return Ok(ExitCode::from(3));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
