//! What every list takes.
use recado_domain::OwnerId;
use recado_engine::Filter;

use crate::{http::Problem, line::Line};

/// The number of items of a page.
///
/// # Errors
/// When it is not from 1 to 500.
pub(super) fn limit(given: Option<u64>) -> Result<u64, Problem> {
    match given.unwrap_or(50) {
        limit @ 1..=500 => Ok(limit),
        other => Err(Problem::unprocessable(
            "limit",
            format!("limit must be from 1 to 500, not {other}"),
        )),
    }
}

/// The filter that a line asks for; one that finds all runs without a line.
///
/// # Errors
/// When a word of it cannot be understood.
pub(super) fn line(given: Option<String>) -> Result<Filter, Problem> {
    Line::parse(given.as_deref().unwrap_or_default())
        .and_then(|line| line.filter())
        .map_err(|told| Problem::unprocessable("q", told))
}

/// The owner for whom the operator acts.
pub(super) fn owner(header: Option<String>) -> OwnerId {
    OwnerId::from(
        header
            .filter(|owner| !owner.is_empty())
            .unwrap_or_else(|| "default".to_owned()),
    )
}

/// What an owner's `Idempotency-Key` names among those of all owners. A key is its owner's own: a colon in the owner's id
/// is written otherwise, so that no other owner and key give the same.
pub(super) fn key(owner: &OwnerId, key: &str) -> String {
    let owner = owner.as_str().replace('%', "%25").replace(':', "%3A");
    format!("{owner}:{key}")
}

/// A word of a set, or a problem that names the parameter.
///
/// # Errors
/// When it is none of the set.
pub(super) fn word<T>(
    name: &str,
    given: Option<String>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    given
        .filter(|text| !text.is_empty())
        .map(|text| {
            parse(&text).ok_or_else(|| Problem::unprocessable(name, format!("there is no {name} `{text}`")))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_two_owners_are_never_the_same() {
        let named = |owner: &str, name| key(&OwnerId::from(owner.to_owned()), name);
        assert_eq!(named("default", "a:b"), "default:a:b");
        assert_ne!(named("a", "b:c"), named("a:b", "c"));
        assert_ne!(named("a:b", "c"), named("a%3Ab", "c"));
    }
}
