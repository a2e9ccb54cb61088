//! How far a message has come.
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use recado_domain::{MessageId, MessageStatus, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{Message, by_token, one};
use crate::{
    StoreError,
    rows::{Column, Rows, time},
    statement::{execute, text, without_nul},
    transitions::TRIES,
};

/// Notes that Twilio definitely refused the message of a token.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner has no message with this token.
pub async fn mark_refused(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    token: &str,
    error_code: Option<i64>,
    error_message: &str,
    now: DateTime<Utc>,
) -> Result<MessageId, StoreError> {
    let message = by_token(conn, owner, token)
        .await?
        .ok_or(StoreError::NotFound("message"))?;
    let id = message.id.clone();
    let refused = Report {
        sid: None,
        status: MessageStatus::Failed,
        error_code,
        error_message: Some(error_message),
    };
    report(conn, message, refused, now).await?;
    Ok(id)
}

/// Forgets that the message of a token was refused, because it is to be sent once more. Returns whether it was.
///
/// # Errors
/// Those of the database.
pub async fn reopen(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    token: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = "
        update messages set status = null, error_code = null, error_message = null, updated_at = $3
        where owner = $1 and token = $2 and twilio_sid is null and status = 'failed'";
    let values = vec![text(owner.as_str()), text(token), now.into()];
    Ok(execute(conn, sql, values).await? > 0)
}

/// What is said of a message.
#[derive(Clone, Copy)]
pub(crate) struct Report<'a> {
    pub(crate) sid: Option<&'a str>,
    pub(crate) status: MessageStatus,
    pub(crate) error_code: Option<i64>,
    pub(crate) error_message: Option<&'a str>,
}

/// What a report brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    News,
    Nothing,
    /// It speaks of another SID than the message has, so Twilio has it twice. Nothing is changed.
    OtherSid,
}

impl Message {
    /// Takes in what is said, as far as it is news: the status only rises, the first SID and the errors stay.
    fn hear(&mut self, said: &Report<'_>, now: DateTime<Utc>) -> Heard {
        let sid = said.sid.map(without_nul);
        if sid.is_some() && self.twilio_sid.is_some() && sid != self.twilio_sid {
            return Heard::OtherSid;
        }
        let status = MessageStatus::advance(self.status, said.status);
        // The error of the status that counts; one that did not come with it fills a gap only.
        let error_code = match status {
            Some(_) => said.error_code.or(self.error_code),
            None => self.error_code.or(said.error_code),
        };
        let is_first = self.twilio_sid.is_none() && sid.is_some();
        if status.is_none() && !is_first && error_code == self.error_code {
            return Heard::Nothing;
        }
        if is_first {
            self.twilio_sid = sid;
            self.sent_at = self.sent_at.or(Some(now));
        }
        self.status = status.or(self.status);
        self.error_code = error_code;
        let told = said.error_message.map(without_nul);
        self.error_message = told.or(self.error_message.take());
        self.updated_at = now;
        Heard::News
    }
}

/// Writes what is said of a message. Returns what it brought.
async fn report(
    conn: &impl ConnectionTrait,
    message: Message,
    said: Report<'_>,
    now: DateTime<Utc>,
) -> Result<Heard, StoreError> {
    let heard = report_each(conn, &[(message, said, now)]).await?;
    Ok(heard.into_iter().next().unwrap_or(Heard::Nothing))
}

/// Writes what is said of messages, one after the other, each at its time, by one statement; several may speak of the
/// same message. Returns what each brought.
pub(crate) async fn report_each(
    conn: &impl ConnectionTrait,
    said: &[(Message, Report<'_>, DateTime<Utc>)],
) -> Result<Vec<Heard>, StoreError> {
    let mut heard = vec![Heard::Nothing; said.len()];
    let mut known: HashMap<&MessageId, Message> = said
        .iter()
        .map(|(message, ..)| (&message.id, message.clone()))
        .collect();
    for _ in 0..TRIES {
        let mut after = known.clone();
        for ((message, report, at), heard) in said.iter().zip(&mut heard) {
            if let Some(message) = after.get_mut(&message.id) {
                *heard = message.hear(report, *at);
            }
        }
        let written = write(conn, &known, &after).await?;
        known.retain(|id, before| after.get(*id) != Some(&*before) && !written.contains(*id));
        if known.is_empty() {
            return Ok(heard);
        }
        // Somebody else was faster.
        for message in known.values_mut() {
            let values = vec![text(message.id.as_str()), text(message.owner.as_str())];
            let again = one(conn, "where id = $1 and owner = $2", values).await?;
            *message = again.ok_or(StoreError::NotFound("message"))?;
        }
    }
    Err(StoreError::Stale("message"))
}

#[derive(FromQueryResult)]
struct Id {
    id: String,
}

/// Writes those that have changed, unless somebody else has changed them since. Returns which are written. Their rows
/// are locked in the order of their tokens, here as where they are marked as sent.
async fn write(
    conn: &impl ConnectionTrait,
    before: &HashMap<&MessageId, Message>,
    after: &HashMap<&MessageId, Message>,
) -> Result<HashSet<MessageId>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("its_id", "text"),
        ("its_owner", "text"),
        ("was_status", "text"),
        ("was_error_code", "bigint"),
        ("was_sid", "text"),
        ("its_status", "text"),
        ("its_error_code", "bigint"),
        ("its_error_message", "text"),
        ("its_sid", "text"),
        ("its_sent_at", "timestamptz"),
        ("its_time", "timestamptz"),
    ];
    let sql = "
        update messages set status = t.its_status, error_code = t.its_error_code,
            error_message = t.its_error_message, twilio_sid = t.its_sid, sent_at = t.its_sent_at,
            updated_at = t.its_time
        from {rows}
        where id = t.its_id and owner = t.its_owner and status is not distinct from t.was_status
            and error_code is not distinct from t.was_error_code and twilio_sid is not distinct from t.was_sid
        returning id";
    let mut changed: Vec<(&Message, &Message)> = before
        .iter()
        .filter_map(|(id, before)| Some((before, after.get(id)?)))
        .filter(|(before, after)| before != after)
        .collect();
    changed.sort_by_key(|(before, _)| (&before.token, &before.id));
    let mut rows = Rows::new(COLUMNS);
    for (before, after) in changed {
        rows.push([
            after.id.as_str().into(),
            after.owner.as_str().into(),
            before.status.map(MessageStatus::as_str).into(),
            before.error_code.into(),
            before.twilio_sid.as_deref().into(),
            after.status.map(MessageStatus::as_str).into(),
            after.error_code.into(),
            after.error_message.as_deref().into(),
            after.twilio_sid.as_deref().into(),
            after.sent_at.map(time).into(),
            time(after.updated_at),
        ]);
    }
    let written: Vec<Id> = rows.query(conn, sql, vec![]).await?;
    Ok(written.into_iter().map(|row| MessageId::from(row.id)).collect())
}
