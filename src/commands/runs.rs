//! `recado runs`: runs, at the terminal.
mod act;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use clap::Subcommand;
use recado_engine::{Act as RunAct, ControlError, Filter, Run, RunId, RunState, Storage, dispatch::Bells};
use serde_json::{Value, json};

use self::act::{Verdict, Which, parse_json};
use super::say;
use crate::{app, config::Config, line::Line};

/// What to do with runs.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Act {
    /// Lists runs, newest first
    List {
        /// Which, as the page of runs takes it, in quotes: 'state:parked error:timeout: since:2h text'
        #[arg(value_parser = parse_line)]
        line: Option<Filter>,
        /// Only in this state
        #[arg(long, value_parser = parse_state)]
        state: Option<RunState>,
        /// Only of this workflow
        #[arg(long)]
        workflow: Option<String>,
        /// Only of this owner
        #[arg(long)]
        owner: Option<String>,
        /// Only with this outcome
        #[arg(long)]
        outcome: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=500))]
        limit: u64,
        /// Prints JSON, one run a line
        #[arg(long)]
        json: bool,
    },
    /// Shows a run and its journal
    Show {
        /// Its id
        id: String,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Gives parked runs another try
    Retry(#[command(flatten)] Which),
    /// Asks runs to end; their workflows may make good what they did
    Cancel(#[command(flatten)] Which),
    /// Ends runs at once
    Terminate(#[command(flatten)] Which),
    /// Keeps runs from going on
    Pause(#[command(flatten)] Which),
    /// Lets paused runs go on
    Resume(#[command(flatten)] Which),
    /// Gives the step at which runs were parked its result
    Skip {
        #[command(flatten)]
        which: Which,
        /// What the activity is to have returned (JSON)
        #[arg(long, value_parser = parse_json)]
        result: Value,
    },
    /// Says what became of a call whose fate nobody can tell
    Decide {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        verdict: Verdict,
    },
    /// Starts new runs from the beginning of old ones; an old one that has not ended is terminated
    Fork {
        #[command(flatten)]
        which: Which,
        /// The number of the last event that the new run shares; 0 for none
        #[arg(long)]
        from: i64,
        /// The new run's input (JSON), if it is to have another
        #[arg(long, value_parser = parse_json)]
        input: Option<Value>,
    },
    /// Sends runs a signal
    Signal {
        #[command(flatten)]
        which: Which,
        /// What the signal is called
        #[arg(long)]
        name: String,
        /// What it says (JSON)
        #[arg(long, value_parser = parse_json, default_value = "null")]
        data: Value,
        /// A second signal with this key is ignored
        #[arg(long)]
        key: Option<String>,
    },
    /// Writes a run and its journal as one JSON document, which a replay test takes
    Export {
        /// Its id
        id: String,
        /// The file to write; the terminal if left out
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
}

fn parse_state(word: &str) -> Result<RunState, String> {
    let all: Vec<_> = RunState::ALL.iter().map(|state| state.as_str()).collect();
    RunState::parse(word).ok_or_else(|| format!("one of {}", all.join(", ")))
}

fn parse_line(text: &str) -> Result<Filter, String> {
    let filter = Line::parse(text)?.filter()?;
    // Nobody turns pages here: all runs are looked through.
    Ok(Filter {
        depth: None,
        ..filter
    })
}

/// Exits with 4 where there is no such run, and with 5 where the act does not fit its state.
pub(crate) async fn run(config: &Config, act: Act) -> anyhow::Result<ExitCode> {
    // The bells reach the workers of other processes, where there is Redis; else their sweep finds what is ready.
    let bells = match &config.redis_url {
        Some(url) => Bells::redis(url, "runs").await?,
        None => Bells::in_process(),
    };
    let storage = app::storage(config, move || bells.ring()).await?;
    match act {
        Act::List {
            line,
            state,
            workflow,
            owner,
            outcome,
            limit,
            json,
        } => {
            let line = line.unwrap_or_default();
            let filter = Filter {
                workflow: workflow.or(line.workflow),
                state: state.or(line.state),
                outcome: outcome.or(line.outcome),
                owner: owner.or(line.owner),
                ..line
            };
            let page = storage.runs(&filter, limit, None).await?;
            if !json {
                say(format!(
                    "{:26}  {:16}  {:9}  {:14}  {:20}  since",
                    "id", "workflow", "state", "outcome", "waits for"
                ));
            }
            for run in &page.items {
                say(if json {
                    as_json(run).to_string()
                } else {
                    as_line(run)
                });
            }
            Ok(ExitCode::SUCCESS)
        }
        Act::Show { id, json } => show(&storage, &RunId::from(id), json).await,
        Act::Export { id, output } => export(&storage, &RunId::from(id), output).await,
        Act::Retry(which) => act::act(&storage, which, RunAct::Retry).await,
        Act::Cancel(which) => act::act(&storage, which, RunAct::Cancel).await,
        Act::Terminate(which) => act::act(&storage, which, RunAct::Terminate).await,
        Act::Pause(which) => act::act(&storage, which, RunAct::Pause).await,
        Act::Resume(which) => act::act(&storage, which, RunAct::Resume).await,
        Act::Skip { which, result } => act::act(&storage, which, RunAct::Skip { result }).await,
        Act::Decide { which, verdict } => act::act(&storage, which, RunAct::Decide(verdict.into())).await,
        Act::Fork { which, from, input } => act::act(&storage, which, RunAct::Fork { from, input }).await,
        Act::Signal {
            which,
            name,
            data,
            key,
        } => act::act(&storage, which, RunAct::Signal { name, data, key }).await,
    }
}

async fn export(storage: &Storage, id: &RunId, output: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let Some(export) = storage.export(id).await? else {
        return refuse(&ControlError::NoSuchRun(id.clone()), 4);
    };
    let text = serde_json::to_string_pretty(&export)?;
    match output {
        Some(path) => {
            std::fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
            say(format!("{id} is in {}", path.display()));
        }
        None => say(text),
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse(error: &ControlError, code: u8) -> anyhow::Result<ExitCode> {
    crate::tell(&format!("recado: {error}"));
    Ok(ExitCode::from(code))
}

async fn show(storage: &Storage, id: &RunId, json: bool) -> anyhow::Result<ExitCode> {
    let Some(run) = storage.run(id).await? else {
        return refuse(&ControlError::NoSuchRun(id.clone()), 4);
    };
    let journal = storage.journal(id).await?;
    if json {
        let events: Vec<_> = journal
            .iter()
            .map(|event| {
                json!({"seq": event.seq, "op": event.op, "kind": event.kind, "name": event.name, "attempt": event.attempt,
                    "started_at": event.started_at, "at": event.at, "input": event.input, "data": event.data})
            })
            .collect();
        let mut document = as_json(&run);
        document["journal"] = json!(events);
        say(document);
        return Ok(ExitCode::SUCCESS);
    }
    say(as_line(&run));
    if let Some(error) = &run.error {
        say(format!("error: {error}"));
    }
    for event in &journal {
        let name = event.name.as_deref().unwrap_or_default();
        let attempt = event
            .attempt
            .map(|attempt| format!("attempt {attempt}"))
            .unwrap_or_default();
        say(format!(
            "{:>4}  {}  {:20}  {name:16}  {attempt}",
            event.seq,
            event.at.format("%H:%M:%S%.3f"),
            event.kind.as_str()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_line(run: &Run) -> String {
    format!(
        "{:26}  {:16}  {:9}  {:14}  {:20}  {}",
        run.id.as_str(),
        run.workflow,
        run.state.as_str(),
        run.outcome.as_deref().unwrap_or("-"),
        run.waiting_for.as_deref().unwrap_or("-"),
        run.since.format("%Y-%m-%d %H:%M:%S"),
    )
}

fn as_json(run: &Run) -> serde_json::Value {
    json!({
        "id": run.id, "workflow": run.workflow, "key": run.key, "owner": run.owner, "state": run.state,
        "outcome": run.outcome, "waiting_for": run.waiting_for, "since": run.since, "until": run.until,
        "lane": run.lane, "attempt": run.attempt, "error": run.error, "created_at": run.created_at,
        "finished_at": run.finished_at,
    })
}
