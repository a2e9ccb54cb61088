//! How messages enter the books, each once.
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use recado_domain::{MessageId, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value as Json;

use super::{Inserted, Message, NewInbound, NewOutbound, all};
use crate::{
    StoreError,
    callbacks::{self, Sought},
    rows::{Column, Rows, time},
    statement::without_nul,
};

/// Stores a message that a contact wrote, once for its SID.
///
/// # Errors
/// [`StoreError::Taken`] when the SID is another owner's.
pub async fn insert_inbound(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    new: &NewInbound<'_>,
) -> Result<Inserted, StoreError> {
    let inserted = insert_inbound_each(conn, &[(owner, *new)]).await?;
    inserted.into_iter().next().ok_or(StoreError::Stale("message"))
}

/// [`insert_inbound`] for many at once, as if one after the other in their order: one statement where all are new.
///
/// # Errors
/// As of [`insert_inbound`]; nothing is stored then, if the transaction is not committed.
pub async fn insert_inbound_each(
    conn: &impl ConnectionTrait,
    new: &[(&OwnerId, NewInbound<'_>)],
) -> Result<Vec<Inserted>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("id", "text"),
        ("owner", "text"),
        ("conversation", "text"),
        ("contact", "text"),
        ("kind", "text"),
        ("body", "text"),
        ("twilio_sid", "text"),
        ("run", "text"),
        ("form", "text"),
        ("at", "timestamptz"),
    ];
    let sql = "
        insert into messages (id, owner, conversation, contact, direction, kind, body, twilio_sid, run, form, status,
            created_at, updated_at)
        select id, owner, conversation, contact, 'inbound', kind, body, twilio_sid, run, form, 'received', at, at
        from {rows} where true
        on conflict do nothing returning id";
    let cells = |id: &MessageId, (owner, new): &(&OwnerId, NewInbound<'_>)| {
        [
            id.as_str().into(),
            owner.as_str().into(),
            new.conversation.as_str().into(),
            new.contact.as_str().into(),
            new.kind.into(),
            new.body.into(),
            new.twilio_sid.into(),
            new.run.into(),
            new.form.into(),
            time(new.received_at),
        ]
    };
    let unique = |(owner, new): &(&OwnerId, NewInbound<'_>)| (owner.to_string(), without_nul(new.twilio_sid));
    Books {
        columns: COLUMNS,
        sql,
        unique: "twilio_sid",
        taken: "Twilio SID",
    }
    .enter(conn, new, cells, unique, |message| message.twilio_sid)
    .await
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
    let inserted = insert_outbound_each(conn, &[(owner, *new, now)]).await?;
    inserted.into_iter().next().ok_or(StoreError::Stale("message"))
}

/// [`insert_outbound`] for many at once, each at its own time: two statements where all are new and no callback came
/// first.
///
/// # Errors
/// As of [`insert_outbound`]; nothing is stored then, if the transaction is not committed.
pub async fn insert_outbound_each(
    conn: &impl ConnectionTrait,
    new: &[(&OwnerId, NewOutbound<'_>, DateTime<Utc>)],
) -> Result<Vec<Inserted>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("id", "text"),
        ("owner", "text"),
        ("conversation", "text"),
        ("contact", "text"),
        ("kind", "text"),
        ("body", "text"),
        ("token", "text"),
        ("run", "text"),
        ("part", "bigint"),
        ("form", "text"),
        ("at", "timestamptz"),
    ];
    let sql = "
        insert into messages (id, owner, conversation, contact, direction, kind, body, token, run, part, form,
            created_at, updated_at)
        select id, owner, conversation, contact, 'outbound', kind, body, token, run, part, form, at, at
        from {rows} where true
        on conflict do nothing returning id";
    let cells = |id: &MessageId, (owner, new, at): &(&OwnerId, NewOutbound<'_>, DateTime<Utc>)| {
        [
            id.as_str().into(),
            owner.as_str().into(),
            new.conversation.as_str().into(),
            new.contact.as_str().into(),
            new.kind.into(),
            new.body.into(),
            new.token.into(),
            new.run.into(),
            new.part.into(),
            new.form.into(),
            time(*at),
        ]
    };
    let unique = |(owner, new, _): &(&OwnerId, NewOutbound<'_>, DateTime<Utc>)| {
        (owner.to_string(), without_nul(new.token))
    };
    let books = Books {
        columns: COLUMNS,
        sql,
        unique: "token",
        taken: "token",
    };
    let inserted = books
        .enter(conn, new, cells, unique, |message| message.token)
        .await?;
    let fresh: Vec<_> = new
        .iter()
        .zip(&inserted)
        .filter(|(_, inserted)| matches!(inserted, Inserted::New(_)))
        .map(|((owner, new, at), _)| (Sought::Token(owner, new.token), *at))
        .collect();
    callbacks::adopt(conn, &fresh).await?;
    Ok(inserted)
}

/// How one kind of message is written down.
struct Books {
    columns: &'static [Column],
    sql: &'static str,
    /// The column of which no two messages have the same value.
    unique: &'static str,
    /// That, in words.
    taken: &'static str,
}

#[derive(FromQueryResult)]
struct Id {
    id: String,
}

impl Books {
    /// Inserts messages in the order of their unique values, with ids in their own order.
    async fn enter<T, const N: usize>(
        self,
        conn: &impl ConnectionTrait,
        new: &[T],
        cells: impl Fn(&MessageId, &T) -> [Json; N],
        unique: impl Fn(&T) -> (String, String),
        value: impl Fn(Message) -> Option<String>,
    ) -> Result<Vec<Inserted>, StoreError> {
        let ids: Vec<MessageId> = new.iter().map(|_| MessageId::new()).collect();
        let keys: Vec<(String, String)> = new.iter().map(unique).collect();
        let mut sorted = BTreeMap::new();
        for (place, (_, value)) in keys.iter().enumerate() {
            sorted.entry(value).or_insert(place);
        }
        let mut rows = Rows::new(self.columns);
        for (id, new) in sorted
            .values()
            .filter_map(|place| ids.get(*place).zip(new.get(*place)))
        {
            rows.push(cells(id, new));
        }
        let stored: Vec<Id> = rows.query(conn, self.sql, vec![]).await?;
        let stored: HashSet<String> = stored.into_iter().map(|row| row.id).collect();
        let is_new = |id: &MessageId| stored.contains(id.as_str());
        let mut known = HashMap::new();
        if !ids.iter().all(is_new) {
            known = self.known(conn, &keys, value).await?;
        }
        ids.into_iter()
            .zip(keys)
            .map(|(id, key)| match is_new(&id) {
                true => Ok(Inserted::New(id)),
                false => {
                    let id = known.get(&key).cloned().map(Inserted::Known);
                    id.ok_or(StoreError::Taken(self.taken))
                }
            })
            .collect()
    }

    /// Those that are there, by owner and unique value.
    async fn known(
        &self,
        conn: &impl ConnectionTrait,
        keys: &[(String, String)],
        value: impl Fn(Message) -> Option<String>,
    ) -> Result<HashMap<(String, String), MessageId>, StoreError> {
        const KEY: &[Column] = &[("its_owner", "text"), ("its_key", "text")];
        let mut rows = Rows::new(KEY);
        for (owner, key) in keys {
            rows.push([owner.as_str().into(), key.as_str().into()]);
        }
        let join = format!("{} = t.its_key and owner = t.its_owner", self.unique);
        let found = all(conn, rows, &join).await?.into_iter().filter_map(|message| {
            let (owner, id) = (message.owner.to_string(), message.id.clone());
            Some(((owner, value(message)?), id))
        });
        Ok(found.collect())
    }
}
