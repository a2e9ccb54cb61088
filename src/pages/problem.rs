//! What a person sees when there is no page to show.
use askama::Template;
use poem::{Response, http::StatusCode};
use recado_engine::StorageError;
use recado_store::StoreError;

use super::layout::{Here, Layout, html};
use crate::t;

#[derive(Template)]
#[template(path = "problem.html")]
struct Problem<'a> {
    layout: Layout,
    status: u16,
    title: &'a str,
    detail: &'a str,
    /// Where to go from here: address and words.
    link: (&'a str, &'a str),
}

/// A page that says what is wrong and what to do about it.
pub(crate) fn problem(status: StatusCode, title: &str, detail: &str) -> Response {
    problem_at(status, title, detail, ("/", t("To the runs")))
}

/// The same, with the address and the words of a link that leads on.
pub(super) fn problem_at(status: StatusCode, title: &str, detail: &str, link: (&str, &str)) -> Response {
    let layout = Layout::new(title, Here::Elsewhere, false);
    html(
        status,
        &Problem {
            layout,
            status: status.as_u16(),
            title,
            detail,
            link,
        },
    )
}

/// An error of the store as one of the storage, which pages tell of.
pub(super) fn of_store(error: StoreError) -> StorageError {
    StorageError::Database(match error {
        StoreError::Db(error) => error,
        other => sea_orm::DbErr::Custom(other.to_string()),
    })
}

/// The page for an address that names nothing.
pub(crate) fn not_found() -> Response {
    let detail =
        t("Nothing has this address. It may be mistyped, or what it named was purged after its retention.");
    problem(StatusCode::NOT_FOUND, t("There is no such page"), detail)
}

/// The page while the database is away.
pub(crate) fn no_database(error: &StorageError) -> Response {
    tracing::warn!(%error, "a page cannot be read from the database");
    let detail = t(
        "Nothing is lost: messages are answered as soon as it is back. Load this page again in a moment; if \
        that does not help, look at /health/ready and at the log.",
    );
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        t("The database does not answer"),
        detail,
    )
}

/// The last resort, which needs no template.
pub(super) fn plain(status: StatusCode, text: &'static str) -> Response {
    Response::builder()
        .status(status)
        .content_type("text/plain; charset=utf-8")
        .body(text)
}
