//! `recado schedules`: what the clock starts, at the terminal.
use std::{
    io::{BufRead, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use recado_domain::OwnerId;
use recado_engine::{NewSchedule, Overlap, Schedule, ScheduleError, Schedules};
use recado_store::owners;
use serde_json::{Value, json};

use super::say;
use crate::{app::App, config::Config};

/// What to do with schedules.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Act {
    /// Lists schedules, by name
    List {
        /// Only of this owner
        #[arg(long)]
        owner: Option<String>,
        /// How many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=500))]
        limit: u64,
        /// Prints JSON, one schedule a line
        #[arg(long)]
        json: bool,
    },
    /// Shows a schedule
    Show {
        /// Its name
        id: String,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Creates a schedule
    Create(Box<Create>),
    /// Makes a schedule start nothing by itself
    Pause {
        /// Its name
        id: String,
    },
    /// Lets a schedule go on with its next tick from now
    Resume {
        /// Its name
        id: String,
    },
    /// Starts a run of a schedule now
    Trigger {
        /// Its name
        id: String,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Starts the runs of past ticks that were not started, a thousand at most
    Backfill {
        /// Its name
        id: String,
        /// The first moment, e.g. 2026-11-01T00:00:00Z
        #[arg(long)]
        from: DateTime<Utc>,
        /// The end, which is not part of it
        #[arg(long)]
        to: DateTime<Utc>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Forgets a schedule; its runs stay
    Delete {
        /// Its name
        id: String,
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
}

/// A schedule in words.
#[derive(Args, Clone, Debug)]
pub(crate) struct Create {
    /// Its name: letters, digits, dots, hyphens, underscores
    id: String,
    /// The durable name of the workflow that it starts
    #[arg(long)]
    workflow: String,
    /// The workflow's input, as JSON
    #[arg(long, default_value = "{}", value_parser = parse_json)]
    input: Value,
    /// When: five fields, minute to day of the week, or six with seconds in front
    #[arg(long)]
    cron: String,
    /// The zone in which that is read
    #[arg(long, default_value = "UTC")]
    time_zone: String,
    /// What becomes of a tick while an earlier run is at work: skip, queue, allow, cancel or terminate
    #[arg(long, default_value = "skip", value_parser = parse_overlap)]
    overlap: Overlap,
    /// How old a tick may be when it is found, in seconds
    #[arg(long, default_value_t = 60)]
    catch_up: u64,
    /// Whose runs they are
    #[arg(long, default_value = "default")]
    owner: String,
    /// Takes the place of the one of that name
    #[arg(long)]
    replace: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn parse_overlap(word: &str) -> Result<Overlap, String> {
    let all: Vec<_> = Overlap::ALL.iter().map(|overlap| overlap.as_str()).collect();
    Overlap::parse(word).ok_or_else(|| format!("one of {}", all.join(", ")))
}

/// Exits with 2 where a field is wrong or a deletion was not confirmed, with 4 where there is no such schedule or owner,
/// and with 5 where the name is taken.
pub(crate) async fn run(config: Config, act: Act) -> anyhow::Result<ExitCode> {
    let app = App::open_for_command(config).await?;
    if let Act::Create(create) = &act {
        let owner = OwnerId::from(create.owner.clone());
        if owners::find(&app.environment.database, &owner).await?.is_none() {
            crate::tell(&format!("recado: there is no owner {owner}"));
            return Ok(ExitCode::from(4));
        }
    }
    match act_on(app.engine.schedules(), act).await {
        Ok(code) => Ok(code),
        Err(ScheduleError::Storage(error)) => Err(error.into()),
        Err(error) => {
            crate::tell(&format!("recado: {error}"));
            Ok(ExitCode::from(match error {
                ScheduleError::NoSuchSchedule(_) => 4,
                ScheduleError::Taken(_) => 5,
                ScheduleError::Invalid { .. } | ScheduleError::Storage(_) => 2,
            }))
        }
    }
}

async fn act_on(schedules: Schedules<'_>, act: Act) -> Result<ExitCode, ScheduleError> {
    match act {
        Act::List { owner, limit, json } => {
            let page = schedules.list(owner.as_deref(), limit, None).await?;
            if !json {
                say(HEADS);
            }
            for schedule in &page.items {
                say(if json {
                    as_json(schedule).to_string()
                } else {
                    as_line(schedule)
                });
            }
        }
        Act::Show { id, json } => show(&schedules.get(&id, None).await?, json),
        Act::Create(create) => {
            let json = create.json;
            let written = if create.replace {
                schedules.replace(create.schedule()).await?
            } else {
                schedules.create(create.schedule()).await?
            };
            show(&written, json);
        }
        Act::Pause { id } => {
            schedules.pause(&id, None).await?;
            say(format!("{id} is paused"));
        }
        Act::Resume { id } => {
            let next = schedules.resume(&id, None).await?.next_at;
            say(format!("{id} goes on, next at {}", moment(next)));
        }
        Act::Trigger { id, json } => {
            let run = schedules.trigger(&id, None).await?.run;
            say(if json {
                json!({"run": run}).to_string()
            } else {
                format!("{id} has started the run {run}")
            });
        }
        Act::Backfill { id, from, to, json } => {
            let done = schedules.backfill(&id, None, from, to).await?;
            say(if json {
                json!({"started": done.started, "already": done.already}).to_string()
            } else {
                format!(
                    "{} runs started, {} ticks had been started before",
                    done.started.len(),
                    done.already
                )
            });
        }
        Act::Delete { id, yes } => {
            let found = schedules.get(&id, None).await?;
            if yes || confirmed(&found) {
                schedules.delete(&id, None).await?;
                say(format!("{id} is deleted"));
            } else {
                say(format!("{id} stays; `--yes` deletes it without a question"));
                return Ok(ExitCode::from(2));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks whoever sits at the terminal; nobody there means no.
fn confirmed(schedule: &Schedule) -> bool {
    let stdin = std::io::stdin();
    let question = format!(
        "Delete {} ({} at {})? [y/N] ",
        schedule.id, schedule.workflow, schedule.cron
    );
    let asked = stdin.is_terminal() && write!(std::io::stdout(), "{question}").is_ok();
    let mut answer = String::new();
    asked
        && std::io::stdout().flush().is_ok()
        && stdin.lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim(), "y" | "Y" | "yes")
}

impl Create {
    fn schedule(self) -> NewSchedule {
        NewSchedule {
            id: self.id,
            workflow: self.workflow,
            input: self.input,
            owner: Some(self.owner),
            cron: self.cron,
            time_zone: self.time_zone,
            overlap: self.overlap,
            catch_up: Duration::from_secs(self.catch_up),
        }
    }
}

const HEADS: &str = "id                        workflow          cron               time zone             overlap  next                  last                  missed  skipped";

fn as_line(schedule: &Schedule) -> String {
    let next = if schedule.paused {
        "paused".to_owned()
    } else {
        moment(schedule.next_at)
    };
    format!(
        "{:24}  {:16}  {:17}  {:20}  {:7}  {next:20}  {:20}  {:>6}  {:>7}",
        schedule.id,
        schedule.workflow,
        schedule.cron,
        schedule.time_zone,
        schedule.overlap.as_str(),
        moment(schedule.last_at),
        schedule.missed,
        schedule.skipped
    )
}

fn show(schedule: &Schedule, json: bool) {
    if json {
        return say(as_json(schedule));
    }
    say(HEADS);
    say(as_line(schedule));
    say(format!("owner     {}", schedule.owner.as_deref().unwrap_or("-")));
    say(format!("input     {}", schedule.input));
    say(format!("catch up  {} s", schedule.catch_up.as_secs()));
    if let Some(run) = &schedule.last_run {
        say(format!("last run  {run}"));
    }
}

fn moment(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(
        || "-".to_owned(),
        |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

fn as_json(schedule: &Schedule) -> Value {
    json!({
        "id": schedule.id, "workflow": schedule.workflow, "input": schedule.input, "owner": schedule.owner,
        "cron": schedule.cron, "time_zone": schedule.time_zone, "overlap": schedule.overlap,
        "catch_up_seconds": schedule.catch_up.as_secs(), "paused": schedule.paused, "next_at": schedule.next_at,
        "last_at": schedule.last_at, "last_run": schedule.last_run, "missed": schedule.missed,
        "skipped": schedule.skipped, "created_at": schedule.created_at, "updated_at": schedule.updated_at,
    })
}
