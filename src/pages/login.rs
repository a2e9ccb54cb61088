//! Where an operator types the token. Checking it and the cookie are not this page's.
use askama::Template;
use poem::{Response, http::StatusCode};

use super::layout::{Here, Layout, html};

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    layout: Layout,
    error: Option<&'a str>,
    next: &'a str,
}

/// The log-in page; `error` is why the last try was refused, `next` the path to go to afterwards.
pub(crate) fn page(error: Option<&str>, next: &str) -> Response {
    let status = if error.is_some() {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::OK
    };
    let layout = Layout::new("Log in", Here::Elsewhere, false);
    html(status, &Login { layout, error, next })
}
