//! One attempt at a step, with all that it needs, so that it can travel into a transaction.
use std::{future::Future, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;
use serde_json::Value;
use tracing::{Instrument, Span};

use super::Pulse;
use crate::{Attempt, Fault, RunId, erased::AnyActivity, surroundings};

/// One step on its way: what is called, with what.
pub(super) struct Step {
    pub(super) op: i64,
    pub(super) name: &'static str,
    pub(super) hash: String,
    pub(super) input: Arc<Value>,
    pub(super) activity: Arc<dyn AnyActivity>,
}

/// One attempt at a step.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) run: RunId,
    pub(super) owner: Option<String>,
    pub(super) op: i64,
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) started: DateTime<Utc>,
    pub(super) intended_at: Option<DateTime<Utc>>,
    pub(super) input: Arc<Value>,
    pub(super) activity: Arc<dyn AnyActivity>,
    pub(super) limit: Duration,
    pub(super) pulse: Arc<Pulse>,
    /// Where the log and the trace of what is called belong, whichever task calls it.
    pub(super) within: Span,
}

impl Call {
    pub(super) fn attempt<'a>(&'a self, transaction: Option<&'a DatabaseTransaction>) -> Attempt<'a> {
        Attempt {
            run: &self.run,
            owner: self.owner.as_deref(),
            op: self.op,
            number: self.number,
            intended_at: self.intended_at,
            now: self.started,
            transaction,
            pulse: &self.pulse,
        }
    }

    /// The result of `work`, or a fault when the attempt's time is up. What may have gone out may have happened.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        let work = work.instrument(self.within.clone());
        surroundings::timeout(self.limit, work).await.unwrap_or_else(|| {
            let told = format!(
                "{} gave no answer within {} s",
                self.name,
                self.limit.as_secs_f32()
            );
            Err(self.too_late("timeout", told))
        })
    }

    /// What it is, in a few words.
    pub(super) fn told(&self) -> String {
        format!("{} {}", self.name, self.number)
    }

    /// The fault of an attempt that took too long. What may have gone out may have happened.
    pub(super) fn too_late(&self, class: &str, told: String) -> Fault {
        match self.intended_at {
            Some(_) => Fault::unanswered(class, told),
            None => Fault::retry(class, told),
        }
    }
}
