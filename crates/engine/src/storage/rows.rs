//! Many rows in one statement, written once for both databases.
//!
//! To Postgres they travel as one array a column, which costs it a third of what the same rows cost as JSON; SQLite has
//! no arrays, and gets one JSON text.
use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::{DbBackend, Statement, Value, sea_query::ArrayType};

use crate::RunId;

/// A column of a row set: its name and its Postgres type, with a `!` behind it where it is never null.
pub(crate) type Column = (&'static str, &'static str);

/// What stands in a column of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Int(i64),
    Time(DateTime<Utc>),
}

/// What can stand in a row.
pub(crate) trait AsCell {
    fn cell(&self) -> Cell;
}

/// The cells of a row, from anything that can stand in one.
macro_rules! cells {
    ($($value:expr),* $(,)?) => {
        [$($crate::storage::rows::AsCell::cell(&$value)),*]
    };
}
pub(crate) use cells;

impl AsCell for Cell {
    fn cell(&self) -> Cell {
        self.clone()
    }
}

impl AsCell for str {
    /// Neither U+0000, which Postgres keeps in no text, nor what stands for null may make a batch fail or change.
    fn cell(&self) -> Cell {
        Cell::Text(match self {
            NO_TEXT => "\u{fffd}".to_owned(),
            text if text.contains('\0') => text.replace('\0', "\u{fffd}"),
            text => text.to_owned(),
        })
    }
}

impl AsCell for String {
    fn cell(&self) -> Cell {
        self.as_str().cell()
    }
}

impl AsCell for RunId {
    fn cell(&self) -> Cell {
        self.as_str().cell()
    }
}

impl AsCell for i64 {
    fn cell(&self) -> Cell {
        Cell::Int(*self)
    }
}

impl AsCell for u32 {
    fn cell(&self) -> Cell {
        Cell::Int((*self).into())
    }
}

impl AsCell for DateTime<Utc> {
    fn cell(&self) -> Cell {
        Cell::Time(*self)
    }
}

impl<T: AsCell + ?Sized> AsCell for &T {
    fn cell(&self) -> Cell {
        (**self).cell()
    }
}

impl<T: AsCell> AsCell for Option<T> {
    fn cell(&self) -> Cell {
        self.as_ref().map_or(Cell::Null, AsCell::cell)
    }
}

/// What stands for null in an array, which the driver cannot send otherwise.
const NO_TEXT: &str = "\u{1}";
const NO_INT: i64 = -i64::MAX;
const NO_TIME: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// Rows to be joined or inserted by one statement.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    columns: &'static [Column],
    cells: Vec<Cell>,
}

