//! `/`: the newest runs, and how many there are that have not ended.
mod query;
mod row;

use askama::Template;
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Query},
};
use recado_engine::{Page, Run, RunState, StorageError};

pub(crate) use self::row::Waits;
use self::{query::Asked, row::Row};
use super::{
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    problem::{no_database, problem},
    state::Mark,
};
use crate::app::App;

/// Runs on one page.
const LIMIT: u64 = 50;

/// What the database says.
pub(crate) struct Seen {
    page: Page<Run>,
    open: Vec<(RunState, i64)>,
}

#[derive(Template)]
#[template(path = "runs.html")]
struct Runs<'a> {
    layout: Layout,
    asked: &'a Asked,
    states: [RunState; 8],
    live: bool,
    counts: Counts<'a>,
    list: List<'a>,
}

#[derive(Template)]
#[template(path = "counts.html")]
struct Counts<'a> {
    asked: &'a Asked,
    open: Vec<(Mark, i64)>,
}

impl askama::filters::HtmlSafe for Counts<'_> {}

#[derive(Template)]
#[template(path = "list.html")]
struct List<'a> {
    asked: &'a Asked,
    rows: Vec<Row>,
    older: Option<String>,
    dev: bool,
}

impl askama::filters::HtmlSafe for List<'_> {}

#[handler]
pub(crate) async fn list(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    let followed = Following {
        app: app.clone(),
        asked,
    };
    if let Err(told) = followed.asked.filter() {
        return problem(StatusCode::BAD_REQUEST, "There is no such state", &told);
    }
    let seen = match followed.look().await {
        Ok(seen) => seen,
        Err(error) => return no_database(&error),
    };
    let page = Runs {
        layout: Layout::new("Runs", Here::Runs, app.config.dev),
        asked: &followed.asked,
        states: RunState::ALL,
        live: followed.asked.is_newest(),
        counts: followed.counts(&seen),
        list: followed.list(&seen),
    };
    html(StatusCode::OK, &page)
}

#[handler]
pub(crate) async fn live(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    match asked.filter() {
        Ok(_) => follow(Following {
            app: app.clone(),
            asked,
        }),
        Err(told) => problem(StatusCode::BAD_REQUEST, "There is no such state", &told),
    }
}

struct Following {
    app: App,
    asked: Asked,
}

impl Following {
    fn counts(&self, seen: &Seen) -> Counts<'_> {
        let count = |state| {
            seen.open
                .iter()
                .find(|(of, _)| *of == state)
                .map_or(0, |(_, n)| *n)
        };
        let open = RunState::ALL.into_iter().filter(|state| !state.is_final());
        Counts {
            asked: &self.asked,
            open: open.map(|state| (Mark(state), count(state))).collect(),
        }
    }

    fn list(&self, seen: &Seen) -> List<'_> {
        List {
            asked: &self.asked,
            rows: seen.page.items.iter().map(Row::of).collect(),
            older: seen.page.next.clone(),
            dev: self.app.config.dev,
        }
    }
}

impl Followed for Following {
    type Seen = Seen;

    async fn look(&self) -> Result<Seen, StorageError> {
        let storage = self.app.engine.storage();
        let filter = self.asked.filter().unwrap_or_default();
        let page = storage.runs(&filter, LIMIT, self.asked.cursor()).await?;
        Ok(Seen {
            page,
            open: storage.open_runs().await?,
        })
    }

    fn cursor(&self, seen: &Seen) -> u64 {
        cursor(&(&seen.page.items, &seen.open))
    }

    fn sections(&self, seen: &Seen) -> Sections {
        let render = |part: Result<String, askama::Error>| part.unwrap_or_default();
        Sections::from([
            ("counts", render(self.counts(seen).render())),
            ("list", render(self.list(seen).render())),
        ])
    }
}
