//! All that went between an owner and a prospect.
use std::fmt;

use chrono::{DateTime, Utc};
use recado_domain::{Address, Channel, Direction, MessageId, MessageStatus, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    Page, StoreError, page,
    statement::{statement, text},
};

/// One message to or from a prospect. `Debug` leaves out what it says, and who says it.
#[derive(Clone, PartialEq, Eq)]
pub struct Communication {
    /// Its id.
    pub id: MessageId,
    /// On which channel it went.
    pub channel: Channel,
    /// Which way.
    pub direction: Direction,
    /// The owner's address.
    pub ours: Address,
    /// The prospect's address.
    pub theirs: Address,
    /// What it is: `text`, `media`, `template`, ….
    pub kind: String,
    /// Its text.
    pub body: String,
    /// What else it had: of one of ours a JSON object, of one of theirs Twilio's form as pairs.
    pub form: Option<String>,
    /// Twilio's SID, once known.
    pub twilio_sid: Option<String>,
    /// The run that received or sent it.
    pub run: Option<String>,
    /// What Twilio says of it; `None` before Twilio has it.
    pub status: Option<MessageStatus>,
    /// Twilio's error.
    pub error_code: Option<i64>,
    /// The error in words, where it was heard with the refusal.
    pub error_message: Option<String>,
    /// When it was received, or meant to be sent.
    pub created_at: DateTime<Utc>,
    /// When Twilio was first known to have it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When its status last changed.
    pub updated_at: DateTime<Utc>,
}

impl fmt::Debug for Communication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Communication")
            .field("id", &self.id)
            .field("direction", &self.direction)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Which part of a history.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only on this channel.
    pub channel: Option<Channel>,
    /// Only with this status.
    pub status: Option<MessageStatus>,
    /// Only from this time on.
    pub since: Option<DateTime<Utc>>,
    /// Only before this time.
    pub before: Option<DateTime<Utc>>,
    /// Only with this in the text, in any case.
    pub text: Option<String>,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    channel: String,
    direction: String,
    our_address: String,
    contact_address: String,
    kind: String,
    body: String,
    form: Option<String>,
    twilio_sid: Option<String>,
    run: Option<String>,
    status: Option<String>,
    error_code: Option<i64>,
    error_message: Option<String>,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

/// What went between an owner and a prospect at all of its addresses, newest first; `cursor` is the last page's `next`.
///
/// # Errors
/// Those of the database.
pub async fn history(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    prospect: &str,
    filter: Filter,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Communication>, StoreError> {
    let mut sql = String::from(
        "select m.id, c.channel, m.direction, c.our_address, c.contact_address, m.kind, m.body, m.form, m.twilio_sid,
             m.run, m.status, m.error_code, m.error_message, m.created_at, m.sent_at, m.updated_at
         from conversations c join messages m on m.conversation = c.id and m.owner = c.owner
         where c.owner = $1 and c.contact in
             (select contact from prospect_addresses where owner = $1 and prospect = $2)",
    );
    let mut values = vec![text(owner.as_str()), text(prospect), page::rows(limit).into()];
    if let Some(channel) = filter.channel {
        values.push(text(channel.as_str()));
        sql.push_str(&format!(" and c.channel = ${}", values.len()));
    }
    let mut also = |condition: &str, value| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("${}", values.len())));
    };
    if let Some(status) = filter.status {
        also(" and m.status = ?", text(status.as_str()));
    }
    if let Some(since) = filter.since {
        also(" and m.created_at >= ?", since.into());
    }
    if let Some(before) = filter.before {
        also(" and m.created_at < ?", before.into());
    }
    if let Some(words) = &filter.text {
        // Not `like`: what people search for may have a % in it.
        also(
            " and replace(lower(m.body), ?, '') <> lower(m.body)",
            text(words.to_lowercase()),
        );
    }
    if let Some(cursor) = cursor {
        values.push(text(cursor));
        sql.push_str(&format!(
            " and (m.created_at, m.id) < (select created_at, id from messages where owner = $1 and id = ${})",
            values.len()
        ));
    }
    sql.push_str(" order by m.created_at desc, m.id desc limit $3");
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let items = rows
        .into_iter()
        .map(Communication::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Page::of(items, limit, |message| message.id.to_string()))
}

impl TryFrom<Row> for Communication {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: MessageId::from(row.id),
            channel: Channel::parse(&row.channel)?,
            direction: Direction::parse(&row.direction)?,
            ours: Address::parse(&row.our_address)?,
            theirs: Address::parse(&row.contact_address)?,
            kind: row.kind,
            body: row.body,
            form: row.form,
            twilio_sid: row.twilio_sid,
            run: row.run,
            status: row.status.as_deref().map(MessageStatus::parse).transpose()?,
            error_code: row.error_code,
            error_message: row.error_message,
            created_at: row.created_at,
            sent_at: row.sent_at,
            updated_at: row.updated_at,
        })
    }
}
