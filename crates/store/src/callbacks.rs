//! Twilio's status callbacks: in any order, without a time, sometimes before the message they speak of.
//!
//! Has no tenant, because a callback names none: the message tells whose it is, and counts only if that owner
//! holds the account whose signature the callback bears.
use chrono::{DateTime, Utc};
use recado_domain::{MessageId, MessageStatus, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value as Json;
use ulid::Ulid;

use crate::{
    StoreError,
    messages::{self, Message, Report},
    rows::{Column, Rows},
    statement::{execute, statement, text, text_or_null},
};

/// One callback, its signature checked.
#[derive(Clone, Copy)]
pub struct Callback<'a> {
    /// The account that signed it.
    pub account_sid: &'a str,
    /// Our token, where its URL carried one.
    pub token: Option<&'a str>,
    /// Twilio's SID of the message.
    pub sid: &'a str,
    /// What it reports.
    pub status: MessageStatus,
    /// Twilio's error, if any.
    pub error_code: Option<i64>,
    /// The form, whole.
    pub raw: &'a str,
}

/// What became of a callback; whatever it is, the callback is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The message has a new status, SID or error.
    Updated(OwnerId, MessageId),
    /// It said nothing new.
    Unchanged(OwnerId, MessageId),
    /// The message of this token is known under another SID, so Twilio has it twice. Nothing is changed.
    OtherSid(OwnerId, MessageId),
    /// Its message is unknown yet; it is applied when that appears.
    Orphan,
}

#[derive(FromQueryResult)]
struct Orphan {
    id: String,
    account_sid: String,
    token: Option<String>,
    twilio_sid: String,
    status: String,
    error_code: Option<i64>,
    raw: String,
    at: DateTime<Utc>,
}

/// Applies a callback: the status only rises, an error code is never cleared. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn apply(
    conn: &impl ConnectionTrait,
    callback: &Callback<'_>,
    now: DateTime<Utc>,
) -> Result<Applied, StoreError> {
    match message_of(conn, callback).await? {
        Some(message) => record(conn, message, callback, now).await,
        None => {
            keep_orphan(conn, callback, now).await?;
            Ok(Applied::Orphan)
        }
    }
}

/// The token of a message of which this callback is the first proof that Twilio has it: none where that is known
/// already, where the token is nobody's, or where its owner does not hold the account that signed. To be asked before
/// the callback is applied.
///
/// # Errors
/// Those of the database.
pub async fn proves<'a>(
    conn: &impl ConnectionTrait,
    callback: &Callback<'a>,
) -> Result<Option<&'a str>, StoreError> {
    let Some(token) = callback.token else {
        return Ok(None);
    };
    let message = message_of(conn, callback).await?;
    Ok(message
        .filter(|message| message.twilio_sid.is_none())
        .map(|_| token))
}

/// Applies the orphans of messages that have appeared, at most 500; returns how many. A message and its callback
/// that are stored at the same instant do not see each other, so that this is run from time to time. Needs a
/// transaction.
///
/// # Errors
/// Those of the database.
pub async fn adopt_all(conn: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let sql = "
        delete from orphan_callbacks where id in (
            select o.id from orphan_callbacks o
            join messages m on m.twilio_sid = o.twilio_sid or m.token = o.token
            join channel_accounts a on a.owner = m.owner and a.twilio_account_sid = o.account_sid
            order by o.id limit 500)
        returning id, account_sid, token, twilio_sid, status, error_code, raw, at";
    let orphans = Orphan::find_by_statement(statement(conn, sql, vec![]))
        .all(conn)
        .await?;
    replay(conn, orphans, |_| now).await
}

/// Drops the orphans from before `before`, whose messages we never sent.
///
/// # Errors
/// Those of the database.
pub async fn purge(conn: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(execute(
        conn,
        "delete from orphan_callbacks where at < $1",
        vec![before.into()],
    )
    .await?)
}

/// By what an orphan finds its message.
#[derive(Clone, Copy)]
pub(crate) enum Sought<'a> {
    /// The token of an owner's message.
    Token(&'a OwnerId, &'a str),
    /// The SID of an owner's message.
    Sid(&'a OwnerId, &'a str),
}

