//! What can be done with a run that is under way. Each is [`Storage`](crate::Storage)'s method of that name.
use std::sync::PoisonError;

use serde::Serialize;

use super::{Engine, Start, count_start};
use crate::{ControlError, Decision, RunId, Started, StorageError, Workflow};

impl Engine {
    /// Sends a run a signal. Returns false, and does nothing, where one came under this key before.
    ///
    /// # Errors
    /// When there is no such run, or it has ended; when `data` cannot be written as JSON.
    pub async fn signal(
        &self,
        run: &RunId,
        name: &str,
        data: &impl Serialize,
        key: Option<&str>,
    ) -> Result<bool, ControlError> {
        let new = self.storage().signal(run, name, json(data)?, key).await?;
        self.poke(run).await;
        Ok(new)
    }

    /// Starts a run, if `start.key` names none yet, and sends it a signal, in one commit.
    ///
    /// # Errors
    /// When the run that the key names has ended; when `call` or `data` cannot be written as JSON.
    pub async fn signal_with_start<W: Workflow>(
        &self,
        call: &W,
        start: Start,
        name: &str,
        data: &impl Serialize,
        key: Option<&str>,
    ) -> Result<Started, ControlError> {
        let run = self.new_run(call, start)?;
        let started = self
            .storage()
            .signal_with_start(run, name, json(data)?, key)
            .await?;
        count_start(W::NAME, &started);
        Ok(started)
    }

    /// Asks a run to end.
    ///
    /// # Errors
    /// When there is no such run, or it has ended.
    pub async fn cancel(&self, run: &RunId) -> Result<(), ControlError> {
        self.storage().cancel(run).await?;
        self.poke(run).await;
        Ok(())
    }

    /// Ends a run at once.
    ///
    /// # Errors
    /// When there is no such run, or it has ended.
    pub async fn terminate(&self, run: &RunId) -> Result<(), ControlError> {
        self.storage().terminate(run).await?;
        self.poke(run).await;
        Ok(())
    }

    /// Keeps a run from going on until it is resumed.
    ///
    /// # Errors
    /// When there is no such run, or it is parked or has ended.
    pub async fn pause(&self, run: &RunId) -> Result<(), ControlError> {
        self.storage().pause(run).await?;
        self.poke(run).await;
        Ok(())
    }

    /// Lets a paused run go on.
    ///
    /// # Errors
    /// When there is no such run, or it is not paused.
    pub async fn resume(&self, run: &RunId) -> Result<(), ControlError> {
        self.storage().resume(run).await?;
        self.poke(run).await;
        Ok(())
    }

    /// Gives a parked run another try at what failed.
    ///
    /// # Errors
    /// When there is no such run, or it is not parked.
    pub async fn retry(&self, run: &RunId) -> Result<(), ControlError> {
        self.storage().retry(run).await
    }

    /// Gives the step at which a run was parked `result`, and lets the run go on.
    ///
    /// # Errors
    /// When there is no such run, or it was not parked at a step that failed.
    pub async fn skip(&self, run: &RunId, result: &impl Serialize) -> Result<(), ControlError> {
        self.storage().skip(run, json(result)?).await
    }

    /// Says what became of a call whose fate nobody can tell.
    ///
    /// # Errors
    /// When there is no such run, or no such call; when what happened is said to have a result that the activity cannot
    /// have returned.
    pub async fn decide(&self, run: &RunId, decision: Decision) -> Result<(), ControlError> {
        if let Decision::Happened(result) = &decision
            && let Some((name, _)) = self.storage().undecided(run).await?
            && let Some(activity) = self.shared.registry.find(&name)
            && let Err(told) = activity.returns(result)
        {
            return Err(ControlError::Unfit(format!(
                "this is nothing that {name} can have returned: {told}"
            )));
        }
        self.storage().decide(run, decision).await?;
        self.poke(run).await;
        Ok(())
    }

    /// Starts a new run from the first `from` events of an old one, which ends if it has not.
    ///
    /// # Errors
    /// When there is no such run, or a call was on its way after that event.
    pub async fn fork(
        &self,
        run: &RunId,
        from: i64,
        input: Option<serde_json::Value>,
    ) -> Result<RunId, ControlError> {
        self.storage().fork(run, from, input).await
    }

    /// Lets a run go on that was told something in a transaction of the caller's own ([`Storage::prove`]). Without it,
    /// it hears of it a little later.
    ///
    /// [`Storage::prove`]: crate::Storage::prove
    pub async fn wake(&self, run: &RunId) {
        self.storage().ready();
        self.poke(run).await;
    }

    /// Lets a run that this process has in memory read at once what it was told; others read it within moments.
    async fn poke(&self, run: &RunId) {
        let mailbox = {
            let mailboxes = self
                .shared
                .mailboxes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            mailboxes.get(run).cloned()
        };
        if let Some(mailbox) = mailbox
            && let Err(error) = mailbox.read(self.storage()).await
        {
            tracing::debug!(run.id = %run, %error, "what a run was told is read later");
        }
    }
}

fn json(data: &impl Serialize) -> Result<serde_json::Value, StorageError> {
    serde_json::to_value(data)
        .map_err(|error| StorageError::Database(sea_orm::DbErr::Json(error.to_string())))
}
