//! How far long activities have come.
use futures::FutureExt;
use sea_orm::{ConnectionTrait, Value};
use serde_json::Value as Json;

use super::{
    Storage, StorageError, guard, inspect, now,
    payload::{self, keys_of_run, opened},
    statement,
};
use crate::RunId;

impl Storage {
    /// What the attempts at step `op` of a run said last.
    pub(crate) async fn progress(&self, run: &RunId, op: i64) -> Result<Option<Json>, StorageError> {
        let sql = concat!(
            "select ",
            opened!("p.data", keys_of_run!("p.run"), "data"),
            " from activity_progress p where p.run = $1 and p.op = $2"
        );
        let values: Vec<Value> = vec![run.as_str().into(), op.into()];
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), sql, values))
            .await?;
        Ok(match row {
            Some(row) => inspect::document(row.try_get("", "data")?)?,
            None => None,
        })
    }

    /// Writes it down, for the holder of the run alone.
    ///
    /// # Errors
    /// [`StorageError::Stale`] where the run is another's; [`StorageError::TooLarge`].
    pub(crate) async fn write_progress(
        &self,
        run: &RunId,
        epoch: i64,
        op: i64,
        data: Json,
    ) -> Result<(), StorageError> {
        payload::refuse_too_large(&data)?;
        let run = run.clone();
        self.control(move |tx| {
            async move {
                guard(tx, &run, epoch).await?;
                let data = payload::store(tx, &run, &format!("progress.{op}"), Some(&data)).await?;
                let sql = "insert into activity_progress (run, op, data, at) values ($1, $2, $3, $4)
                    on conflict (run, op) do update set data = excluded.data, at = excluded.at";
                let values: Vec<Value> = vec![run.as_str().into(), op.into(), data.into(), now().into()];
                tx.execute_raw(statement(tx, sql, values)).await?;
                Ok(())
            }
            .boxed()
        })
        .await
    }
}
