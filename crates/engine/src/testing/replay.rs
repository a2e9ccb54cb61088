//! A recorded history against the workflow of this build: no database, and no activity is run.
use std::{collections::BTreeSet, fmt, path::Path, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    Context, Engine, Event, EventKind, Export, Failure, Fault, Run, RunState, Settings, Storage, Workflow,
    canonical,
    context::{CONTINUED, Leave},
    dispatch::Bells,
    engine::Shared,
    export::FORMAT,
    lease::Lease,
    mailbox::Mailbox,
    registry::{Ended, Registry},
    storage::Claimed,
};

/// Replays the history in the file at `path`, as `recado runs export` wrote it, with the workflow `W` of this build.
///
/// # Panics
/// When a run with this history would not go on with this build as it did, showing what was recorded and what came
/// instead.
#[track_caller]
pub fn replay<W: Workflow>(path: impl AsRef<Path>) {
    let path = path.as_ref();
    let read = std::fs::read(path).map_err(|error| error.to_string());
    let read = read.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    let export = read.unwrap_or_else(|error| panic!("{} is no history: {error}", path.display()));
    if let Err(error) = replay_export::<W>(&export) {
        panic!("{} does not replay: {error}", path.display());
    }
}

/// How a replay came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The workflow returned this.
    Ended {
        /// In its own words.
        outcome: String,
        /// Its result.
        output: Value,
    },
    /// The workflow let this fault pass.
    Stopped(Fault),
    /// The workflow goes on where the journal ends, as that of an open run does.
    Open {
        /// With what.
        told: String,
    },
    /// The run went on as a new one.
    Continued,
}

/// Why a history does not replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreplayable {
    /// It is written in a format that this build does not read.
    #[error("it has the format {0}, and this build reads {FORMAT}")]
    Format(u32),
    /// It is of another workflow.
    #[error("it is a history of {0}")]
    OtherWorkflow(String),
    /// The workflow of this build loses members of the recorded input.
    #[error("the recorded input has {0}, which the workflow of this build does not read")]
    Input(String),
    /// The workflow asks for other things than were recorded.
    #[error("{0}")]
    Mismatch(String),
    /// The workflow asks for the same, and comes to another end.
    #[error("it ends otherwise\n  recorded: {recorded}\n  replayed: {replayed}")]
    End {
        /// The end that was recorded.
        recorded: String,
        /// The end that this build comes to.
        replayed: String,
    },
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { outcome, output } => write!(f, "{outcome}: {output}"),
            Self::Stopped(fault) => write!(f, "{fault}"),
            Self::Open { told } => f.write_str(told),
            Self::Continued => f.write_str(CONTINUED),
        }
    }
}

/// Replays a history with the workflow `W` of this build.
///
/// # Errors
/// When a run with this history would not go on with this build as it did.
pub fn replay_export<W: Workflow>(export: &Export) -> Result<Replayed, Unreplayable> {
    if export.format != FORMAT {
        return Err(Unreplayable::Format(export.format));
    }
    if export.workflow != W::NAME {
        return Err(Unreplayable::OtherWorkflow(export.workflow.clone()));
    }
    if let Some(lost) = lost_member::<W>(&export.input) {
        return Err(Unreplayable::Input(lost));
    }
    let replayed = futures::executor::block_on(run::<W>(export))?;
    match is_as_recorded(export, &replayed) {
        true => Ok(replayed),
        false => Err(Unreplayable::End {
            recorded: recorded_end(export),
            replayed: replayed.to_string(),
        }),
    }
}

/// A member of the recorded input that says something and is not there when the workflow writes its input again.
fn lost_member<W: Workflow>(input: &Value) -> Option<String> {
    let said = |value: &Value| -> BTreeSet<String> {
        let members = value.as_object().into_iter().flatten();
        members
            .filter(|(_, value)| !canonical::is_zero(value))
            .map(|(name, _)| name.clone())
            .collect()
    };
    // What cannot be read at all is told by the replay.
    let again = serde_json::to_value(W::deserialize(input).ok()?).ok()?;
    said(input).difference(&said(&again)).next().cloned()
}

