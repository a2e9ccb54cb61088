//! Addresses that want no messages.
use chrono::{DateTime, Utc};
use recado_domain::{Address, OwnerId};
use sea_orm::ConnectionTrait;

use crate::{
    StoreError,
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

fn both_spellings(owner: &OwnerId, address: &Address) -> Vec<sea_orm::Value> {
    let other = address.other_spelling().map(|address| address.to_twilio());
    vec![
        text(owner.as_str()),
        text(address.to_twilio()),
        text_or_null(other),
    ]
}
