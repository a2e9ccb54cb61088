//! A batch of starts and checkpoints, as a handful of statements however many they are.
//!
//! Invariant: locks are taken in one order by everybody: keys, then lanes by key, then runs by id.
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};
use serde_json::Value as Json;

use super::{
    StorageError, dialect, family, inspect, lanes, now,
    payload::Sealer,
    protocol,
    rows::{Column, Rows, cells},
    statement,
};
use crate::{
    Event, EventKind, NewRun, Run, RunId, RunState, Started,
    crash::{self, Protection},
};

/// A checkpoint: events of one run, and what they make of its present state.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) run: RunId,
    pub(crate) epoch: i64,
    pub(crate) events: Vec<Event>,
    pub(crate) update: Option<Update>,
    /// What the run publishes.
    pub(crate) values: Vec<NewValue>,
    /// The place in its lane that the run gives up with this commit.
    pub(crate) leave: Option<(String, i64)>,
    /// Who is told of the run's end.
    pub(crate) parent: Option<RunId>,
    /// Whether the run's end means something for runs that it started.
    pub(crate) children: bool,
}

/// Something that a run publishes under a name.
#[derive(Clone, Debug)]
pub(crate) struct NewValue {
    pub(crate) name: String,
    pub(crate) data: Json,
}

impl Append {
    /// A checkpoint of `event` and of what rides with it, which leaves the run's present state as it is.
    pub(crate) fn of(run: &RunId, epoch: i64, pending: Vec<Event>, event: Event) -> Self {
        let events = pending.into_iter().chain([event]).collect();
        Self {
            run: run.clone(),
            epoch,
            events,
            values: Vec::new(),
            update: None,
            leave: None,
            parent: None,
            children: false,
        }
    }

    /// What it is, in a few words: its last event, or else the state that it brings.
    pub(super) fn told(&self) -> String {
        let event = self.events.last().map(|event| {
            let words = [event.op.map(|op| op.to_string()), event.name.clone()];
            let [op, name] = words.map(Option::unwrap_or_default);
            format!("{op} {} {name}", event.kind.as_str())
        });
        let state = self.update.as_ref().map(|update| match &update.waiting_for {
            Some(reason) => format!("{}, {reason}", update.state),
            None => update.state.to_string(),
        });
        let told = [event, state].into_iter().flatten();
        told.map(|part| part.trim().to_owned())
            .collect::<Vec<_>>()
            .join(": ")
    }
}

/// The new present state of a run.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) state: RunState,
    pub(crate) outcome: Option<String>,
    pub(crate) waiting_for: Option<String>,
    pub(crate) since: DateTime<Utc>,
    pub(crate) until: Option<DateTime<Utc>>,
    pub(crate) attempt: i64,
    pub(crate) owner: Option<String>,
    pub(crate) output: Option<Json>,
    pub(crate) error: Option<String>,
    /// The last signal that the run has read; if there are later ones, it does not go to sleep.
    pub(crate) seen: i64,
}

impl Update {
    /// The run, with this for its present state.
    pub(crate) fn of(self, run: &Run) -> Run {
        Run {
            state: self.state,
            outcome: self.outcome,
            waiting_for: self.waiting_for,
            since: self.since,
            until: self.until,
            attempt: self.attempt,
            owner: self.owner.or_else(|| run.owner.clone()),
            output: self.output,
            error: self.error,
            finished_at: self.state.is_final().then_some(self.since),
            takeovers: 0,
            worker: run.worker.clone().filter(|_| self.state == RunState::Running),
            ..run.clone()
        }
    }
}

/// What became of a start.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) started: Started,
    /// Its place in its lane, if this start gave it one.
    pub(super) place: Option<i64>,
    /// When it was put into the hands of the worker that the start named, if it was.
    pub(super) held_at: Option<DateTime<Utc>>,
}

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

fn has_documents(event: &Event) -> bool {
    event.input.is_some() || event.data.is_some()
}