/// Applies the orphans that wait for these messages, at the time that stands with each.
pub(crate) async fn adopt(
    conn: &impl ConnectionTrait,
    sought: &[(Sought<'_>, DateTime<Utc>)],
) -> Result<usize, StoreError> {
    const COLUMNS: &[Column] = &[("its_owner", "text"), ("its_token", "text"), ("its_sid", "text")];
    // Two ways to find one, each by its own index.
    let sql = "
        delete from orphan_callbacks where id in (
            select o.id from {rows} join orphan_callbacks o on o.token = t.its_token
            join channel_accounts a on a.owner = t.its_owner and a.twilio_account_sid = o.account_sid
            union all
            select o.id from {rows} join orphan_callbacks o on o.twilio_sid = t.its_sid
            join channel_accounts a on a.owner = t.its_owner and a.twilio_account_sid = o.account_sid)
        returning id, account_sid, token, twilio_sid, status, error_code, raw, at";
    let mut rows = Rows::new(COLUMNS);
    for (sought, _) in sought {
        let (owner, token, sid) = match *sought {
            Sought::Token(owner, token) => (owner, Json::from(token), Json::Null),
            Sought::Sid(owner, sid) => (owner, Json::Null, Json::from(sid)),
        };
        rows.push([owner.as_str().into(), token, sid]);
    }
    let mut orphans: Vec<Orphan> = rows.query(conn, sql, vec![]).await?;
    orphans.sort_by(|a, b| a.id.cmp(&b.id));
    let at = |orphan: &Orphan| {
        let found = sought.iter().find(|(sought, _)| match *sought {
            Sought::Token(_, token) => orphan.token.as_deref() == Some(token),
            Sought::Sid(_, sid) => orphan.twilio_sid == sid,
        });
        found.map_or(orphan.at, |(_, at)| *at)
    };
    replay(conn, orphans, at).await
}

async fn replay(
    conn: &impl ConnectionTrait,
    orphans: Vec<Orphan>,
    at: impl Fn(&Orphan) -> DateTime<Utc>,
) -> Result<usize, StoreError> {
    for orphan in &orphans {
        let callback = Callback {
            account_sid: &orphan.account_sid,
            token: orphan.token.as_deref(),
            sid: &orphan.twilio_sid,
            status: MessageStatus::parse(&orphan.status)?,
            error_code: orphan.error_code,
            raw: &orphan.raw,
        };
        match message_of(conn, &callback).await? {
            Some(message) => drop(record(conn, message, &callback, at(orphan)).await?),
            None => keep_orphan(conn, &callback, orphan.at).await?,
        }
    }
    Ok(orphans.len())
}

/// By SID, else by token: once Twilio's SID is known it says more than a token that anybody may have seen.
async fn message_of(
    conn: &impl ConnectionTrait,
    callback: &Callback<'_>,
) -> Result<Option<Message>, StoreError> {
    let holds = "owner in (select owner from channel_accounts where twilio_account_sid = $2)";
    let find = |column: &str, key: &str| {
        let condition = format!("where {column} = $1 and {holds}");
        let values = vec![text(key), text(callback.account_sid)];
        async move { messages::one(conn, &condition, values).await }
    };
    match (find("twilio_sid", callback.sid).await?, callback.token) {
        (None, Some(token)) => find("token", token).await,
        (found, _) => Ok(found),
    }
}

async fn record(
    conn: &impl ConnectionTrait,
    message: Message,
    callback: &Callback<'_>,
    now: DateTime<Utc>,
) -> Result<Applied, StoreError> {
    keep_event(conn, &message, callback, now).await?;
    let (owner, id) = (message.owner.clone(), message.id.clone());
    if message
        .twilio_sid
        .as_deref()
        .is_some_and(|sid| sid != callback.sid)
    {
        return Ok(Applied::OtherSid(owner, id));
    }
    let said = Report {
        sid: Some(callback.sid),
        status: callback.status,
        error_code: callback.error_code,
        error_message: None,
    };
    Ok(match messages::report(conn, message, &said, now).await? {
        true => Applied::Updated(owner, id),
        false => Applied::Unchanged(owner, id),
    })
}

async fn keep_event(
    conn: &impl ConnectionTrait,
    message: &Message,
    callback: &Callback<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        insert into message_events (id, message, owner, status, error_code, raw, at)
        values ($1, $2, $3, $4, $5, $6, $7)";
    let values = vec![
        text(Ulid::generate().to_string()),
        text(message.id.as_str()),
        text(message.owner.as_str()),
        text(callback.status.as_str()),
        callback.error_code.into(),
        text(callback.raw),
        now.into(),
    ];
    execute(conn, sql, values).await?;
    Ok(())
}

async fn keep_orphan(
    conn: &impl ConnectionTrait,
    callback: &Callback<'_>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        insert into orphan_callbacks (id, account_sid, token, twilio_sid, status, error_code, raw, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = vec![
        text(Ulid::generate().to_string()),
        text(callback.account_sid),
        text_or_null(callback.token),
        text(callback.sid),
        text(callback.status.as_str()),
        callback.error_code.into(),
        text(callback.raw),
        at.into(),
    ];
    execute(conn, sql, values).await?;
    Ok(())
}
