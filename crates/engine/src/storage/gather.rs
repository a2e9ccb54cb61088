//! Runs that the head of a lane takes along, and so ends.
//!
//! Invariant: what is taken is an unbroken stretch of places right behind the head, each of a run that sleeps until its
//! turn and has offered something. So nobody is overtaken, and nobody who was told anything since is taken: a signal
//! queues its run, under the lock of its row.
use std::collections::{BTreeSet, HashSet};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    Append, Storage, StorageError, Update, dialect, fold, inspect, lanes, now,
    payload::{self, keys_of_run, opened},
    protocol,
    rows::{Column, Rows, cells},
    statement,
};
use crate::{Event, EventKind, RunId, RunState};

/// The most runs that are taken at once.
const MOST: i64 = 50;
/// The most that they offer together, in bytes of JSON: half of what may stand in one document.
const LARGEST: usize = payload::LARGEST / 2;

/// A run that has its turn, as the ones behind it are looked for: of its own workflow and owner.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) run: RunId,
    pub(crate) workflow: String,
    pub(crate) owner: Option<String>,
    pub(crate) lane: String,
    pub(crate) place: i64,
}

/// How a run ends that is taken along.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) outcome: &'static str,
    pub(crate) output: Json,
}

/// A run that was taken along, and what it offered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) run: RunId,
    pub(crate) offer: Json,
}

/// A run that may be taken along.
struct Ready {
    run: RunId,
    place: i64,
    epoch: i64,
    parent: Option<RunId>,
    offer: Json,
}

const HEADS: &[Column] = &[
    ("run", "text"),
    ("workflow", "text"),
    ("owner", "text"),
    ("lane", "text"),
    ("place", "bigint"),
];
const PLACES: &[Column] = &[("lane", "text"), ("place", "bigint")];
const RUNS: &[Column] = &[("id", "text")];

/// Whether the run `r` at the place `p` may be taken along by the head `t`.
const IS_READY: &str = "p.offer is not null and r.state = 'waiting' and r.waiting_for = 'lane'
    and r.workflow = t.workflow and coalesce(r.owner, '') = coalesce(t.owner, '')";

fn ids<'a>(runs: impl IntoIterator<Item = &'a RunId>) -> Rows {
    let mut rows = Rows::new(RUNS);
    for run in runs {
        rows.push(cells![run]);
    }
    rows
}

impl Storage {
    /// Those of `heads` that are followed by a run which they could take along.
    pub(crate) async fn followed(&self, heads: &[Head]) -> Result<HashSet<RunId>, StorageError> {
        Ok(followed(self.reader(), heads).await?)
    }

    /// Whether `head` is followed by such a run.
    pub(crate) async fn is_followed(&self, head: &Head) -> Result<bool, StorageError> {
        let ask = |heads: Vec<Head>| async move {
            let followed = followed(self.reader(), &heads).await?;
            Ok(heads.iter().map(|head| followed.contains(&head.run)).collect())
        };
        self.inner.followed.ask(head.clone(), ask).await
    }

    /// When the youngest of the runs in line was started.
    pub(crate) async fn latest_start(
        &self,
        lane: &str,
    ) -> Result<Option<chrono::DateTime<chrono::Utc>>, StorageError> {
        // One that was retried is older than its place, so a few are looked at.
        let sql = "select r.created_at from lane_places p join runs r on r.id = p.run where p.lane = $1
            order by p.place desc limit 20";
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), sql, vec![lane.into()]))
            .await?;
        let starts = rows.iter().map(|row| row.try_get("", "created_at"));
        Ok(starts.collect::<Result<Vec<_>, _>>()?.into_iter().max())
    }
}

/// Those of `heads` that are followed by a run which they could take along.
async fn followed(conn: &impl ConnectionTrait, heads: &[Head]) -> Result<HashSet<RunId>, DbErr> {
    if heads.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = format!(
        "select t.run from {{rows}} where exists (select 1 from lane_places p join runs r on r.id = p.run
            where p.lane = t.lane and {IS_READY} and p.place = (select min(q.place) from lane_places q
                where q.lane = t.lane and q.place > t.place))"
    );
    let mut rows = Rows::new(HEADS);
    for head in heads {
        rows.push(cells![head.run, head.workflow, head.owner, head.lane, head.place]);
    }
    let select = rows.statement(conn.get_database_backend(), &sql, vec![]);
    let rows = conn.query_all_raw(select).await?;
    rows.iter()
        .map(|row| Ok(row.try_get::<String>("", "run")?.into()))
        .collect()
}

/// Locks the lane of `head`, then its run with those that it may take along and those that are told of their ends.
///
/// # Errors
/// Those of the database.
pub(crate) async fn lock_behind(tx: &DatabaseTransaction, head: &Head) -> Result<(), StorageError> {
    lanes::lock(tx, &head.lane).await?;
    let ready = ready_behind(tx, head).await?;
    let others = ready
        .iter()
        .flat_map(|one| [Some(&one.run), one.parent.as_ref()])
        .flatten();
    let runs: BTreeSet<&RunId> = others.chain([&head.run]).collect();
    let backend = tx.get_database_backend();
    let sql = format!(
        "select r.id from {{rows}} join runs r on r.id = t.id order by r.id{}",
        dialect::for_update(backend, "r")
    );
    tx.query_all_raw(ids(runs).statement(backend, &sql, vec![]))
        .await?;
    Ok(())
}

