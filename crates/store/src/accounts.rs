//! Owners' Twilio accounts: credentials, numbers, messaging services.
use chrono::{DateTime, Utc};
use recado_domain::{AccountId, Address, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    Secret, StoreError,
    statement::{execute, statement, text},
};

/// What Twilio asks for.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Twilio's `AC…`.
    pub account_sid: String,
    /// The account's auth token.
    pub auth_token: SecretString,
}

/// An address from which an owner can send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The account that the address belongs to.
    pub account_sid: String,
    /// The address.
    pub address: Address,
}

#[derive(FromQueryResult)]
struct Token {
    auth_token: Vec<u8>,
}

#[derive(FromQueryResult)]
struct Since {
    account: DateTime<Utc>,
    address: Option<DateTime<Utc>>,
}

#[derive(FromQueryResult)]
struct Id {
    id: String,
}

#[derive(FromQueryResult)]
struct Number {
    twilio_account_sid: String,
    address: String,
}

/// Gives an owner a Twilio account, or the account it has a new token.
///
/// # Errors
/// Those of the database and of sealing.
pub async fn put(
    conn: &impl ConnectionTrait,
    secret: &Secret,
    owner: &OwnerId,
    account_sid: &str,
    auth_token: &SecretString,
    now: DateTime<Utc>,
) -> Result<AccountId, StoreError> {
    let sealed = secret.seal(auth_token.expose_secret().as_bytes())?;
    let sql = "
        insert into channel_accounts (id, owner, twilio_account_sid, auth_token, created_at)
        values ($1, $2, $3, $4, $5)
        on conflict (owner, twilio_account_sid) do update set auth_token = excluded.auth_token";
    let id = AccountId::new();
    let values = vec![
        text(id.as_str()),
        text(owner.as_str()),
        text(account_sid),
        sealed.into(),
        now.into(),
    ];
    execute(conn, sql, values).await?;
    id_of(conn, owner, account_sid).await
}

async fn id_of(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    account_sid: &str,
) -> Result<AccountId, StoreError> {
    let sql = "select id from channel_accounts where owner = $1 and twilio_account_sid = $2";
    let values = vec![text(owner.as_str()), text(account_sid)];
    let row = Id::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    row.map(|row| AccountId::from(row.id))
        .ok_or(StoreError::NotFound("account"))
}

/// Says that an address of an account is this owner's. One that it has stays.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner does not hold the account, [`StoreError::Taken`] when the address is
/// another owner's.
pub async fn add_number(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    account_sid: &str,
    address: &Address,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let account = id_of(conn, owner, account_sid).await?;
    let insert = "
        insert into channel_numbers (owner, account, twilio_account_sid, address, created_at)
        values ($1, $2, $3, $4, $5) on conflict do nothing";
    let address = address.to_twilio();
    let values = vec![
        text(owner.as_str()),
        text(account.as_str()),
        text(account_sid),
        text(&address),
        now.into(),
    ];
    execute(conn, insert, values).await?;
    let select =
        "select 1 from channel_numbers where twilio_account_sid = $1 and address = $2 and owner = $3";
    let values = vec![text(account_sid), text(address), text(owner.as_str())];
    let ours = conn.query_one_raw(statement(conn, select, values)).await?;
    ours.map(drop).ok_or(StoreError::Taken("number"))
}

/// Since when an owner holds both an account and, where it has said so, an address of it; `None` where it does not hold the
/// account.
///
/// # Errors
/// Those of the database.
pub async fn held_since(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    account_sid: &str,
    address: &str,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let sql = "
        select a.created_at as account, n.created_at as address from channel_accounts a
        left join channel_numbers n on n.account = a.id and n.address = $3
        where a.owner = $1 and a.twilio_account_sid = $2";
    let values = vec![text(owner.as_str()), text(account_sid), text(address)];
    let since = Since::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    Ok(since.map(|since| {
        since
            .address
            .map_or(since.account, |address| address.max(since.account))
    }))
}

/// Says that a messaging service of an account is this owner's. One that it has stays.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner does not hold the account, [`StoreError::Taken`] when the service is
/// another owner's.
pub async fn add_service(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    account_sid: &str,
    service_sid: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let account = id_of(conn, owner, account_sid).await?;
    let insert = "
        insert into channel_services (service_sid, owner, account, twilio_account_sid, created_at)
        values ($1, $2, $3, $4, $5) on conflict do nothing";
    let values = vec![
        text(service_sid),
        text(owner.as_str()),
        text(account.as_str()),
        text(account_sid),
        now.into(),
    ];
    execute(conn, insert, values).await?;
    let select = "select 1 from channel_services where service_sid = $1 and owner = $2";
    let ours = conn
        .query_one_raw(statement(
            conn,
            select,
            vec![text(service_sid), text(owner.as_str())],
        ))
        .await?;
    ours.map(drop).ok_or(StoreError::Taken("messaging service"))
}

