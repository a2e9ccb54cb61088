//! Cancel and terminate.
use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde_json::json;

use super::{ControlError, find, halt, last_seq, lock, requeue, take};
use crate::{
    Event, EventKind, Run, RunId, RunState,
    storage::{Append, Storage, StorageError, Update, fold, inspect, lanes, now, signals, statement},
};

impl Storage {
    /// Asks a run to end. Its workflow learns of it at its next step, and may still make good what it did. A parked or
    /// paused run goes on for that. Asking twice is asking once.
    ///
    /// # Errors
    /// When there is no such run, or it has ended.
    pub async fn cancel(&self, id: &RunId) -> Result<(), ControlError> {
        let id = id.clone();
        let done = self
            .transaction(move |tx| async move { cancel_in(tx, &id).await }.boxed())
            .await;
        self.after_act(done)
    }

    /// Ends a run at once, wherever it stands, without its workflow's knowledge. A call that it has made stays made.
    /// Its children share its end or are cancelled, as was said when they were started; its parent learns of it.
    ///
    /// # Errors
    /// When there is no such run, or it has ended.
    pub async fn terminate(&self, id: &RunId) -> Result<(), ControlError> {
        loop {
            let id = id.clone();
            let done = self
                .transaction(move |tx| async move { terminate_in(tx, &id, "by a person").await }.boxed())
                .await;
            match done {
                // It started another child meanwhile, which no longer happens when it is tried again and again.
                Err(ControlError::Storage(StorageError::Interrupted)) => tokio::task::yield_now().await,
                done => return self.after_act(done),
            }
        }
    }
}

/// [`Storage::cancel`] in a transaction of the caller's.
pub(in crate::storage) async fn cancel_in(tx: &DatabaseTransaction, id: &RunId) -> Result<(), ControlError> {
    let run = take(tx, id).await?;
    cancel(tx, &run).await
}

/// [`Storage::terminate`] in a transaction of the caller's.
///
/// # Errors
/// [`StorageError::Interrupted`] where it is to be tried again.
pub(in crate::storage) async fn terminate_in(
    tx: &DatabaseTransaction,
    id: &RunId,
    why: &str,
) -> Result<(), ControlError> {
    Family::lock(tx, id).await?.terminate(tx, why).await
}

/// Tells a run whose lane and row are locked to end.
async fn cancel(tx: &DatabaseTransaction, run: &Run) -> Result<(), ControlError> {
    if run.state.is_final() {
        return Err(ControlError::WrongState(
            run.state,
            "only a run that has not ended can be cancelled",
        ));
    }
    if halt::is_paused(run) {
        halt::unpause(tx, run).await?;
    }
    let sql = "select 1 as one from signals where run = $1 and kind = 'cancel' limit 1";
    let values = vec![run.id.as_str().into()];
    if tx.query_one_raw(statement(tx, sql, values)).await?.is_none() {
        signals::deliver(tx, &run.id, "cancel", None, None, None).await?;
    }
    if run.state == RunState::Parked {
        requeue(tx, run).await?;
    }
    Ok(())
}

/// A run, its parent and its children, with their lanes and rows locked.
pub(super) struct Family {
    root: RunId,
    /// The run and those that are to share its end.
    doomed: BTreeMap<RunId, Run>,
    /// Those that are to be cancelled.
    cancelled: BTreeMap<RunId, Run>,
    /// It is told in the same commit.
    parent: Option<RunId>,
}

