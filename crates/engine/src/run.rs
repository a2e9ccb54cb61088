//! A run: one call of a workflow, and its present state.
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The id of a run: a ULID, so that ids sort by the time of their start.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// A fresh id.
    pub(crate) fn fresh() -> Self {
        Self(ulid::Ulid::generate().to_string())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the run's trace, 32 hexadecimal digits: the same 128 bits. Zeros, which no trace has, where the id is
    /// none that a run was ever given.
    pub fn trace_id(&self) -> String {
        let bits = ulid::Ulid::from_string(&self.0).map_or(0, u128::from);
        format!("{bits:032x}")
    }
}

impl From<String> for RunId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<&str> for RunId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Ready; waits for a worker.
    Queued,
    /// In the hands of a worker.
    Running,
    /// Waits for what `waiting_for` says, in nobody's hands.
    Waiting,
    /// Cannot go on without a person.
    Parked,
    /// Ended with the workflow's result.
    Completed,
    /// Ended with a result that the workflow itself calls a failure.
    Failed,
    /// Ended because somebody asked it to stop.
    Cancelled,
    /// Ended by force.
    Terminated,
}

impl RunState {
    /// Every state, in the order of a run's life.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Parked,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Terminated,
    ];

    /// The word in SQL, JSON, URLs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Terminated => "terminated",
        }
    }

    /// The state that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing will ever change it again.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Terminated
        )
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The present state of a run, as `runs` holds it.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The durable name of its workflow.
    pub workflow: String,
    /// The caller's key, unique per workflow for ever; the id where the caller gave none.
    pub key: String,
    /// Whose run it is, once known.
    pub owner: Option<String>,
    /// Where it stands.
    pub state: RunState,
    /// How it ended, in the workflow's words.
    pub outcome: Option<String>,
    /// What an unfinished run waits for, e.g. `worker`, `activity:reply`, `retry:reply`, `lane`, `retry by a person`.
    pub waiting_for: Option<String>,
    /// Since when it waits for that.
    pub since: DateTime<Utc>,
    /// Until when at the latest.
    pub until: Option<DateTime<Utc>>,
    /// The lane whose order it keeps.
    pub lane: Option<String>,
    /// Its place in that lane.
    pub place: Option<i64>,
    /// The worker that holds it.
    pub worker: Option<String>,
    /// How often it changed hands; a write with an older number is refused.
    pub epoch: i64,
    /// How often it was taken from a worker that fell silent, since its last checkpoint.
    pub takeovers: i64,
    /// The attempt at the present activity.
    pub attempt: i64,
    /// The build that started it.
    pub build: String,
    /// The workflow's input.
    pub input: Value,
    /// The workflow's result.
    pub output: Option<Value>,
    /// Why it is parked, or the last failed attempt of the present activity.
    pub error: Option<String>,
    /// When its start was committed.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The number of the last thing that it was told.
    pub inbox: i64,
    /// The run that started it as a child.
    pub parent: Option<RunId>,
    /// The step of the parent that started it.
    pub parent_op: Option<i64>,
    /// What becomes of it when its parent ends: `abandon`, `cancel` or `terminate`.
    pub on_close: Option<String>,
}

/// A run to be started.
#[derive(Clone, Debug)]
pub(crate) struct NewRun {
    pub(crate) id: RunId,
    pub(crate) workflow: String,
    pub(crate) key: String,
    pub(crate) owner: Option<String>,
    pub(crate) lane: Option<String>,
    pub(crate) width: Option<u32>,
    pub(crate) input: Value,
    pub(crate) build: String,
    pub(crate) parent: Option<Parent>,
    /// The worker in whose hands it begins, where it need not be claimed.
    pub(crate) worker: Option<String>,
}

impl NewRun {
    /// The run in the hands of its worker, as the commit that started it at `at` made it.
    pub(crate) fn into_run(self, place: Option<i64>, at: DateTime<Utc>) -> Run {
        let (parent, parent_op, on_close) = match self.parent {
            Some(parent) => (
                Some(parent.run),
                Some(parent.op),
                Some(parent.on_close.to_owned()),
            ),
            None => (None, None, None),
        };
        Run {
            id: self.id,
            workflow: self.workflow,
            key: self.key,
            owner: self.owner,
            state: RunState::Running,
            outcome: None,
            waiting_for: Some("activity".to_owned()),
            since: at,
            until: None,
            lane: self.lane,
            place,
            worker: self.worker,
            epoch: 1,
            takeovers: 0,
            attempt: 0,
            build: self.build,
            input: self.input,
            output: None,
            error: None,
            created_at: at,
            finished_at: None,
            inbox: 0,
            parent,
            parent_op,
            on_close,
        }
    }
}

/// Who started a run, where another run did.
#[derive(Clone, Debug)]
pub(crate) struct Parent {
    pub(crate) run: RunId,
    /// The step that did.
    pub(crate) op: i64,
    /// What the parent's end means for the run: `abandon`, `cancel` or `terminate`.
    pub(crate) on_close: &'static str,
}

/// What a start came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The run that the key names from now on.
    pub run: RunId,
    /// Whether this very call started it, or an earlier one with the same key.
    pub new: bool,
}
