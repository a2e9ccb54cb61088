//! Contacts, and the addresses under which they write.
use chrono::{DateTime, Utc};
use recado_domain::{Address, ContactId, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use crate::{
    StoreError,
    statement::{execute, statement, text},
};

mod find;

pub use find::{Writer, find_or_create, find_or_create_each};

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
struct Written {
    address: String,
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
