//! How far a message has come.
use chrono::{DateTime, Utc};
use recado_domain::{MessageId, MessageStatus, OwnerId};
use sea_orm::ConnectionTrait;

use super::{Message, by_token, one};
use crate::{
    StoreError,
    statement::{execute, text, text_or_null},
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
    report(conn, message, &refused, now).await?;
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
pub(crate) struct Report<'a> {
    pub(crate) sid: Option<&'a str>,
    pub(crate) status: MessageStatus,
    pub(crate) error_code: Option<i64>,
    pub(crate) error_message: Option<&'a str>,
}

/// Writes what is said of a message, as far as it is news: the status only rises, the first SID and the errors stay.
/// Returns whether anything changed.
pub(crate) async fn report(
    conn: &impl ConnectionTrait,
    mut message: Message,
    said: &Report<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        let status = MessageStatus::advance(message.status, said.status);
        // The error of the status that counts; one that did not come with it fills a gap only.
        let error_code = match status {
            Some(_) => said.error_code.or(message.error_code),
            None => message.error_code.or(said.error_code),
        };
        let is_news = status.is_some()
            || (message.twilio_sid.is_none() && said.sid.is_some())
            || error_code != message.error_code;
        if !is_news {
            return Ok(false);
        }
        let sql = "
            update messages set status = $3, error_code = $4, error_message = coalesce($5, error_message),
                twilio_sid = coalesce(twilio_sid, $6),
                sent_at = case when twilio_sid is null and $6 is not null then coalesce(sent_at, $7) else sent_at end,
                updated_at = $7
            where owner = $1 and id = $2 and status is not distinct from $8
                and error_code is not distinct from $9";
        let before = message.status.map(MessageStatus::as_str);
        let values = vec![
            text(message.owner.as_str()),
            text(message.id.as_str()),
            text_or_null(status.or(message.status).map(MessageStatus::as_str)),
            error_code.into(),
            text_or_null(said.error_message),
            text_or_null(said.sid),
            now.into(),
            text_or_null(before),
            message.error_code.into(),
        ];
        if execute(conn, sql, values).await? > 0 {
            return Ok(true);
        }
        let owner = text(message.owner.as_str());
        let again = one(
            conn,
            "where id = $1 and owner = $2",
            vec![text(message.id.as_str()), owner],
        )
        .await?;
        message = again.ok_or(StoreError::NotFound("message"))?;
    }
    Err(StoreError::Stale("message"))
}
