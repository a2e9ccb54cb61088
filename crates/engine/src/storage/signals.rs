//! Signals: what others tell a run, as numbered rows that it reads in order.
//!
//! Invariant: a signal gets its number under the lock of its run's row, and `runs.inbox` is the last one given. A run
//! that compares the two under that lock before it goes to sleep therefore misses none.
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Value};
use serde_json::Value as Json;

use super::{
    ControlError, Storage, StorageError, control, inspect, now,
    payload::{self, keys_of_run, opened},
    statement,
};
use crate::{RunId, RunState, crash};

/// The columns of a signal, for [`signal`].
const COLUMNS: &str = concat!(
    "s.n, s.kind, s.name, s.key, s.at, ",
    opened!("s.data", keys_of_run!("s.run"), "data")
);

/// Something that a run was told.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    /// Its number in the run, from 1, without a gap.
    pub(crate) n: i64,
    /// `signal`, `cancel`, `pause`, `resume`, `terminate`, `child`, `evidence` or `decision`.
    pub(crate) kind: String,
    /// What a `signal` is called, or which step a `decision` is about.
    pub(crate) name: Option<String>,
    /// A second one with this key is ignored.
    pub(crate) key: Option<String>,
    pub(crate) data: Option<Json>,
    pub(crate) at: DateTime<Utc>,
}

/// Tells `run` something, and queues it if it waits for anything but to be resumed. Returns false, and does nothing,
/// where it was told under this key before.
///
/// # Errors
/// When there is no such run, or it has ended; when `data` is too large to be kept.
pub(crate) async fn deliver(
    tx: &DatabaseTransaction,
    run: &RunId,
    kind: &str,
    name: Option<&str>,
    key: Option<&str>,
    data: Option<&Json>,
) -> Result<bool, ControlError> {
    let found = control::lock(tx, run).await?;
    if let Some(key) = key
        && is_known(tx, run, key).await?
    {
        return Ok(false);
    }
    if found.state.is_final() {
        return Err(ControlError::WrongState(
            found.state,
            "only a run that has not ended can be told anything",
        ));
    }
    let (n, at) = (found.inbox + 1, now());
    crash::note(|| {
        format!("tell {kind} {}", name.unwrap_or_default())
            .trim()
            .to_owned()
    });
    let signal = Signal {
        n,
        kind: kind.to_owned(),
        name: name.map(str::to_owned),
        key: key.map(str::to_owned),
        data: data.cloned(),
        at,
    };
    insert(tx, run, &signal).await?;
    let wake = found.state == RunState::Waiting && found.waiting_for.as_deref() != Some("resume");
    let sql = match wake {
        true => {
            "update runs set inbox = $2, state = 'queued', waiting_for = 'worker', since = $3, until = null
            where id = $1"
        }
        false => "update runs set inbox = $2 where id = $1",
    };
    let mut values: Vec<Value> = vec![run.as_str().into(), n.into()];
    if wake {
        values.push(at.into());
    }
    tx.execute_raw(statement(tx, sql, values)).await?;
    Ok(true)
}

/// Writes a signal of a run that the caller has locked.
pub(super) async fn insert(
    tx: &DatabaseTransaction,
    run: &RunId,
    signal: &Signal,
) -> Result<(), StorageError> {
    if let Some(data) = &signal.data {
        payload::refuse_too_large(data)?;
    }
    let data = payload::store(tx, run, &format!("signal.{}", signal.n), signal.data.as_ref()).await?;
    let sql = "insert into signals (run, n, kind, name, key, data, at) values ($1, $2, $3, $4, $5, $6, $7)";
    let values: Vec<Value> = vec![
        run.as_str().into(),
        signal.n.into(),
        signal.kind.as_str().into(),
        signal.name.as_deref().into(),
        signal.key.as_deref().into(),
        data.into(),
        signal.at.into(),
    ];
    tx.execute_raw(statement(tx, sql, values)).await?;
    Ok(())
}

/// What `run` was told after number `n`, in order.
pub(super) async fn after(conn: &impl ConnectionTrait, run: &RunId, n: i64) -> Result<Vec<Signal>, DbErr> {
    let sql = format!("select {COLUMNS} from signals s where s.run = $1 and s.n > $2 order by s.n");
    let values = vec![run.as_str().into(), n.into()];
    let rows = conn.query_all_raw(statement(conn, &sql, values)).await?;
    rows.iter().map(signal).collect()
}

async fn is_known(tx: &DatabaseTransaction, run: &RunId, key: &str) -> Result<bool, DbErr> {
    let sql = "select 1 as one from signals where run = $1 and key = $2";
    let values = vec![run.as_str().into(), key.into()];
    Ok(tx.query_one_raw(statement(tx, sql, values)).await?.is_some())
}

impl Storage {
    /// The runs in the hands of `worker` that were told anything, with the number of the last thing.
    pub(crate) async fn inboxes(&self, worker: &str) -> Result<Vec<(RunId, i64)>, StorageError> {
        let sql = "select id, inbox from runs where state = 'running' and worker = $1 and inbox > 0";
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), sql, vec![worker.into()]))
            .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    RunId::from(row.try_get::<String>("", "id")?),
                    row.try_get("", "inbox")?,
                ))
            })
            .collect()
    }

    /// What `run` was told after number `n`, in order.
    pub(crate) async fn signals_after(&self, run: &RunId, n: i64) -> Result<Vec<Signal>, StorageError> {
        Ok(after(self.reader(), run, n).await?)
    }
}

fn signal(row: &QueryResult) -> Result<Signal, DbErr> {
    Ok(Signal {
        n: row.try_get("", "n")?,
        kind: row.try_get("", "kind")?,
        name: row.try_get("", "name")?,
        key: row.try_get("", "key")?,
        data: inspect::document(row.try_get("", "data")?)?,
        at: row.try_get("", "at")?,
    })
}
