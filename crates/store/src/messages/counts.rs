//! How many messages went.
use chrono::{DateTime, TimeDelta, Utc};
use recado_domain::{Channel, Direction, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use ulid::Ulid;

use crate::{
    StoreError,
    statement::{statement, text},
};

/// Messages on one channel, one way, between an owner and one part of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The channel.
    pub channel: Channel,
    /// Which way.
    pub direction: Direction,
    /// How the contacts' numbers begin: up to three digits; empty where they are none.
    pub prefix: String,
    /// How many messages.
    pub count: i64,
    /// Of how many Twilio has told what they cost.
    pub priced: i64,
    /// What those cost, in millionths of `price_unit`.
    pub price: i64,
    /// The currency of that.
    pub price_unit: Option<String>,
    /// In how many pieces of 153 characters their texts go, at least one each.
    pub pieces: i64,
}

#[derive(FromQueryResult)]
struct Row {
    channel: String,
    direction: String,
    prefix: String,
    count: i64,
    priced: i64,
    price: i64,
    price_unit: Option<String>,
    pieces: i64,
}

/// An owner's messages from a time on.
///
/// # Errors
/// Those of the database.
pub async fn counts_since(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    since: DateTime<Utc>,
) -> Result<Vec<Count>, StoreError> {
    let sql = "
        select t.channel, t.direction, t.prefix, t.price_unit, count(*) as count, count(t.price) as priced,
            cast(coalesce(sum(t.price), 0) as bigint) as price, cast(sum(t.pieces) as bigint) as pieces
        from (select c.channel, m.direction, m.price, m.price_unit,
                substr(replace(replace(c.contact_address, 'whatsapp:', ''), '+', ''), 1, 3) as prefix,
                case when length(m.body) <= 160 then 1 else (length(m.body) + 152) / 153 end as pieces
            from messages m join conversations c on c.id = m.conversation
            where m.owner = $1 and m.created_at >= $2 and m.id >= $3
                and (m.direction = 'inbound' or m.twilio_sid is not null)) t
        group by t.channel, t.direction, t.prefix, t.price_unit
        order by t.channel, t.direction, t.prefix, t.price_unit";
    // Ids begin with the time at which the row was made, which is not before the message's; clocks differ by less than a
    // day. So what is older is never looked at, and no message pays for an index.
    let earliest = u64::try_from((since - TimeDelta::days(1)).timestamp_millis()).unwrap_or_default();
    let earliest = text(Ulid::from_parts(earliest, 0).to_string());
    let values = vec![text(owner.as_str()), since.into(), earliest];
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let count = |row: Row| {
        Ok(Count {
            channel: Channel::parse(&row.channel)?,
            direction: Direction::parse(&row.direction)?,
            prefix: row.prefix,
            count: row.count,
            priced: row.priced,
            price: row.price,
            price_unit: row.price_unit,
            pieces: row.pieces,
        })
    };
    rows.into_iter().map(count).collect()
}
