//! A person's word in the place of an activity's result.
use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{ControlError, failed_steps, requeue, retry::write_retried, take};
use crate::{
    Event, EventKind, Run, RunId, RunState,
    storage::{Storage, events, inspect, now, signals, statement},
};

/// What a person says of a call whose fate nobody can tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", content = "result", rename_all = "snake_case")]
pub enum Decision {
    /// It happened, and this is its result.
    Happened(Json),
    /// It did not happen, or may happen twice: make the call again.
    Resend,
    /// Do not make it again; the workflow receives the fault.
    GiveUp,
}

/// What can be decided upon, in words.
const ONLY_UNKNOWN: &str = "only of a run that asks, or was parked, because nobody can tell whether a call happened can that be decided";

impl Storage {
    /// Gives the step at which a run was parked its result, as if its activity had returned `result`, and lets the run
    /// go on. Where it failed at several steps at once, the first of them; the others get another try.
    ///
    /// # Errors
    /// When there is no such run, it is not parked, or was not parked at a step that failed.
    pub async fn skip(&self, id: &RunId, result: Json) -> Result<(), ControlError> {
        let id = id.clone();
        let done = self
            .transaction(move |tx| async move { skip(tx, &id, result).await }.boxed())
            .await;
        self.after_act(done)
    }

    /// Says what became of a call whose fate nobody can tell: of a parked run, or of one that still asks.
    ///
    /// # Errors
    /// When there is no such run, or no such call.
    pub async fn decide(&self, id: &RunId, decision: Decision) -> Result<(), ControlError> {
        let id = id.clone();
        let done = self
            .transaction(move |tx| async move { decide(tx, &id, decision).await }.boxed())
            .await;
        self.after_act(done)
    }

    /// The activity whose call a run asks about, or was parked for, because nobody can tell whether it happened; and
    /// the step. None where there is nothing to be decided.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn undecided(&self, id: &RunId) -> Result<Option<(String, i64)>, ControlError> {
        let id = id.clone();
        let found = self.transaction(move |tx| {
            async move {
                let run = super::find(tx, &id).await?;
                let event = match question(tx, &run).await? {
                    Some(Question::Parked { failed, .. }) => Some(failed),
                    Some(Question::Asked(event)) => Some(event),
                    None => None,
                };
                Ok::<_, ControlError>(event.and_then(|event| event.name.zip(event.op)))
            }
            .boxed()
        });
        found.await
    }
}

async fn skip(tx: &DatabaseTransaction, id: &RunId, result: Json) -> Result<(), ControlError> {
    let run = take(tx, id).await?;
    if run.state != RunState::Parked {
        let told = "only at a parked run can the step that failed be skipped";
        return Err(ControlError::WrongState(run.state, told));
    }
    let (seq, steps) = failed_steps(tx, id).await?;
    let failed = match steps.first() {
        Some(op) => last_of_step(tx, id, *op).await?.filter(has_no_result),
        None => None,
    };
    let Some(failed) = failed else {
        return Err(ControlError::Unfit(
            "the run was not parked by a step that failed, so there is none to skip; retry it instead"
                .to_owned(),
        ));
    };
    answer(tx, id, seq + 1, EventKind::Skipped, failed, result).await?;
    if steps.len() > 1 {
        write_retried(tx, id, seq + 1, &steps[1..]).await?;
    }
    requeue(tx, &run).await
}

async fn decide(tx: &DatabaseTransaction, id: &RunId, decision: Decision) -> Result<(), ControlError> {
    let run = take(tx, id).await?;
    let data = serde_json::to_value(&decision).unwrap_or_default();
    match question(tx, &run).await? {
        Some(Question::Parked { failed, seq, others }) => {
            answer(tx, id, seq + 1, EventKind::ActivityDecided, failed, data).await?;
            if !others.is_empty() {
                write_retried(tx, id, seq + 1, &others).await?;
            }
            requeue(tx, &run).await
        }
        Some(Question::Asked(event)) => {
            let step = event.op.map(|op| op.to_string());
            signals::deliver(tx, id, "decision", step.as_deref(), None, Some(&data)).await?;
            Ok(())
        }
        None => Err(ControlError::WrongState(run.state, ONLY_UNKNOWN)),
    }
}

/// A call whose fate nobody can tell.
enum Question {
    /// The run was parked for it, with its last event at `seq` and other steps that failed beside it.
    Parked {
        failed: Event,
        seq: i64,
        others: Vec<i64>,
    },
    /// The run still asks.
    Asked(Event),
}

async fn question(tx: &DatabaseTransaction, run: &Run) -> Result<Option<Question>, ControlError> {
    match run.state {
        RunState::Parked => {
            let (seq, steps) = failed_steps(tx, &run.id).await?;
            for (index, op) in steps.iter().enumerate() {
                let Some(failed) = last_of_step(tx, &run.id, *op).await?.filter(is_of_unknown_fate) else {
                    continue;
                };
                let mut others = steps.clone();
                others.remove(index);
                return Ok(Some(Question::Parked { failed, seq, others }));
            }
            Ok(None)
        }
        RunState::Queued | RunState::Running | RunState::Waiting => {
            Ok(open_step(tx, &run.id).await?.map(Question::Asked))
        }
        _ => Ok(None),
    }
}

/// Writes what was said of the step of `failed`, which keeps its name and the hash of its input.
async fn answer(
    tx: &DatabaseTransaction,
    id: &RunId,
    seq: i64,
    kind: EventKind,
    failed: Event,
    data: Json,
) -> Result<(), ControlError> {
    let event = Event {
        name: failed.name,
        hash: failed.hash,
        attempt: failed.attempt,
        data: Some(data),
        ..Event::new(seq, failed.op, kind, now())
    };
    Ok(events::write_events(tx, &[(id, &event)]).await?)
}

/// The last event of a step that tells what became of its activity.
pub(super) async fn last_of_step(
    tx: &DatabaseTransaction,
    id: &RunId,
    op: i64,
) -> Result<Option<Event>, ControlError> {
    let sql = format!(
        "select {} from journal j where j.run = $1 and j.op = $2 and (j.kind like 'activity%' or j.kind = 'skipped')
        order by j.seq desc limit 1",
        inspect::EVENT_COLUMNS
    );
    let row = tx
        .query_one_raw(statement(tx, &sql, vec![id.as_str().into(), op.into()]))
        .await?;
    Ok(row.as_ref().map(inspect::event).transpose()?)
}

fn has_no_result(event: &Event) -> bool {
    !matches!(event.kind, EventKind::ActivityCompleted | EventKind::Skipped)
}

pub(super) fn is_of_unknown_fate(event: &Event) -> bool {
    match event.kind {
        EventKind::ActivityIntended | EventKind::ActivityUnknown => true,
        EventKind::ActivityFailed => event
            .data
            .as_ref()
            .is_some_and(|data| data["fault"] == json!("unknown")),
        _ => false,
    }
}

/// What the journal says last of the last step with an intent of which it tells no end.
async fn open_step(tx: &DatabaseTransaction, id: &RunId) -> Result<Option<Event>, ControlError> {
    let sql =
        "select distinct op from journal where run = $1 and kind = 'activity_intended' order by op desc";
    for row in tx
        .query_all_raw(statement(tx, sql, vec![id.as_str().into()]))
        .await?
    {
        let op: i64 = row.try_get("", "op")?;
        let last = last_of_step(tx, id, op).await?.filter(is_of_unknown_fate);
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}
