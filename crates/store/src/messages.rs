//! Messages, received and sent. What Twilio says of them later is in [`crate::callbacks`].
use std::{collections::HashSet, fmt};

use chrono::{DateTime, Utc};
use recado_domain::{ContactId, ConversationId, Direction, MessageId, MessageStatus, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use crate::{
    Page, StoreError, callbacks, page,
    statement::{execute, statement, text, text_or_null},
    transitions::TRIES,
};

/// One message. `Debug` leaves out what it says.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Whose it is.
    pub owner: OwnerId,
    /// In which conversation.
    pub conversation: ConversationId,
    /// With whom.
    pub contact: ContactId,
    /// Which way it went.
    pub direction: Direction,
    /// What it is: `text`, `audio`, `image`, `location`, …
    pub kind: String,
    /// Its text; the transcript, for a voice message that has one.
    pub body: String,
    /// Twilio's `SM…` or `MM…`, once known.
    pub twilio_sid: Option<String>,
    /// The token of the intent to send it, outbound only.
    pub token: Option<String>,
    /// The run that received or sends it.
    pub run: Option<String>,
    /// Which part of a split text, from 0.
    pub part: i64,
    /// What Twilio says of it; `None` before Twilio has it.
    pub status: Option<MessageStatus>,
    /// Twilio's error, never cleared.
    pub error_code: Option<i64>,
    /// The error in words.
    pub error_message: Option<String>,
    /// When it was received, or meant to be sent.
    pub created_at: DateTime<Utc>,
    /// When Twilio was first known to have it, outbound only.
    pub sent_at: Option<DateTime<Utc>>,
    /// When its status last changed.
    pub updated_at: DateTime<Utc>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("direction", &self.direction)
            .field("kind", &self.kind)
            .field("twilio_sid", &self.twilio_sid)
            .field("token", &self.token)
            .field("status", &self.status)
            .field("error_code", &self.error_code)
            .finish_non_exhaustive()
    }
}

/// A message that a contact wrote.
pub struct NewInbound<'a> {
    /// In which conversation.
    pub conversation: &'a ConversationId,
    /// From whom.
    pub contact: &'a ContactId,
    /// What it is: `text`, `audio`, …
    pub kind: &'a str,
    /// Its text, empty where there is none.
    pub body: &'a str,
    /// Twilio's SID, which is unique.
    pub twilio_sid: &'a str,
    /// The run that answers it.
    pub run: &'a str,
    /// The webhook's form, whole.
    pub form: &'a str,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
}

/// A message that is about to be sent.
pub struct NewOutbound<'a> {
    /// In which conversation.
    pub conversation: &'a ConversationId,
    /// To whom.
    pub contact: &'a ContactId,
    /// What it is: `text`, `template`, …
    pub kind: &'a str,
    /// Its text.
    pub body: &'a str,
    /// The token of the intent, unique; Twilio's callbacks bring it back.
    pub token: &'a str,
    /// The run that sends it, if one does.
    pub run: Option<&'a str>,
    /// Which part of a split text, from 0.
    pub part: i64,
}

/// What became of an insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The message is new.
    New(MessageId),
    /// It was there already, and nothing changed.
    Known(MessageId),
}

impl Inserted {
    /// The message's id, either way.
    pub fn id(&self) -> &MessageId {
        match self {
            Self::New(id) | Self::Known(id) => id,
        }
    }
}

