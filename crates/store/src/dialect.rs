//! The one place in the store that knows that two databases exist.
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};

use crate::{
    rows::Column,
    statement::{statement, text},
};

/// Holds a name to the end of the transaction, and waits for whoever holds it: for rows that are not there yet. SQLite has
/// one writer anyway.
pub(crate) async fn hold(conn: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    if conn.get_database_backend() == DatabaseBackend::Postgres {
        let sql = "select pg_advisory_xact_lock(hashtextextended($1, 0))";
        conn.execute_raw(statement(conn, sql, vec![text(name)])).await?;
    }
    Ok(())
}

/// Where `needle` stands in `text`, from 1; 0 where it does not.
pub(crate) fn position(backend: DatabaseBackend, text: &str, needle: &str) -> String {
    match backend {
        DatabaseBackend::Postgres => format!("strpos({text}, {needle})"),
        _ => format!("instr({text}, {needle})"),
    }
}

/// The JSON rows in `$1` as a table `t` of these columns.
pub(crate) fn rows(backend: DatabaseBackend, columns: &[Column]) -> String {
    match backend {
        DatabaseBackend::Postgres => {
            let typed: Vec<_> = columns
                .iter()
                .map(|(name, kind)| format!("{name} {kind}"))
                .collect();
            format!("json_to_recordset($1::json) as t({})", typed.join(", "))
        }
        _ => {
            let picked: Vec<_> = columns
                .iter()
                .map(|(name, _)| format!("value->>'{name}' as {name}"))
                .collect();
            format!("(select {} from json_each($1)) as t", picked.join(", "))
        }
    }
}