async fn run<W: Workflow>(export: &Export) -> Result<Replayed, Unreplayable> {
    let mut registry = Registry::default();
    registry.workflow::<W>();
    let engine = Engine::of(
        Arc::new(registry),
        Storage::absent(),
        Bells::in_process(),
        Settings::default(),
    );
    let Some(shared) = Arc::into_inner(engine.shared) else {
        unreachable!("nobody else has it yet");
    };
    let shared = Arc::new(Shared {
        replays_only: true,
        ..shared
    });
    let lease = Arc::new(Lease::new("replay".to_owned(), Duration::ZERO));
    let mailbox = Arc::new(Mailbox::new(export.run.clone()));
    let events = export.events.iter().cloned().map(Event::from).collect();
    let claimed = Claimed {
        run: recorded_run(export),
        events: Ok(events),
        taken_from: None,
    };
    let mut ctx = Context::new(shared.clone(), lease, mailbox, claimed);
    if export.state.is_some_and(RunState::is_final) {
        ctx.has_ended();
    }
    let exit = ctx.exit();
    let ended = tokio::select! {
        biased;
        reason = exit.left() => Err(reason),
        result = shared.registry.call(W::NAME, export.input.clone(), &mut ctx) => Ok(result),
    };
    match ended {
        Ok(Ok(Ended { word, output, .. })) => match ctx.left_over() {
            Some(failure) => Err(mismatch(failure)),
            None => Ok(Replayed::Ended {
                outcome: word.to_owned(),
                output,
            }),
        },
        Ok(Err(fault)) => Ok(Replayed::Stopped(fault)),
        Err(Leave::Continued(_)) => Ok(Replayed::Continued),
        Err(Leave::Parked(failure)) if failure.class == "journal_ends" => Ok(Replayed::Open {
            told: failure.message,
        }),
        Err(Leave::Parked(failure)) => Err(mismatch(failure)),
        Err(reason) => Err(Unreplayable::Mismatch(format!("the replay was left: {reason:?}"))),
    }
}

fn mismatch(failure: Failure) -> Unreplayable {
    Unreplayable::Mismatch(failure.message)
}

/// The run as a worker would find it.
fn recorded_run(export: &Export) -> Run {
    let entered = |event: &&crate::ExportedEvent| event.kind == EventKind::LaneEntered;
    // Early documents do not name the lane.
    let lane = export.events.iter().find(entered).map(|_| "lane".to_owned());
    let at = export.events.first().map(|event| event.at).unwrap_or_default();
    Run {
        id: export.run.clone(),
        workflow: export.workflow.clone(),
        key: export.run.to_string(),
        owner: None,
        state: RunState::Running,
        outcome: None,
        waiting_for: None,
        since: at,
        until: None,
        lane: export.lane.clone().or(lane),
        place: None,
        worker: None,
        epoch: 1,
        takeovers: 0,
        attempt: 0,
        build: export.build.clone(),
        input: export.input.clone(),
        output: None,
        error: None,
        created_at: at,
        finished_at: None,
        inbox: 0,
        parent: None,
        parent_op: None,
        on_close: None,
    }
}

fn is_as_recorded(export: &Export, replayed: &Replayed) -> bool {
    let Some(state) = export.state else {
        return true;
    };
    match (state, replayed) {
        (RunState::Completed, Replayed::Continued) => export.outcome.as_deref() == Some(CONTINUED),
        (RunState::Completed | RunState::Failed, Replayed::Ended { outcome, output }) => {
            let recorded = export.output.clone().unwrap_or_default();
            export.outcome.as_ref() == Some(outcome) && canonical::hash(&recorded) == canonical::hash(output)
        }
        (RunState::Completed | RunState::Failed, _) => false,
        // What was cancelled may have let another fault pass; what was ended by force may have been anywhere.
        (RunState::Cancelled, replayed) => matches!(replayed, Replayed::Stopped(_)),
        (RunState::Terminated, _) => true,
        (RunState::Parked, Replayed::Stopped(fault)) => {
            let told = fault.to_string();
            export.error.as_ref().is_none_or(|error| *error == told)
        }
        (_, replayed) => matches!(replayed, Replayed::Open { .. }),
    }
}

fn recorded_end(export: &Export) -> String {
    let state = export.state.map_or("open", RunState::as_str);
    let word = export
        .outcome
        .as_deref()
        .or(export.error.as_deref())
        .unwrap_or(state);
    match &export.output {
        Some(output) => format!("{word}: {output}"),
        None => format!("{state} ({word})"),
    }
}
