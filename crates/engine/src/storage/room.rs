//! Ending the runs that a schedule's next tick is to replace.
//!
//! Invariant: only runs of earlier ticks are ended. Whoever ends one holds the schedule's row, and has seen under that
//! lock that the tick is still due; the commit that starts its run moves `next_at` past it.
use chrono::{DateTime, Utc};
use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};

use super::{ControlError, Storage, StorageError, control, dialect, statement};
use crate::{Overlap, RunId};

impl Storage {
    /// Cancels or terminates the runs at work of the schedules that want that of a tick which is due at `at`.
    pub(super) async fn make_room(&self, at: DateTime<Utc>) -> Result<(), StorageError> {
        for (schedule, run, overlap) in self.in_the_way(at).await? {
            let done =
                self.control(move |tx| async move { end(tx, &schedule, &run, overlap, at).await }.boxed());
            match done.await {
                Ok(()) => {}
                Err(ControlError::Storage(StorageError::Interrupted)) => {}
                Err(ControlError::Storage(error)) => return Err(error),
                // It has ended meanwhile.
                Err(_) => {}
            }
        }
        Ok(())
    }

    async fn in_the_way(&self, at: DateTime<Utc>) -> Result<Vec<(String, RunId, Overlap)>, DbErr> {
        let sql =
            "select s.id, s.overlap, r.id as run from schedules s join schedule_runs t on t.schedule = s.id
                join runs r on r.id = t.run
            where s.next_at is not null and s.next_at <= $1 and s.overlap in ('cancel', 'terminate')
                and r.state in ('queued', 'running', 'waiting')
            order by s.next_at, s.id, r.id";
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), sql, vec![at.into()]))
            .await?;
        let mut found = Vec::new();
        for row in rows {
            let (id, run): (String, String) = (row.try_get("", "id")?, row.try_get("", "run")?);
            let overlap = Overlap::parse(&row.try_get::<String>("", "overlap")?);
            found.extend(overlap.map(|overlap| (id, RunId::from(run), overlap)));
        }
        Ok(found)
    }
}

async fn end(
    tx: &DatabaseTransaction,
    schedule: &str,
    run: &RunId,
    overlap: Overlap,
    at: DateTime<Utc>,
) -> Result<(), ControlError> {
    let sql = format!(
        "select id from schedules where id = $1 and next_at is not null and next_at <= $2 and overlap = $3{}",
        dialect::for_update(tx.get_database_backend(), "schedules")
    );
    let values: Vec<Value> = vec![schedule.into(), at.into(), overlap.as_str().into()];
    if tx.query_one_raw(statement(tx, &sql, values)).await?.is_none() {
        return Ok(());
    }
    let told = "for the next tick of its schedule";
    match overlap {
        Overlap::Cancel => control::cancel_in(tx, run).await,
        Overlap::Terminate => control::terminate_in(tx, run, told).await,
        _ => Ok(()),
    }
}
