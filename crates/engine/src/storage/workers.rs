//! Who works, as the database knows it.
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::{Storage, StorageError, dialect, statement};

/// A worker that was heard of within a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its id, fresh at every start.
    pub id: String,
    /// What it is built from.
    pub build: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Its last heartbeat.
    pub heartbeat_at: DateTime<Utc>,
    /// How long that was ago, by the database's clock, by which leases are measured.
    pub silent_for: TimeDelta,
    /// How many runs it has in hand.
    pub runs: i64,
}

impl Worker {
    /// Whether it was heard of within `lease`, so that nobody takes its runs over.
    pub fn is_alive(&self, lease: Duration) -> bool {
        self.silent_for.to_std().is_ok_and(|silent| silent <= lease)
    }
}

impl Storage {
    /// The workers that were heard of within a day, those heard of last first, 200 at most.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn workers(&self) -> Result<Vec<Worker>, StorageError> {
        let clock = dialect::clock(self.reader().get_database_backend());
        let sql = format!(
            "select w.id, w.build, w.started_at, w.heartbeat_at, {clock} as at,
                (select count(*) from runs r where r.state = 'running' and r.worker = w.id) as n
            from workers w order by w.heartbeat_at desc, w.id limit 200"
        );
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), &sql, vec![]))
            .await?;
        Ok(rows.iter().map(worker).collect::<Result<Vec<_>, _>>()?)
    }
}

fn worker(row: &QueryResult) -> Result<Worker, DbErr> {
    let (at, heartbeat_at): (DateTime<Utc>, DateTime<Utc>) =
        (row.try_get("", "at")?, row.try_get("", "heartbeat_at")?);
    Ok(Worker {
        id: row.try_get("", "id")?,
        build: row.try_get("", "build")?,
        started_at: row.try_get("", "started_at")?,
        heartbeat_at,
        silent_for: (at - heartbeat_at).max(TimeDelta::zero()),
        runs: row.try_get("", "n")?,
    })
}
