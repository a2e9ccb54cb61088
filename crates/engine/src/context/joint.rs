//! Steps of several runs whose writes and whose checkpoints share a transaction.
use sea_orm::DatabaseTransaction;

use super::{call::Call, checkpoint::Draft};
use crate::{
    Event, EventKind, Fault, Prepared, RunId, crash,
    storage::{Append, Update, now},
};

/// Which part of an activity a step has its transaction for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// All of a `Database` activity.
    Run,
    /// The intent of a `Once` activity.
    Prepare,
    /// The result of one.
    Record,
}

/// A step that shares its transaction.
pub(crate) struct Joint {
    pub(super) call: Call,
    pub(super) part: Part,
    pub(super) epoch: i64,
    pub(super) draft: Draft,
    pub(super) update: Option<Update>,
}

impl Joint {
    pub(crate) fn run(&self) -> &RunId {
        &self.call.run
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The number of the event that it is to write.
    pub(crate) fn seq(&self) -> i64 {
        self.draft.event.seq
    }

    /// What may be performed together is of one kind. In this order, so that what frees a lane waits for nothing else.
    pub(crate) fn kind(&self) -> (Part, &'static str) {
        (self.part, self.call.name)
    }

    /// Performs steps of one kind. Returns, in their order, the event that concludes each, and its checkpoint.
    pub(crate) async fn perform(
        tx: &DatabaseTransaction,
        joints: &[&Self],
    ) -> Result<Vec<(Event, Append)>, Fault> {
        let Some(first) = joints.first() else {
            return Ok(Vec::new());
        };
        let attempts: Vec<_> = joints.iter().map(|joint| joint.call.attempt(Some(tx))).collect();
        let calls: Vec<_> = (joints.iter().zip(&attempts))
            .map(|(joint, attempt)| (&*joint.call.input, attempt))
            .collect();
        let activity = &first.call.activity;
        let events: Vec<Event> = match first.part {
            Part::Run => {
                let work = first.call.in_time(activity.run_together(&calls));
                let values = crash::call(|| first.call.told(), work).await?;
                let at = now();
                (joints.iter().zip(values))
                    .map(|(joint, value)| Event {
                        at,
                        data: Some(value),
                        ..joint.draft.event.clone()
                    })
                    .collect()
            }
            Part::Prepare => {
                let prepared = first.call.in_time(activity.prepare_together(&calls)).await?;
                // The clock of the intents starts here, not before the transaction had its turn.
                let at = now();
                (joints.iter().zip(prepared))
                    .map(|(joint, prepared)| joint.prepared(prepared, at))
                    .collect()
            }
            Part::Record => {
                let outputs: Vec<_> = joints
                    .iter()
                    .map(|joint| joint.draft.event.data.clone())
                    .collect();
                let outputs: Vec<_> = outputs.into_iter().map(Option::unwrap_or_default).collect();
                let outputs: Vec<_> = outputs.iter().collect();
                first
                    .call
                    .in_time(activity.record_together(&calls, &outputs))
                    .await?;
                joints.iter().map(|joint| joint.draft.event.clone()).collect()
            }
        };
        if events.len() != joints.len() {
            let told = format!(
                "{} answered {} of {} calls",
                first.call.name,
                events.len(),
                joints.len()
            );
            return Err(Fault::fatal("unanswered", told));
        }
        let checkpoints = joints.iter().zip(events).map(|(joint, event)| {
            let append = Append {
                update: joint.update.clone(),
                ..joint
                    .draft
                    .clone()
                    .append(joint.run(), joint.epoch, event.clone())
            };
            (event, append)
        });
        Ok(checkpoints.collect())
    }

    fn prepared(&self, prepared: Prepared<serde_json::Value>, at: chrono::DateTime<chrono::Utc>) -> Event {
        let intended = self.draft.event.clone();
        match prepared {
            Prepared::Go => Event { at, ..intended },
            Prepared::Settled(value) => Event {
                kind: EventKind::ActivityCompleted,
                data: Some(value),
                ..intended
            },
        }
    }
}
