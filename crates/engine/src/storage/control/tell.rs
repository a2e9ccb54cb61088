//! Telling a run something by name.
use futures::FutureExt;
use sea_orm::DatabaseTransaction;
use serde_json::Value as Json;

use super::ControlError;
use crate::{
    NewRun, RunId, Started,
    storage::{Storage, StorageError, fold, signals},
};

impl Storage {
    /// Sends `run` a signal. Returns false, and does nothing, where one came under this key before.
    ///
    /// # Errors
    /// When there is no such run, or it has ended.
    pub async fn signal(
        &self,
        run: &RunId,
        name: &str,
        data: Json,
        key: Option<&str>,
    ) -> Result<bool, ControlError> {
        let (run, name, key) = (run.clone(), name.to_owned(), key.map(str::to_owned));
        let done = self
            .transaction(move |tx| {
                async move { signals::deliver(tx, &run, "signal", Some(&name), key.as_deref(), Some(&data)).await }
                    .boxed()
            })
            .await;
        self.after_act(done)
    }

    /// Starts a run, if its key names none yet, and sends it a signal, in one commit.
    pub(crate) async fn signal_with_start(
        &self,
        new: NewRun,
        name: &str,
        data: Json,
        key: Option<&str>,
    ) -> Result<Started, ControlError> {
        let (name, key) = (name.to_owned(), key.map(str::to_owned));
        let done = self
            .transaction(move |tx| {
                async move {
                    let folded = fold::apply(tx, &[&new], &[]).await?;
                    let started = folded.started.into_iter().next().map(|begun| begun.started);
                    let started = started.ok_or_else(|| ControlError::NoSuchRun(new.id.clone()))?;
                    let (name, key) = (Some(name.as_str()), key.as_deref());
                    signals::deliver(tx, &started.run, "signal", name, key, Some(&data)).await?;
                    Ok(started)
                }
                .boxed()
            })
            .await;
        self.after_act(done)
    }

    /// Starts a run, if its key names none yet, in a transaction of the caller, who says so afterwards by
    /// [`Storage::ready`].
    pub(crate) async fn start_within(
        &self,
        tx: &DatabaseTransaction,
        new: &NewRun,
    ) -> Result<Started, StorageError> {
        let folded = fold::apply(tx, &[new], &[]).await?;
        let started = folded.started.into_iter().next().map(|begun| begun.started);
        started.ok_or(StorageError::Stopped)
    }
}
