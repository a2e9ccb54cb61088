//! A run as a line of the list.
use chrono::{DateTime, Utc};
use recado_engine::{Run, RunState};

use crate::t;

use crate::pages::{
    contact,
    language::tell,
    moment::{Moment, between},
    state::Mark,
    text::{masked, short},
};

/// What one line shows.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) short: String,
    pub(super) workflow: String,
    pub(super) mark: Mark,
    pub(super) outcome: Option<String>,
    pub(super) contact: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) waits: Option<Waits>,
    pub(super) error: Option<String>,
    pub(super) attempt: i64,
    pub(super) lane: Option<String>,
    pub(super) worker: Option<String>,
    pub(super) build: String,
    pub(super) created: Moment,
    /// Absent while the run goes on.
    pub(super) took: Option<String>,
}

/// What an unfinished run waits for.
pub(crate) struct Waits {
    pub(crate) what: String,
    pub(crate) since: Moment,
    pub(crate) until: Option<Moment>,
}

impl Waits {
    /// `None` for a run that has ended.
    pub(crate) fn of(run: &Run) -> Option<Self> {
        let waits = Self::for_what(run.state, run.waiting_for.as_deref(), run.since)?;
        Some(Self {
            until: run.until.map(Moment::relative),
            ..waits
        })
    }

    /// The same of what a run in `state` waits for, since when, and no matter until when.
    pub(crate) fn for_what(state: RunState, waiting_for: Option<&str>, since: DateTime<Utc>) -> Option<Self> {
        if state.is_final() {
            return None;
        }
        let what = match waiting_for.map(|what| what.split_once(':').unwrap_or((what, ""))) {
            None => t("nothing").to_owned(),
            Some(("worker", _)) => t("a worker").to_owned(),
            Some(("lane", _)) => t("its turn in its lane").to_owned(),
            Some(("quiet", _)) => t("a quiet moment of its lane").to_owned(),
            Some(("activity", "")) => t("its worker").to_owned(),
            Some(("activity", name)) => tell("{name}, at work", &about(name)),
            Some(("retry", name)) => tell("the next attempt at {name}", &about(name)),
            Some(("reconcile", name)) => tell("news of {name}", &about(name)),
            Some((what, "")) => what.to_owned(),
            Some((what, name)) => format!("{what} {name}"),
        };
        Some(Self {
            what,
            since: Moment::relative(since),
            until: None,
        })
    }
}

/// What a sentence about a step is told.
fn about(name: &str) -> [(&'static str, String); 1] {
    [("name", name.to_owned())]
}

impl Row {
    pub(super) fn of(run: &Run) -> Self {
        let ended = run.finished_at;
        Self {
            id: run.id.to_string(),
            short: short(run.id.as_str()).to_owned(),
            attempt: run.attempt,
            lane: run.lane.as_deref().map(masked),
            worker: run.worker.clone(),
            build: run.build.clone(),
            workflow: run.workflow.clone(),
            mark: Mark(run.state),
            outcome: run.outcome.clone(),
            contact: contact::of(run),
            owner: run.owner.clone(),
            waits: Waits::of(run),
            error: run
                .error
                .as_deref()
                .filter(|_| run.state == RunState::Parked)
                .map(masked),
            created: Moment::relative(run.created_at),
            took: ended.map(|ended| between(run.created_at, ended)),
        }
    }
}
