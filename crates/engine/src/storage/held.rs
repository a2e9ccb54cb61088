//! Whether a run is still in the hands of whoever writes: its row locked, its epoch compared.
use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};

use super::{
    StorageError,
    append::Append,
    dialect, protocol,
    rows::{Column, Rows, cells},
    statement,
};
use crate::{
    RunId,
    crash::{self, Protection},
};

const IDS: &[Column] = &[("id", "text!")];

/// Locks the runs of `appends` in id order and tells which of them the writer still holds.
///
/// Whoever is to be told of an end is locked with them.
pub(super) async fn lock_and_compare(
    tx: &DatabaseTransaction,
    appends: &[&Append],
) -> Result<Vec<bool>, DbErr> {
    let own = appends.iter().map(|append| &append.run);
    let parents = appends.iter().filter_map(|append| append.parent.as_ref());
    let epochs = lock(tx, own.chain(parents).collect()).await?;
    let compare = |append: &&Append| {
        let epoch = epochs.get(append.run.as_str());
        let fresh = epoch.is_some_and(|epoch| is_held(*epoch, append.epoch));
        protocol::checkpoint(append, fresh);
        fresh
    };
    Ok(appends.iter().map(compare).collect())
}

/// Locks runs in id order. Returns their epochs.
pub(super) async fn lock(
    tx: &DatabaseTransaction,
    runs: HashSet<&RunId>,
) -> Result<HashMap<String, i64>, DbErr> {
    let mut epochs = HashMap::new();
    if runs.is_empty() {
        return Ok(epochs);
    }
    let mut rows = Rows::new(IDS);
    for id in runs {
        rows.push(cells![id]);
    }
    let backend = tx.get_database_backend();
    let sql = format!(
        "select r.id, r.epoch from runs r join {{rows}} on t.id = r.id order by r.id{}",
        dialect::for_update(backend, "r")
    );
    for row in tx.query_all_raw(rows.statement(backend, &sql, vec![])).await? {
        epochs.insert(row.try_get("", "id")?, row.try_get("", "epoch")?);
    }
    Ok(epochs)
}

/// Whether a run of this epoch is still in the hands of who has it from that one.
pub(super) fn is_held(present: i64, epoch: i64) -> bool {
    present == epoch || crash::without(Protection::Epoch)
}

/// Locks one run for work in a transaction of its own, and checks that the caller still holds it.
///
/// # Errors
/// [`StorageError::Stale`] if it does not.
pub(crate) async fn guard(tx: &DatabaseTransaction, run: &RunId, epoch: i64) -> Result<(), StorageError> {
    let backend = tx.get_database_backend();
    let sql = format!(
        "select r.epoch from runs r where r.id = $1{}",
        dialect::for_update(backend, "r")
    );
    let row = tx
        .query_one_raw(statement(tx, &sql, vec![Value::from(run.as_str())]))
        .await?;
    match row {
        Some(row) if is_held(row.try_get("", "epoch")?, epoch) => Ok(()),
        _ => {
            protocol::refused(run, epoch);
            Err(StorageError::Stale)
        }
    }
}
