//! What does not go on: parked, failing again and again, or waiting for longer than it should; by cause.
use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use super::{Storage, StorageError, after, dialect, filter::FAILED_STEP, now, statement};
use crate::RunId;

/// From this attempt on an activity fails again and again.
const AGAIN: i64 = 3;
/// How long a run may be without a worker, past its own time, or of unknown fate, before that is said.
const SOON: Duration = Duration::from_secs(60);
/// How long a run may wait for its turn, be at work, or be paused, before that is said.
pub const LONG: Duration = Duration::from_secs(600);
/// The most runs that one look groups, the oldest, and the most groups that it returns.
const RUNS: i64 = 10_000;
const GROUPS: i64 = 200;

/// In which way runs do not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// They cannot go on without a person.
    Parked,
    /// Their activity has failed three times or more, and is tried again.
    Failing,
    /// They wait, or are at work, for longer than they should.
    Slow,
}

impl Kind {
    /// Every kind, the worst first.
    pub const ALL: [Self; 3] = [Self::Parked, Self::Failing, Self::Slow];

    /// The word in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Failing => "failing",
            Self::Slow => "slow",
        }
    }

    /// The kind that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Runs that do not go on for one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// In which way.
    pub kind: Kind,
    /// The class of their error, e.g. `twilio_63016`; empty where there is none.
    pub class: String,
    /// Their workflow.
    pub workflow: String,
    /// The step that failed; absent where no step did.
    pub step: Option<String>,
    /// What those that are not parked wait for.
    pub waiting_for: Option<String>,
    /// How many they are.
    pub runs: i64,
    /// Since when the first of them stands so.
    pub first: DateTime<Utc>,
    /// Since when the last of them stands so.
    pub last: DateTime<Utc>,
    /// The error of one of them.
    pub told: Option<String>,
    /// The one that was started last.
    pub example: RunId,
}

/// What does not go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stuck {
    /// The causes, the worst kind first, of each the one with the most runs.
    pub causes: Vec<Cause>,
    /// Whether there is more than one look groups, so that only the oldest runs are counted.
    pub is_cut: bool,
}

impl Storage {
    /// What does not go on, by cause: of `owner`, or of everybody.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn stuck(&self, owner: Option<&str>) -> Result<Stuck, StorageError> {
        let backend = self.reader().get_database_backend();
        let at = now();
        let ago = |duration: Duration| at - (after(at, duration) - at);
        let mut values: Vec<Value> = vec![
            AGAIN.into(),
            ago(SOON).into(),
            ago(LONG).into(),
            RUNS.into(),
            GROUPS.into(),
        ];
        let of_owner = match owner {
            Some(owner) => {
                values.push(owner.into());
                "and owner = $6"
            }
            None => "",
        };
        let colon = dialect::position(backend, "error", "':'");
        let failing = "(attempt >= $1 and error is not null)";
        let sql = format!(
            "select kind, class, workflow, step, waiting_for, count(*) as n, min(since) as first, max(since) as last,
                max(id) as example, max(error) as told
            from (
                select id, workflow, since, error,
                    case when state = 'parked' then 'parked' when {failing} then 'failing' else 'slow' end as kind,
                    case when {colon} > 1 then substr(error, 1, {colon} - 1) else '' end as class,
                    case when state = 'parked' then {FAILED_STEP} end as step,
                    case when state <> 'parked' then coalesce(waiting_for, '') end as waiting_for
                from runs
                where state in ('queued', 'running', 'waiting', 'parked') and state <> 'completed' {of_owner}
                    and (state = 'parked' or {failing}
                        or (since <= $2 and (state = 'queued' or until <= $2
                            or substr(coalesce(waiting_for, ''), 1, 10) = 'reconcile:'))
                        or (since <= $3 and (state = 'running' or waiting_for in ('lane', 'resume'))))
                order by id limit $4
            ) as t
            group by kind, class, workflow, step, waiting_for
            order by case kind when 'parked' then 0 when 'failing' then 1 else 2 end, n desc, class, workflow, step
            limit $5"
        );
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), &sql, values))
            .await?;
        let causes = rows.iter().map(cause).collect::<Result<Vec<_>, _>>()?;
        let counted: i64 = causes.iter().map(|cause| cause.runs).sum();
        Ok(Stuck {
            is_cut: counted >= RUNS || causes.len() as i64 >= GROUPS,
            causes,
        })
    }
}

fn cause(row: &QueryResult) -> Result<Cause, DbErr> {
    let kind: String = row.try_get("", "kind")?;
    Ok(Cause {
        kind: Kind::parse(&kind).ok_or_else(|| DbErr::Type(format!("no such kind: {kind}")))?,
        class: row.try_get("", "class")?,
        workflow: row.try_get("", "workflow")?,
        step: row.try_get("", "step")?,
        waiting_for: row.try_get("", "waiting_for")?,
        runs: row.try_get("", "n")?,
        first: row.try_get("", "first")?,
        last: row.try_get("", "last")?,
        told: row.try_get("", "told")?,
        example: row.try_get::<String>("", "example")?.into(),
    })
}
