//! Messages, received and sent. What Twilio says of them later is in [`crate::callbacks`].
use std::fmt;

use chrono::{DateTime, Utc};
use recado_domain::{ContactId, ConversationId, Direction, MessageId, MessageStatus, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use crate::{
    StoreError,
    rows::Rows,
    statement::{execute, statement, text},
};

mod counts;
mod find;
mod heard;
mod insert;
mod sent;
mod status;
mod thread;

pub use counts::{Count, counts_since};
pub use find::{containing, find};
pub use heard::{StatusEvent, status_events};
pub use insert::{insert_inbound, insert_inbound_each, insert_outbound, insert_outbound_each};
pub use sent::{SentAs, mark_sent, mark_sent_each};
pub(crate) use status::{Heard, Report, report_each};
pub use status::{mark_refused, reopen};
pub(crate) use thread::claimed_in;
pub use thread::{Turn, claimed_sids, recent_turns, thread};

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
#[derive(Clone, Copy)]
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
#[derive(Clone, Copy)]
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
    /// What it has beside its text, a JSON object, if anything.
    pub form: Option<&'a str>,
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
struct Numbered {
    n: i64,
    #[sea_orm(nested)]
    row: Row,
}

pub(crate) const COLUMNS: &str = "id, owner, conversation, contact, direction, kind, body, twilio_sid, token, run, part, status, \
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

/// The messages that `sql` selects with a number each, `n`.
pub(crate) async fn numbered(
    conn: &impl ConnectionTrait,
    rows: Rows,
    sql: &str,
) -> Result<Vec<(i64, Message)>, StoreError> {
    let rows: Vec<Numbered> = rows.query(conn, sql, vec![]).await?;
    rows.into_iter()
        .map(|Numbered { n, row }| Ok((n, Message::try_from(row)?)))
        .collect()
}

/// The messages that one column of `rows` tells, in a condition on the columns of a message.
pub(crate) async fn all(
    conn: &impl ConnectionTrait,
    rows: Rows,
    join: &str,
) -> Result<Vec<Message>, StoreError> {
    let sql = format!("select {COLUMNS} from {{rows}} join messages on {join}");
    let rows: Vec<Row> = rows.query(conn, &sql, vec![]).await?;
    rows.into_iter().map(Message::try_from).collect()
}
