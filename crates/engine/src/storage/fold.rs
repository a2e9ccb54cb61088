//! A batch of starts and checkpoints, as a handful of statements however many they are.
//!
//! Invariant: locks are taken in one order by everybody: keys, then lanes by key, then runs by id.
use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};
use serde_json::{Value as Json, json};

use super::{
    StorageError, dialect, inspect, lanes, now,
    rows::{Column, Rows, document, maybe_time, time},
    statement,
};
use crate::{Event, NewRun, RunId, RunState, Started};

/// A checkpoint: events of one run, and what they make of its present state.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) run: RunId,
    pub(crate) epoch: i64,
    pub(crate) events: Vec<Event>,
    pub(crate) update: Option<Update>,
    /// The place in its lane that the run gives up with this commit.
    pub(crate) leave: Option<(String, i64)>,
}

impl Append {
    /// A checkpoint of `event` and of what rides with it, which leaves the run's present state as it is.
    pub(crate) fn of(run: &RunId, epoch: i64, pending: Vec<Event>, event: Event) -> Self {
        let events = pending.into_iter().chain([event]).collect();
        Self {
            run: run.clone(),
            epoch,
            events,
            update: None,
            leave: None,
        }
    }
}

/// The new present state of a run.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) state: RunState,
    pub(crate) outcome: Option<String>,
    pub(crate) waiting_for: Option<String>,
    pub(crate) since: chrono::DateTime<chrono::Utc>,
    pub(crate) until: Option<chrono::DateTime<chrono::Utc>>,
    pub(crate) attempt: i64,
    pub(crate) owner: Option<String>,
    pub(crate) output: Option<Json>,
    pub(crate) error: Option<String>,
}

/// What became of a batch, in its order.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) started: Vec<Started>,
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
    insert_runs(tx, &new, &places).await?;
    let fresh = lock_and_compare(tx, appends).await?;
    let accepted: Vec<&Append> = appends
        .iter()
        .zip(&fresh)
        .filter(|(_, fresh)| **fresh)
        .map(|(a, _)| *a)
        .collect();
    let events: Vec<_> = accepted
        .iter()
        .flat_map(|a| a.events.iter().map(|event| (&a.run, event)))
        .collect();
    write_events(tx, &events).await?;
    update_runs(tx, &accepted).await?;
    let woken = lanes::leave(tx, &accepted).await?;
    let rows = (new.len() + events.len() + accepted.len()) as u64;
    let started = claims.into_iter().map(|claim| claim.started).collect();
    Ok(Folded {
        ready: woken > 0 || !new.is_empty(),
        started,
        fresh,
        rows,
    })
}

const KEYS: &[Column] = &[("workflow", "text"), ("key", "text"), ("run", "text")];

/// A start, and whether this very transaction is the one that starts it.
struct Claim {
    started: Started,
    fresh: bool,
}

