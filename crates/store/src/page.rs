//! Lists in pages.
use serde::Serialize;

/// The most items one page has.
const MAX: u64 = 500;

/// Some items, and where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// At most as many as were asked for, and never over 500.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<String>,
}

/// How many rows to ask for: one more than wanted, which tells whether there is a next page.
pub(crate) fn rows(limit: u64) -> i64 {
    i64::try_from(limit.clamp(1, MAX)).unwrap_or(1) + 1
}

impl<T> Page<T> {
    /// Of the rows that [`rows`] asked for; `cursor` is that of an item after which the next page begins.
    pub(crate) fn of(mut items: Vec<T>, limit: u64, cursor: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit.clamp(1, MAX)).unwrap_or(1);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}
