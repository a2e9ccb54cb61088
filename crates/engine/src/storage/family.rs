//! Parents, children, and the runs as which others go on.
use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::{
    Append, ControlError, StorageError,
    signals::{self, deliver},
    statement,
};
use crate::RunId;

/// Tells the parents of the runs that end with `appends`, and those of their children for whom it means something.
/// Returns the number of runs that were told.
pub(super) async fn tell(tx: &DatabaseTransaction, appends: &[&Append]) -> Result<u64, DbErr> {
    let mut told = 0;
    for append in appends {
        if let Some(parent) = &append.parent {
            let key = format!("child:{}", append.run);
            told += u64::from(ignore_ended(
                deliver(tx, parent, "child", None, Some(&key), None).await,
            )?);
        }
        if append.children {
            told += close_children(tx, &append.run).await?;
        }
    }
    Ok(told)
}

/// Cancels or terminates the unfinished children of a run that has ended, as they were started to be.
pub(super) async fn close_children(tx: &DatabaseTransaction, run: &RunId) -> Result<u64, DbErr> {
    let sql = "select id, on_close from runs where parent = $1 and on_close in ('cancel', 'terminate')
        and state in ('queued', 'running', 'waiting', 'parked') order by id";
    let mut told = 0;
    for row in tx
        .query_all_raw(statement(tx, sql, vec![run.as_str().into()]))
        .await?
    {
        let (id, on_close): (String, String) = (row.try_get("", "id")?, row.try_get("", "on_close")?);
        let child = RunId::from(id.as_str());
        let key = format!("parent:{run}");
        told += u64::from(ignore_ended(
            deliver(tx, &child, &on_close, None, Some(&key), None).await,
        )?);
    }
    Ok(told)
}

/// Gives the signals that `old` did not receive to `new`.
pub(super) async fn hand_down(
    tx: &DatabaseTransaction,
    old: &RunId,
    new: &RunId,
    received: &HashSet<i64>,
) -> Result<(), StorageError> {
    for signal in signals::after(tx, old, 0).await? {
        if signal.kind != "signal" || received.contains(&signal.n) {
            continue;
        }
        let (name, key) = (signal.name.as_deref(), signal.key.as_deref());
        let delivered = deliver(tx, new, "signal", name, key, signal.data.as_ref()).await;
        ignore_ended(delivered)?;
    }
    Ok(())
}

/// Whoever has ended need not be told.
fn ignore_ended(delivered: Result<bool, ControlError>) -> Result<bool, DbErr> {
    match delivered {
        Ok(told) => Ok(told),
        Err(ControlError::Storage(StorageError::Database(error))) => Err(error),
        Err(_) => Ok(false),
    }
}
