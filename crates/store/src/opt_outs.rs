//! Addresses that want no messages.
use std::collections::HashSet;

use chrono::{DateTime, Utc};
use recado_domain::{Address, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    StoreError,
    rows::{Column, Rows, number},
    statement::{execute, statement, text, text_or_null},
};

/// Silences an address for this owner. `source` says how we know: `contact`, `twilio`, `21610`, a person's id.
///
/// # Errors
/// Those of the database.
pub async fn set(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    address: &Address,
    source: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        insert into opt_outs (owner, address, since, source) values ($1, $2, $3, $4) on conflict do nothing";
    let values = vec![
        text(owner.as_str()),
        text(address.to_twilio()),
        now.into(),
        text(source),
    ];
    execute(conn, sql, values).await?;
    Ok(())
}

/// Lets messages through again. Clears the other spelling of the address too.
///
/// # Errors
/// Those of the database.
pub async fn clear(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    address: &Address,
) -> Result<(), StoreError> {
    let sql = "delete from opt_outs where owner = $1 and address in ($2, $3)";
    execute(conn, sql, both_spellings(owner, address)).await?;
    Ok(())
}

/// Whether an address wants no messages from this owner, in either spelling of a Brazilian mobile.
///
/// # Errors
/// Those of the database.
pub async fn is_opted_out(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    address: &Address,
) -> Result<bool, StoreError> {
    let sql = "select 1 from opt_outs where owner = $1 and address in ($2, $3)";
    let row = conn
        .query_one_raw(statement(conn, sql, both_spellings(owner, address)))
        .await?;
    Ok(row.is_some())
}

/// Those of `addresses` that want no messages from this owner, in either spelling of a Brazilian mobile.
///
/// # Errors
/// Those of the database.
pub async fn among(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    addresses: &[&Address],
) -> Result<HashSet<Address>, StoreError> {
    const COLUMNS: &[Column] = &[("n", "bigint"), ("address", "text")];
    let sql = "select distinct t.n from {rows} join opt_outs o on o.owner = $2 and o.address = t.address";
    let mut rows = Rows::new(COLUMNS);
    for (place, address) in addresses.iter().enumerate() {
        let other = address.other_spelling();
        for spelling in [Some(*address), other.as_ref()].into_iter().flatten() {
            rows.push([number(place), spelling.to_twilio().into()]);
        }
    }
    let found: Vec<Place> = rows.query(conn, sql, vec![text(owner.as_str())]).await?;
    let places = found.into_iter().filter_map(|row| usize::try_from(row.n).ok());
    Ok(places
        .filter_map(|place| addresses.get(place))
        .map(|address| (*address).clone())
        .collect())
}

#[derive(FromQueryResult)]
struct Place {
    n: i64,
}

fn both_spellings(owner: &OwnerId, address: &Address) -> Vec<sea_orm::Value> {
    let other = address.other_spelling().map(|address| address.to_twilio());
    vec![
        text(owner.as_str()),
        text(address.to_twilio()),
        text_or_null(other),
    ]
}