/// The credentials under which an owner acts in an account.
///
/// # Errors
/// Those of the database, and [`StoreError::Sealed`].
pub async fn credentials(
    conn: &impl ConnectionTrait,
    secret: &Secret,
    owner: &OwnerId,
    account_sid: &str,
) -> Result<Option<Credentials>, StoreError> {
    let sql = "select auth_token from channel_accounts where owner = $1 and twilio_account_sid = $2";
    let values = vec![text(owner.as_str()), text(account_sid)];
    let row = Token::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    row.map(|row| {
        let auth_token = secret.open_text(&row.auth_token)?;
        Ok(Credentials {
            account_sid: account_sid.to_owned(),
            auth_token,
        })
    })
    .transpose()
}

/// Who may have sent a webhook.
#[derive(Debug)]
pub struct Signers {
    /// All tokens under which it may be signed; none when nobody holds the account.
    pub tokens: Vec<SecretString>,
    /// Whose it is, as far as account and number tell; what [`crate::resolve`] finds, or nobody.
    pub owner: Option<OwnerId>,
}

#[derive(FromQueryResult)]
struct Signer {
    owner: String,
    auth_token: Vec<u8>,
    reached: i64,
}

/// All tokens under which a webhook of this account may be signed, and the owner of `to`, an address as Twilio writes
/// it, or of the account if only one holds it. Has no tenant: the signature is checked before anybody knows whose the
/// webhook is.
///
/// # Errors
/// Those of the database, and [`StoreError::Sealed`].
pub async fn signers(
    conn: &impl ConnectionTrait,
    secret: &Secret,
    account_sid: &str,
    to: &str,
) -> Result<Signers, StoreError> {
    let sql = "
        select a.owner, a.auth_token, cast(case when n.address is null then 0 else 1 end as bigint) as reached
        from channel_accounts a left join channel_numbers n
            on n.twilio_account_sid = a.twilio_account_sid and n.address = $2 and n.owner = a.owner
        where a.twilio_account_sid = $1 order by a.id";
    let rows = Signer::find_by_statement(statement(conn, sql, vec![text(account_sid), text(to)]))
        .all(conn)
        .await?;
    let owner = match &rows[..] {
        [only] => Some(only),
        several => several.iter().find(|signer| signer.reached == 1),
    };
    Ok(Signers {
        owner: owner.map(|signer| OwnerId::from(signer.owner.as_str())),
        tokens: rows
            .iter()
            .map(|row| secret.open_text(&row.auth_token))
            .collect::<Result<_, _>>()?,
    })
}

/// The addresses from which an owner can send.
///
/// # Errors
/// Those of the database.
pub async fn senders(conn: &impl ConnectionTrait, owner: &OwnerId) -> Result<Vec<Sender>, StoreError> {
    let sql = "
        select twilio_account_sid, address from channel_numbers where owner = $1
        order by created_at, address, twilio_account_sid";
    let rows = Number::find_by_statement(statement(conn, sql, vec![text(owner.as_str())]))
        .all(conn)
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Sender {
                account_sid: row.twilio_account_sid,
                address: Address::parse(&row.address)?,
            })
        })
        .collect()
}

/// A messaging service of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The account that it belongs to.
    pub account_sid: String,
    /// Twilio's `MG…`.
    pub sid: String,
}

#[derive(FromQueryResult)]
struct ServiceRow {
    service_sid: String,
    twilio_account_sid: String,
}

/// The messaging services through which an owner can send, oldest first.
///
/// # Errors
/// Those of the database.
pub async fn services(conn: &impl ConnectionTrait, owner: &OwnerId) -> Result<Vec<Service>, StoreError> {
    let sql = "
        select service_sid, twilio_account_sid from channel_services where owner = $1
        order by created_at, service_sid";
    let rows = ServiceRow::find_by_statement(statement(conn, sql, vec![text(owner.as_str())]))
        .all(conn)
        .await?;
    let service = |row: ServiceRow| Service {
        account_sid: row.twilio_account_sid,
        sid: row.service_sid,
    };
    Ok(rows.into_iter().map(service).collect())
}

#[derive(FromQueryResult)]
struct Held {
    owner: String,
    twilio_account_sid: String,
}

/// Every account that an owner holds, with that owner, oldest first. Has no tenant: the platform compares all of them with
/// Twilio's books.
///
/// # Errors
/// Those of the database.
pub async fn all(conn: &impl ConnectionTrait) -> Result<Vec<(OwnerId, String)>, StoreError> {
    let sql = "select owner, twilio_account_sid from channel_accounts order by created_at, id";
    let rows = Held::find_by_statement(statement(conn, sql, vec![]))
        .all(conn)
        .await?;
    let held = |row: Held| (OwnerId::from(row.owner), row.twilio_account_sid);
    Ok(rows.into_iter().map(held).collect())
}

/// The accounts an owner holds, oldest first.
///
/// # Errors
/// Those of the database.
pub async fn sids_of(conn: &impl ConnectionTrait, owner: &OwnerId) -> Result<Vec<String>, StoreError> {
    let sql =
        "select twilio_account_sid as id from channel_accounts where owner = $1 order by created_at, id";
    let rows = Id::find_by_statement(statement(conn, sql, vec![text(owner.as_str())]))
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
