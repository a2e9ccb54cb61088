//! A batch of starts and checkpoints, as a handful of statements however many they are.
//!
//! Invariant: locks are taken in one order by everybody: keys, then lanes by key, then runs by id.
use std::collections::{BTreeMap, HashMap};

use sea_orm::{DatabaseTransaction, DbErr};

use super::{
    StorageError,
    append::Append,
    events::{has_documents, insert_events, write_tags},
    family,
    held::lock_and_compare,
    lanes,
    payload::Sealer,
    starting::{Begun, claim_keys, insert_runs},
    updates::{update_runs, write_values},
};
use crate::{NewRun, RunId, Started, crash};

/// What became of a batch, in its order.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) started: Vec<Begun>,
    /// Whether each checkpoint came from the run's present holder, and so was written.
    pub(super) fresh: Vec<bool>,
    /// Whether there are runs for a worker to claim now.
    pub(super) ready: bool,
    pub(super) rows: u64,
}

pub(super) async fn apply(
    tx: &DatabaseTransaction,
    starts: &[&NewRun],
    appends: &[&Append],
) -> Result<Folded, DbErr> {
    let claims = claim_keys(tx, starts).await?;
    let new: Vec<&NewRun> = starts
        .iter()
        .zip(&claims)
        .filter(|(_, claim)| claim.fresh)
        .map(|(run, _)| *run)
        .collect();
    let places = lanes::lock_and_number(tx, &new, appends).await?;
    let held = insert_runs(tx, &new, &places).await?;
    let fresh = lock_and_compare(tx, appends).await?;
    let accepted: Vec<&Append> = appends
        .iter()
        .zip(&fresh)
        .filter(|(_, fresh)| **fresh)
        .map(|(a, _)| *a)
        .collect();
    new.iter()
        .for_each(|run| crash::note(|| format!("start {}", run.workflow)));
    let written = write_accepted(tx, &accepted).await?;
    let widened = lanes::widen(tx, &new).await?;
    let queued = new.len() > held.len();
    let place_of: HashMap<&RunId, Option<i64>> = new.iter().map(|run| &run.id).zip(places).collect();
    let started = claims.into_iter().map(|claim| Begun {
        place: place_of.get(&claim.started.run).copied().flatten(),
        held_at: held.get(&claim.started.run).copied().filter(|_| claim.fresh),
        started: claim.started,
    });
    Ok(Folded {
        ready: written.ready || widened > 0 || queued,
        started: started.collect(),
        fresh,
        rows: written.rows + new.len() as u64,
    })
}

/// Writes checkpoints of runs that are locked, with the lanes that they leave, and that are held by those who write.
pub(super) async fn write_accepted(tx: &DatabaseTransaction, accepted: &[&Append]) -> Result<Folded, DbErr> {
    if accepted.is_empty() {
        return Ok(Folded::default());
    }
    let events: Vec<_> = accepted
        .iter()
        .flat_map(|a| a.events.iter().map(|event| (&a.run, event)))
        .collect();
    accepted.iter().for_each(|append| crash::note(|| append.told()));
    let mut sealer = Sealer::for_runs(tx, &with_owners(accepted)).await?;
    insert_events(tx, &events, &mut sealer).await?;
    let stirred = update_runs(tx, accepted, &mut sealer).await?;
    write_values(tx, accepted, &mut sealer).await?;
    sealer.finish(tx).await?;
    write_tags(tx, &events).await?;
    let told = family::tell(tx, accepted).await?;
    let left = lanes::leave(tx, accepted).await?;
    Ok(Folded {
        ready: stirred + told + left > 0,
        rows: (events.len() + accepted.len()) as u64,
        ..Folded::default()
    })
}

/// The runs of a batch that have documents to store or an owner to tell, with their owners as they are told now.
pub(super) fn with_owners<'a>(appends: &[&'a Append]) -> BTreeMap<&'a RunId, Option<&'a str>> {
    let mut runs = BTreeMap::new();
    for append in appends {
        let owner = append.update.as_ref().and_then(|update| update.owner.as_deref());
        let output = append
            .update
            .as_ref()
            .is_some_and(|update| update.output.is_some());
        if owner.is_some() || output || !append.values.is_empty() || append.events.iter().any(has_documents) {
            let told = runs.entry(&append.run).or_default();
            *told = owner.or(*told);
        }
    }
    runs
}

/// Starts a run in a transaction of one's own.
pub(crate) async fn start_in(tx: &DatabaseTransaction, run: &NewRun) -> Result<Started, StorageError> {
    let folded = apply(tx, &[run], &[]).await?;
    let started = folded.started.into_iter().next();
    let started = started.map(|begun| begun.started);
    started.ok_or(StorageError::Stopped)
}

/// Writes one checkpoint in a transaction of one's own.
///
/// # Errors
/// [`StorageError::Stale`] if the run has changed hands.
pub(crate) async fn write_one(tx: &DatabaseTransaction, append: &Append) -> Result<(), StorageError> {
    let folded = apply(tx, &[], &[append]).await?;
    metrics::counter!("recado_journal_rows_total").increment(folded.rows);
    if folded.fresh == [true] {
        Ok(())
    } else {
        Err(StorageError::Stale)
    }
}
