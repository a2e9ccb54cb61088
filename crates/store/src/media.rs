//! What is attached to messages. The files are elsewhere, by owner and hash; here stands what they are.
use std::fmt;

use chrono::{DateTime, Utc};
use recado_domain::{MessageId, OwnerId, UnknownWord};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{
    StoreError,
    rows::{Column, Rows, number},
    statement::{execute, statement, text},
};

/// What there is of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// The file.
    Stored,
    /// Nothing: it could not be had.
    Failed,
    /// Nothing any more: it was kept as long as its owner keeps such things.
    Expired,
}

impl MediaState {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    fn parse(word: &str) -> Result<Self, UnknownWord> {
        [Self::Stored, Self::Failed, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownWord {
                what: "media state",
                word: word.to_owned(),
            })
    }
}

/// An attachment. `Debug` leaves out its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Media {
    /// Its id.
    pub id: String,
    /// The message it belongs to.
    pub message: MessageId,
    /// Which of that message's, from 0.
    pub place: i64,
    /// What there is of it.
    pub state: MediaState,
    /// What it is, by its content; of one that failed, what it was declared to be.
    pub content_type: String,
    /// Its size.
    pub bytes: i64,
    /// How long it plays, where that is known.
    pub seconds: Option<i64>,
    /// The name that the sender's file had.
    pub name: Option<String>,
    /// SHA-256 of its content, by which it is kept; only of what is stored.
    pub sha256: Option<String>,
    /// Why there is nothing, for a person.
    pub error: Option<String>,
    /// When it came.
    pub created_at: DateTime<Utc>,
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media")
            .field("id", &self.id)
            .field("state", &self.state)
            .field("content_type", &self.content_type)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// An attachment that came.
#[derive(Clone, Copy)]
pub struct NewMedia<'a> {
    /// What there is of it.
    pub state: MediaState,
    /// As [`Media::content_type`].
    pub content_type: &'a str,
    /// Its size.
    pub bytes: u64,
    /// How long it plays, where that is known.
    pub seconds: Option<u32>,
    /// The name that the sender's file had.
    pub name: Option<&'a str>,
    /// SHA-256 of its content, where it is stored.
    pub sha256: Option<&'a str>,
    /// Why there is nothing.
    pub error: Option<&'a str>,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    message: String,
    place: i64,
    state: String,
    content_type: String,
    bytes: i64,
    seconds: Option<i64>,
    name: Option<String>,
    sha256: Option<String>,
    error: Option<String>,
    created_at: DateTime<Utc>,
}

const READ: &str = "select m.id, m.message, m.place, m.state, m.content_type, m.bytes, m.seconds, m.name, m.sha256, \
                    m.error, m.created_at";

/// What is kept of messages and of calls: a recording is an attachment of no message, under Twilio's id of it.
const FILES: &str = "(
    select id, owner, message, place, state, content_type, bytes, seconds, name, sha256, error, created_at from media
    union all
    select twilio_sid, owner, '', cast(0 as bigint), case when sha256 is null then 'expired' else 'stored' end,
        content_type, bytes, duration, cast(null as text), sha256, cast(null as text), created_at
    from recordings where bytes is not null)";

impl TryFrom<Row> for Media {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            message: MessageId::from(row.message),
            place: row.place,
            state: MediaState::parse(&row.state)?,
            content_type: row.content_type,
            bytes: row.bytes,
            seconds: row.seconds,
            name: row.name,
            sha256: row.sha256,
            error: row.error,
            created_at: row.created_at,
        })
    }
}