/// What somebody said, for an agent's memory.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// Who: the contact inbound, we outbound.
    pub direction: Direction,
    /// What.
    pub body: String,
    /// When.
    pub at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    owner: String,
    conversation: String,
    contact: String,
    direction: String,
    kind: String,
    body: String,
    twilio_sid: Option<String>,
    token: Option<String>,
    run: Option<String>,
    part: i64,
    status: Option<String>,
    error_code: Option<i64>,
    error_message: Option<String>,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Said {
    direction: String,
    body: String,
    created_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Sid {
    twilio_sid: String,
}

const COLUMNS: &str = "id, owner, conversation, contact, direction, kind, body, twilio_sid, token, run, part, status, \
                       error_code, error_message, created_at, sent_at, updated_at";

impl TryFrom<Row> for Message {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: MessageId::from(row.id),
            owner: OwnerId::from(row.owner),
            conversation: ConversationId::from(row.conversation),
            contact: ContactId::from(row.contact),
            direction: Direction::parse(&row.direction)?,
            kind: row.kind,
            body: row.body,
            twilio_sid: row.twilio_sid,
            token: row.token,
            run: row.run,
            part: row.part,
            status: row.status.as_deref().map(MessageStatus::parse).transpose()?,
            error_code: row.error_code,
            error_message: row.error_message,
            created_at: row.created_at,
            sent_at: row.sent_at,
            updated_at: row.updated_at,
        })
    }
}

/// Stores a message that a contact wrote, once for its SID.
///
/// # Errors
/// [`StoreError::Taken`] when the SID is another owner's.
pub async fn insert_inbound(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    new: &NewInbound<'_>,
) -> Result<Inserted, StoreError> {
    let id = MessageId::new();
    let sql = "
        insert into messages (id, owner, conversation, contact, direction, kind, body, twilio_sid, run, form, status,
            created_at, updated_at)
        values ($1, $2, $3, $4, 'inbound', $5, $6, $7, $8, $9, 'received', $10, $10)
        on conflict do nothing";
    let values = vec![
        text(id.as_str()),
        text(owner.as_str()),
        text(new.conversation.as_str()),
        text(new.contact.as_str()),
        text(new.kind),
        text(new.body),
        text(new.twilio_sid),
        text(new.run),
        text(new.form),
        new.received_at.into(),
    ];
    if execute(conn, sql, values).await? > 0 {
        return Ok(Inserted::New(id));
    }
    let known = by_sid(conn, owner, new.twilio_sid).await?;
    known
        .map(|message| Inserted::Known(message.id))
        .ok_or(StoreError::Taken("Twilio SID"))
}

/// Stores a message that is about to be sent, once for its token. Callbacks that came first are applied.
///
/// # Errors
/// [`StoreError::Taken`] when the token is another owner's.
pub async fn insert_outbound(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    new: &NewOutbound<'_>,
    now: DateTime<Utc>,
) -> Result<Inserted, StoreError> {
    let id = MessageId::new();
    let sql = "
        insert into messages (id, owner, conversation, contact, direction, kind, body, token, run, part, created_at,
            updated_at)
        values ($1, $2, $3, $4, 'outbound', $5, $6, $7, $8, $9, $10, $10)
        on conflict do nothing";
    let values = vec![
        text(id.as_str()),
        text(owner.as_str()),
        text(new.conversation.as_str()),
        text(new.contact.as_str()),
        text(new.kind),
        text(new.body),
        text(new.token),
        text_or_null(new.run),
        new.part.into(),
        now.into(),
    ];
    if execute(conn, sql, values).await? == 0 {
        let known = by_token(conn, owner, new.token).await?;
        return known
            .map(|message| Inserted::Known(message.id))
            .ok_or(StoreError::Taken("token"));
    }
    callbacks::adopt(conn, owner, Some(new.token), None, now).await?;
    Ok(Inserted::New(id))
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
    let holder = "select 1 from messages where twilio_sid = $1 and (token is null or token <> $2)";
    if conn
        .query_one_raw(statement(conn, holder, vec![text(sid), text(token)]))
        .await?
        .is_some()
    {
        return Err(StoreError::Taken("Twilio SID"));
    }
    let message = by_token(conn, owner, token)
        .await?
        .ok_or(StoreError::NotFound("message"))?;
    let id = message.id.clone();
    report(
        conn,
        message,
        &Report {
            sid: Some(sid),
            status,
            error_code: None,
            error_message: None,
        },
        now,
    )
    .await?;
    callbacks::adopt(conn, owner, None, Some(sid), now).await?;
    Ok(id)
}

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