/// Decides which starts are new. A key names its first run for ever.
async fn claim_keys(tx: &DatabaseTransaction, starts: &[&NewRun]) -> Result<Vec<Claim>, DbErr> {
    // Sorted, so that two processes that start the same keys wait for each other in the same order.
    let mut wanted: BTreeMap<(&str, &str), &RunId> = BTreeMap::new();
    for run in starts {
        wanted.entry((&run.workflow, &run.key)).or_insert(&run.id);
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let rows = || {
        let mut rows = Rows::new(KEYS);
        for ((workflow, key), run) in &wanted {
            rows.push([json!(workflow), json!(key), json!(run)]);
        }
        rows
    };
    let backend = tx.get_database_backend();
    let insert =
        "insert into run_keys (workflow, key, run) select t.workflow, t.key, t.run from {rows} where true
        on conflict (workflow, key) do nothing returning run";
    let mut inserted: HashSet<String> = HashSet::new();
    for row in tx
        .query_all_raw(rows().statement(backend, insert, vec![]))
        .await?
    {
        inserted.insert(row.try_get("", "run")?);
    }
    let mut holders: HashMap<(String, String), String> = HashMap::new();
    if inserted.len() < wanted.len() {
        let select = "select k.workflow, k.key, k.run from run_keys k
            join {rows} on t.workflow = k.workflow and t.key = k.key";
        for row in tx
            .query_all_raw(rows().statement(backend, select, vec![]))
            .await?
        {
            holders.insert(
                (row.try_get("", "workflow")?, row.try_get("", "key")?),
                row.try_get("", "run")?,
            );
        }
    }
    let claim = |run: &NewRun| {
        let first = wanted
            .get(&(run.workflow.as_str(), run.key.as_str()))
            .copied()
            .unwrap_or(&run.id);
        let holder = holders.get(&(run.workflow.clone(), run.key.clone()));
        let holder = holder.map_or_else(|| first.clone(), |id| RunId::from(id.as_str()));
        Claim {
            fresh: inserted.contains(run.id.as_str()),
            started: Started {
                new: holder == run.id,
                run: holder,
            },
        }
    };
    Ok(starts.iter().map(|run| claim(run)).collect())
}

const RUNS: &[Column] = &[
    ("id", "text"),
    ("workflow", "text"),
    ("key", "text"),
    ("owner", "text"),
    ("lane", "text"),
    ("place", "bigint"),
    ("build", "text"),
    ("input", "text"),
];

async fn insert_runs(tx: &DatabaseTransaction, new: &[&NewRun], places: &[Option<i64>]) -> Result<(), DbErr> {
    if new.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(RUNS);
    for (run, place) in new.iter().zip(places) {
        rows.push([
            json!(run.id),
            json!(run.workflow),
            json!(run.key),
            json!(run.owner),
            json!(run.lane),
            json!(place),
            json!(run.build),
            json!(run.input.to_string()),
        ]);
    }
    let sql = "insert into runs (id, workflow, key, owner, lane, place, build, input, state, waiting_for, since, created_at)
        select t.id, t.workflow, t.key, t.owner, t.lane, t.place, t.build, t.input, 'queued', 'worker', $2, $2
        from {rows}";
    tx.execute_raw(rows.statement(tx.get_database_backend(), sql, vec![now().into()]))
        .await
        .map(drop)
}

const IDS: &[Column] = &[("id", "text")];

/// Locks the runs of `appends` in id order and tells which of them the writer still holds.
async fn lock_and_compare(tx: &DatabaseTransaction, appends: &[&Append]) -> Result<Vec<bool>, DbErr> {
    let ids: HashSet<&RunId> = appends.iter().map(|append| &append.run).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = Rows::new(IDS);
    for id in ids {
        rows.push([json!(id)]);
    }
    let backend = tx.get_database_backend();
    let sql = format!(
        "select r.id, r.epoch from runs r join {{rows}} on t.id = r.id order by r.id{}",
        dialect::for_update(backend, "r")
    );
    let mut epochs: HashMap<String, i64> = HashMap::new();
    for row in tx.query_all_raw(rows.statement(backend, &sql, vec![])).await? {
        epochs.insert(row.try_get("", "id")?, row.try_get("", "epoch")?);
    }
    Ok(appends
        .iter()
        .map(|append| epochs.get(append.run.as_str()) == Some(&append.epoch))
        .collect())
}

const EVENTS: &[Column] = &[
    ("run", "text"),
    ("seq", "bigint"),
    ("op", "bigint"),
    ("kind", "text"),
    ("name", "text"),
    ("hash", "text"),
    ("attempt", "bigint"),
    ("started_at", "timestamptz"),
    ("at", "timestamptz"),
    ("input", "text"),
    ("data", "text"),
];

/// Writes events; one that is there already is the same one, whose commit was not heard of.
pub(crate) async fn write_events(tx: &DatabaseTransaction, events: &[(&RunId, &Event)]) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(EVENTS);
    for (run, event) in events {
        rows.push([
            json!(run),
            json!(event.seq),
            json!(event.op),
            json!(event.kind.as_str()),
            json!(event.name),
            json!(event.hash),
            json!(event.attempt),
            maybe_time(event.started_at),
            time(event.at),
            document(&event.input),
            document(&event.data),
        ]);
    }
    let sql = "insert into journal (run, seq, op, kind, name, hash, attempt, started_at, at, input, data)
        select t.run, t.seq, t.op, t.kind, t.name, t.hash, t.attempt, t.started_at, t.at, t.input, t.data
        from {rows} where true on conflict (run, seq) do nothing";
    tx.execute_raw(rows.statement(tx.get_database_backend(), sql, vec![]))
        .await
        .map(drop)
}

const UPDATES: &[Column] = &[
    ("id", "text"),
    ("state", "text"),
    ("outcome", "text"),
    ("waiting_for", "text"),
    ("since", "timestamptz"),
    ("until", "timestamptz"),
    ("attempt", "bigint"),
    ("owner", "text"),
    ("output", "text"),
    ("error", "text"),
    ("finished_at", "timestamptz"),
];

async fn update_runs(tx: &DatabaseTransaction, appends: &[&Append]) -> Result<(), DbErr> {
    // The last state of each run counts; a statement that joins a run twice would take either.
    let mut last: BTreeMap<&RunId, &Update> = BTreeMap::new();
    for append in appends {
        if let Some(update) = &append.update {
            last.insert(&append.run, update);
        }
    }
    if last.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(UPDATES);
    for (id, update) in last {
        rows.push([
            json!(id),
            json!(update.state.as_str()),
            json!(update.outcome),
            json!(update.waiting_for),
            time(update.since),
            maybe_time(update.until),
            json!(update.attempt),
            json!(update.owner),
            document(&update.output),
            json!(update.error),
            maybe_time(update.state.is_final().then_some(update.since)),
        ]);
    }
    let sql =
        "update runs set state = t.state, outcome = t.outcome, waiting_for = t.waiting_for, since = t.since,
            until = t.until, attempt = t.attempt, owner = coalesce(t.owner, runs.owner), output = t.output,
            error = t.error, finished_at = t.finished_at,
            takeovers = 0,
            worker = case when t.state = 'running' then runs.worker end
        from {rows} where runs.id = t.id";
    tx.execute_raw(rows.statement(tx.get_database_backend(), sql, vec![]))
        .await
        .map(drop)
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
        Some(row) if row.try_get::<i64>("", "epoch")? == epoch => Ok(()),
        _ => Err(StorageError::Stale),
    }
}

/// The event of that number, if the run has got that far.
pub(crate) async fn recorded(
    tx: &DatabaseTransaction,
    run: &RunId,
    seq: i64,
) -> Result<Option<Event>, StorageError> {
    let sql = format!(
        "select {} from journal j where j.run = $1 and j.seq = $2",
        inspect::EVENT_COLUMNS
    );
    let row = tx
        .query_one_raw(statement(tx, &sql, vec![run.as_str().into(), seq.into()]))
        .await?;
    Ok(row.as_ref().map(inspect::event).transpose()?)
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
