//! Starts and checkpoints as one statement, which is one trip to Postgres and one commit, where nothing about them is
//! out of the ordinary: no key that is taken, no run that has changed hands, no key to be fetched. Whatever is, is
//! written by [`fold`](super::fold) in a transaction, statement by statement.
//!
//! All or nothing: a statement that finds something out of the ordinary writes nothing. Joins of one row set with
//! another, which without hashing take the square of their length, are kept to what a batch of [`STARTS`] has.
use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, SqlxError, Statement, Value,
};

use super::{
    Append, events,
    fold::{self, Folded},
    now,
    payload::{Sealer, key_id},
    protocol,
    rows::{Column, Rows, cells},
    starting::{self, Begun},
    updates,
};
use crate::{Event, EventKind, NewRun, RunId, Started, crash};

/// The most starts that one statement takes.
pub(super) const STARTS: usize = 128;

/// Whether batches may be written so: one statement cannot tell of its steps while the rows are locked, which those who
/// compare them with the model need.
pub(super) fn is_possible(backend: DbBackend) -> bool {
    backend == DbBackend::Postgres && !protocol::is_followed()
}

/// Whether nothing about a start is out of the ordinary.
pub(super) fn is_plain_start(run: &NewRun) -> bool {
    run.width.is_none() && run.parent.is_none()
}

/// Whether a checkpoint writes events and the run's state, and nothing else.
pub(super) fn is_plain(append: &Append) -> bool {
    let Append {
        run: _,
        epoch: _,
        events,
        update: _,
        values,
        leave,
        parent,
        children,
    } = append;
    values.is_empty()
        && leave.is_none()
        && parent.is_none()
        && !children
        && events.iter().all(|event| event.kind != EventKind::Tagged)
}

/// A statement of several row sets: `{name}` stands for one, and each has parameters of its own.
struct Parts {
    backend: DbBackend,
    values: Vec<Value>,
    sql: String,
}

impl Parts {
    fn new(backend: DbBackend, sql: String, values: Vec<Value>) -> Self {
        Self { backend, values, sql }
    }

    fn with(mut self, name: &str, rows: Rows) -> Self {
        let (table, values) = rows.table_from(self.backend, "t", self.values.len() + 1);
        self.sql = self.sql.replace(&format!("{{{name}}}"), &table);
        self.values.extend(values);
        self
    }

    fn statement(self) -> Statement {
        Statement::from_sql_and_values(self.backend, self.sql, self.values)
    }
}

const LANES: &[Column] = &[("lane", "text!"), ("n", "bigint!")];
const KEYS: &[Column] = &[("id", "text!")];