/// Replaces the text of a message, as by the transcript of a voice message.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner has no such message.
pub async fn set_body(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &MessageId,
    body: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "update messages set body = $3, updated_at = $4 where owner = $1 and id = $2";
    match execute(
        conn,
        sql,
        vec![text(owner.as_str()), text(id.as_str()), text(body), now.into()],
    )
    .await?
    {
        0 => Err(StoreError::NotFound("message")),
        _ => Ok(()),
    }
}

/// The messages of a conversation, the latest first; `cursor` is the last page's `next`.
///
/// # Errors
/// Those of the database.
pub async fn thread(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    conversation: &ConversationId,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Message>, StoreError> {
    let mut sql = format!("select {COLUMNS} from messages where owner = $1 and conversation = $2");
    let mut values = vec![
        text(owner.as_str()),
        text(conversation.as_str()),
        page::rows(limit).into(),
    ];
    if let Some(cursor) = cursor {
        values.push(text(cursor));
        sql.push_str(
            " and (created_at, id) < (select created_at, id from messages
                  where owner = $1 and conversation = $2 and id = $4)",
        );
    }
    sql.push_str(" order by created_at desc, id desc limit $3");
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let items = rows
        .into_iter()
        .map(Message::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Page::of(items, limit, |message| message.id.to_string()))
}

/// The last `n` texts of a conversation, oldest first; without those of ours that the contact never got.
///
/// # Errors
/// Those of the database.
pub async fn recent_turns(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    conversation: &ConversationId,
    n: u64,
) -> Result<Vec<Turn>, StoreError> {
    let sql = "
        select direction, body, created_at from messages
        where owner = $1 and conversation = $2 and body <> ''
            and (status is null or status not in ('failed', 'undelivered', 'canceled'))
        order by created_at desc, id desc limit $3";
    let limit = i64::try_from(n).unwrap_or(i64::MAX);
    let values = vec![text(owner.as_str()), text(conversation.as_str()), limit.into()];
    let rows = Said::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    rows.into_iter()
        .rev()
        .map(|row| {
            Ok(Turn {
                direction: Direction::parse(&row.direction)?,
                body: row.body,
                at: row.created_at,
            })
        })
        .collect()
}

/// Which of these SIDs are messages of ours already: of this owner, or of another who shares a Twilio account with
/// it, because such an account lists the messages of all.
///
/// # Errors
/// Those of the database.
pub async fn claimed_sids(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    sids: &[&str],
) -> Result<HashSet<String>, StoreError> {
    let mut claimed = HashSet::new();
    for sids in sids.chunks(500) {
        let places: Vec<_> = (2..sids.len() + 2).map(|n| format!("${n}")).collect();
        let sql = format!(
            "select twilio_sid from messages where twilio_sid in ({}) and (owner = $1 or owner in (
                 select theirs.owner from channel_accounts ours
                 join channel_accounts theirs on theirs.twilio_account_sid = ours.twilio_account_sid
                 where ours.owner = $1))",
            places.join(", ")
        );
        let mut values = vec![text(owner.as_str())];
        values.extend(sids.iter().map(text));
        let rows = Sid::find_by_statement(statement(conn, sql, values))
            .all(conn)
            .await?;
        claimed.extend(rows.into_iter().map(|row| row.twilio_sid));
    }
    Ok(claimed)
}

/// The message of a SID.
///
/// # Errors
/// Those of the database.
pub async fn by_sid(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    sid: &str,
) -> Result<Option<Message>, StoreError> {
    one(
        conn,
        "where twilio_sid = $1 and owner = $2",
        vec![text(sid), text(owner.as_str())],
    )
    .await
}

/// The message of an intent's token.
///
/// # Errors
/// Those of the database.
pub async fn by_token(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    token: &str,
) -> Result<Option<Message>, StoreError> {
    one(
        conn,
        "where token = $1 and owner = $2",
        vec![text(token), text(owner.as_str())],
    )
    .await
}

/// One message by a condition of this crate's.
pub(crate) async fn one(
    conn: &impl ConnectionTrait,
    condition: &str,
    values: Vec<sea_orm::Value>,
) -> Result<Option<Message>, StoreError> {
    let sql = format!("select {COLUMNS} from messages {condition}");
    let row = Row::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    row.map(Message::try_from).transpose()
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