/// Writes down what is attached to a message, in its order; what is written down already stays.
///
/// # Errors
/// Those of the database.
pub async fn insert(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    message: &MessageId,
    media: &[NewMedia<'_>],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    const COLUMNS: &[Column] = &[
        ("id", "text"),
        ("place", "bigint"),
        ("state", "text"),
        ("content_type", "text"),
        ("bytes", "bigint"),
        ("seconds", "bigint"),
        ("name", "text"),
        ("sha256", "text"),
        ("error", "text"),
    ];
    let sql = "
        insert into media (id, owner, message, place, state, content_type, bytes, seconds, name, sha256, error,
            created_at)
        select id, $2, $3, place, state, content_type, bytes, seconds, name, sha256, error, $4 from {rows} where true
        on conflict do nothing";
    let mut rows = Rows::new(COLUMNS);
    for (place, one) in media.iter().enumerate() {
        rows.push([
            Ulid::generate().to_string().into(),
            number(place),
            one.state.as_str().into(),
            one.content_type.into(),
            i64::try_from(one.bytes).unwrap_or(i64::MAX).into(),
            one.seconds.into(),
            one.name.into(),
            one.sha256.into(),
            one.error.into(),
        ]);
    }
    rows.execute(
        conn,
        sql,
        vec![text(owner.as_str()), text(message.as_str()), now.into()],
    )
    .await?;
    Ok(())
}

/// The attachment of an id.
///
/// # Errors
/// Those of the database.
pub async fn find(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &str,
) -> Result<Option<Media>, StoreError> {
    let sql = format!("{READ} from {FILES} m where m.id = $1 and m.owner = $2");
    let row = Row::find_by_statement(statement(conn, sql, vec![text(id), text(owner.as_str())]))
        .one(conn)
        .await?;
    row.map(Media::try_from).transpose()
}

/// What is attached to these messages of the owner, by one statement; message by message, in order.
///
/// # Errors
/// Those of the database.
pub async fn of_messages(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    messages: &[&MessageId],
) -> Result<Vec<Media>, StoreError> {
    const COLUMNS: &[Column] = &[("its_message", "text")];
    let sql = format!(
        "{READ} from {{rows}} join media m on m.message = t.its_message where m.owner = $2 order by m.message, m.place"
    );
    let mut rows = Rows::new(COLUMNS);
    for message in messages {
        rows.push([message.as_str().into()]);
    }
    let found: Vec<Row> = rows.query(conn, &sql, vec![text(owner.as_str())]).await?;
    found.into_iter().map(Media::try_from).collect()
}

/// The oldest files of the owner that came before `until`.
///
/// # Errors
/// Those of the database.
pub async fn older(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    until: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<Media>, StoreError> {
    let sql = format!(
        "{READ} from {FILES} m where m.owner = $1 and m.state = 'stored' and m.created_at < $2 order by m.created_at \
         limit $3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = Row::find_by_statement(statement(
        conn,
        sql,
        vec![text(owner.as_str()), until.into(), limit.into()],
    ))
    .all(conn)
    .await?;
    rows.into_iter().map(Media::try_from).collect()
}

/// Whether the owner was sent this content again since `until`, so that the file is still needed.
///
/// # Errors
/// Those of the database.
pub async fn is_needed(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    sha256: &str,
    until: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = format!(
        "select 1 from {FILES} m where m.owner = $1 and m.sha256 = $2 and m.state = 'stored' and m.created_at >= $3
         limit 1"
    );
    let values = vec![text(owner.as_str()), text(sha256), until.into()];
    Ok(conn.query_one_raw(statement(conn, sql, values)).await?.is_some())
}

/// Notes that a file is not kept any more.
///
/// # Errors
/// Those of the database.
pub async fn expire(conn: &impl ConnectionTrait, owner: &OwnerId, id: &str) -> Result<(), StoreError> {
    let sql = "update media set state = 'expired', sha256 = null, name = null where owner = $1 and id = $2";
    let values = || vec![text(owner.as_str()), text(id)];
    execute(conn, sql, values()).await?;
    let sql = "update recordings set sha256 = null where owner = $1 and twilio_sid = $2";
    execute(conn, sql, values()).await?;
    Ok(())
}

/// Notes that none of the owner's files is kept any more. Returns how many those were.
///
/// # Errors
/// Those of the database.
pub async fn expire_all(conn: &impl ConnectionTrait, owner: &OwnerId) -> Result<u64, StoreError> {
    let sql = "update media set state = 'expired', sha256 = null, name = null where owner = $1 and state = 'stored'";
    let attachments = execute(conn, sql, vec![text(owner.as_str())]).await?;
    let sql = "update recordings set sha256 = null where owner = $1 and sha256 is not null";
    Ok(attachments + execute(conn, sql, vec![text(owner.as_str())]).await?)
}
