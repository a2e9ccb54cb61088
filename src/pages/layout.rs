//! What all pages share.
use askama::Template;
use poem::{
    Response,
    http::{StatusCode, header},
};

use super::{
    assets,
    language::{Language, t},
    problem,
};

/// Which entry of the navigation is the present page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Here {
    Overview,
    Runs,
    Conversations,
    Stuck,
    Queues,
    Workers,
    Schedules,
    Communications,
    Webhooks,
    Search,
    Phone,
    Elsewhere,
}

/// The entries of the navigation that every front end has.
const ENTRIES: [(Here, &str, &str); 10] = [
    (Here::Overview, "/overview", "Overview"),
    (Here::Runs, "/", "Runs"),
    (Here::Conversations, "/conversations", "Conversations"),
    (Here::Stuck, "/stuck", "Stuck"),
    (Here::Queues, "/queues", "Queues"),
    (Here::Workers, "/workers", "Workers"),
    (Here::Schedules, "/schedules", "Schedules"),
    (Here::Communications, "/communications", "Communications"),
    (Here::Webhooks, "/webhooks", "Webhooks"),
    (Here::Search, "/search", "Search"),
];

/// The frame of a page.
pub(crate) struct Layout {
    title: String,
    here: Here,
    dev: bool,
    /// Where style and scripts are served: by the front end, or by the telephone's process, which outlives it.
    assets: &'static str,
}

impl Layout {
    /// A page of the front end; `dev` is whether there is a telephone to link to.
    pub(crate) fn new(title: impl Into<String>, here: Here, dev: bool) -> Self {
        Self {
            title: title.into(),
            here,
            dev,
            assets: "/assets",
        }
    }

    /// A page of the process that holds the telephone.
    pub(crate) fn of_phone(title: impl Into<String>) -> Self {
        Self {
            assets: "/phone/assets",
            ..Self::new(title, Here::Phone, true)
        }
    }

    pub(crate) fn asset(&self, name: &str) -> String {
        assets::url(self.assets, name)
    }

    /// What the page is written in.
    pub(crate) fn language(&self) -> &'static str {
        Language::spoken().tag()
    }

    /// The version of the program.
    pub(crate) fn build(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    pub(crate) fn title(&self) -> &str {
        t(&self.title)
    }

    pub(crate) fn has_phone(&self) -> bool {
        self.dev
    }

    /// Address and word of each entry, and whether it is the present page.
    pub(crate) fn entries(&self) -> [(&'static str, &'static str, bool); 10] {
        ENTRIES.map(|(here, path, word)| (path, word, self.here == here))
    }

    pub(crate) fn is_phone(&self) -> bool {
        self.here == Here::Phone
    }
}

/// A page as the answer to a request. Nobody may keep it: it shows what people wrote.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(page) => Response::builder()
            .status(status)
            .content_type("text/html; charset=utf-8")
            .header(header::CACHE_CONTROL, "no-store")
            .body(page),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            problem::plain(StatusCode::INTERNAL_SERVER_ERROR, "The page cannot be shown.")
        }
    }
}
