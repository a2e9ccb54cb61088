//! Those whom an owner writes to of its own accord, under ids of the owner's choice.
use chrono::{DateTime, Utc};
use recado_domain::{Address, ContactId, OwnerId};
use sea_orm::ConnectionTrait;

use crate::{
    StoreError,
    rows::{Column, Rows, time},
    statement::{statement, text},
};

mod history;

pub use history::{Communication, Filter, Medium, history};

/// How many messages to one prospect are taken within a minute, where the owner says nothing else.
pub const PER_MINUTE: u32 = 10;

/// A prospect is written to at an address.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Whose prospect.
    pub owner: &'a OwnerId,
    /// The owner's id of it.
    pub prospect: &'a str,
    /// Where it is written to.
    pub address: &'a Address,
    /// The contact who has this address.
    pub contact: &'a ContactId,
    /// When.
    pub at: DateTime<Utc>,
}

/// Remembers at which addresses prospects are written to. A prospect that nobody heard of is created.
///
/// # Errors
/// Those of the database.
pub async fn link_each(conn: &impl ConnectionTrait, links: &[Link<'_>]) -> Result<(), StoreError> {
    const COLUMNS: &[Column] = &[
        ("owner", "text"),
        ("prospect", "text"),
        ("address", "text"),
        ("contact", "text"),
        ("at", "timestamptz"),
    ];
    let prospects = "
        insert into prospects (owner, id, created_at) select owner, prospect, at from {rows} where true
        on conflict do nothing";
    let addresses = "
        insert into prospect_addresses (owner, prospect, address, contact, created_at)
        select owner, prospect, address, contact, at from {rows} where true
        on conflict do nothing";
    let mut sorted: Vec<&Link<'_>> = links.iter().collect();
    sorted.sort_by_key(|link| (link.owner, link.prospect, link.address));
    for sql in [prospects, addresses] {
        let mut rows = Rows::new(COLUMNS);
        for link in &sorted {
            rows.push([
                link.owner.as_str().into(),
                link.prospect.into(),
                link.address.to_twilio().into(),
                link.contact.as_str().into(),
                time(link.at),
            ]);
        }
        rows.execute(conn, sql, vec![]).await?;
    }
    Ok(())
}

/// Whether an owner knows a prospect.
///
/// # Errors
/// Those of the database.
pub async fn exists(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    prospect: &str,
) -> Result<bool, StoreError> {
    let sql = "select 1 from prospects where owner = $1 and id = $2";
    let values = vec![text(owner.as_str()), text(prospect)];
    Ok(conn.query_one_raw(statement(conn, sql, values)).await?.is_some())
}

/// The contacts that a prospect is, at all of its addresses.
///
/// # Errors
/// Those of the database.
pub async fn contacts(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    prospect: &str,
) -> Result<Vec<ContactId>, StoreError> {
    let sql = "select distinct contact from prospect_addresses where owner = $1 and prospect = $2 order by 1";
    let values = vec![text(owner.as_str()), text(prospect)];
    let rows = conn.query_all_raw(statement(conn, sql, values)).await?;
    rows.iter()
        .map(|row| Ok(ContactId::from(row.try_get::<String>("", "contact")?)))
        .collect()
}
