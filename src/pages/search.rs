//! `/search?q=`: everything of an owner that a SID, a number, an id or a text leads to.
mod find;

use askama::Template;
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Query},
};
use serde::Deserialize;

use self::find::Group;
use super::{
    layout::{Here, Layout, html},
    owners::Choice,
    problem::no_database,
};
use crate::{app::App, t};

/// The longest text that is looked for, in bytes; what is longer was pasted by mistake.
const LONGEST: usize = 200;

/// What is sought, and of whom.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    q: String,
    owner: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct Page<'a> {
    layout: Layout,
    q: &'a str,
    owner: &'a str,
    owners: &'a [String],
    groups: Vec<Group>,
    told: Option<&'static str>,
}

#[handler]
pub(crate) async fn show(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    let sought = asked.q.trim();
    let told = if sought.len() > LONGEST {
        Some(t("That is too long to be looked for: 200 characters at most."))
    } else if sought.contains('\0') {
        Some(t(
            "There is a character in it that no text has (U+0000). Type it anew.",
        ))
    } else {
        None
    };
    let found = async {
        let choice = Choice::of(app, &asked.owner).await?;
        let groups = match sought {
            "" => Vec::new(),
            _ if told.is_some() => Vec::new(),
            sought => find::find(app, &choice.owner, sought).await?,
        };
        Ok((choice, groups))
    };
    let (choice, groups) = match found.await {
        Ok(found) => found,
        Err(error) => return no_database(&error),
    };
    let page = Page {
        layout: Layout::new(t("Search"), Here::Search, app.config.dev),
        q: sought,
        owner: choice.owner.as_str(),
        owners: &choice.all,
        groups,
        told,
    };
    let status = told.map_or(StatusCode::OK, |_| StatusCode::BAD_REQUEST);
    html(status, &page)
}
