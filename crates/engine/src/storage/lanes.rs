//! Lanes: the order in which runs of one key may act.
//!
//! A place in a lane is given by the commit that starts a run, and exists until the run leaves. Whoever has the lowest
//! place is the head; in a lane that is `width` wide, so are the lowest `width` of them. The width stands in the lane's
//! row, not with the places: it is a fact about the key (what bears so many at a time), two runs of a lane cannot
//! disagree about it, and everybody locks that row anyway. Invariant: a lane's row is locked by everyone who gives or
//! takes a place or asks for the head and means to wait, so that a leave cannot pass unseen between the question and
//! the wait.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};
use tokio::sync::oneshot;

use super::{
    Append, Entering, Storage, StorageError, now, protocol,
    rows::{Column, Rows, cells},
    segment::Job,
    send, statement,
};
use crate::{NewRun, Run, RunId};

/// What a run finds when it asks for the head of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is the head and stays so until it leaves.
    Head,
    /// Others come first; it will be queued when it is its turn.
    Waiting,
}

const COUNTS: &[Column] = &[("key", "text"), ("n", "bigint"), ("width", "bigint")];
const PLACES: &[Column] = &[("lane", "text"), ("place", "bigint"), ("run", "text")];
const LANES: &[Column] = &[("lane", "text")];
const ASKED: &[Column] = &[("n", "bigint"), ("lane", "text"), ("place", "bigint")];

/// Locks every lane of a batch in one order, and numbers the new runs in them. Returns a place per new run.
pub(super) async fn lock_and_number(
    tx: &DatabaseTransaction,
    new: &[&NewRun],
    appends: &[&Append],
) -> Result<Vec<Option<i64>>, DbErr> {
    let mut counts: BTreeMap<&str, Wanted> = BTreeMap::new();
    for (lane, _) in appends.iter().filter_map(|append| append.leave.as_ref()) {
        counts.entry(lane).or_default();
    }
    for (run, lane) in new.iter().filter_map(|run| Some((run, run.lane.as_deref()?))) {
        let wanted = counts.entry(lane).or_default();
        wanted.places += 1;
        wanted.width = run.width.or(wanted.width);
    }
    if counts.is_empty() {
        return Ok(vec![None; new.len()]);
    }
    let mut next = take_places(tx, &counts).await?;
    let mut rows = Rows::new(PLACES);
    let mut places = Vec::with_capacity(new.len());
    for run in new {
        places.push(run.lane.as_deref().and_then(|lane| {
            let place = next.get_mut(lane)?;
            rows.push(cells![lane, *place, run.id]);
            protocol::place_given(&run.id, lane, *place);
            *place += 1;
            Some(*place - 1)
        }));
    }
    if !rows.is_empty() {
        let sql = "insert into lane_places (lane, place, run) select t.lane, t.place, t.run from {rows}";
        tx.execute_raw(rows.statement(tx.get_database_backend(), sql, vec![]))
            .await?;
    }
    Ok(places)
}

/// What a batch wants of a lane.
#[derive(Clone, Copy, Default)]
struct Wanted {
    places: i64,
    /// Its width from now on; as it was, if absent.
    width: Option<u32>,
}

/// Locks lanes in key order and takes the asked number of places in each. Returns the first place taken.
async fn take_places(
    tx: &DatabaseTransaction,
    counts: &BTreeMap<&str, Wanted>,
) -> Result<HashMap<String, i64>, DbErr> {
    let mut rows = Rows::new(COUNTS);
    for (lane, wanted) in counts {
        rows.push(cells![lane, wanted.places, wanted.width]);
    }
    let sql = "insert into lanes (key, next_place, width) select t.key, t.n, t.width from {rows} where true
        on conflict (key) do update set next_place = lanes.next_place + excluded.next_place,
            width = coalesce(excluded.width, lanes.width)
        returning key, next_place";
    let mut first = HashMap::new();
    for row in tx
        .query_all_raw(rows.statement(tx.get_database_backend(), sql, vec![]))
        .await?
    {
        let (key, next): (String, i64) = (row.try_get("", "key")?, row.try_get("", "next_place")?);
        let taken = counts.get(key.as_str()).copied().unwrap_or_default();
        first.insert(key, next - taken.places);
    }
    Ok(first)
}

