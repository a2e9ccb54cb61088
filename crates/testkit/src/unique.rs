//! Names that no other test has.
use ulid::Ulid;

/// `prefix` and a suffix in lower case that never repeats: a Redis namespace, a queue, a database.
///
/// Letters, digits and `_` only, if `prefix` is: it may stand in SQL without quotes.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}_{}", Ulid::generate().to_string().to_lowercase())
}
