//! Transactions that bring their own statements: in the writer's commit on SQLite, on a connection of their own on Postgres.
use std::{panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr, TransactionTrait};
use tokio::sync::oneshot;

use super::{Storage, StorageError, payload, segment::Job, send};
use crate::crash;

/// The longest that a heartbeat, a claim or a sweep may take.
pub(super) const CONTROL: Duration = Duration::from_secs(10);

/// Work that brings its own statements: whether it wants them kept.
pub(crate) type Work = Box<dyn for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, bool> + Send>;

impl Storage {
    /// Runs `work` in a transaction that commits if it returns `Ok`.
    ///
    /// # Errors
    /// What `work` returns, or a [`StorageError`] when the transaction could not be committed.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
        F: for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        self.transaction_on(&self.inner.read, "transaction", work).await
    }

    /// The same for the engine's own affairs, which wait for no run.
    pub(crate) async fn control<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
        F: for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        let work = self.transaction_on(&self.inner.write, "", work);
        let late = || DbErr::Conn(RuntimeErr::Internal("no answer in time".to_owned()));
        tokio::time::timeout(CONTROL, work)
            .await
            .unwrap_or_else(|_| Err(StorageError::Database(late()).into()))
    }

    /// `whole` is what it is called where nothing in it has a name of its own; empty if nobody need know.
    async fn transaction_on<T, E, F>(
        &self,
        pool: &DatabaseConnection,
        whole: &'static str,
        work: F,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
        F: for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        if self.backend() == DbBackend::Postgres {
            return crash::transaction(self.on_its_own(pool, whole, work)).await;
        }
        let (result_tx, result) = oneshot::channel();
        let work: Work = Box::new(move |tx| {
            Box::pin(async move {
                // A panic must not take the only writer with it; the savepoint is rolled back.
                let Ok(result) = AssertUnwindSafe(work(tx)).catch_unwind().await else {
                    return false;
                };
                let keep = result.is_ok();
                if keep {
                    crash::note_whole(whole);
                }
                let _ = result_tx.send(result);
                keep
            })
        });
        let (done, committed) = oneshot::channel();
        send(&self.inner.writers.steps, Job::Work(work, done)).await?;
        let committed = committed.await.map_err(|_| StorageError::Stopped)?;
        match result.await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(value)) => committed.map(|()| value).map_err(E::from),
            Err(_) => Err(committed.err().unwrap_or(StorageError::Stopped).into()),
        }
    }

    /// A transaction on a connection of its own.
    async fn on_its_own<T, E, F>(
        &self,
        pool: &DatabaseConnection,
        whole: &'static str,
        work: F,
    ) -> Result<T, E>
    where
        E: From<StorageError>,
        F: for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<T, E>>,
    {
        let tx = pool.begin().await.map_err(StorageError::from)?;
        let result = payload::within(self.inner.codec.clone(), work(&tx)).await;
        match result {
            Ok(value) => {
                crash::note_whole(whole);
                crash::commit(tx.commit())
                    .await
                    .map(|()| value)
                    .map_err(|error| StorageError::from(error).into())
            }
            Err(error) => {
                // A failed rollback means a lost connection, which rolls back by itself.
                let _ = tx.rollback().await;
                Err(error)
            }
        }
    }
}
