//! Whose a webhook is.
use recado_domain::Address;
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult};

use crate::{
    StoreError,
    owners::Owner,
    statement::{statement, text, text_or_null},
};

/// Whose a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// This owner's.
    Owner(Box<Owner>),
    /// Nobody holds the account.
    Unknown,
    /// Several owners hold the account, and neither number nor service tells which one it is.
    Ambiguous,
}

/// Finds the owner of a message that reached `to` in a Twilio account: by number, then by messaging service, then
/// by account if only one owner holds it. Has no tenant, because it finds out which one it is.
///
/// # Errors
/// Those of the database.
pub async fn resolve(
    conn: &impl ConnectionTrait,
    account_sid: &str,
    to: &Address,
    service_sid: Option<&str>,
) -> Result<Resolution, StoreError> {
    let sql = "
        select o.*, c.strength from (
            select owner, cast(1 as bigint) as strength from channel_numbers
                where twilio_account_sid = $1 and address = $2
            union all
            select owner, cast(2 as bigint) from channel_services where twilio_account_sid = $1 and service_sid = $3
            union all
            select owner, cast(3 as bigint) from channel_accounts where twilio_account_sid = $1
        ) c join owners o on o.id = c.owner
        order by c.strength";
    let values = vec![text(account_sid), text(to.to_twilio()), text_or_null(service_sid)];
    let claims = conn.query_all_raw(statement(conn, sql, values)).await?;
    let strength = |claim: &QueryResult| claim.try_get::<i64>("", "strength");
    let Some(strongest) = claims.first() else {
        return Ok(Resolution::Unknown);
    };
    match claims.get(1) {
        Some(second) if strength(second)? == strength(strongest)? => Ok(Resolution::Ambiguous),
        _ => Ok(Resolution::Owner(Box::new(Owner::from_query_result(
            strongest, "",
        )?))),
    }
}
