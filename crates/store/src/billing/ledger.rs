//! The rows of the ledger, and the counters that hold their sums.
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value as Json;

use crate::{
    StoreError,
    rows::{Column, Rows, number, time},
};

/// One feature for one run.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) owner: &'a str,
    pub(super) run: &'a str,
    pub(super) feature: &'a str,
    pub(super) quantity: i64,
    pub(super) period_start: DateTime<Utc>,
}

/// What is counted: owner, feature, start of the period. Whoever changes several does so in their order.
pub(super) type Counter<'a> = (&'a str, &'a str, DateTime<Utc>);

impl<'a> Item<'a> {
    pub(super) fn counter(&self) -> Counter<'a> {
        (self.owner, self.feature, self.period_start)
    }
}

#[derive(FromQueryResult)]
struct Place {
    n: i64,
}

#[derive(FromQueryResult)]
struct Reserved {
    run: String,
    feature: String,
}

#[derive(FromQueryResult)]
struct Count {
    owner: String,
    feature: String,
    period_start: DateTime<Utc>,
    used: i64,
}

/// What was settled, as the row is now.
#[derive(FromQueryResult)]
pub(super) struct Settled {
    pub(super) owner: String,
    pub(super) feature: String,
    pub(super) quantity: i64,
    pub(super) period_start: DateTime<Utc>,
    pub(super) state: String,
}

/// The places of those items that are counted already.
pub(super) async fn counted(
    conn: &impl ConnectionTrait,
    items: &[Item<'_>],
) -> Result<HashSet<usize>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("n", "bigint"),
        ("run", "text"),
        ("feature", "text"),
        ("owner", "text"),
    ];
    let sql = "
        select t.n from {rows} join usage u on u.run = t.run and u.feature = t.feature and u.owner = t.owner
        where u.state <> 'released'";
    let mut rows = Rows::new(COLUMNS);
    for (place, item) in items.iter().enumerate() {
        rows.push([
            number(place),
            item.run.into(),
            item.feature.into(),
            item.owner.into(),
        ]);
    }
    let found: Vec<Place> = rows.query(conn, sql, vec![]).await?;
    Ok(found
        .into_iter()
        .filter_map(|row| usize::try_from(row.n).ok())
        .collect())
}

/// Reserves these items, each run and feature once among them. What was released may be reserved again, as by a run
/// that a person lets try once more. Returns how much that adds to each counter.
pub(super) async fn reserve<'a>(
    conn: &impl ConnectionTrait,
    items: &[Item<'a>],
    now: DateTime<Utc>,
) -> Result<BTreeMap<Counter<'a>, i64>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("run", "text"),
        ("feature", "text"),
        ("owner", "text"),
        ("quantity", "bigint"),
        ("period_start", "timestamptz"),
    ];
    let sql = "
        insert into usage (run, feature, owner, quantity, state, period_start, at)
        select run, feature, owner, quantity, 'reserved', period_start, $2 from {rows} where true
        on conflict (run, feature) do update set state = 'reserved', quantity = excluded.quantity,
            period_start = excluded.period_start, at = excluded.at
        where usage.state = 'released' and usage.owner = excluded.owner
        returning run, feature";
    let sorted: BTreeMap<(&str, &str), &Item<'a>> = items
        .iter()
        .map(|item| ((item.run, item.feature), item))
        .collect();
    let mut rows = Rows::new(COLUMNS);
    for item in sorted.values() {
        rows.push([
            item.run.into(),
            item.feature.into(),
            item.owner.into(),
            item.quantity.into(),
            time(item.period_start),
        ]);
    }
    let reserved: Vec<Reserved> = rows.query(conn, sql, vec![now.into()]).await?;
    let mut added = BTreeMap::new();
    for row in &reserved {
        if let Some(item) = sorted.get(&(row.run.as_str(), row.feature.as_str())) {
            *added.entry(item.counter()).or_default() += item.quantity;
        }
    }
    Ok(added)
}

/// Moves what is reserved for a run and a feature of an owner to a state. Returns what was reserved.
pub(super) async fn settle(
    conn: &impl ConnectionTrait,
    moves: impl Iterator<Item = (&str, &str, &str, &'static str)>,
    now: DateTime<Utc>,
) -> Result<Vec<Settled>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("its_run", "text"),
        ("its_feature", "text"),
        ("its_owner", "text"),
        ("its_state", "text"),
    ];
    let sql = "
        update usage set state = t.its_state, at = $2 from {rows}
        where run = t.its_run and feature = t.its_feature and owner = t.its_owner and state = 'reserved'
        returning owner, feature, quantity, period_start, state";
    let mut rows = Rows::new(COLUMNS);
    for (owner, run, feature, state) in moves {
        rows.push([run.into(), feature.into(), owner.into(), state.into()]);
    }
    Ok(rows.query(conn, sql, vec![now.into()]).await?)
}

/// Adds to counters, and so locks them to the transaction's end. Returns what they hold then.
pub(super) async fn add<'a>(
    conn: &impl ConnectionTrait,
    added: &BTreeMap<Counter<'a>, i64>,
) -> Result<HashMap<Counter<'a>, i64>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("owner", "text"),
        ("feature", "text"),
        ("period_start", "timestamptz"),
        ("quantity", "bigint"),
    ];
    let sql = "
        insert into usage_counters (owner, feature, period_start, used)
        select owner, feature, period_start, quantity from {rows} where true
        on conflict (owner, feature, period_start) do update set used = usage_counters.used + excluded.used
        returning owner, feature, period_start, used";
    let mut rows = Rows::new(COLUMNS);
    for ((owner, feature, start), quantity) in added {
        rows.push([
            Json::from(*owner),
            Json::from(*feature),
            time(*start),
            Json::from(*quantity),
        ]);
    }
    let counts: Vec<Count> = rows.query(conn, sql, vec![]).await?;
    let known: HashMap<Counter<'_>, Counter<'a>> = added.keys().map(|key| (*key, *key)).collect();
    let held = counts.iter().filter_map(|count| {
        let key = (count.owner.as_str(), count.feature.as_str(), count.period_start);
        Some((*known.get(&key)?, count.used))
    });
    Ok(held.collect())
}