impl Rows {
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            cells: Vec::new(),
        }
    }

    /// Adds a row; the cells stand in the order of the columns.
    pub(crate) fn push<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.cells.extend(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The statement `sql`, in which `{rows}` stands for these rows as a table `t` and `$2`… for `more`.
    pub(crate) fn statement(self, backend: DbBackend, sql: &str, more: Vec<Value>) -> Statement {
        let mut values = vec![Value::from(None::<String>)];
        values.extend(more);
        let (source, mut parameters) = self.source(backend, "t", values.len());
        values[0] = parameters.remove(0);
        values.extend(parameters);
        // The first parameter of the rows is `$1`, the others stand behind what the caller has.
        Statement::from_sql_and_values(backend, sql.replace("{rows}", &source), values)
    }

    /// The rows as a table of that name, and its parameters: `$1` and those from `$taken + 1` on.
    fn source(self, backend: DbBackend, name: &str, taken: usize) -> (String, Vec<Value>) {
        let number = |index: usize| if index == 0 { 1 } else { taken + index };
        self.table(backend, name, number)
    }

    /// The rows as a table of that name, whose parameters begin with `$first`.
    pub(crate) fn table_from(self, backend: DbBackend, name: &str, first: usize) -> (String, Vec<Value>) {
        self.table(backend, name, |index| first + index)
    }

    fn table(self, backend: DbBackend, name: &str, number: impl Fn(usize) -> usize) -> (String, Vec<Value>) {
        if backend != DbBackend::Postgres {
            let picked: Vec<_> = (self.columns.iter().enumerate())
                .map(|(index, (column, _))| format!("value->>{index} as {column}"))
                .collect();
            let source = format!(
                "(select {} from json_each(${})) as {name}",
                picked.join(", "),
                number(0)
            );
            return (source, vec![Value::from(self.json())]);
        }
        let (mut picked, mut arrays, mut names) = (String::new(), String::new(), String::new());
        let mut comma = "";
        for (index, (column, kind)) in self.columns.iter().enumerate() {
            let (kind, never_null) = kind.strip_suffix('!').map_or((*kind, false), |kind| (kind, true));
            let null = match kind {
                "bigint" => "-9223372036854775807",
                "timestamptz" => "timestamptz 'epoch'",
                _ => "E'\\x01'",
            };
            let _infallible = match never_null {
                true => write!(picked, "{comma}u.{column}"),
                false => write!(picked, "{comma}nullif(u.{column}, {null}) as {column}"),
            };
            let _infallible = write!(arrays, "{comma}${}::{kind}[]", number(index));
            let _infallible = write!(names, "{comma}{column}");
            comma = ", ";
        }
        let source = format!("(select {picked} from unnest({arrays}) as u({names})) as {name}");
        (source, self.arrays())
    }

    /// One array a column.
    fn arrays(self) -> Vec<Value> {
        let width = self.columns.len();
        let height = self.cells.len() / width;
        let mut arrays: Vec<Vec<Value>> = (0..width).map(|_| Vec::with_capacity(height)).collect();
        for (index, cell) in self.cells.into_iter().enumerate() {
            let (_, kind) = self.columns[index % width];
            arrays[index % width].push(match (cell, kind.trim_end_matches('!')) {
                (Cell::Text(text), _) => Value::from(text),
                (Cell::Int(number), _) => Value::from(number),
                (Cell::Time(at), _) => Value::from(at),
                (Cell::Null, "bigint") => Value::from(NO_INT),
                (Cell::Null, "timestamptz") => Value::from(NO_TIME),
                (Cell::Null, _) => Value::from(NO_TEXT),
            });
        }
        let typed = arrays.into_iter().zip(self.columns).map(|(array, (_, kind))| {
            let kind = match kind.trim_end_matches('!') {
                "bigint" => ArrayType::BigInt,
                "timestamptz" => ArrayType::ChronoDateTimeUtc,
                _ => ArrayType::String,
            };
            Value::Array(kind, Some(Box::new(array)))
        });
        typed.collect()
    }

    /// All of them as an array of arrays.
    fn json(&self) -> String {
        let mut json = String::from("[");
        for (index, row) in self.cells.chunks(self.columns.len()).enumerate() {
            json.push_str(if index == 0 { "[" } else { ",[" });
            for (index, cell) in row.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                let _infallible = match cell {
                    Cell::Null => write!(json, "null"),
                    Cell::Text(text) => write!(json, "{}", serde_json::Value::from(text.as_str())),
                    Cell::Int(number) => write!(json, "{number}"),
                    Cell::Time(at) => write!(json, "\"{}\"", sortable(*at)),
                };
            }
            json.push(']');
        }
        json.push(']');
        json
    }
}

/// A timestamp in the form in which SQLite compares it rightly.
fn sortable(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_from_outside_is_taken_for_null_or_refused() {
        assert_eq!("\u{1}".cell(), Cell::Text("\u{fffd}".to_owned()));
        assert_eq!("a\0b".cell(), Cell::Text("a\u{fffd}b".to_owned()));
        assert_eq!("\u{1}x".cell(), Cell::Text("\u{1}x".to_owned()));
    }

    #[test]
    fn the_callers_own_parameters_keep_their_numbers() {
        const COLUMNS: &[Column] = &[("id", "text!"), ("n", "bigint")];
        let mut rows = Rows::new(COLUMNS);
        rows.push(cells!["a", 1_i64]);
        rows.push(cells!["b", None::<i64>]);
        let sql = "select t.id from {rows} where t.n < $2";
        let postgres = rows.clone().statement(DbBackend::Postgres, sql, vec![7.into()]);
        assert_eq!(
            postgres.sql,
            "select t.id from (select u.id, nullif(u.n, -9223372036854775807) as n
                from unnest($1::text[], $3::bigint[]) as u(id, n)) as t where t.n < $2"
                .replace("\n                ", " ")
        );
        assert_eq!(postgres.values.map(|values| values.0.len()), Some(3));
        let sqlite = rows.statement(DbBackend::Sqlite, sql, vec![7.into()]);
        assert_eq!(
            sqlite.values.and_then(|values| values.0.into_iter().next()),
            Some(Value::from(r#"[["a",1],["b",null]]"#))
        );
    }
}
