//! Which columns the list of runs shows: those of the address, else those that the browser remembers.
use std::collections::HashMap;

use poem::{
    IntoResponse, Response, handler,
    web::{
        Form, Redirect,
        cookie::{Cookie, CookieJar, SameSite},
    },
};

use super::query::at;
use crate::t;

const COOKIE: &str = "recado_columns";
/// How long the browser remembers.
const LASTS: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);
/// Each column, its heading, and whether it is shown unless somebody chooses.
const COLUMNS: [(&str, &str, bool); 8] = [
    ("contact", "Contact", true),
    ("owner", "Owner", true),
    ("started", "Started", true),
    ("took", "Took", true),
    ("attempt", "Attempt", false),
    ("lane", "Lane", false),
    ("worker", "Worker", false),
    ("build", "Build", false),
];

/// The columns that are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns(Vec<&'static str>);

impl Default for Columns {
    fn default() -> Self {
        let usual = COLUMNS.iter().filter(|(.., usual)| *usual);
        Self(usual.map(|(name, ..)| *name).collect())
    }
}

impl Columns {
    /// Reads their names; what names none is passed over, and nothing at all means the usual ones.
    pub(super) fn parse(text: &str) -> Self {
        let named = |name: &&str| text.split(',').any(|word| word == *name);
        let chosen: Vec<_> = COLUMNS.iter().map(|(name, ..)| *name).filter(named).collect();
        match chosen.is_empty() && text != "none" {
            true => Self::default(),
            false => Self(chosen),
        }
    }

    /// Those that the browser remembers.
    pub(super) fn remembered(cookies: &CookieJar) -> Self {
        let cookie = cookies.get(COOKIE);
        cookie.map_or_else(Self::default, |cookie| Self::parse(cookie.value_str()))
    }

    /// As [`Columns::parse`] reads them.
    pub(super) fn text(&self) -> String {
        match self.0.is_empty() {
            true => "none".to_owned(),
            false => self.0.join(","),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    /// Name and heading of each, and whether it is shown.
    pub(crate) fn all(&self) -> Vec<(&'static str, &'static str, bool)> {
        let all = COLUMNS.iter();
        all.map(|(name, heading, _)| (*name, t(heading), self.has(name)))
            .collect()
    }
}

/// Remembers the columns whose boxes are ticked, and goes back to the list.
#[handler]
pub(crate) async fn choose(Form(given): Form<HashMap<String, String>>, cookies: &CookieJar) -> Response {
    let chosen: Vec<_> = given.keys().map(String::as_str).collect();
    let columns = match chosen.join(",") {
        text if COLUMNS.iter().any(|(name, ..)| chosen.contains(name)) => Columns::parse(&text),
        _ => Columns(Vec::new()),
    };
    let mut cookie = Cookie::new_with_str(COOKIE, columns.text());
    cookie.set_path("/");
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_max_age(LASTS);
    cookies.add(cookie);
    let line = given.get("q").map(String::as_str).unwrap_or_default();
    Redirect::see_other(at("/", line, &[])).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_is_shown_and_nothing_means_the_usual() {
        assert_eq!(Columns::parse(""), Columns::default());
        assert_eq!(Columns::parse("nonsense"), Columns::default());
        let chosen = Columns::parse("took,lane,<script>");
        assert!(chosen.has("lane") && chosen.has("took") && !chosen.has("contact"));
        assert_eq!(Columns::parse(&chosen.text()), chosen);
        let none = Columns(Vec::new());
        assert_eq!(Columns::parse(&none.text()), none);
    }
}
