//! What operators did that leaves no other trace.
use chrono::{DateTime, Utc};
use recado_domain::AuditId;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    StoreError,
    statement::{execute, statement, text, text_or_null},
};

/// Something that is about to be done.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'a> {
    /// Whose data it is done to, where that is known.
    pub owner: Option<&'a str>,
    /// Who does it.
    pub actor: &'a str,
    /// What: `reveal`, `export`.
    pub act: &'a str,
    /// To what: `run:…`, `conversation:…`, `prospect:…` by the id that the owner gave, `campaign:…`; no text or number of a contact.
    pub subject: &'a str,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Entry {
    /// Its id; later ones sort later.
    pub id: String,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub act: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Writes it down.
///
/// # Errors
/// Those of the database.
pub async fn record(
    conn: &impl ConnectionTrait,
    deed: Deed<'_>,
    now: DateTime<Utc>,
) -> Result<AuditId, StoreError> {
    let id = AuditId::new();
    let sql = "insert into audit (id, owner, actor, act, subject, at) values ($1, $2, $3, $4, $5, $6)";
    let values = vec![
        text(id.as_str()),
        text_or_null(deed.owner),
        text(deed.actor),
        text(deed.act),
        text(deed.subject),
        now.into(),
    ];
    execute(conn, sql, values).await?;
    Ok(id)
}

/// What was done to `subject` last, `limit` at most.
///
/// # Errors
/// Those of the database.
pub async fn list(conn: &impl ConnectionTrait, subject: &str, limit: u32) -> Result<Vec<Entry>, StoreError> {
    let sql = "select id, actor, act, at from audit where subject = $1 order by id desc limit $2";
    let values = vec![text(subject), i64::from(limit).into()];
    Ok(Entry::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?)
}

/// When `act` was done to `subject` under this id, if it was at `since` or later.
///
/// # Errors
/// Those of the database.
pub async fn done_at(
    conn: &impl ConnectionTrait,
    id: &AuditId,
    act: &str,
    subject: &str,
    since: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let sql = "select id, actor, act, at from audit where id = $1 and act = $2 and subject = $3 and at >= $4";
    let values = vec![text(id.as_str()), text(act), text(subject), since.into()];
    let found = Entry::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    Ok(found.map(|entry| entry.at))
}
