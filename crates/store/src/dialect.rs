//! The one place in the store that knows that two databases exist.
use sea_orm::DatabaseBackend;

use crate::rows::Column;

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
