//! Conversations between an owner and a contact. How they move on is in [`crate::transitions`].
use chrono::{DateTime, Utc};
use recado_domain::{Address, Channel, ContactId, ConversationId, ConversationState, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use crate::{
    Page, StoreError, page,
    statement::{statement, text},
};

mod find;
mod open;

pub use find::{LOOKED_THROUGH, Sought, find};
pub use open::{Encounter, heard, open_or_find, open_or_find_each};

/// One conversation on one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conversation {
    /// Its id; later conversations sort later.
    pub id: ConversationId,
    /// With whom.
    pub contact: ContactId,
    /// On which channel.
    pub channel: Channel,
    /// The owner's address.
    pub ours: Address,
    /// The contact's address, the last that was used.
    pub theirs: Address,
    /// Where it stands.
    pub state: ConversationState,
    /// The conversation before it with the same contact at the same address of ours.
    pub previous: Option<ConversationId>,
    /// The one before had failed.
    pub recovered: bool,
    /// Counts its transitions.
    pub version: i64,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When the contact last wrote; WhatsApp takes free text within 24 hours of it.
    pub last_inbound_at: Option<DateTime<Utc>>,
    /// Since when a person is wanted.
    pub handoff_at: Option<DateTime<Utc>>,
    /// Which people are wanted.
    pub queue: Option<String>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// When any of this last changed.
    pub updated_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    owner: String,
    contact: String,
    channel: String,
    our_address: String,
    contact_address: String,
    state: String,
    previous_id: Option<String>,
    recovered: bool,
    version: i64,
    opened_at: DateTime<Utc>,
    last_inbound_at: Option<DateTime<Utc>>,
    handoff_at: Option<DateTime<Utc>>,
    queue: Option<String>,
    closed_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

const COLUMNS: &str = "id, owner, contact, channel, our_address, contact_address, state, previous_id, recovered, \
                       version, opened_at, last_inbound_at, handoff_at, queue, closed_at, updated_at";

impl TryFrom<Row> for Conversation {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: ConversationId::from(row.id),
            contact: ContactId::from(row.contact),
            channel: Channel::parse(&row.channel)?,
            ours: Address::parse(&row.our_address)?,
            theirs: Address::parse(&row.contact_address)?,
            state: ConversationState::parse(&row.state)?,
            previous: row.previous_id.map(ConversationId::from),
            recovered: row.recovered,
            version: row.version,
            opened_at: row.opened_at,
            last_inbound_at: row.last_inbound_at,
            handoff_at: row.handoff_at,
            queue: row.queue,
            closed_at: row.closed_at,
            updated_at: row.updated_at,
        })
    }
}

/// Between whom a conversation is.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a> {
    /// The contact.
    pub contact: &'a ContactId,
    /// The owner's address.
    pub ours: &'a Address,
    /// The contact's address, on the same channel.
    pub theirs: &'a Address,
}

/// A conversation of this owner's.
///
/// # Errors
/// Those of the database.
pub async fn get(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &ConversationId,
) -> Result<Option<Conversation>, StoreError> {
    let sql = format!("select {COLUMNS} from conversations where owner = $1 and id = $2");
    let values = vec![text(owner.as_str()), text(id.as_str())];
    let row = Row::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    row.map(Conversation::try_from).transpose()
}

/// Which conversations to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<ConversationState>,
    /// Only those with this address of a contact.
    pub theirs: Option<Address>,
}

/// Conversations of an owner, the latest opened first; `cursor` is the last page's `next`.
///
/// # Errors
/// Those of the database.
pub async fn list(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Conversation>, StoreError> {
    let mut sql = format!("select {COLUMNS} from conversations where owner = $1");
    let mut values = vec![text(owner.as_str()), page::rows(limit).into()];
    if let Some(state) = filter.state {
        values.push(text(state.as_str()));
        sql.push_str(&format!(" and state = ${}", values.len()));
    }
    if let Some(theirs) = &filter.theirs {
        values.push(text(theirs.to_twilio()));
        sql.push_str(&format!(" and contact_address = ${}", values.len()));
    }
    if let Some(cursor) = cursor {
        values.push(text(cursor));
        sql.push_str(&format!(" and id < ${}", values.len()));
    }
    sql.push_str(" order by id desc limit $2");
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let items = rows
        .into_iter()
        .map(Conversation::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Page::of(items, limit, |conversation| conversation.id.to_string()))
}
