//! Messages as a person looks for them.
use recado_domain::{MessageId, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{COLUMNS, Message, Row, one};
use crate::{
    StoreError,
    conversations::LOOKED_THROUGH,
    dialect,
    statement::{statement, text},
};

/// A message of this owner's.
///
/// # Errors
/// Those of the database.
pub async fn find(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &MessageId,
) -> Result<Option<Message>, StoreError> {
    let values = vec![text(id.as_str()), text(owner.as_str())];
    one(conn, "where id = $1 and owner = $2", values).await
}

/// The last messages in which `said` is said, in capitals or not (only letters of ASCII, on SQLite), of the owner's last
/// [`LOOKED_THROUGH`] conversations; `limit` at most, the latest first.
///
/// # Errors
/// Those of the database.
pub async fn containing(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    said: &str,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    let at = dialect::position(conn.get_database_backend(), "lower(body)", "lower($2)");
    let sql = format!(
        "select {COLUMNS} from messages where owner = $1 and {at} > 0 and conversation in
             (select c.id from conversations c where c.owner = $1 order by c.id desc limit {LOOKED_THROUGH})
         order by created_at desc, id desc limit $3"
    );
    let values = vec![text(owner.as_str()), text(said), i64::from(limit).into()];
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    rows.into_iter().map(Message::try_from).collect()
}
