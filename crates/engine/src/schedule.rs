//! A schedule: a workflow that the clock starts, and what becomes of ticks that come too soon or were slept through.
use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{RunId, StorageError};

/// What becomes of a tick while an earlier run of the schedule is still at work. A parked run is not at work: it waits
/// for a person, and holds no schedule up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The tick starts nothing, and is counted.
    #[default]
    Skip,
    /// Its run begins when the earlier ones have ended or are parked.
    Queue,
    /// Its run begins at once, beside the earlier ones.
    Allow,
    /// The earlier ones are cancelled, and its run begins when they have ended.
    Cancel,
    /// The earlier ones are terminated, and its run begins at once.
    Terminate,
}

impl Overlap {
    /// Every policy.
    pub const ALL: [Self; 5] = [
        Self::Skip,
        Self::Queue,
        Self::Allow,
        Self::Cancel,
        Self::Terminate,
    ];

    /// The word in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Allow => "allow",
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
        }
    }

    /// The policy that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|overlap| overlap.as_str() == word)
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A schedule to be created, or to take another's place.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    /// Its name, chosen by the caller and unique over all owners: 1 to 100 of `A-Z a-z 0-9 . _ -`.
    pub id: String,
    /// The durable name of the workflow that it starts.
    pub workflow: String,
    /// The workflow's input, the same at every tick.
    pub input: Value,
    /// Whose runs they are.
    pub owner: Option<String>,
    /// When: five fields, minute to day of the week, or six with seconds in front; `@hourly` and the like too.
    pub cron: String,
    /// The zone in which `cron` is read, by its IANA name, e.g. `America/Sao_Paulo`.
    pub time_zone: String,
    /// What becomes of a tick while an earlier run is at work.
    pub overlap: Overlap,
    /// How old a tick may be when it is found; older ones are counted as missed. 10 s to 31 days, whole seconds.
    pub catch_up: Duration,
}

impl NewSchedule {
    /// A schedule in UTC that skips overlapping ticks, and catches up those of the last minute.
    pub fn new(id: impl Into<String>, workflow: impl Into<String>, cron: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            workflow: workflow.into(),
            input: Value::Object(serde_json::Map::new()),
            owner: None,
            cron: cron.into(),
            time_zone: "UTC".to_owned(),
            overlap: Overlap::default(),
            catch_up: Duration::from_secs(60),
        }
    }
}

/// A schedule as `schedules` holds it.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name.
    pub id: String,
    /// The durable name of the workflow that it starts.
    pub workflow: String,
    /// The workflow's input.
    pub input: Value,
    /// Whose runs they are.
    pub owner: Option<String>,
    /// When.
    pub cron: String,
    /// The zone in which `cron` is read.
    pub time_zone: String,
    /// What becomes of a tick while an earlier run is at work.
    pub overlap: Overlap,
    /// How old a tick may be when it is found.
    pub catch_up: Duration,
    /// Whether it starts nothing by itself. Ticks that pass meanwhile are neither caught up nor counted.
    pub paused: bool,
    /// The next tick; none while it is paused, or where none is left.
    pub next_at: Option<DateTime<Utc>>,
    /// The tick, or the moment of the trigger, of `last_run`.
    pub last_at: Option<DateTime<Utc>>,
    /// The run that it started last; a backfill does not count.
    pub last_run: Option<RunId>,
    /// How many ticks passed by longer than `catch_up` ago while nobody looked, a thousand an absence at most.
    pub missed: i64,
    /// How many ticks started nothing because an earlier run was at work, or because a later tick would have ended theirs
    /// at once.
    pub skipped: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Schedule {
    /// The key of the run of a tick. Whoever starts that run uses it, so that a tick starts one run.
    pub(crate) fn key(&self, tick: DateTime<Utc>) -> String {
        let tick = tick.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        format!("schedule:{}:{tick}", self.id)
    }
}

/// What a backfill came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backfilled {
    /// The runs that it started, in the order of their ticks.
    pub started: Vec<RunId>,
    /// How many ticks had been started before.
    pub already: u64,
}

/// What one look at the schedules came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fired {
    /// How many runs were started.
    pub started: u64,
    /// When the next tick is due.
    pub next: Option<DateTime<Utc>>,
}

/// Why a schedule was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// A field has a value that cannot be taken.
    #[error("{field}: {told}")]
    Invalid {
        /// The field, as JSON and the command line name it.
        field: &'static str,
        /// What is wrong with it.
        told: String,
    },
    /// There is no such schedule, or not for this owner.
    #[error("there is no schedule {0}")]
    NoSuchSchedule(String),
    /// The name is another schedule's.
    #[error("there is a schedule {0} already")]
    Taken(String),
    /// The database did not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ScheduleError {
    pub(crate) fn invalid(field: &'static str, told: impl Into<String>) -> Self {
        let told = told.into();
        Self::Invalid { field, told }
    }
}

impl From<sea_orm::DbErr> for ScheduleError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Storage(error.into())
    }
}
