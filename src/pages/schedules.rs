//! `/schedules`: when the clock starts what, and what became of it.
pub(super) mod acts;

use askama::{Template, filters::HtmlSafe};
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Query},
};
use recado_engine::{Page, Schedule, StorageError};
use serde::Deserialize;

use super::{
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    moment::Moment,
    problem::no_database,
    text::short,
};
use crate::app::App;

/// Schedules on one page.
const LIMIT: u64 = 50;

/// Whose, and from where on; everybody's from the first on, if empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    owner: String,
    cursor: String,
}

#[derive(Template)]
#[template(path = "schedules.html")]
struct Schedules<'a> {
    layout: Layout,
    asked: &'a Asked,
    list: List<'a>,
}

#[derive(Template)]
#[template(path = "schedule_list.html")]
struct List<'a> {
    asked: &'a Asked,
    rows: Vec<Row>,
    next: Option<String>,
}

impl HtmlSafe for List<'_> {}

/// A schedule as a line of the list.
struct Row {
    id: String,
    workflow: String,
    owner: Option<String>,
    cron: String,
    time_zone: String,
    overlap: &'static str,
    paused: bool,
    next: Option<Moment>,
    last: Option<Moment>,
    last_run: Option<String>,
    missed: i64,
    skipped: i64,
}

#[handler]
pub(crate) async fn list(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    let following = Following {
        app: app.clone(),
        asked,
    };
    let seen = match following.look().await {
        Ok(seen) => seen,
        Err(error) => return no_database(&error),
    };
    let page = Schedules {
        layout: Layout::new("Schedules", Here::Schedules, app.config.dev),
        asked: &following.asked,
        list: following.list(&seen),
    };
    html(StatusCode::OK, &page)
}

#[handler]
pub(crate) async fn live(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    follow(Following {
        app: app.clone(),
        asked,
    })
}

impl Asked {
    /// This page below `path`, or with `cursor` another one.
    fn at(&self, path: &str, cursor: &str) -> String {
        let fields = [("owner", self.owner.as_str()), ("cursor", cursor)];
        let given: Vec<_> = fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        match serde_urlencoded::to_string(given) {
            Ok(query) if !query.is_empty() => format!("{path}?{query}"),
            _ => path.to_owned(),
        }
    }

    fn live(&self) -> String {
        self.at("/schedules/live", &self.cursor)
    }
}

struct Following {
    app: App,
    asked: Asked,
}

impl Following {
    fn list(&self, seen: &Page<Schedule>) -> List<'_> {
        List {
            asked: &self.asked,
            rows: seen.items.iter().map(Row::of).collect(),
            next: seen.next.as_deref().map(|next| self.asked.at("/schedules", next)),
        }
    }
}

impl Followed for Following {
    type Seen = Page<Schedule>;

    async fn look(&self) -> Result<Self::Seen, StorageError> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (owner, cursor) = (given(&self.asked.owner), given(&self.asked.cursor));
        let schedules = self.app.engine.schedules();
        schedules.list(owner.as_deref(), LIMIT, cursor.as_deref()).await
    }

    fn cursor(&self, seen: &Self::Seen) -> u64 {
        cursor(seen)
    }

    fn sections(&self, seen: &Self::Seen) -> Sections {
        Sections::from([("list", self.list(seen).render().unwrap_or_default())])
    }
}

impl Row {
    fn of(schedule: &Schedule) -> Self {
        Self {
            id: schedule.id.clone(),
            workflow: schedule.workflow.clone(),
            owner: schedule.owner.clone(),
            cron: schedule.cron.clone(),
            time_zone: schedule.time_zone.clone(),
            overlap: schedule.overlap.as_str(),
            paused: schedule.paused,
            next: schedule.next_at.map(Moment::relative),
            last: schedule.last_at.map(Moment::relative),
            last_run: schedule.last_run.as_ref().map(ToString::to_string),
            missed: schedule.missed,
            skipped: schedule.skipped,
        }
    }
}