/// Takes the places away that `appends` give up, and queues the runs that thereby become heads. Returns their number.
/// The lanes are locked already.
pub(super) async fn leave(tx: &DatabaseTransaction, appends: &[&Append]) -> Result<u64, DbErr> {
    let mut gone = Rows::new(PLACES);
    let mut lanes: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (append, (lane, place)) in appends
        .iter()
        .filter_map(|append| Some((append, append.leave.as_ref()?)))
    {
        gone.push(cells![lane, place, append.run]);
        lanes.entry(lane).or_default().push(*place);
    }
    if lanes.is_empty() {
        return Ok(0);
    }
    let sql = "delete from lane_places where (lane, place) in (select t.lane, t.place from {rows})";
    tx.execute_raw(gone.statement(tx.get_database_backend(), sql, vec![]))
        .await?;
    let woken = wake(tx, &lanes.keys().copied().collect()).await?;
    for (lane, places) in &lanes {
        let first = woken.get(*lane).and_then(|runs| runs.first());
        protocol::left(lane, places, first.map(String::as_str));
    }
    Ok(count(&woken))
}

fn count(woken: &BTreeMap<String, Vec<String>>) -> u64 {
    woken.values().map(Vec::len).sum::<usize>() as u64
}

/// Queues the runs that become heads because a start made their lane wider. Returns their number. The lanes are locked
/// already.
pub(super) async fn widen(tx: &DatabaseTransaction, new: &[&NewRun]) -> Result<u64, DbErr> {
    let wide = new.iter().filter(|run| run.width.is_some());
    let lanes: BTreeSet<&str> = wide.filter_map(|run| run.lane.as_deref()).collect();
    if lanes.is_empty() {
        return Ok(0);
    }
    Ok(count(&wake(tx, &lanes).await?))
}

/// Queues the heads of `lanes` that wait for their turn. Returns them by lane.
///
/// It steps from place to place, as many as the lane is wide: to look at all places of a lane at each leave would make
/// a long lane take the square of its length.
async fn wake(
    tx: &DatabaseTransaction,
    lanes: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Vec<String>>, DbErr> {
    let mut rows = Rows::new(LANES);
    for lane in lanes {
        rows.push(cells![lane]);
    }
    let sql = "with recursive heads (lane, place, n, width) as (
            select l.key, (select min(q.place) from lane_places q where q.lane = l.key), cast(1 as bigint),
                coalesce(l.width, 1)
            from {rows} join lanes l on l.key = t.lane
            union all
            select h.lane, (select min(q.place) from lane_places q where q.lane = h.lane and q.place > h.place),
                h.n + 1, h.width
            from heads h where h.n < h.width and h.place is not null)
        update runs set state = 'queued', waiting_for = 'worker', since = $2, until = null
        where state = 'waiting' and waiting_for = 'lane' and id in (
            select p.run from heads h join lane_places p on p.lane = h.lane and p.place = h.place where p.waiting)
        returning id, lane";
    let mut woken: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in tx
        .query_all_raw(rows.statement(tx.get_database_backend(), sql, vec![now().into()]))
        .await?
    {
        woken
            .entry(row.try_get("", "lane")?)
            .or_default()
            .push(row.try_get("", "id")?);
    }
    Ok(woken)
}

/// A new place at the end of the lane, for a run that lost its own.
pub(super) async fn take_new_place(tx: &DatabaseTransaction, run: &RunId, lane: &str) -> Result<i64, DbErr> {
    let place = take_places(
        tx,
        &BTreeMap::from([(
            lane,
            Wanted {
                places: 1,
                width: None,
            },
        )]),
    )
    .await?
    .get(lane)
    .copied()
    .unwrap_or_default();
    let sql = "insert into lane_places (lane, place, run) values ($1, $2, $3)";
    tx.execute_raw(statement(
        tx,
        sql,
        vec![lane.into(), place.into(), run.as_str().into()],
    ))
    .await?;
    protocol::place_given(run, lane, place);
    Ok(place)
}

