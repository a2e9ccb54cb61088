//! Any act, on one run or on all that a filter finds.
use serde_json::Value as Json;

use super::{ControlError, Decision, halt::is_paused, retry::ONLY_PARKED};
use crate::{
    Run, RunId, RunState,
    storage::{Filter, Order, Storage, StorageError},
};

/// What can be done with a run.
#[derive(Clone, Debug)]
pub enum Act {
    /// [`Storage::cancel`].
    Cancel,
    /// [`Storage::terminate`].
    Terminate,
    /// [`Storage::pause`].
    Pause,
    /// [`Storage::resume`].
    Resume,
    /// [`Storage::retry`].
    Retry,
    /// [`Storage::skip`].
    Skip {
        /// What the step is to have returned.
        result: Json,
    },
    /// [`Storage::decide`].
    Decide(Decision),
    /// [`Storage::fork`].
    Fork {
        /// The number of the last event that the new run shares; 0 for none.
        from: i64,
        /// The new run's input, if it is to have another.
        input: Option<Json>,
    },
    /// [`Storage::signal`].
    Signal {
        /// What the signal is called.
        name: String,
        /// What it says.
        data: Json,
        /// A second signal with this key is ignored.
        key: Option<String>,
    },
}

/// Whether a batch acts, or only tells on what it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It acts.
    Act,
    /// It looks which runs there are and whether their states fit, and changes nothing.
    DryRun,
}

/// What became of one run of a batch.
#[derive(Debug)]
pub struct Touched {
    /// The run, as it was before.
    pub run: Run,
    /// The run that goes on, which a fork makes a new one; or why the act was refused.
    pub done: Result<RunId, ControlError>,
}

/// The most runs that are read at once.
const PAGE: u64 = 500;

impl Act {
    /// The word in URLs and at the terminal.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Skip { .. } => "skip",
            Self::Decide(_) => "decide",
            Self::Fork { .. } => "fork",
            Self::Signal { .. } => "signal",
        }
    }

    /// Whether the act fits the state of `run`. What else it needs is known only when it is tried.
    ///
    /// # Errors
    /// [`ControlError::WrongState`] if it does not.
    pub fn fits(&self, run: &Run) -> Result<(), ControlError> {
        let (fits, told) = match self {
            Self::Cancel | Self::Terminate | Self::Signal { .. } | Self::Decide(_) => (
                !run.state.is_final(),
                "only a run that has not ended can be told anything",
            ),
            Self::Pause => (
                !run.state.is_final() && run.state != RunState::Parked,
                "only a queued, running or waiting run can be paused",
            ),
            Self::Resume => (
                is_paused(run) || matches!(run.state, RunState::Queued | RunState::Running),
                "only a paused run can be resumed",
            ),
            Self::Retry | Self::Skip { .. } => (run.state == RunState::Parked, ONLY_PARKED),
            Self::Fork { .. } => (true, ""),
        };
        if fits {
            Ok(())
        } else {
            Err(ControlError::WrongState(run.state, told))
        }
    }
}

impl Storage {
    /// Does `act` with a run. Returns the run that goes on: the new one after a fork, else the same.
    ///
    /// # Errors
    /// As the method that the act names.
    pub async fn act(&self, id: &RunId, act: &Act) -> Result<RunId, ControlError> {
        match act.clone() {
            Act::Cancel => self.cancel(id).await?,
            Act::Terminate => self.terminate(id).await?,
            Act::Pause => self.pause(id).await?,
            Act::Resume => self.resume(id).await?,
            Act::Retry => self.retry(id).await?,
            Act::Skip { result } => self.skip(id, result).await?,
            Act::Decide(decision) => self.decide(id, decision).await?,
            Act::Fork { from, input } => return self.fork(id, from, input).await,
            Act::Signal { name, data, key } => {
                self.signal(id, &name, data, key.as_deref()).await?;
            }
        }
        Ok(id.clone())
    }

    /// Does `act` with every run that `filter` finds, oldest first, the newest `limit` at most. Each is a commit of its
    /// own: what was refused of one keeps nothing from the others. Where the filter names no state, runs that have
    /// ended are left alone, except by a fork.
    ///
    /// # Errors
    /// When the database does not answer while the runs are looked for.
    pub async fn batch(
        &self,
        filter: &Filter,
        act: &Act,
        mode: Mode,
        limit: u64,
    ) -> Result<Vec<Touched>, StorageError> {
        let filter = Filter {
            unfinished: filter.unfinished || (filter.state.is_none() && !matches!(act, Act::Fork { .. })),
            order: Order::Newest,
            depth: None,
            ..filter.clone()
        };
        let mut found: Vec<Run> = Vec::new();
        let mut cursor: Option<String> = None;
        while (found.len() as u64) < limit {
            let wanted = (limit - found.len() as u64).min(PAGE);
            let page = self.runs(&filter, wanted, cursor.as_deref()).await?;
            found.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut touched = Vec::with_capacity(found.len());
        for run in found.into_iter().rev() {
            let done = match (mode, act.fits(&run)) {
                (_, Err(error)) => Err(error),
                (Mode::DryRun, Ok(())) => Ok(run.id.clone()),
                (Mode::Act, Ok(())) => self.act(&run.id, act).await,
            };
            touched.push(Touched { run, done });
        }
        Ok(touched)
    }
}
