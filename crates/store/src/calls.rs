//! Telephone calls, made and received. What Twilio says of them later is in [`reports`].
use std::{collections::HashSet, fmt};

use chrono::{DateTime, Utc};
use recado_domain::{CallId, CallStatus, ContactId, Direction, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use crate::{
    StoreError, messages,
    statement::{execute, statement, text, text_or_null},
};

mod counts;
mod recordings;
pub mod reports;

pub use counts::{Count, counts_since};
pub use recordings::{Kept, Recording, keep, of_calls, recording};

/// One call. `Debug` leaves out who speaks with whom.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// Whose it is.
    pub owner: OwnerId,
    /// With whom; `None` where the caller's number is withheld.
    pub contact: Option<ContactId>,
    /// Which way it went.
    pub direction: Direction,
    /// The owner's number.
    pub our_address: String,
    /// The other number, as Twilio writes it.
    pub contact_address: String,
    /// Twilio's `CA…`, once known.
    pub twilio_sid: Option<String>,
    /// The token of the intent to make it, outbound only.
    pub token: Option<String>,
    /// The run that makes or received it.
    pub run: Option<String>,
    /// What Twilio says of it; `None` before Twilio has it.
    pub status: Option<CallStatus>,
    /// How long it was, in seconds.
    pub duration: Option<i64>,
    /// Twilio's word on who answered, where that was asked for.
    pub answered_by: Option<String>,
    /// Twilio's error, never cleared.
    pub error_code: Option<i64>,
    /// The error in words.
    pub error_message: Option<String>,
    /// When it was received, or meant to be made.
    pub created_at: DateTime<Utc>,
    /// When Twilio was first known to have it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When something of it last changed.
    pub updated_at: DateTime<Utc>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("direction", &self.direction)
            .field("twilio_sid", &self.twilio_sid)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A call that is about to be made, or that has come in.
#[derive(Clone, Copy)]
pub struct NewCall<'a> {
    /// With whom, where that is known.
    pub contact: Option<&'a ContactId>,
    /// The owner's number, as Twilio writes it.
    pub ours: &'a str,
    /// The other number, as Twilio writes it.
    pub theirs: &'a str,
    /// How it is known before anything is heard of it.
    pub name: Name<'a>,
    /// The run that makes or received it.
    pub run: &'a str,
    /// What it is made with, or the webhook's form, as JSON.
    pub form: &'a str,
}

/// How a call is known first.
#[derive(Clone, Copy)]
pub enum Name<'a> {
    /// One of ours: by the token of the intent to make it.
    Token(&'a str),
    /// One of theirs: by Twilio's SID.
    Sid(&'a str),
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    owner: String,
    contact: Option<String>,
    direction: String,
    our_address: String,
    contact_address: String,
    twilio_sid: Option<String>,
    token: Option<String>,
    run: Option<String>,
    status: Option<String>,
    duration: Option<i64>,
    answered_by: Option<String>,
    error_code: Option<i64>,
    error_message: Option<String>,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

const COLUMNS: &str = "id, owner, contact, direction, our_address, contact_address, twilio_sid, token, run, status, \
                       duration, answered_by, error_code, error_message, created_at, sent_at, updated_at";

impl TryFrom<Row> for Call {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: CallId::from(row.id),
            owner: OwnerId::from(row.owner),
            contact: row.contact.map(ContactId::from),
            direction: Direction::parse(&row.direction)?,
            our_address: row.our_address,
            contact_address: row.contact_address,
            twilio_sid: row.twilio_sid,
            token: row.token,
            run: row.run,
            status: row.status.as_deref().map(CallStatus::parse).transpose()?,
            duration: row.duration,
            answered_by: row.answered_by,
            error_code: row.error_code,
            error_message: row.error_message,
            created_at: row.created_at,
            sent_at: row.sent_at,
            updated_at: row.updated_at,
        })
    }
}

