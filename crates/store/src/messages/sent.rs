//! That Twilio has taken messages.
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use recado_domain::{MessageId, MessageStatus, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{Message, Report, all, report_each};
use crate::{
    StoreError,
    callbacks::{self, Sought},
    rows::{Column, Rows, time},
    statement::{statement, text},
};

/// Twilio's answer to a message.
#[derive(Clone, Copy, Debug)]
pub struct SentAs<'a> {
    /// Whose message.
    pub owner: &'a OwnerId,
    /// The token of the intent to send it.
    pub token: &'a str,
    /// Twilio's SID of it.
    pub sid: &'a str,
    /// Twilio's word on it.
    pub status: MessageStatus,
    /// When it was heard.
    pub at: DateTime<Utc>,
}

/// Notes that Twilio has the message of a token, under this SID. Callbacks that came first are applied. The status
/// only rises, so that it may be told twice.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner has no message with this token; [`StoreError::Taken`] when the SID is
/// another message's.
pub async fn mark_sent(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    token: &str,
    sid: &str,
    status: MessageStatus,
    now: DateTime<Utc>,
) -> Result<MessageId, StoreError> {
    let sent = SentAs {
        owner,
        token,
        sid,
        status,
        at: now,
    };
    let marked = mark_sent_each(conn, &[sent]).await?;
    marked.into_iter().next().ok_or(StoreError::NotFound("message"))
}

/// [`mark_sent`] for many at once, as if one after the other in their order: two statements, and two more where of some
/// something was known already.
///
/// # Errors
/// As of [`mark_sent`].
pub async fn mark_sent_each(
    conn: &impl ConnectionTrait,
    sent: &[SentAs<'_>],
) -> Result<Vec<MessageId>, StoreError> {
    let mut ids = mark_first(conn, sent).await?;
    let left: Vec<_> = sent.iter().filter(|one| !ids.contains_key(one.token)).collect();
    ids.extend(mark_again(conn, &left).await?);
    let sought: Vec<_> = sent
        .iter()
        .map(|one| (Sought::Sid(one.owner, one.sid), one.at))
        .collect();
    callbacks::adopt(conn, &sought).await?;
    sent.iter()
        .map(|one| ids.get(one.token).cloned().ok_or(StoreError::NotFound("message")))
        .collect()
}

#[derive(FromQueryResult)]
struct Marked {
    id: String,
    token: String,
}

const COLUMNS: &[Column] = &[
    ("its_token", "text"),
    ("its_owner", "text"),
    ("its_sid", "text"),
    ("its_status", "text"),
    ("its_time", "timestamptz"),
];

/// Marks those of which nothing was heard yet, under SIDs that are nobody's. Returns which, by token.
async fn mark_first<'a>(
    conn: &impl ConnectionTrait,
    sent: &[SentAs<'a>],
) -> Result<HashMap<&'a str, MessageId>, StoreError> {
    let sql = "
        update messages set status = t.its_status, twilio_sid = t.its_sid, sent_at = coalesce(sent_at, t.its_time),
            updated_at = t.its_time
        from {rows}
        where token = t.its_token and owner = t.its_owner and twilio_sid is null and status is null
            and not exists (select 1 from messages other where other.twilio_sid = t.its_sid)
        returning id, token";
    let (mut sorted, mut sids) = (BTreeMap::new(), HashSet::new());
    for one in sent {
        if !sorted.contains_key(one.token) && sids.insert(one.sid) {
            sorted.insert(one.token, one);
        }
    }
    let mut rows = Rows::new(COLUMNS);
    for one in sorted.values() {
        rows.push([
            one.token.into(),
            one.owner.as_str().into(),
            one.sid.into(),
            one.status.as_str().into(),
            time(one.at),
        ]);
    }
    let marked: Vec<Marked> = rows.query(conn, sql, vec![]).await?;
    let tokens: HashMap<&str, &'a str> = sorted.keys().map(|token| (*token, *token)).collect();
    let ids = marked.into_iter().filter_map(|row| {
        let token = *tokens.get(row.token.as_str())?;
        Some((token, MessageId::from(row.id)))
    });
    Ok(ids.collect())
}

/// Marks those of which something is known: a callback was faster, they were refused before, or this is told twice.
async fn mark_again<'a>(
    conn: &impl ConnectionTrait,
    sent: &[&SentAs<'a>],
) -> Result<HashMap<&'a str, MessageId>, StoreError> {
    const KEY: &[Column] = &[("its_token", "text"), ("its_owner", "text")];
    let mut rows = Rows::new(KEY);
    for one in sent {
        rows.push([one.token.into(), one.owner.as_str().into()]);
    }
    let known = all(conn, rows, "token = t.its_token and owner = t.its_owner").await?;
    let (mut said, mut ids) = (Vec::new(), HashMap::new());
    for one in sent {
        let message = known
            .iter()
            .find(|message| message.token.as_deref() == Some(one.token) && message.owner == *one.owner);
        let message = message.ok_or(StoreError::NotFound("message"))?;
        refuse_taken(conn, message, one.sid).await?;
        let report = Report {
            sid: Some(one.sid),
            status: one.status,
            error_code: None,
            error_message: None,
        };
        said.push((message.clone(), report, one.at));
        ids.insert(one.token, message.id.clone());
    }
    report_each(conn, &said).await?;
    Ok(ids)
}

/// A SID belongs to one message.
async fn refuse_taken(conn: &impl ConnectionTrait, message: &Message, sid: &str) -> Result<(), StoreError> {
    if message.twilio_sid.as_deref() == Some(sid) {
        return Ok(());
    }
    let holder = "select 1 from messages where twilio_sid = $1 and id <> $2";
    let values = vec![text(sid), text(message.id.as_str())];
    let taken = conn.query_one_raw(statement(conn, holder, values)).await?;
    match taken {
        Some(_) => Err(StoreError::Taken("Twilio SID")),
        None => Ok(()),
    }
}
