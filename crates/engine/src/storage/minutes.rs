//! How many runs began, and how they ended, within a stretch of time.
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Value};

use super::{Storage, StorageError, statement};

/// Runs of one kind that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Began {
    /// Their owner; empty where it is not known yet.
    pub owner: String,
    /// Their workflow.
    pub workflow: String,
    /// How many they are.
    pub runs: i64,
}

/// Runs of one kind that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Their owner; empty where it was never known.
    pub owner: String,
    /// Their workflow.
    pub workflow: String,
    /// Their outcome, or their last state where they have none.
    pub how: String,
    /// From their start to their end; `None` where it was not asked for.
    pub seconds: Option<f64>,
    /// How many they are.
    pub runs: i64,
}

/// The owners of finished runs, one by one through the index on them; then their runs of the time, counted by kind but
/// for those of one kind whose times are asked for.
const FINISHED: &str = "
    with recursive o (owner) as (
        select (select coalesce(r.owner, '') from runs r where r.finished_at is not null
            order by coalesce(r.owner, '') limit 1)
        union all
        select (select coalesce(r.owner, '') from runs r
            where r.finished_at is not null and coalesce(r.owner, '') > o.owner
            order by coalesce(r.owner, '') limit 1)
        from o where o.owner is not null
    )
    select o.owner, r.workflow, coalesce(r.outcome, r.state) as how, count(*) as n,
        case when r.workflow = $3 and coalesce(r.outcome, r.state) = $4 then r.created_at end as began,
        case when r.workflow = $3 and coalesce(r.outcome, r.state) = $4 then r.finished_at end as ended
    from o join runs r on coalesce(r.owner, '') = o.owner
        and r.finished_at is not null and r.finished_at >= $1 and r.finished_at < $2
    where o.owner is not null
    group by 1, 2, 3, 5, 6";

impl Storage {
    /// The runs whose ids say that they were started from `from` until before `to`, by owner and workflow.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn began(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<Began>, StorageError> {
        let sql = "select coalesce(owner, '') as owner, workflow, count(*) as n from runs
            where id >= $1 and id < $2 group by coalesce(owner, ''), workflow";
        let least = |at: DateTime<Utc>| {
            let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
            Value::from(ulid::Ulid::from_parts(millis, 0).to_string())
        };
        let values = vec![least(from), least(to)];
        let mut began = Vec::new();
        for row in self
            .reader()
            .query_all_raw(statement(self.reader(), sql, values))
            .await?
        {
            began.push(Began {
                owner: row.try_get("", "owner")?,
                workflow: row.try_get("", "workflow")?,
                runs: row.try_get("", "n")?,
            });
        }
        Ok(began)
    }

    /// The runs that ended from `from` until before `to`, by owner, workflow and outcome; those that `timed` names, a
    /// workflow and an outcome, by how long they took too.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn finished(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        timed: (&str, &str),
    ) -> Result<Vec<Finished>, StorageError> {
        let values = vec![from.into(), to.into(), timed.0.into(), timed.1.into()];
        let mut finished = Vec::new();
        for row in self
            .reader()
            .query_all_raw(statement(self.reader(), FINISHED, values))
            .await?
        {
            let (began, ended): (Option<DateTime<Utc>>, Option<DateTime<Utc>>) =
                (row.try_get("", "began")?, row.try_get("", "ended")?);
            finished.push(Finished {
                owner: row.try_get("", "owner")?,
                workflow: row.try_get("", "workflow")?,
                how: row.try_get("", "how")?,
                seconds: began
                    .zip(ended)
                    .map(|(began, ended)| (ended - began).as_seconds_f64().max(0.0)),
                runs: row.try_get("", "n")?,
            });
        }
        Ok(finished)
    }
}
