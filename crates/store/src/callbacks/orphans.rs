//! Callbacks that came before their message's row.
use chrono::{DateTime, Utc};
use recado_domain::{MessageStatus, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value as Json;
use ulid::Ulid;

use super::{Callback, Heard};
use crate::{
    StoreError,
    rows::{Column, Rows, time},
    statement::{execute, statement},
};

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

/// Applies what can be applied now; the rest stays, from when it came.
async fn replay(
    conn: &impl ConnectionTrait,
    orphans: Vec<Orphan>,
    at: impl Fn(&Orphan) -> DateTime<Utc>,
) -> Result<usize, StoreError> {
    if orphans.is_empty() {
        return Ok(0);
    }
    let callbacks = orphans.iter().map(|orphan| {
        let callback = Callback {
            account_sid: &orphan.account_sid,
            token: orphan.token.as_deref(),
            sid: &orphan.twilio_sid,
            status: MessageStatus::parse(&orphan.status)?,
            error_code: orphan.error_code,
            raw: &orphan.raw,
        };
        Ok((callback, at(orphan)))
    });
    let callbacks = callbacks.collect::<Result<Vec<_>, StoreError>>()?;
    let mut heard = Heard::find(conn, callbacks).await?;
    for (((_, at), message), orphan) in heard.callbacks.iter_mut().zip(&heard.messages).zip(&orphans) {
        if message.is_none() {
            *at = orphan.at;
        }
    }
    heard.apply(conn).await?;
    Ok(orphans.len())
}

pub(super) async fn keep_orphans<'a>(
    conn: &impl ConnectionTrait,
    orphans: impl Iterator<Item = (&'a Callback<'a>, DateTime<Utc>)>,
) -> Result<(), StoreError> {
    const COLUMNS: &[Column] = &[
        ("id", "text"),
        ("account_sid", "text"),
        ("token", "text"),
        ("twilio_sid", "text"),
        ("status", "text"),
        ("error_code", "bigint"),
        ("raw", "text"),
        ("at", "timestamptz"),
    ];
    let sql = "
        insert into orphan_callbacks (id, account_sid, token, twilio_sid, status, error_code, raw, at)
        select id, account_sid, token, twilio_sid, status, error_code, raw, at from {rows}";
    let mut rows = Rows::new(COLUMNS);
    for (callback, at) in orphans {
        rows.push([
            Ulid::generate().to_string().into(),
            callback.account_sid.into(),
            callback.token.into(),
            callback.sid.into(),
            callback.status.as_str().into(),
            callback.error_code.into(),
            callback.raw.into(),
            time(at),
        ]);
    }
    rows.execute(conn, sql, vec![]).await?;
    Ok(())
}
