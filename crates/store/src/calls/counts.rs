//! How many calls there were.
use chrono::{DateTime, TimeDelta, Utc};
use recado_domain::{Direction, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use ulid::Ulid;

use crate::{
    StoreError,
    statement::{statement, text},
};

/// Calls one way, between an owner and one part of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Which way.
    pub direction: Direction,
    /// How the other numbers begin: up to three digits.
    pub prefix: String,
    /// How many calls.
    pub count: i64,
    /// How many minutes they took, each that was begun counting as a whole one.
    pub minutes: i64,
    /// Of how many Twilio has told what they cost.
    pub priced: i64,
    /// What those cost, in millionths of `price_unit`.
    pub price: i64,
    /// The currency of that.
    pub price_unit: Option<String>,
}

#[derive(FromQueryResult)]
struct Row {
    direction: String,
    prefix: String,
    count: i64,
    minutes: i64,
    priced: i64,
    price: i64,
    price_unit: Option<String>,
}

/// An owner's calls from a time on, as far as Twilio has them.
///
/// # Errors
/// Those of the database.
pub async fn counts_since(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    since: DateTime<Utc>,
) -> Result<Vec<Count>, StoreError> {
    let sql = "
        select t.direction, t.prefix, t.price_unit, count(*) as count, cast(sum(t.minutes) as bigint) as minutes,
            count(t.price) as priced, cast(coalesce(sum(t.price), 0) as bigint) as price
        from (select direction, price, price_unit, substr(replace(contact_address, '+', ''), 1, 3) as prefix,
                (coalesce(duration, 0) + 59) / 60 as minutes
            from calls
            where owner = $1 and created_at >= $2 and id >= $3 and twilio_sid is not null) t
        group by t.direction, t.prefix, t.price_unit order by t.direction, t.prefix, t.price_unit";
    // As of messages: ids begin with a time.
    let earliest = u64::try_from((since - TimeDelta::days(1)).timestamp_millis()).unwrap_or_default();
    let earliest = text(Ulid::from_parts(earliest, 0).to_string());
    let values = vec![text(owner.as_str()), since.into(), earliest];
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let count = |row: Row| {
        Ok(Count {
            direction: Direction::parse(&row.direction)?,
            prefix: row.prefix,
            count: row.count,
            minutes: row.minutes,
            priced: row.priced,
            price: row.price,
            price_unit: row.price_unit,
        })
    };
    rows.into_iter().map(count).collect()
}
