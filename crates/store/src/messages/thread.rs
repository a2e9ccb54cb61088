//! What was said, read in order.
use std::collections::HashSet;

use chrono::{DateTime, Utc};
use recado_domain::{ConversationId, Direction, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use super::{COLUMNS, Message, Row};
use crate::{
    Page, StoreError, page,
    statement::{statement, text},
};

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
struct Said {
    direction: String,
    body: String,
    created_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Sid {
    twilio_sid: String,
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
            and status not in ('failed', 'undelivered', 'canceled')
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
    claimed_in(conn, "messages", owner, sids).await
}

/// [`claimed_sids`] of a table of this crate's.
pub(crate) async fn claimed_in(
    conn: &impl ConnectionTrait,
    table: &'static str,
    owner: &OwnerId,
    sids: &[&str],
) -> Result<HashSet<String>, StoreError> {
    let mut claimed = HashSet::new();
    for sids in sids.chunks(500) {
        let places: Vec<_> = (2..sids.len() + 2).map(|n| format!("${n}")).collect();
        let sql = format!(
            "select twilio_sid from {table} where twilio_sid in ({}) and (owner = $1 or owner in (
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
