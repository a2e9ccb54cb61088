//! An activity by itself.
use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;

use crate::{Attempt, RunId, context::Pulse};

/// The circumstances of an attempt, for a test that calls an activity without a workflow: `activity.run(&env,
/// &trial.attempt(None))`.
#[derive(Debug)]
pub struct Trial {
    run: RunId,
    now: DateTime<Utc>,
    pulse: Pulse,
}

impl Trial {
    /// A first attempt of the run's first step, begun at `now`.
    pub fn new(run: impl Into<RunId>, now: DateTime<Utc>) -> Self {
        Self {
            run: run.into(),
            now,
            pulse: Pulse::new(),
        }
    }

    /// The attempt; `transaction` is what [`Attempt::transaction`] hands out.
    pub fn attempt<'a>(&'a self, transaction: Option<&'a DatabaseTransaction>) -> Attempt<'a> {
        Attempt {
            run: &self.run,
            owner: None,
            op: 1,
            number: 1,
            intended_at: None,
            now: self.now,
            transaction,
            pulse: &self.pulse,
        }
    }
}
