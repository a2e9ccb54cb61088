//! Lists of runs that an operator keeps under a name. Theirs alone: no owner's.
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    StoreError,
    statement::{execute, statement, text},
};

/// The most views that an operator keeps.
pub const MOST: usize = 50;

/// A list of runs with a name.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct View {
    /// Its name, the operator's own.
    pub name: String,
    /// The line that finds its runs.
    pub line: String,
    /// The columns that it shows, with commas between; empty for the usual ones.
    pub columns: String,
}

/// The views of an operator, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn list(conn: &impl ConnectionTrait, operator: &str) -> Result<Vec<View>, StoreError> {
    let sql = "select name, line, columns from views where operator = $1 order by name";
    Ok(
        View::find_by_statement(statement(conn, sql, vec![text(operator)]))
            .all(conn)
            .await?,
    )
}

/// Keeps a view; one of the same name gives way.
///
/// # Errors
/// [`StoreError::Taken`] where the operator keeps as many as anybody may; when the database does not answer.
pub async fn put(
    conn: &impl ConnectionTrait,
    operator: &str,
    view: &View,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let kept = list(conn, operator).await?;
    if kept.len() >= MOST && kept.iter().all(|other| other.name != view.name) {
        return Err(StoreError::Taken("room for views"));
    }
    let sql = "insert into views (operator, name, line, columns, at) values ($1, $2, $3, $4, $5)
        on conflict (operator, name) do update set line = excluded.line, columns = excluded.columns, at = excluded.at";
    let values = vec![
        text(operator),
        text(&view.name),
        text(&view.line),
        text(&view.columns),
        now.into(),
    ];
    execute(conn, sql, values).await?;
    Ok(())
}

/// Forgets a view. Returns whether there was one.
///
/// # Errors
/// When the database does not answer.
pub async fn remove(conn: &impl ConnectionTrait, operator: &str, name: &str) -> Result<bool, StoreError> {
    let sql = "delete from views where operator = $1 and name = $2";
    Ok(execute(conn, sql, vec![text(operator), text(name)]).await? > 0)
}