const KEYS: &[Column] = &[("workflow", "text!"), ("key", "text!"), ("run", "text!")];

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
async fn insert_runs(
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

const IDS: &[Column] = &[("id", "text!")];

/// Locks the runs of `appends` in id order and tells which of them the writer still holds.
///
/// Whoever is to be told of an end is locked with them.
async fn lock_and_compare(tx: &DatabaseTransaction, appends: &[&Append]) -> Result<Vec<bool>, DbErr> {
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

const EVENTS: &[Column] = &[
    ("run", "text!"),
    ("seq", "bigint!"),
    ("op", "bigint"),
    ("kind", "text!"),
    ("name", "text"),
    ("hash", "text"),
    ("attempt", "bigint"),
    ("started_at", "timestamptz"),
    ("at", "timestamptz!"),
    ("input", "text"),
    ("data", "text"),
];

/// Writes events; one that is there already is the same one, whose commit was not heard of.
pub(crate) async fn write_events(tx: &DatabaseTransaction, events: &[(&RunId, &Event)]) -> Result<(), DbErr> {
    let with_documents = events.iter().filter(|(_, event)| has_documents(event));
    let runs = with_documents.map(|(run, _)| (*run, None)).collect();
    let mut sealer = Sealer::for_runs(tx, &runs).await?;
    insert_events(tx, events, &mut sealer).await?;
    sealer.finish(tx).await
}

async fn insert_events(
    tx: &DatabaseTransaction,
    events: &[(&RunId, &Event)],
    sealer: &mut Sealer,
) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    let sql = format!("insert into journal {EVENTS_FROM} where true on conflict (run, seq) do nothing");
    let rows = event_rows(events, sealer)?;
    tx.execute_raw(rows.statement(tx.get_database_backend(), &sql, vec![]))
        .await
        .map(drop)
}

/// What is inserted into the journal, of rows that [`event_rows`] makes.
pub(super) const EVENTS_FROM: &str = "(run, seq, op, kind, name, hash, attempt, started_at, at, input, data)
        select t.run, t.seq, t.op, t.kind, t.name, t.hash, t.attempt, t.started_at, t.at, t.input, t.data from {rows}";

pub(super) fn event_rows(events: &[(&RunId, &Event)], sealer: &mut Sealer) -> Result<Rows, DbErr> {
    let mut rows = Rows::new(EVENTS);
    for (run, event) in events {
        rows.push(cells![
            run,
            event.seq,
            event.op,
            event.kind.as_str(),
            event.name,
            event.hash,
            event.attempt,
            event.started_at,
            event.at,
            sealer.cell(run, &format!("{}.input", event.seq), event.input.as_ref())?,
            sealer.cell(run, &format!("{}.data", event.seq), event.data.as_ref())?,
        ]);
    }
    Ok(rows)
}

/// The statement that writes `events` of one run to Postgres, with its parameters, sealed.
#[cfg(feature = "testing")]
pub(crate) fn encoded(run: &RunId, events: &[Event]) -> Result<sea_orm::Statement, DbErr> {
    let events: Vec<_> = events.iter().map(|event| (run, event)).collect();
    let rows = event_rows(&events, &mut Sealer::of_one(run)?)?;
    let sql = format!("insert into journal {EVENTS_FROM}");
    Ok(rows.statement(sea_orm::DbBackend::Postgres, &sql, vec![]))
}

const UPDATES: &[Column] = &[
    ("id", "text!"),
    ("state", "text!"),
    ("outcome", "text"),
    ("waiting_for", "text"),
    ("since", "timestamptz!"),
    ("until", "timestamptz"),
    ("attempt", "bigint!"),
    ("owner", "text"),
    ("output", "text"),
    ("error", "text"),
    ("finished_at", "timestamptz"),
    ("seen", "bigint!"),
];

/// Writes the states of rows that [`update_rows`] makes. A run that would go to sleep with signals unread is queued.
pub(super) const UPDATE: &str = "update runs set
            state = case when t.state = 'waiting' and runs.inbox > t.seen then 'queued' else t.state end,
            waiting_for = case when t.state = 'waiting' and runs.inbox > t.seen then 'worker' else t.waiting_for end,
            until = case when t.state = 'waiting' and runs.inbox > t.seen then null else t.until end,
            outcome = t.outcome, since = t.since, attempt = t.attempt, owner = coalesce(t.owner, runs.owner),
            output = t.output, error = t.error, finished_at = t.finished_at, takeovers = 0,
            worker = case when t.state = 'running' then runs.worker end
        from {rows} where runs.id = t.id";

/// What [`UPDATE`] returns: whether the run was queued, and whether an owner who may have so many running and no more has
/// one less.
pub(super) const UPDATED: &str = "case when runs.state = 'queued' then 1 else 0 end as stirred,
        case when runs.state <> 'running' and exists (select 1 from owner_policies p
            where p.owner = coalesce(runs.owner, '') and p.most_running is not null) then 1 else 0 end as room";

/// Writes the last state of each run. Returns how many runs may be claimed for it.
async fn update_runs(
    tx: &DatabaseTransaction,
    appends: &[&Append],
    sealer: &mut Sealer,
) -> Result<u64, DbErr> {
    let rows = update_rows(appends, sealer)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let sql = format!("{UPDATE} returning {UPDATED}");
    let mut ready = 0;
    for row in tx
        .query_all_raw(rows.statement(tx.get_database_backend(), &sql, vec![]))
        .await?
    {
        let told = row.try_get::<i32>("", "stirred")? + row.try_get::<i32>("", "room")?;
        ready += u64::from(told > 0);
    }
    Ok(ready)
}

/// The last state of each run counts; a statement that joins a run twice would take either.
pub(super) fn update_rows(appends: &[&Append], sealer: &mut Sealer) -> Result<Rows, DbErr> {
    let mut last: BTreeMap<&RunId, &Update> = BTreeMap::new();
    for append in appends {
        if let Some(update) = &append.update {
            last.insert(&append.run, update);
        }
    }
    let mut rows = Rows::new(UPDATES);
    for (id, update) in last {
        rows.push(cells![
            id,
            update.state.as_str(),
            update.outcome,
            update.waiting_for,
            update.since,
            update.until,
            update.attempt,
            update.owner,
            sealer.cell(id, "output", update.output.as_ref())?,
            update.error,
            update.state.is_final().then_some(update.since),
            update.seen,
        ]);
    }
    Ok(rows)
}

const VALUES: &[Column] = &[("run", "text"), ("name", "text"), ("data", "text")];

async fn write_values(
    tx: &DatabaseTransaction,
    appends: &[&Append],
    sealer: &mut Sealer,
) -> Result<(), DbErr> {
    // The last value of a name counts; a statement that meets a row twice is refused.
    let mut last: BTreeMap<(&RunId, &str), &Json> = BTreeMap::new();
    for append in appends {
        last.extend(
            append
                .values
                .iter()
                .map(|value| ((&append.run, value.name.as_str()), &value.data)),
        );
    }
    if last.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(VALUES);
    for ((run, name), data) in last {
        let data = sealer.cell(run, &format!("value.{name}"), Some(data))?;
        rows.push(cells![run, name, data]);
    }
    let sql =
        "insert into run_values (run, name, data, at) select t.run, t.name, t.data, $2 from {rows} where true
        on conflict (run, name) do update set data = excluded.data, at = excluded.at";
    tx.execute_raw(rows.statement(tx.get_database_backend(), sql, vec![now().into()]))
        .await
        .map(drop)
}

const TAGS: &[Column] = &[("run", "text"), ("name", "text"), ("value", "text")];

/// Puts the tags of `events` where runs are searched by them; the last value of a name counts.
async fn write_tags(tx: &DatabaseTransaction, events: &[(&RunId, &Event)]) -> Result<(), DbErr> {
    let mut last: BTreeMap<(&RunId, &str), &str> = BTreeMap::new();
    for (run, event) in events.iter().filter(|(_, event)| event.kind == EventKind::Tagged) {
        let value = event.data.as_ref().and_then(Json::as_str);
        last.extend(
            event
                .name
                .as_deref()
                .zip(value)
                .map(|(name, value)| ((*run, name), value)),
        );
    }
    if last.is_empty() {
        return Ok(());
    }
    let rows = || {
        let mut rows = Rows::new(TAGS);
        for ((run, name), value) in &last {
            rows.push(cells![run, name, value]);
        }
        rows
    };
    let backend = tx.get_database_backend();
    let delete = "delete from run_tags where (run, name) in (select t.run, t.name from {rows})";
    tx.execute_raw(rows().statement(backend, delete, vec![])).await?;
    let insert =
        "insert into run_tags (run, name, value) select t.run, t.name, t.value from {rows} where true
        on conflict (name, value, run) do nothing";
    tx.execute_raw(rows().statement(backend, insert, vec![]))
        .await
        .map(drop)
}

/// Starts a run in a transaction of one's own.
pub(crate) async fn start_in(tx: &DatabaseTransaction, run: &NewRun) -> Result<Started, StorageError> {
    let folded = apply(tx, &[run], &[]).await?;
    let started = folded.started.into_iter().next();
    let started = started.map(|begun| begun.started);
    started.ok_or(StorageError::Stopped)
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
