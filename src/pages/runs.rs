//! `/`: the runs that a line asks for, and how many of them have not ended.
pub(super) mod batch;
pub(super) mod columns;
pub(super) mod export;
mod query;
mod row;
pub(super) mod views;

use std::collections::BTreeSet;

use askama::Template;
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Query, cookie::CookieJar},
};
use recado_engine::{Page, Run, RunState, StorageError, Workflow};
use recado_workflows::InboundMessage;

pub(super) use self::query::{batch_of, runs_like};
pub(crate) use self::row::Waits;
use self::{
    columns::Columns,
    query::{Asked, Query as Given},
    row::Row,
    views::View,
};
use super::{
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    problem::{no_database, problem},
    state::Mark,
};
use crate::{
    app::App,
    line::{NAMES, TEXT},
    t,
};

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
    states: [Mark; 8],
    names: [(&'static str, &'static str); NAMES.len()],
    /// What the line is completed with.
    words: BTreeSet<String>,
    views: Vec<View>,
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
    columns: &'a Columns,
    rows: Vec<Row>,
    next: Option<String>,
    dev: bool,
}

impl askama::filters::HtmlSafe for List<'_> {}

impl List<'_> {
    /// Whether more may be found further on, though this page is not full.
    fn is_cut(&self) -> bool {
        self.next.is_some() && (self.rows.len() as u64) < LIMIT
    }
}

#[handler]
pub(crate) async fn list(Query(given): Query<Given>, cookies: &CookieJar, Data(app): Data<&App>) -> Response {
    let followed = Following::of(app, given.into(), cookies);
    let views = match views::kept(app).await {
        Ok(views) => views,
        Err(error) => return no_database(&error),
    };
    let asked = &followed.asked;
    let (status, seen) = match asked.filter() {
        Ok(_) => match followed.look().await {
            Ok(seen) => (StatusCode::OK, seen),
            Err(error) => return no_database(&error),
        },
        Err(_) => (StatusCode::BAD_REQUEST, Seen::nothing()),
    };
    let page = Runs {
        layout: Layout::new("Runs", Here::Runs, app.config.dev),
        asked,
        states: RunState::ALL.map(Mark),
        names: NAMES,
        words: words(&seen),
        views,
        live: asked.is_first() && asked.told().is_none(),
        counts: followed.counts(&seen),
        list: followed.list(&seen),
    };
    html(status, &page)
}

#[handler]
pub(crate) async fn live(Query(given): Query<Given>, cookies: &CookieJar, Data(app): Data<&App>) -> Response {
    let asked = Asked::from(given);
    match asked.filter() {
        Ok(_) => follow(Following::of(app, asked, cookies)),
        Err(told) => problem(StatusCode::BAD_REQUEST, t("That cannot be looked for"), &told),
    }
}

/// What may stand in a line: every name, the values that are known, and those of the runs that are shown.
fn words(seen: &Seen) -> BTreeSet<String> {
    let names = NAMES.iter().map(|(name, _)| format!("{name}:"));
    let states = RunState::ALL.iter().map(|state| format!("state:{state}"));
    let others = [
        "state:open",
        "since:1h",
        "since:1d",
        "for:10m",
        "sort:oldest",
        "sort:newest",
        "waits:worker",
        "waits:lane",
        "waits:retry:",
        "waits:reconcile:",
        "waits:signal:",
    ];
    let mut words: BTreeSet<String> = names.chain(states).chain(others.map(str::to_owned)).collect();
    words.insert(format!("workflow:{}", InboundMessage::NAME));
    for run in &seen.page.items {
        words.insert(format!("workflow:{}", run.workflow));
        words.extend(run.owner.iter().map(|owner| format!("owner:{owner}")));
        words.extend(run.parent.iter().map(|parent| format!("parent:{parent}")));
        words.extend(run.outcome.iter().map(|outcome| format!("outcome:{outcome}")));
        let class = run.error.as_deref().and_then(|error| error.split_once(':'));
        words.extend(class.map(|(class, _)| format!("error:{class}:")));
    }
    words
}

impl Seen {
    fn nothing() -> Self {
        let page = Page {
            items: Vec::new(),
            next: None,
        };
        Self {
            page,
            open: Vec::new(),
        }
    }
}

struct Following {
    app: App,
    columns: Columns,
    asked: Asked,
}

impl Following {
    fn of(app: &App, asked: Asked, cookies: &CookieJar) -> Self {
        Self {
            app: app.clone(),
            columns: asked.columns().unwrap_or_else(|| Columns::remembered(cookies)),
            asked,
        }
    }

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
            columns: &self.columns,
            rows: seen.page.items.iter().map(Row::of).collect(),
            next: seen.page.next.clone(),
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
            open: storage.open_runs_of(&filter).await?,
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
