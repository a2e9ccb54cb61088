//! Messages and calls of which no end was reported: what a lost callback leaves behind.
use chrono::{DateTime, Utc};
use recado_domain::OwnerId;
use sea_orm::{ConnectionTrait, FromQueryResult};
use ulid::Ulid;

use crate::{
    StoreError,
    statement::{statement, text},
};

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Messages.
    Messages,
    /// Calls.
    Calls,
}

/// One of which no end was reported.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Unfinished {
    /// Its id; the next ones come after it.
    pub id: String,
    /// Twilio's SID of it.
    pub twilio_sid: String,
    /// What was reported last, in Twilio's words.
    pub status: String,
}

/// What an owner sent in an account between two times and of which no end was reported, at most `limit`, oldest first;
/// `after` is the id of the last one that was seen. Ids sort by time, so that only what is as young as that is read.
///
/// # Errors
/// Those of the database.
pub async fn unfinished(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    account_sid: &str,
    sending: Sending,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Unfinished>, StoreError> {
    let sql = match sending {
        Sending::Messages => {
            "
        select m.id, m.twilio_sid, m.status from messages m
        join conversations c on c.id = m.conversation and c.owner = m.owner
        join channel_numbers n on n.owner = m.owner and n.address = c.our_address and n.twilio_account_sid = $2
        where m.id > $3 and m.id < $4 and m.owner = $1 and m.direction = 'outbound' and m.twilio_sid is not null
            and m.status in ('scheduled', 'accepted', 'queued', 'sending', 'sent', 'partially_delivered')
        order by m.id limit $5"
        }
        Sending::Calls => {
            "
        select l.id, l.twilio_sid, l.status from calls l
        join channel_numbers n on n.owner = l.owner and n.address = l.our_address and n.twilio_account_sid = $2
        where l.id > $3 and l.id < $4 and l.owner = $1 and l.twilio_sid is not null
            and l.status in ('queued', 'initiated', 'ringing', 'in-progress')
        order by l.id limit $5"
        }
    };
    let values = vec![
        text(owner.as_str()),
        text(account_sid),
        text(after.map_or_else(|| first_id(from), str::to_owned)),
        text(first_id(until)),
        i64::from(limit).into(),
    ];
    let rows = Unfinished::find_by_statement(statement(conn, sql, values));
    Ok(rows.all(conn).await?)
}

/// The least id that can have been made at this time.
fn first_id(at: DateTime<Utc>) -> String {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
    Ulid::from_parts(millis, 0).to_string()
}
