//! Statements written once for both databases, with `$1` parameters.
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

/// A statement for the database behind `conn`.
pub(crate) fn statement(
    conn: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Statement {
    Statement::from_sql_and_values(conn.get_database_backend(), sql, values)
}

/// Executes, and says how many rows were written.
pub(crate) async fn execute(
    conn: &impl ConnectionTrait,
    sql: &str,
    values: Vec<Value>,
) -> Result<u64, DbErr> {
    Ok(conn
        .execute_raw(statement(conn, sql, values))
        .await?
        .rows_affected())
}

/// A text as a parameter. Text from outside may hold NUL, which Postgres refuses: it is left out.
pub(crate) fn text(text: impl AsRef<str>) -> Value {
    Value::from(without_nul(text.as_ref()))
}

/// [`text`], or null.
pub(crate) fn text_or_null(value: Option<impl AsRef<str>>) -> Value {
    Value::from(value.map(|value| without_nul(value.as_ref())))
}

pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}
