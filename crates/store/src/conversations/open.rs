//! The conversation that somebody who writes is in.
use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use recado_domain::{Actor, ConversationId, ConversationState, OwnerId};
use sea_orm::ConnectionTrait;
use serde_json::Value as Json;

use super::{COLUMNS, Conversation, Parties, Row};
use crate::{
    StoreError,
    rows::{Column, Rows, time},
    transitions::{self, Change},
};

/// Somebody turns to somebody.
#[derive(Clone, Copy, Debug)]
pub struct Encounter<'a> {
    /// Whose conversation it is.
    pub owner: &'a OwnerId,
    /// Between whom.
    pub parties: Parties<'a>,
    /// When.
    pub at: DateTime<Utc>,
    /// When the contact wrote, where that is what happens; WhatsApp's 24 hours run from the latest.
    pub heard_at: Option<DateTime<Utc>>,
}

/// The conversation that is open between these, whichever of them began it. One that was idle comes back to
/// `progress`. Where none is open a new one begins, linked to the last, and `recovered` if that had failed; when the
/// contact last wrote it knows from there.
///
/// # Errors
/// [`StoreError::Stale`] when others change it faster than we read.
pub async fn open_or_find(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    parties: Parties<'_>,
    now: DateTime<Utc>,
) -> Result<Conversation, StoreError> {
    let encounter = Encounter {
        owner,
        parties,
        at: now,
        heard_at: None,
    };
    one(conn, encounter).await
}

/// [`open_or_find`] because the contact wrote at `at`. The latest such time is kept, whatever the order they come in.
///
/// # Errors
/// As of [`open_or_find`].
pub async fn heard(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    parties: Parties<'_>,
    at: DateTime<Utc>,
) -> Result<Conversation, StoreError> {
    let encounter = Encounter {
        owner,
        parties,
        at,
        heard_at: Some(at),
    };
    one(conn, encounter).await
}

async fn one(conn: &impl ConnectionTrait, encounter: Encounter<'_>) -> Result<Conversation, StoreError> {
    let found = open_or_find_each(conn, &[encounter]).await?;
    found.into_iter().next().ok_or(StoreError::Stale("conversation"))
}

/// [`open_or_find`] for many at once, as if one after the other in their order, by one statement. Each conversation is
/// as it is after all of them.
///
/// # Errors
/// As of [`open_or_find`].
pub async fn open_or_find_each(
    conn: &impl ConnectionTrait,
    encounters: &[Encounter<'_>],
) -> Result<Vec<Conversation>, StoreError> {
    let mut meetings: BTreeMap<Key, Meeting<'_>> = BTreeMap::new();
    for encounter in encounters {
        let meeting = meetings.entry(key(encounter)).or_insert(Meeting {
            first: encounter,
            theirs: String::new(),
            heard_at: None,
            last_at: encounter.at,
        });
        meeting.theirs = encounter.parties.theirs.to_twilio();
        meeting.heard_at = meeting.heard_at.max(encounter.heard_at);
        meeting.last_at = meeting.last_at.max(encounter.at);
    }
    let mut found = HashMap::new();
    for row in upsert(conn, &meetings).await? {
        let owner = OwnerId::from(row.owner.as_str());
        let key = (row.owner.clone(), row.our_address.clone(), row.contact.clone());
        let mut conversation = Conversation::try_from(row)?;
        if conversation.state.is_paused() {
            let at = meetings
                .get(&key)
                .map_or(conversation.updated_at, |met| met.first.at);
            let change = Change::new(ConversationState::Progress, Actor::Contact, "message");
            let moved = transitions::apply(conn, &owner, &conversation.id, change, at).await?;
            conversation = moved.conversation;
        }
        found.insert(key, conversation);
    }
    encounters
        .iter()
        .map(|encounter| {
            let conversation = found.get(&key(encounter)).cloned();
            conversation.ok_or(StoreError::Stale("conversation"))
        })
        .collect()
}

/// Owner, address of ours and contact: one conversation of each is open. The address tells the channel.
type Key = (String, String, String);

fn key(encounter: &Encounter<'_>) -> Key {
    let Parties { contact, ours, .. } = encounter.parties;
    (encounter.owner.to_string(), ours.to_twilio(), contact.to_string())
}

/// What several encounters make of one conversation.
struct Meeting<'a> {
    first: &'a Encounter<'a>,
    theirs: String,
    heard_at: Option<DateTime<Utc>>,
    last_at: DateTime<Utc>,
}

/// Opens what is not open. Whoever comes second finds the conversation of the first.
async fn upsert(
    conn: &impl ConnectionTrait,
    meetings: &BTreeMap<Key, Meeting<'_>>,
) -> Result<Vec<Row>, StoreError> {
    const ROW: &[Column] = &[
        ("id", "text"),
        ("owner", "text"),
        ("contact", "text"),
        ("channel", "text"),
        ("our_address", "text"),
        ("contact_address", "text"),
        ("opened_at", "timestamptz"),
        ("heard_at", "timestamptz"),
        ("last_at", "timestamptz"),
    ];
    let sql = format!(
        "insert into conversations as c (id, owner, contact, channel, our_address, contact_address, state, previous_id,
             recovered, opened_at, last_inbound_at, updated_at)
         select t.id, t.owner, t.contact, t.channel, t.our_address, t.contact_address, 'pending', p.id,
             coalesce(p.state = 'failed', false), t.opened_at, coalesce(t.heard_at, p.last_inbound_at), t.last_at
         from {{rows}} left join conversations p on p.id = (
             select q.id from conversations q
             where q.owner = t.owner and q.channel = t.channel and q.our_address = t.our_address
                 and q.contact = t.contact
             order by q.id desc limit 1)
         where true
         on conflict (owner, channel, our_address, contact)
             where state in ('pending', 'progress', 'human_handoff', 'idle_timeout')
         do update set contact_address = excluded.contact_address,
             last_inbound_at = case when {NEWLY_HEARD} then excluded.last_inbound_at else c.last_inbound_at end,
             updated_at = case when c.updated_at < excluded.updated_at
                 and ({NEWLY_HEARD} or c.contact_address <> excluded.contact_address)
                 then excluded.updated_at else c.updated_at end
         returning {COLUMNS}"
    );
    let mut rows = Rows::new(ROW);
    for ((owner, ours, contact), met) in meetings {
        rows.push([
            ConversationId::new().as_str().into(),
            owner.as_str().into(),
            contact.as_str().into(),
            met.first.parties.ours.channel().as_str().into(),
            ours.as_str().into(),
            met.theirs.as_str().into(),
            time(met.first.at),
            met.heard_at.map_or(Json::Null, time),
            time(met.last_at),
        ]);
    }
    Ok(rows.query(conn, &sql, vec![]).await?)
}

/// Of the open conversation `c`: the contact has written later than it knew.
const NEWLY_HEARD: &str = "(excluded.last_inbound_at is not null
    and (c.last_inbound_at is null or c.last_inbound_at < excluded.last_inbound_at))";
