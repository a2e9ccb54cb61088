//! What happened in each minute, for the operator: counted once, when the minute is over.
//!
//! Without a tenant, because it is the operator who looks at all of them together: the owner `*`. Nothing here reads
//! what anybody wrote, or who.
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value as Json;
use ulid::Ulid;

use crate::{
    StoreError,
    rows::{Column, Rows, time},
    statement::{execute, statement, text},
};

/// The owner of what all have together.
pub const ALL: &str = "*";

/// How often something was in a minute.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Count {
    /// Whose; [`ALL`] for everybody's together.
    pub owner: String,
    /// The beginning of the minute.
    pub at: DateTime<Utc>,
    /// What is counted.
    pub measure: String,
    /// Which of its kind; empty where there is one.
    pub label: String,
    /// How often.
    pub n: i64,
}

/// Status reports of one kind.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Reports {
    /// Whose messages they are about.
    pub owner: String,
    /// The status that they bring.
    pub status: String,
    /// Twilio's error code; 0 for none.
    pub code: i64,
    /// How many.
    pub n: i64,
}

/// What was used of a feature.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Used {
    /// The feature.
    pub feature: String,
    /// How much, in the feature's own unit.
    pub used: i64,
}

const COLUMNS: &[Column] = &[
    ("owner", "text"),
    ("at", "timestamptz"),
    ("measure", "text"),
    ("label", "text"),
    ("n", "bigint"),
];

fn cells(count: &Count, at: DateTime<Utc>) -> [Json; 5] {
    [
        count.owner.as_str().into(),
        time(at),
        count.measure.as_str().into(),
        count.label.as_str().into(),
        count.n.into(),
    ]
}

/// The last minute that is counted.
///
/// # Errors
/// When the database does not answer.
pub async fn last(conn: &impl ConnectionTrait) -> Result<Option<DateTime<Utc>>, StoreError> {
    #[derive(FromQueryResult)]
    struct Last {
        at: DateTime<Utc>,
    }
    let sql = "select at from minutes where owner = '*' and measure = 'closed' order by at desc limit 1";
    let found = Last::find_by_statement(statement(conn, sql, vec![]))
        .one(conn)
        .await?;
    Ok(found.map(|last| last.at))
}

/// Writes down what was counted of the minute that began at `at`; `false`, and nothing is written, if somebody has
/// counted it before. Wants a transaction.
///
/// # Errors
/// When the database does not answer.
pub async fn close(
    conn: &impl ConnectionTrait,
    at: DateTime<Utc>,
    counts: &[Count],
) -> Result<bool, StoreError> {
    let claim = "insert into minutes (owner, at, measure, label, n) values ('*', $1, 'closed', '', 1)
        on conflict do nothing";
    if execute(conn, claim, vec![at.into()]).await? == 0 {
        return Ok(false);
    }
    let mut rows = Rows::new(COLUMNS);
    for count in counts {
        rows.push(cells(count, at));
    }
    let sql = "insert into minutes (owner, at, measure, label, n)
        select owner, at, measure, label, n from {rows}";
    rows.execute(conn, sql, vec![]).await?;
    Ok(true)
}

/// Adds to what is counted of each one's minute: for what is only known as it happens.
///
/// # Errors
/// When the database does not answer.
pub async fn add(conn: &impl ConnectionTrait, counts: &[Count]) -> Result<(), StoreError> {
    let sql = "insert into minutes (owner, at, measure, label, n)
        select owner, at, measure, label, n from {rows} where true
        on conflict (owner, at, measure, label) do update set n = minutes.n + excluded.n";
    // In one order, whoever else adds.
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by_key(|count| (&count.owner, count.at, &count.measure, &count.label));
    let mut rows = Rows::new(COLUMNS);
    for count in sorted {
        rows.push(cells(count, count.at));
    }
    rows.execute(conn, sql, vec![]).await?;
    Ok(())
}

/// What is counted of `owner`'s minutes since `from`, the earliest first.
///
/// # Errors
/// When the database does not answer.
pub async fn since(
    conn: &impl ConnectionTrait,
    owner: &str,
    from: DateTime<Utc>,
) -> Result<Vec<Count>, StoreError> {
    let sql = "select owner, at, measure, label, n from minutes where owner = $1 and at >= $2
        order by owner, at, measure, label";
    let values = vec![text(owner), from.into()];
    Ok(Count::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?)
}

/// Forgets the minutes before `until`. Returns how many rows they were.
///
/// # Errors
/// When the database does not answer.
pub async fn forget(conn: &impl ConnectionTrait, until: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(execute(conn, "delete from minutes where at < $1", vec![until.into()]).await?)
}

/// The status reports that were written down from `from` until before `to`, found by their ids, which begin with the
/// time.
///
/// # Errors
/// When the database does not answer.
pub async fn reports(
    conn: &impl ConnectionTrait,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<Reports>, StoreError> {
    let sql = "select owner, status, coalesce(error_code, 0) as code, count(*) as n from message_events
        where id >= $1 and id < $2 group by owner, status, coalesce(error_code, 0)";
    let least = |at: DateTime<Utc>| {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
        text(Ulid::from_parts(millis, 0).to_string())
    };
    let values = vec![least(from), least(to)];
    Ok(Reports::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?)
}

/// What was used in the periods that began since `from`: by `owner`, or by everybody.
///
/// # Errors
/// When the database does not answer.
pub async fn used(
    conn: &impl ConnectionTrait,
    owner: &str,
    from: DateTime<Utc>,
) -> Result<Vec<Used>, StoreError> {
    let sql = "select feature, cast(sum(used) as bigint) as used from usage_counters
        where period_start >= $1 and ($2 = '*' or owner = $2) group by feature order by feature";
    let values = vec![from.into(), text(owner)];
    Ok(Used::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?)
}
