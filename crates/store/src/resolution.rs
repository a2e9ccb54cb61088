//! Whose a webhook is.
use recado_domain::{Address, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    StoreError,
    statement::{statement, text, text_or_null},
};

/// Whose a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// This owner's.
    Owner(OwnerId),
    /// Nobody holds the account.
    Unknown,
    /// Several owners hold the account, and neither number nor service tells which one it is.
    Ambiguous,
}

#[derive(FromQueryResult)]
struct Claim {
    owner: String,
    strength: i64,
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
        select owner, cast(1 as bigint) as strength from channel_numbers
            where twilio_account_sid = $1 and address = $2
        union all
        select owner, cast(2 as bigint) from channel_services where twilio_account_sid = $1 and service_sid = $3
        union all
        select owner, cast(3 as bigint) from channel_accounts where twilio_account_sid = $1
        order by strength";
    let values = vec![text(account_sid), text(to.to_twilio()), text_or_null(service_sid)];
    let claims = Claim::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let strongest = claims.first().map(|claim| claim.strength);
    let mut owners = claims
        .into_iter()
        .filter(|claim| Some(claim.strength) == strongest);
    Ok(match (owners.next(), owners.next()) {
        (None, _) => Resolution::Unknown,
        (Some(claim), None) => Resolution::Owner(OwnerId::from(claim.owner)),
        (Some(_), Some(_)) => Resolution::Ambiguous,
    })
}