/// The runs that `head` may take along, in order. While the lane is locked none is added.
async fn ready_behind(tx: &DatabaseTransaction, head: &Head) -> Result<Vec<Ready>, DbErr> {
    let sql = format!(
        "select p.run, p.place, r.epoch, r.parent, case when {IS_READY} then 1 else 0 end as ready, {}
        from (select place, run, offer from lane_places where lane = $1 and place > $2 order by place limit {MOST}) p
        join (select cast($3 as text) as workflow, cast($4 as text) as owner) t on true
        join runs r on r.id = p.run order by p.place",
        opened!("p.offer", keys_of_run!("p.run"), "offer")
    );
    let values: Vec<Value> = vec![
        head.lane.as_str().into(),
        head.place.into(),
        head.workflow.as_str().into(),
        head.owner.clone().into(),
    ];
    let (mut ready, mut offered) = (Vec::new(), 0);
    for row in tx.query_all_raw(statement(tx, &sql, values)).await? {
        if row.try_get::<i32>("", "ready")? == 0 {
            break;
        }
        let one = read(&row)?;
        offered += payload::size(&one.offer);
        if !ready.is_empty() && offered > LARGEST {
            break;
        }
        ready.push(one);
    }
    Ok(ready)
}

fn read(row: &QueryResult) -> Result<Ready, DbErr> {
    Ok(Ready {
        run: row.try_get::<String>("", "run")?.into(),
        place: row.try_get("", "place")?,
        epoch: row.try_get("", "epoch")?,
        parent: row.try_get::<Option<String>>("", "parent")?.map(RunId::from),
        offer: inspect::document(row.try_get("", "offer")?)?.unwrap_or_default(),
    })
}

/// Ends the runs that `head` may take along, as `ending` says, and gives their places up. Who is to be locked is.
///
/// # Errors
/// Those of the database.
pub(crate) async fn gather(
    tx: &DatabaseTransaction,
    head: &Head,
    ending: &Ending,
) -> Result<Vec<Taken>, StorageError> {
    let ready = ready_behind(tx, head).await?;
    if ready.is_empty() {
        return Ok(Vec::new());
    }
    let lasts = last_events(tx, &ready).await?;
    let ends: Vec<_> = ready
        .iter()
        .zip(lasts)
        .map(|(one, last)| end(one, last, head, ending))
        .collect();
    let folded = fold::apply(tx, &[], &ends.iter().collect::<Vec<_>>()).await?;
    if folded.fresh.contains(&false) {
        return Err(StorageError::Interrupted);
    }
    give_places_up(tx, head, &ready).await?;
    let taken = ready.into_iter().map(|one| Taken {
        run: one.run,
        offer: one.offer,
    });
    Ok(taken.collect())
}

/// Counts the ends of those that were taken along, and tells their traces; to be called once they are on the disk.
pub(crate) fn count_gathered<'a>(
    workflow: &str,
    outcome: &'static str,
    runs: impl ExactSizeIterator<Item = &'a RunId>,
) {
    metrics::counter!("recado_runs_finished_total", "workflow" => workflow.to_owned(), "outcome" => outcome)
        .increment(runs.len() as u64);
    for run in runs {
        crate::spans::ended(run, workflow, outcome);
    }
}

/// The number of the last event of each.
async fn last_events(tx: &DatabaseTransaction, ready: &[Ready]) -> Result<Vec<i64>, DbErr> {
    let sql = "select t.id, (select max(j.seq) from journal j where j.run = t.id) as seq from {rows}";
    let rows = ids(ready.iter().map(|one| &one.run));
    let mut last = std::collections::HashMap::new();
    for row in tx
        .query_all_raw(rows.statement(tx.get_database_backend(), sql, vec![]))
        .await?
    {
        let seq: Option<i64> = row.try_get("", "seq")?;
        last.insert(row.try_get::<String>("", "id")?, seq.unwrap_or_default());
    }
    let of = |one: &Ready| last.get(one.run.as_str()).copied().unwrap_or_default();
    Ok(ready.iter().map(of).collect())
}

/// The last checkpoint of a run that is taken along.
fn end(one: &Ready, last: i64, head: &Head, ending: &Ending) -> Append {
    let at = now();
    let merged = Event {
        data: Some(json!({ "into": head.run })),
        ..Event::new(last + 1, None, EventKind::Merged, at)
    };
    let update = Update {
        state: RunState::Completed,
        outcome: Some(ending.outcome.to_owned()),
        waiting_for: None,
        since: at,
        until: None,
        attempt: 0,
        owner: None,
        output: Some(ending.output.clone()),
        error: None,
        seen: i64::MAX,
    };
    Append {
        update: Some(update),
        parent: one.parent.clone(),
        children: true,
        ..Append::of(&one.run, one.epoch, Vec::new(), merged)
    }
}

/// Nobody is woken: the head is still before all others. Whoever believes to hold one of the runs is cut off.
async fn give_places_up(tx: &DatabaseTransaction, head: &Head, ready: &[Ready]) -> Result<(), DbErr> {
    let backend = tx.get_database_backend();
    let mut places = Rows::new(PLACES);
    for one in ready {
        places.push(cells![head.lane, one.place]);
    }
    let sql = "delete from lane_places where (lane, place) in (select t.lane, t.place from {rows})";
    tx.execute_raw(places.statement(backend, sql, vec![])).await?;
    let runs = || ids(ready.iter().map(|one| &one.run));
    let sql = "update runs set epoch = epoch + 1 where id in (select t.id from {rows})";
    tx.execute_raw(runs().statement(backend, sql, vec![])).await?;
    let sql = "insert into run_links (run, kind, other, at) select t.id, 'merged_into', $2, $3 from {rows} where true";
    let values: Vec<Value> = vec![head.run.as_str().into(), now().into()];
    tx.execute_raw(runs().statement(backend, sql, values)).await?;
    let places: Vec<_> = ready.iter().map(|one| one.place).collect();
    protocol::gathered(&head.lane, head.place, &places);
    Ok(())
}
