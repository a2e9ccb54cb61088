//! Starts of runs: who has a key first, and the rows that a start makes.
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};

use super::{
    StorageError, family, lanes, now,
    payload::Sealer,
    protocol,
    rows::{Column, Rows, cells},
    statement,
};
use crate::{
    NewRun, Run, RunId, Started,
    crash::{self, Protection},
};

/// What became of a start.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) started: Started,
    /// Its place in its lane, if this start gave it one.
    pub(super) place: Option<i64>,
    /// When it was put into the hands of the worker that the start named, if it was.
    pub(super) held_at: Option<DateTime<Utc>>,
}

const KEYS: &[Column] = &[("workflow", "text!"), ("key", "text!"), ("run", "text!")];

/// A start, and whether this very transaction is the one that starts it.
pub(super) struct Claim {
    pub(super) started: Started,
    pub(super) fresh: bool,
}

/// Decides which starts are new. A key names its first run for ever.
pub(super) async fn claim_keys(tx: &DatabaseTransaction, starts: &[&NewRun]) -> Result<Vec<Claim>, DbErr> {
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
            rows.push(cells![workflow, key, run]);
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
        if crash::without(Protection::Key) {
            let (run, new) = (run.id.clone(), true);
            return Claim {
                started: Started { run, new },
                fresh: true,
            };
        }
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

pub(super) const RUNS: &[Column] = &[
    ("id", "text!"),
    ("workflow", "text!"),
    ("key", "text!"),
    ("owner", "text"),
    ("lane", "text"),
    ("place", "bigint"),
    ("build", "text!"),
    ("input", "text"),
    ("parent", "text"),
    ("parent_op", "bigint"),
    ("on_close", "text"),
    ("payload_key", "text"),
    ("worker", "text"),
];

/// Inserts the rows `t` of [`RUNS`], of which `place` is the place in the lane, at the time `at`. A run whose start names
/// a worker is in its hands from the beginning, unless its owner may have so many running and no more: that is counted
/// where runs are claimed.
pub(super) fn inserting(rows: &str, place: &str, at: &str) -> String {
    format!(
        "insert into runs (id, workflow, key, owner, lane, place, build, input, parent, parent_op, on_close, payload_key,
            state, waiting_for, worker, epoch, since, created_at)
        select t.id, t.workflow, t.key, t.owner, t.lane, {place}, t.build, t.input, t.parent, t.parent_op, t.on_close,
            t.payload_key, case when t.held = 1 then 'running' else 'queued' end,
            case when t.held = 1 then 'activity' else 'worker' end, case when t.held = 1 then t.worker end, t.held,
            {at}, {at}
        from (select t.*, case when t.worker is null or exists (select 1 from owner_policies p
            where p.owner = coalesce(t.owner, '') and p.most_running is not null) then 0 else 1 end as held
            from {rows}) as t"
    )
}

/// Returns those that are in the hands of the worker that their start named, and since when.
pub(super) async fn insert_runs(
    tx: &DatabaseTransaction,
    new: &[&NewRun],
    places: &[Option<i64>],
) -> Result<HashMap<RunId, DateTime<Utc>>, DbErr> {
    if new.is_empty() {
        return Ok(HashMap::new());
    }
    let (mut sealer, payload_keys) = Sealer::for_new(tx, new).await?;
    let mut rows = Rows::new(RUNS);
    for ((run, place), payload_key) in new.iter().zip(places).zip(payload_keys) {
        rows.push(cells![
            run.id,
            run.workflow,
            run.key,
            run.owner,
            run.lane,
            place,
            run.build,
            sealer.cell(&run.id, "input", Some(&run.input))?,
            run.parent.as_ref().map(|parent| &parent.run),
            run.parent.as_ref().map(|parent| parent.op),
            run.parent.as_ref().map(|parent| parent.on_close),
            payload_key,
            run.worker,
        ]);
    }
    let at = now();
    let sql = format!("{} returning id, state", inserting("{rows}", "t.place", "$2"));
    let mut held = HashMap::new();
    let insert = rows.statement(tx.get_database_backend(), &sql, vec![at.into()]);
    for row in tx.query_all_raw(insert).await? {
        if row.try_get::<String>("", "state")? == "running" {
            held.insert(RunId::from(row.try_get::<String>("", "id")?), at);
        }
    }
    for run in new.iter().filter(|run| held.contains_key(&run.id)) {
        protocol::claimed(&run.id, 1, run.worker.as_deref().unwrap_or_default());
    }
    sealer.finish(tx).await?;
    Ok(held)
}

/// Inserts the run as which `old` goes on, under the same key, and gives it the signals that `old` did not receive.
pub(crate) async fn continue_in(
    tx: &DatabaseTransaction,
    old: &Run,
    new: &NewRun,
    received: &HashSet<i64>,
) -> Result<(), StorageError> {
    let places = lanes::lock_and_number(tx, &[new], &[]).await?;
    insert_runs(tx, &[new], &places).await?;
    let id = || Value::from(new.id.as_str());
    let inherit = "update runs set workflow = o.workflow, parent = o.parent, parent_op = o.parent_op,
        on_close = o.on_close, build = $2 from (select * from runs where id = $3) o where runs.id = $1";
    let values = vec![id(), new.build.as_str().into(), old.id.as_str().into()];
    tx.execute_raw(statement(tx, inherit, values)).await?;
    let rename = "update run_keys set run = $1 where workflow = $2 and key = $3 and run = $4";
    let values = vec![
        id(),
        old.workflow.as_str().into(),
        old.key.as_str().into(),
        old.id.as_str().into(),
    ];
    tx.execute_raw(statement(tx, rename, values)).await?;
    let link = "insert into run_links (run, kind, other, at) values ($1, 'continued_from', $2, $3)";
    tx.execute_raw(statement(
        tx,
        link,
        vec![id(), old.id.as_str().into(), now().into()],
    ))
    .await?;
    family::hand_down(tx, &old.id, &new.id, received).await?;
    Ok(())
}
