//! The one place in the store that knows that two databases exist.
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};

use crate::statement::{statement, text};

/// Makes others who count this owner's usage wait for the end of the transaction. SQLite has one writer, who has
/// waited already. `no key`, because other tables refer to owners, not to this row.
pub(crate) async fn lock_subscription(conn: &impl ConnectionTrait, owner: &str) -> Result<(), DbErr> {
    if conn.get_database_backend() == DatabaseBackend::Postgres {
        let sql = "select id from subscriptions where owner = $1 for no key update";
        conn.query_one_raw(statement(conn, sql, vec![text(owner)]))
            .await?;
    }
    Ok(())
}
