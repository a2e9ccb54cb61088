//! Many rows in one statement, written once for both databases: the rows travel as one JSON parameter.
use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement, Value};
use serde_json::{Map, Value as Json};

use crate::{dialect, statement::without_nul};

/// A column of a row set: its name and its Postgres type.
pub(crate) type Column = (&'static str, &'static str);

/// Rows to be joined or inserted by one statement, in the order in which they were added. A statement that locks rows
/// is given them sorted, so that two who do the same cannot wait for each other.
pub(crate) struct Rows {
    columns: &'static [Column],
    rows: Vec<Json>,
}

impl Rows {
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row; the cells stand in the order of the columns. Text loses its NULs, as everywhere in the store.
    pub(crate) fn push<const N: usize>(&mut self, cells: [Json; N]) {
        debug_assert_eq!(N, self.columns.len());
        let storable = |cell| match cell {
            Json::String(text) if text.contains('\0') => Json::String(without_nul(&text)),
            other => other,
        };
        let row: Map<_, _> = self
            .columns
            .iter()
            .zip(cells)
            .filter(|(_, cell)| !cell.is_null())
            .map(|((name, _), cell)| ((*name).to_owned(), storable(cell)))
            .collect();
        self.rows.push(Json::Object(row));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Executes `sql`, in which `{rows}` stands for these rows as a table `t` and `$2`… for `more`.
    pub(crate) async fn execute(
        self,
        conn: &impl ConnectionTrait,
        sql: &str,
        more: Vec<Value>,
    ) -> Result<u64, DbErr> {
        if self.is_empty() {
            return Ok(0);
        }
        Ok(conn
            .execute_raw(self.statement(conn, sql, more))
            .await?
            .rows_affected())
    }

    /// What `sql` returns, see [`Rows::execute`]; nothing, and without asking, where there are no rows.
    pub(crate) async fn query<T: FromQueryResult>(
        self,
        conn: &impl ConnectionTrait,
        sql: &str,
        more: Vec<Value>,
    ) -> Result<Vec<T>, DbErr> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        T::find_by_statement(self.statement(conn, sql, more))
            .all(conn)
            .await
    }

    fn statement(self, conn: &impl ConnectionTrait, sql: &str, more: Vec<Value>) -> Statement {
        let backend = conn.get_database_backend();
        let sql = sql.replace("{rows}", &dialect::rows(backend, self.columns));
        let mut values = vec![Value::from(Json::Array(self.rows).to_string())];
        values.extend(more);
        Statement::from_sql_and_values(backend, sql, values)
    }
}

/// The place of a row in what was asked for, which the answer brings back.
pub(crate) fn number(place: usize) -> Json {
    Json::from(place)
}

/// A timestamp in the form in which both databases compare it rightly.
pub(crate) fn time(at: DateTime<Utc>) -> Json {
    Json::from(at.to_rfc3339_opts(SecondsFormat::AutoSi, false))
}