impl Family {
    /// # Errors
    /// [`StorageError::Interrupted`] if the run started another child before it was locked.
    pub(super) async fn lock(tx: &DatabaseTransaction, id: &RunId) -> Result<Self, ControlError> {
        let run = find(tx, id).await?;
        let mut family = Self {
            root: id.clone(),
            parent: run.parent.clone(),
            doomed: BTreeMap::from([(id.clone(), run)]),
            cancelled: BTreeMap::new(),
        };
        let mut asked = vec![id.clone()];
        while let Some(next) = asked.pop() {
            for child in open_children(tx, &next).await? {
                let id = child.id.clone();
                match child.on_close.as_deref() {
                    Some("terminate") => {
                        asked.push(id.clone());
                        family.doomed.insert(id, child);
                    }
                    Some("cancel") => drop(family.cancelled.insert(id, child)),
                    _ => {}
                }
            }
        }
        let members = family.doomed.values().chain(family.cancelled.values());
        let lanes = members.clone().filter_map(|run| run.lane.clone());
        let lanes: BTreeSet<String> = lanes.collect();
        let runs: BTreeSet<_> = members
            .map(|run| run.id.clone())
            .chain(family.parent.clone())
            .collect();
        lanes::lock_all(tx, &lanes.iter().map(String::as_str).collect()).await?;
        for id in runs {
            let locked = match lock(tx, &id).await {
                Ok(run) => run,
                // A parent may be gone after its retention.
                Err(ControlError::NoSuchRun(_)) if family.parent.as_ref() == Some(&id) => {
                    family.parent = None;
                    continue;
                }
                Err(error) => return Err(error),
            };
            family
                .doomed
                .entry(id.clone())
                .and_modify(|run| *run = locked.clone());
            family.cancelled.entry(id).and_modify(|run| *run = locked);
        }
        for id in family.doomed.keys() {
            for child in open_children(tx, id).await? {
                let known = family.doomed.contains_key(&child.id) || family.cancelled.contains_key(&child.id);
                if !known && matches!(child.on_close.as_deref(), Some("terminate" | "cancel")) {
                    return Err(StorageError::Interrupted.into());
                }
            }
        }
        Ok(family)
    }

    /// The run itself.
    pub(super) fn root(&self) -> Result<&Run, ControlError> {
        self.doomed
            .get(&self.root)
            .ok_or_else(|| ControlError::NoSuchRun(self.root.clone()))
    }

    /// Ends the run and those that share its end.
    pub(super) async fn terminate(&self, tx: &DatabaseTransaction, why: &str) -> Result<(), ControlError> {
        let root = self.root()?;
        if root.state.is_final() {
            return Err(ControlError::WrongState(
                root.state,
                "only a run that has not ended can be terminated",
            ));
        }
        for run in self.doomed.values().filter(|run| !run.state.is_final()) {
            let why = if run.id == self.root {
                why
            } else {
                "with its parent"
            };
            end(tx, run, why).await?;
        }
        for run in self.cancelled.values().filter(|run| !run.state.is_final()) {
            cancel(tx, run).await?;
        }
        Ok(())
    }
}

/// The last checkpoint of a run, written over its holder's head.
async fn end(tx: &DatabaseTransaction, run: &Run, why: &str) -> Result<(), ControlError> {
    let at = now();
    let event = Event {
        data: Some(json!({"why": why, "was": run.state})),
        ..Event::new(last_seq(tx, &run.id).await? + 1, None, EventKind::Terminated, at)
    };
    let update = Update {
        state: RunState::Terminated,
        outcome: None,
        waiting_for: None,
        since: at,
        until: None,
        attempt: 0,
        owner: None,
        output: None,
        error: run.error.clone(),
        seen: i64::MAX,
    };
    let append = Append {
        update: Some(update),
        leave: run.lane.clone().zip(run.place),
        parent: run.parent.clone(),
        ..Append::of(&run.id, run.epoch, Vec::new(), event)
    };
    fold::write_one(tx, &append).await?;
    let sql = "update runs set epoch = epoch + 1 where id = $1";
    tx.execute_raw(statement(tx, sql, vec![run.id.as_str().into()]))
        .await?;
    metrics::counter!("recado_runs_finished_total", "workflow" => run.workflow.clone(), "outcome" => "terminated")
        .increment(1);
    crate::spans::ended(&run.id, &run.workflow, "terminated");
    Ok(())
}

async fn open_children(tx: &DatabaseTransaction, id: &RunId) -> Result<Vec<Run>, ControlError> {
    let sql = format!(
        "select {} from runs where parent = $1 and finished_at is null order by id",
        inspect::RUN_COLUMNS
    );
    let rows = tx
        .query_all_raw(statement(tx, &sql, vec![id.as_str().into()]))
        .await?;
    Ok(rows.iter().map(inspect::run).collect::<Result<_, _>>()?)
}
