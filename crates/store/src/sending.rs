//! What there is to know of a conversation at the moment of sending.
use chrono::{DateTime, Utc};
use recado_domain::{Address, ConversationId, ConversationState, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value as Json;

use crate::{
    StoreError,
    rows::{Column, Rows, number},
};

/// Somebody to be written to.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// By whom.
    pub owner: &'a OwnerId,
    /// In which conversation.
    pub conversation: &'a ConversationId,
    /// At which address.
    pub address: &'a Address,
}

/// What may forbid to write to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reachable {
    /// The address wants no messages from this owner, in either spelling of a Brazilian mobile.
    pub opted_out: bool,
    /// Where the conversation stands.
    pub state: ConversationState,
    /// When the contact last wrote in it; WhatsApp takes free text within 24 hours of it.
    pub heard_at: Option<DateTime<Utc>>,
}

#[derive(FromQueryResult)]
struct Row {
    n: i64,
    state: String,
    last_inbound_at: Option<DateTime<Utc>>,
    opted_out: bool,
}

/// What may forbid to write to these, in their order, by one statement; `None` where the owner has no such conversation.
///
/// # Errors
/// Those of the database.
pub async fn reachable_each(
    conn: &impl ConnectionTrait,
    recipients: &[Recipient<'_>],
) -> Result<Vec<Option<Reachable>>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("n", "bigint"),
        ("owner", "text"),
        ("conversation", "text"),
        ("address", "text"),
        ("spelling", "text"),
    ];
    // Two questions, because of one for either address the database would ask for all of the owner's.
    let sql = "
        select t.n, c.state, c.last_inbound_at,
            exists (select 1 from opt_outs o where o.owner = t.owner and o.address = t.address)
                or exists (select 1 from opt_outs o where o.owner = t.owner and o.address = t.spelling) as opted_out
        from {rows} join conversations c on c.id = t.conversation and c.owner = t.owner";
    let mut rows = Rows::new(COLUMNS);
    for (place, recipient) in recipients.iter().enumerate() {
        let spelling = recipient.address.other_spelling();
        rows.push([
            number(place),
            recipient.owner.as_str().into(),
            recipient.conversation.as_str().into(),
            recipient.address.to_twilio().into(),
            spelling.map_or(Json::Null, |address| address.to_twilio().into()),
        ]);
    }
    let found: Vec<Row> = rows.query(conn, sql, vec![]).await?;
    let mut reachable = vec![None; recipients.len()];
    for row in found {
        let place = usize::try_from(row.n).ok().and_then(|n| reachable.get_mut(n));
        if let Some(place) = place {
            *place = Some(Reachable {
                opted_out: row.opted_out,
                state: ConversationState::parse(&row.state)?,
                heard_at: row.last_inbound_at,
            });
        }
    }
    Ok(reachable)
}
