//! Starts that something else commits with.
use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::DatabaseTransaction;
use serde_json::Value;

use super::{Engine, Start, StartError, count_start};
use crate::{Run, RunId, Started, StorageError};

/// What a caller's work in the transaction of a start answers.
enum Refused<E> {
    /// The key has started a run before.
    Known(RunId),
    Work(E),
}

impl<E: From<StorageError>> From<StorageError> for Refused<E> {
    fn from(error: StorageError) -> Self {
        Self::Work(error.into())
    }
}

impl Engine {
    /// As [`Engine::run_named`], with the input that `work` makes. What `work` writes is committed with the start: it is
    /// undone where the key has started a run before, or where `work` or the start fails, and then nothing is started.
    ///
    /// Invariant: `work` comes before the keys are locked, so that what it locks must be locked by nobody who has locked
    /// keys, lanes or runs of others and goes on to start one.
    ///
    /// # Errors
    /// What `work` returns; and as [`Engine::run_named`].
    pub async fn run_named_after<E, F>(
        &self,
        workflow: &str,
        start: Start,
        patience: Duration,
        work: F,
    ) -> Result<(Started, Option<Run>), E>
    where
        E: From<StartError> + From<StorageError> + Send + 'static,
        F: for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<Value, E>> + Send + 'static,
    {
        let (engine, name) = (self.clone(), workflow.to_owned());
        let mut run = self.run_of(workflow, Value::Null, start);
        let end = self.listen(&run.id);
        let begun = self.storage().transaction(move |tx| {
            Box::pin(async move {
                run.input = work(tx).await.map_err(Refused::Work)?;
                engine
                    .check(&name, &run.input)
                    .map_err(|error| Refused::Work(error.into()))?;
                let started = engine.storage().start_within(tx, &run).await?;
                match started.new {
                    true => Ok(started),
                    false => Err(Refused::Known(started.run)),
                }
            })
        });
        let started = match begun.await {
            Ok(started) => started,
            Err(Refused::Known(run)) => Started { run, new: false },
            Err(Refused::Work(error)) => return Err(error),
        };
        if started.new {
            self.storage().ready();
        }
        count_start(workflow, &started);
        let run = match started.new {
            true if patience.is_zero() => None,
            true => self.heard(end, patience).await,
            false => self.ended(&started.run, patience).await?,
        };
        Ok((started, run))
    }
}
