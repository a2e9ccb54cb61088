//! Many rows in one statement, written once for both databases: the rows travel as one JSON parameter.
use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::{DbBackend, Statement, Value};
use serde_json::{Map, Value as Json};

/// A column of a row set: its name and its Postgres type.
pub(crate) type Column = (&'static str, &'static str);

/// Rows to be joined or inserted by one statement.
#[derive(Debug)]
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

    /// Adds a row; the cells stand in the order of the columns.
    pub(crate) fn push<const N: usize>(&mut self, cells: [Json; N]) {
        debug_assert_eq!(N, self.columns.len());
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

    /// The statement `sql`, in which `{rows}` stands for these rows as a table and `$2`… for `more`.
    pub(crate) fn statement(self, backend: DbBackend, sql: &str, more: Vec<Value>) -> Statement {
        let names = || self.columns.iter();
        let source = match backend {
            DbBackend::Postgres => {
                let typed: Vec<_> = names().map(|(name, kind)| format!("{name} {kind}")).collect();
                format!("json_to_recordset($1::json) as t({})", typed.join(", "))
            }
            _ => {
                let picked: Vec<_> = names()
                    .map(|(name, _)| format!("value->>'{name}' as {name}"))
                    .collect();
                format!("(select {} from json_each($1)) as t", picked.join(", "))
            }
        };
        let mut values = vec![Value::from(Json::Array(self.rows).to_string())];
        values.extend(more);
        Statement::from_sql_and_values(backend, sql.replace("{rows}", &source), values)
    }
}

/// Postgres keeps no U+0000 in a text; one from outside must not make a whole batch fail.
fn storable(cell: Json) -> Json {
    match cell {
        Json::String(text) if text.contains('\0') => Json::String(text.replace('\0', "\u{fffd}")),
        other => other,
    }
}

/// A timestamp in the form in which both databases compare it rightly.
pub(crate) fn time(at: DateTime<Utc>) -> Json {
    Json::from(at.to_rfc3339_opts(SecondsFormat::AutoSi, false))
}

/// The same for one that may be absent.
pub(crate) fn maybe_time(at: Option<DateTime<Utc>>) -> Json {
    at.map_or(Json::Null, time)
}
