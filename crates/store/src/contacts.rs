//! Contacts, and the addresses under which they write.
use chrono::{DateTime, Utc};
use recado_domain::{Address, Channel, ContactId, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use crate::{
    StoreError,
    statement::{execute, statement, text, text_or_null},
};

/// Somebody who writes to an owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// The name the channel tells, if any.
    pub name: Option<String>,
    /// The language it writes in, once known.
    pub language: Option<String>,
    /// Under which addresses it has written, oldest first.
    pub addresses: Vec<Address>,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    name: Option<String>,
    language: Option<String>,
    created_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Claim {
    contact: String,
    named: bool,
}

#[derive(FromQueryResult)]
struct Written {
    address: String,
}

/// The contact behind an address; a new one when it never wrote before. The same telephone on another channel, or
/// with or without Brazil's ninth digit, is the same contact, and gets this address too. The channel's name for it
/// is kept when none is known.
///
/// # Errors
/// Those of the database.
pub async fn find_or_create(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    address: &Address,
    profile_name: Option<&str>,
    now: DateTime<Utc>,
) -> Result<ContactId, StoreError> {
    let known = match claim_of(conn, owner, address).await? {
        Some(claim) => claim,
        None => claim(conn, owner, address, now).await?,
    };
    if !known.named && profile_name.is_some_and(|name| !name.trim().is_empty()) {
        name(conn, owner, &known.contact, profile_name).await?;
    }
    Ok(ContactId::from(known.contact))
}

/// A contact of this owner's.
///
/// # Errors
/// Those of the database.
pub async fn get(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &ContactId,
) -> Result<Option<Contact>, StoreError> {
    let values = || vec![text(owner.as_str()), text(id.as_str())];
    let sql = "select id, name, language, created_at from contacts where owner = $1 and id = $2";
    let Some(row) = Row::find_by_statement(statement(conn, sql, values()))
        .one(conn)
        .await?
    else {
        return Ok(None);
    };
    let sql = "
        select address from contact_addresses where owner = $1 and contact = $2 order by created_at, address";
    let addresses = Written::find_by_statement(statement(conn, sql, values()))
        .all(conn)
        .await?;
    Ok(Some(Contact {
        id: ContactId::from(row.id),
        name: row.name,
        language: row.language,
        addresses: addresses
            .iter()
            .map(|row| Address::parse(&row.address))
            .collect::<Result<_, _>>()?,
        created_at: row.created_at,
    }))
}

/// Remembers the language a contact writes in.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner has no such contact.
pub async fn speaks(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &ContactId,
    language: &str,
) -> Result<(), StoreError> {
    let sql = "update contacts set language = $3 where owner = $1 and id = $2";
    let values = vec![text(owner.as_str()), text(id.as_str()), text(language)];
    match execute(conn, sql, values).await? {
        0 => Err(StoreError::NotFound("contact")),
        _ => Ok(()),
    }
}

/// Who has claimed the address, if its contact's row is there too.
async fn claim_of(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    address: &Address,
) -> Result<Option<Claim>, StoreError> {
    let sql = "
        select a.contact, c.name is not null as named
        from contact_addresses a join contacts c on c.id = a.contact and c.owner = a.owner
        where a.owner = $1 and a.address = $2";
    let values = vec![text(owner.as_str()), text(address.to_twilio())];
    Ok(Claim::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?)
}

/// Claims the address for the contact that has another spelling of it, else for a new one. Of two who claim at
/// once the second waits for the first, and finds the contact of the first.
async fn claim(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    address: &Address,
    now: DateTime<Utc>,
) -> Result<Claim, StoreError> {
    let mut contact = ContactId::new().to_string();
    for spelling in spellings(address) {
        if let Some(claim) = claim_of(conn, owner, &spelling).await? {
            contact = claim.contact;
            break;
        }
    }
    let insert = "
        insert into contact_addresses (owner, address, contact, created_at) values ($1, $2, $3, $4)
        on conflict do nothing";
    let key = || [text(owner.as_str()), text(address.to_twilio())];
    let [o, a] = key();
    execute(conn, insert, vec![o, a, text(contact), now.into()]).await?;
    // The contact's row may be missing: new, or left out by a process that died between two statements.
    let insert = "
        insert into contacts (id, owner, created_at)
        select contact, owner, $3 from contact_addresses where owner = $1 and address = $2
        on conflict do nothing";
    let [o, a] = key();
    execute(conn, insert, vec![o, a, now.into()]).await?;
    claim_of(conn, owner, address)
        .await?
        .ok_or(StoreError::Stale("contact"))
}

async fn name(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    contact: &str,
    name: Option<&str>,
) -> Result<(), StoreError> {
    let sql = "update contacts set name = $3 where owner = $1 and id = $2 and name is null";
    execute(
        conn,
        sql,
        vec![text(owner.as_str()), text(contact), text_or_null(name)],
    )
    .await?;
    Ok(())
}

/// The other addresses that reach the same telephone.
fn spellings(address: &Address) -> Vec<Address> {
    let Some(phone) = address.phone() else {
        return Vec::new();
    };
    let phones = [Some(phone.clone()), phone.other_spelling()];
    phones
        .into_iter()
        .flatten()
        .flat_map(|phone| {
            [Channel::Sms, Channel::Whatsapp].map(|channel| Address::of_phone(channel, phone.clone()))
        })
        .filter(|spelling| spelling != address)
        .collect()
}
