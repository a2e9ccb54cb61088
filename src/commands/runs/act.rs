//! What can be done with runs, at the terminal: with one, or with all that a filter finds.
use std::{
    io::{BufRead, IsTerminal},
    process::ExitCode,
};

use chrono::{DateTime, Utc};
use clap::Args;
use recado_engine::{Act, ControlError, Decision, Filter, Mode, RunId, RunState, Storage};
use serde_json::Value;

use super::{as_line, parse_state, refuse};
use crate::commands::say;

/// One run, or a filter.
#[derive(Args, Clone, Debug)]
pub(crate) struct Which {
    /// Its id; leave it out to take all that the filter finds
    id: Option<String>,
    /// Only runs in this state
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
    /// Only with an error that begins so
    #[arg(long)]
    error: Option<String>,
    /// Only waiting for what begins so
    #[arg(long)]
    waiting_for: Option<String>,
    /// Only with this tag
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_tag)]
    tag: Option<(String, String)>,
    /// Only started at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    created_from: Option<DateTime<Utc>>,
    /// Only started before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    created_before: Option<DateTime<Utc>>,
    /// The most runs to touch, the newest
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
    /// Prints what would be touched, and touches nothing
    #[arg(long)]
    dry_run: bool,
    /// Does not ask
    #[arg(long)]
    yes: bool,
}

/// What became of a call.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Verdict {
    /// It happened, and this is its result (JSON)
    #[arg(long, value_name = "RESULT", value_parser = parse_json)]
    happened: Option<Value>,
    /// It is to be made again, even if that makes it twice
    #[arg(long)]
    resend: bool,
    /// It is not to be made again; the workflow receives the fault
    #[arg(long)]
    give_up: bool,
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict {
                happened: Some(result),
                ..
            } => Self::Happened(result),
            Verdict { resend: true, .. } => Self::Resend,
            _ => Self::GiveUp,
        }
    }
}

/// A value in JSON.
pub(super) fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Exits with 4 where there is no such run, and with 5 where the act does not fit a run; others of a filter are done
/// nevertheless.
pub(super) async fn act(storage: &Storage, which: Which, act: Act) -> anyhow::Result<ExitCode> {
    match &which.id {
        Some(id) => act_on_one(storage, RunId::from(id.as_str()), &which, &act).await,
        None => act_on_all(storage, &which, &act).await,
    }
}

async fn act_on_one(storage: &Storage, id: RunId, which: &Which, act: &Act) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!which.is_filtered(), "give an id or a filter, not both");
    let done = if which.dry_run {
        match storage.run(&id).await? {
            Some(run) => act.fits(&run).map(|()| {
                say(as_line(&run));
                None
            }),
            None => Err(ControlError::NoSuchRun(id.clone())),
        }
    } else {
        storage.act(&id, act).await.map(Some)
    };
    match done {
        Ok(new) => {
            if let Some(new) = new {
                say(told(act, &id, &new));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ ControlError::NoSuchRun(_)) => refuse(&error, 4),
        Err(error @ (ControlError::WrongState(..) | ControlError::Unfit(_))) => refuse(&error, 5),
        Err(ControlError::Storage(error)) => Err(error.into()),
    }
}

async fn act_on_all(storage: &Storage, which: &Which, act: &Act) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        which.is_filtered(),
        "give an id, or a filter such as --state parked"
    );
    let filter = which.filter();
    if !which.dry_run && !which.yes && is_destructive(act) {
        let found = storage.batch(&filter, act, Mode::DryRun, which.limit).await?;
        let fitting = found.iter().filter(|touched| touched.done.is_ok()).count();
        if fitting == 0 {
            say("no run fits");
            return Ok(ExitCode::SUCCESS);
        }
        if !is_meant(&format!("{} {fitting} runs? [y/N]", act.as_str())) {
            anyhow::bail!("nothing was done; --yes does not ask");
        }
    }
    let mode = if which.dry_run { Mode::DryRun } else { Mode::Act };
    let touched = storage.batch(&filter, act, mode, which.limit).await?;
    let mut refused = 0usize;
    for one in &touched {
        match (&one.done, mode) {
            (Ok(_), Mode::DryRun) => say(as_line(&one.run)),
            (Ok(new), Mode::Act) => say(told(act, &one.run.id, new)),
            (Err(error), _) => {
                refused += 1;
                say(format!("{}: {error}", one.run.id));
            }
        }
    }
    let would = if which.dry_run { "would be " } else { "" };
    say(format!(
        "{} {would}touched, {refused} {would}refused",
        touched.len() - refused
    ));
    Ok(ExitCode::from(if refused > 0 { 5 } else { 0 }))
}

fn is_destructive(act: &Act) -> bool {
    matches!(act, Act::Cancel | Act::Terminate | Act::Fork { .. })
}

fn is_meant(question: &str) -> bool {
    crate::tell(question);
    let mut answer = String::new();
    let asked = std::io::stdin();
    // Without a person there is nobody to say yes by accident: only a whole word counts.
    let heard = asked.lock().read_line(&mut answer).is_ok();
    let answer = answer.trim().to_ascii_lowercase();
    heard && (answer == "yes" || (answer == "y" && asked.is_terminal()))
}

fn told(act: &Act, id: &RunId, new: &RunId) -> String {
    match act {
        Act::Cancel => format!("{id} is told to end"),
        Act::Terminate => format!("{id} is terminated"),
        Act::Pause => format!("{id} is paused"),
        Act::Resume => format!("{id} goes on"),
        Act::Retry => format!("{id} is queued again"),
        Act::Skip { .. } => format!("{id} goes on with that result"),
        Act::Decide(_) => format!("{id} has the decision"),
        Act::Fork { .. } => format!("{id} goes on as {new}"),
        Act::Signal { name, .. } => format!("{id} has the signal {name}"),
    }
}

impl Which {
    fn filter(&self) -> Filter {
        Filter {
            workflow: self.workflow.clone(),
            state: self.state,
            outcome: self.outcome.clone(),
            owner: self.owner.clone(),
            created_from: self.created_from,
            created_before: self.created_before,
            error: self.error.clone(),
            waiting_for: self.waiting_for.clone(),
            tag: self.tag.clone(),
            ..Filter::default()
        }
    }

    fn is_filtered(&self) -> bool {
        let words = [
            &self.workflow,
            &self.outcome,
            &self.owner,
            &self.error,
            &self.waiting_for,
        ];
        words.into_iter().any(Option::is_some)
            || self.state.is_some()
            || self.tag.is_some()
            || self.created_from.is_some()
            || self.created_before.is_some()
    }
}