/// Stores a call, once for its token or SID; reports that came first are applied. Returns whether it is new. Needs a
/// transaction.
///
/// # Errors
/// [`StoreError::Taken`] when the token or SID is another owner's.
pub async fn insert(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    new: &NewCall<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = "
        insert into calls (id, owner, contact, direction, our_address, contact_address, twilio_sid, token, run, form,
            status, rank, created_at, sent_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $13)
        on conflict do nothing";
    let (direction, sid, token) = match new.name {
        Name::Token(token) => (Direction::Outbound, None, Some(token)),
        Name::Sid(sid) => (Direction::Inbound, Some(sid), None),
    };
    // A report that is being stored is waited for, or waits.
    if let Some(sid) = sid {
        reports::hold(conn, sid).await?;
    }
    let status = sid.map(|_| CallStatus::Ringing);
    let values = vec![
        text(CallId::new().as_str()),
        text(owner.as_str()),
        text_or_null(new.contact.map(ContactId::as_str)),
        text(direction.as_str()),
        text(new.ours),
        text(new.theirs),
        text_or_null(sid),
        text_or_null(token),
        text(new.run),
        text(new.form),
        text_or_null(status.map(CallStatus::as_str)),
        i64::from(status.map_or(0, CallStatus::rank)).into(),
        now.into(),
        sid.map(|_| now).into(),
    ];
    let is_new = execute(conn, sql, values).await? > 0;
    let call = match new.name {
        Name::Token(token) => by_token(conn, owner, token).await?,
        Name::Sid(sid) => by_sid(conn, owner, sid).await?,
    };
    let call = call.ok_or(StoreError::Taken("call"))?;
    if is_new {
        reports::adopt(conn, &call, now).await?;
    }
    Ok(is_new)
}

/// Notes that Twilio has the call of a token, under this SID. Reports that came first are applied. The status only
/// rises, so that it may be told twice. Needs a transaction.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner has no call with this token; [`StoreError::Taken`] when the SID is another
/// call's.
pub async fn mark_placed(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    token: &str,
    sid: &str,
    status: CallStatus,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let call = by_token(conn, owner, token)
        .await?
        .ok_or(StoreError::NotFound("call"))?;
    let said = reports::Said {
        sid: Some(sid),
        status: Some(status),
        ..reports::Said::default()
    };
    if call.twilio_sid.as_deref().is_some_and(|known| known != sid) {
        // Twilio has it twice; what was heard first stays, as of a message.
        return Ok(());
    }
    if !reports::hear(conn, &call, &said, now).await? {
        return Err(StoreError::Taken("Twilio SID"));
    }
    let call = by_token(conn, owner, token)
        .await?
        .ok_or(StoreError::NotFound("call"))?;
    reports::adopt(conn, &call, now).await
}

/// Notes that the call of a token was not made, and will not be by itself. A call that Twilio has is left as it is.
///
/// # Errors
/// Those of the database.
pub async fn mark_refused(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    token: &str,
    error_code: Option<i64>,
    error_message: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        update calls set status = 'failed', error_code = $3, error_message = $4, updated_at = $5
        where owner = $1 and token = $2 and twilio_sid is null";
    let values = vec![
        text(owner.as_str()),
        text(token),
        error_code.into(),
        text(error_message),
        now.into(),
    ];
    execute(conn, sql, values).await?;
    Ok(())
}

/// Forgets that the call of a token was refused, because it is to be made once more.
///
/// # Errors
/// Those of the database.
pub async fn reopen(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    token: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        update calls set status = null, error_code = null, error_message = null, updated_at = $3
        where owner = $1 and token = $2 and twilio_sid is null and status = 'failed'";
    execute(conn, sql, vec![text(owner.as_str()), text(token), now.into()]).await?;
    Ok(())
}

/// The call of a SID.
///
/// # Errors
/// Those of the database.
pub async fn by_sid(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    sid: &str,
) -> Result<Option<Call>, StoreError> {
    one(
        conn,
        "where twilio_sid = $1 and owner = $2",
        vec![text(sid), text(owner.as_str())],
    )
    .await
}

/// The call of an intent's token.
///
/// # Errors
/// Those of the database.
pub async fn by_token(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    token: &str,
) -> Result<Option<Call>, StoreError> {
    one(
        conn,
        "where token = $1 and owner = $2",
        vec![text(token), text(owner.as_str())],
    )
    .await
}

/// Which of these SIDs are calls of ours already, as [`messages::claimed_sids`].
///
/// # Errors
/// Those of the database.
pub async fn claimed_sids(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    sids: &[&str],
) -> Result<HashSet<String>, StoreError> {
    messages::claimed_in(conn, "calls", owner, sids).await
}

/// One call by a condition of this crate's.
async fn one(
    conn: &impl ConnectionTrait,
    condition: &str,
    values: Vec<sea_orm::Value>,
) -> Result<Option<Call>, StoreError> {
    let sql = format!("select {COLUMNS} from calls {condition}");
    let row = Row::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    row.map(Call::try_from).transpose()
}