/// Whether the run is still in line.
pub(super) async fn has_place(tx: &DatabaseTransaction, run: &Run, lane: &str) -> Result<bool, DbErr> {
    let sql = "select 1 as one from lane_places where lane = $1 and place = $2 and run = $3";
    let values: Vec<Value> = vec![lane.into(), run.place.into(), run.id.as_str().into()];
    Ok(tx.query_one_raw(statement(tx, sql, values)).await?.is_some())
}

/// Locks lanes, in key order.
pub(super) async fn lock_all(tx: &DatabaseTransaction, lanes: &BTreeSet<&str>) -> Result<(), DbErr> {
    if lanes.is_empty() {
        return Ok(());
    }
    let counts = lanes.iter().map(|lane| (*lane, Wanted::default())).collect();
    take_places(tx, &counts).await.map(drop)
}

/// Locks a lane.
pub(crate) async fn lock(tx: &DatabaseTransaction, lane: &str) -> Result<(), DbErr> {
    take_places(tx, &BTreeMap::from([(lane, Wanted::default())]))
        .await
        .map(drop)
}

impl Storage {
    /// Whether the run is the head of its lane. It stays the head until it leaves, so a yes needs no lock.
    pub(crate) async fn is_head(&self, lane: &str, place: i64) -> Result<bool, StorageError> {
        let ask = |places: Vec<(String, i64)>| async move {
            let places: Vec<_> = places
                .iter()
                .map(|(lane, place)| (lane.as_str(), *place))
                .collect();
            are_heads(self.reader(), &places).await
        };
        let head = self.inner.heads.ask((lane.to_owned(), place), ask).await?;
        if head {
            protocol::entered(lane, place);
        }
        Ok(head)
    }

    /// Asks for the head of the lane; if it is taken, the run is put down to wait for it, with what it offers to the
    /// head.
    ///
    /// # Errors
    /// [`StorageError::Stale`] if the run has changed hands; those of the database.
    pub(crate) async fn enter_lane(&self, entering: Entering) -> Result<Entry, StorageError> {
        let (done, entered) = oneshot::channel();
        send(&self.inner.writers.entries, Job::Enter(Box::new(entering), done)).await?;
        entered.await.map_err(|_| StorageError::Stopped)?
    }
}

/// Which of these places are heads of their lanes.
pub(super) async fn are_heads(
    conn: &impl ConnectionTrait,
    places: &[(&str, i64)],
) -> Result<Vec<bool>, DbErr> {
    let sql = "select t.n, cast(coalesce(l.width, 1) as bigint) as width, case when exists (
            select 1 from lane_places p where p.lane = t.lane and p.place < t.place) then 0 else 1 end as first
        from {rows} join lanes l on l.key = t.lane";
    let mut rows = Rows::new(ASKED);
    for (n, (lane, place)) in (0_i64..).zip(places) {
        rows.push(cells![n, lane, place]);
    }
    let mut heads = vec![false; places.len()];
    for row in conn
        .query_all_raw(rows.statement(conn.get_database_backend(), sql, vec![]))
        .await?
    {
        let n = usize::try_from(row.try_get::<i64>("", "n")?).unwrap_or_default();
        let (lane, place) = places[n];
        heads[n] = row.try_get::<i32>("", "first")? == 1
            || row.try_get::<i64>("", "width")? > 1 && is_within(conn, lane, place).await?;
    }
    Ok(heads)
}

/// Whether fewer come before a place than its lane is wide.
async fn is_within(conn: &impl ConnectionTrait, lane: &str, place: i64) -> Result<bool, DbErr> {
    // No more places are counted than the lane is wide, however long it is.
    let sql = "select 1 as one from lanes where key = $1 and coalesce(width, 1) > (
        select count(*) from (select 1 as one from lane_places where lane = $1 and place < $2
            limit (select coalesce(width, 1) from lanes where key = $1)) as before)";
    let values: Vec<Value> = vec![lane.into(), place.into()];
    Ok(conn.query_one_raw(statement(conn, sql, values)).await?.is_some())
}