/// Starts runs whose keys nobody has. `None` if that is not so, or another way is needed.
pub(super) async fn start(db: &DatabaseConnection, starts: &[&NewRun]) -> Result<Option<Folded>, DbErr> {
    debug_assert!(starts.len() <= STARTS);
    // Sorted, so that two processes that start the same keys wait for each other in the same order.
    let mut order: Vec<usize> = (0..starts.len()).collect();
    order.sort_by_key(|&index| (&starts[index].workflow, &starts[index].key));
    let Some((mut sealer, payload_keys)) = Sealer::at_hand(starts, std::iter::empty())? else {
        return Ok(None);
    };
    let mut lanes: BTreeMap<&str, i64> = BTreeMap::new();
    let mut nth = Vec::with_capacity(starts.len());
    for run in starts {
        nth.push(run.lane.as_deref().map(|lane| {
            let n = lanes.entry(lane).or_default();
            *n += 1;
            *n - 1
        }));
    }
    let mut rows = Rows::new(starting::RUNS);
    for index in order {
        let run = starts[index];
        // How far its place is from the next one that the lane then gives.
        let behind = run.lane.as_deref().zip(nth[index]);
        let behind = behind.map(|(lane, nth)| lanes.get(lane).copied().unwrap_or_default() - nth);
        rows.push(cells![
            run.id,
            run.workflow,
            run.key,
            run.owner,
            run.lane,
            behind,
            run.build,
            sealer.cell(&run.id, "input", Some(&run.input))?,
            None::<&str>,
            None::<i64>,
            None::<&str>,
            payload_keys[index],
            run.worker,
        ]);
    }
    if !sealer.is_inline() {
        return Ok(None);
    }
    let mut keys: Vec<_> = payload_keys.iter().flatten().map(|key| key_id(key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let at = now();
    let statement = starting(db.get_database_backend(), rows, &lanes, &keys, at);
    starts
        .iter()
        .for_each(|run| crash::note(|| format!("start {}", run.workflow)));
    let found = match crash::commit(db.query_all_raw(statement)).await {
        Ok(found) => found,
        Err(error) if is_out_of_the_ordinary(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    sealer.keep_made()?;
    let mut begun: HashMap<String, (Option<i64>, bool)> = HashMap::new();
    for row in found {
        let held = row.try_get::<String>("", "state")? == "running";
        begun.insert(row.try_get("", "id")?, (row.try_get("", "place")?, held));
    }
    let started = starts.iter().map(|run| {
        let (place, held) = begun.get(run.id.as_str()).copied().unwrap_or_default();
        Begun {
            started: Started {
                run: run.id.clone(),
                new: true,
            },
            place,
            held_at: held.then_some(at),
        }
    });
    Ok(Some(Folded {
        ready: begun.values().any(|(_, held)| !held),
        started: started.collect(),
        fresh: Vec::new(),
        rows: starts.len() as u64,
    }))
}

/// The statement that starts runs. It fails where a key is taken or an owner's key is gone; and it takes the keys first,
/// then the lanes, then the runs, as everybody does.
fn starting(
    backend: DbBackend,
    runs: Rows,
    lanes: &BTreeMap<&str, i64>,
    keys: &[&str],
    at: chrono::DateTime<chrono::Utc>,
) -> Statement {
    let mut wanted = Rows::new(LANES);
    for (lane, n) in lanes {
        wanted.push(cells![lane, n]);
    }
    let mut needed = Rows::new(KEYS);
    for key in keys {
        needed.push(cells![key]);
    }
    // A part that has nothing to do is left out; those that have no parameters change nothing else.
    let (places, place) = match lanes.is_empty() {
        true => ("", "cast(null as bigint)"),
        false => (
            "l as (insert into lanes (key, next_place) select t.lane, t.n from {lanes} where (select n from k) > 0
                on conflict (key) do update set next_place = lanes.next_place + excluded.next_place
                returning key, next_place),
            p as (insert into lane_places (lane, place, run)
                select n.lane, l.next_place - n.place, n.id from n join l on l.key = n.lane returning run, place),",
            "(select p.place from p where p.run = t.id)",
        ),
    };
    let checked = match keys.is_empty() {
        true => "1".to_owned(),
        false => "1 / (case when (select count(*) from {keys} join owner_keys o on o.id = t.id) = $2 then 1 else 0 end)"
            .to_owned(),
    };
    let inserting = starting::inserting("n as t", place, "$1");
    let sql = format!(
        "with n as materialized (select * from {{runs}}),
            inserted as (insert into run_keys (workflow, key, run) select n.workflow, n.key, n.id from n returning 1),
            k as materialized (select count(*) as n, {checked} as checked from inserted),
            {places}
            r as ({inserting} where (select n + checked from k) > 0 returning id, state, place)
        select id, state, place from r",
    );
    let parts = Parts::new(backend, sql, vec![at.into(), (keys.len() as i64).into()]).with("runs", runs);
    let parts = if lanes.is_empty() {
        parts
    } else {
        parts.with("lanes", wanted)
    };
    let parts = if keys.is_empty() {
        parts
    } else {
        parts.with("keys", needed)
    };
    parts.statement()
}

const HELD: &[Column] = &[("id", "text!"), ("epoch", "bigint!")];

/// Writes checkpoints of runs that are all still in the hands of those who write. `None` if one is not, or another way
/// is needed.
pub(super) async fn append(db: &DatabaseConnection, appends: &[&Append]) -> Result<Option<Folded>, DbErr> {
    let held: BTreeMap<&RunId, i64> = appends.iter().map(|append| (&append.run, append.epoch)).collect();
    if appends
        .iter()
        .any(|append| held.get(&append.run) != Some(&append.epoch))
    {
        return Ok(None);
    }
    let sealed = fold::with_owners(appends);
    let Some((mut sealer, _)) = Sealer::at_hand(&[], sealed.into_iter())? else {
        return Ok(None);
    };
    let events: Vec<(&RunId, &Event)> = appends
        .iter()
        .flat_map(|append| append.events.iter().map(|event| (&append.run, event)))
        .collect();
    let mut locked = Rows::new(HELD);
    for (run, epoch) in &held {
        locked.push(cells![run, epoch]);
    }
    let written = events::event_rows(&events, &mut sealer)?;
    let updated = updates::update_rows(appends, &mut sealer)?;
    if !sealer.is_inline() {
        return Ok(None);
    }
    let insert = match written.is_empty() {
        true => String::new(),
        false => format!(
            ", e as (insert into journal {} where (select ok from ok) on conflict (run, seq) do nothing)",
            events::EVENTS_FROM.replace("{rows}", "{events}")
        ),
    };
    let (update, stirred) = match updated.is_empty() {
        true => (String::new(), "cast(0 as bigint)"),
        false => (
            format!(
                ", u as ({} and (select ok from ok) returning {})",
                updates::UPDATE.replace("{rows}", "{updates}"),
                updates::UPDATED
            ),
            "(select count(*) from u where u.stirred + u.room > 0)",
        ),
    };
    let sql = format!(
        "with ok as materialized (select count(*) = $1 as ok from (
            select r.id from {{held}} join runs r on r.id = t.id and r.epoch = t.epoch order by r.id for update of r) as held)
            {insert}{update}
        select ok.ok, {stirred} as stirred from ok"
    );
    let mut parts =
        Parts::new(db.get_database_backend(), sql, vec![(held.len() as i64).into()]).with("held", locked);
    if !written.is_empty() {
        parts = parts.with("events", written);
    }
    if !updated.is_empty() {
        parts = parts.with("updates", updated);
    }
    appends.iter().for_each(|append| crash::note(|| append.told()));
    let row = crash::commit(db.query_one_raw(parts.statement())).await?;
    let row = row.ok_or_else(|| DbErr::Custom("a checkpoint was not answered".to_owned()))?;
    if !row.try_get::<bool>("", "ok")? {
        return Ok(None);
    }
    Ok(Some(Folded {
        ready: row.try_get::<i64>("", "stirred")? > 0,
        started: Vec::new(),
        fresh: vec![true; appends.len()],
        rows: (events.len() + appends.len()) as u64,
    }))
}

/// A key that is taken, or an owner's key that is gone.
fn is_out_of_the_ordinary(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    let SqlxError::Database(error) = &**error else {
        return false;
    };
    error
        .code()
        .is_some_and(|code| code == "23505" || code == "22012")
}
