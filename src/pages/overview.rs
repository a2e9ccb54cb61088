//! `/overview`: how much comes and goes, how long answers take, what arrives and what fails, by the minute.
mod chart;
mod numbers;

use std::sync::{Arc, Mutex, PoisonError};

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, TimeDelta, Utc};
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Query},
};
use recado_engine::{RunState, StorageError, Stuck};
use recado_store::{
    minutes::{self, ALL, Count, Used},
    owners,
};
use serde::Deserialize;

use self::{chart::Chart, numbers::Numbers};
use super::{
    language::tell,
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    moment::Moment,
    problem::no_database,
    runs::{runs_like, views::of_storage},
    state::Mark,
};
use crate::{app::App, line::Line};

/// How far back the page looks, in which steps; the word in the address, and on the page.
const RANGES: [(&str, &str, i64, i64); 3] = [
    ("1h", "last hour", 60, 1),
    ("6h", "last 6 hours", 360, 5),
    ("24h", "last 24 hours", 1440, 15),
];

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Given {
    range: String,
    owner: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page<'a> {
    layout: Layout,
    following: &'a Following,
    owners: Vec<String>,
    now: Now,
    figures: Figures,
}

/// How things stand at this moment.
#[derive(Template)]
#[template(path = "overview_now.html")]
struct Now {
    open: Vec<(Mark, i64, String)>,
    oldest: Option<Moment>,
    causes: Vec<Cause>,
}

/// A cause for which runs do not go on.
struct Cause {
    class: String,
    workflow: String,
    runs: i64,
    list: String,
}

/// What the minutes say.
#[derive(Template)]
#[template(path = "overview_figures.html")]
struct Figures {
    /// When the first minute will be there, where there is none.
    first: Option<Moment>,
    until: Option<Moment>,
    numbers: Numbers,
    charts: Vec<Chart>,
    used: Vec<Used>,
}

impl HtmlSafe for Now {}
impl HtmlSafe for Figures {}

#[handler]
pub(crate) async fn show(Query(given): Query<Given>, Data(app): Data<&App>) -> Response {
    let following = Following::of(app, given);
    let owners = owners::list(app.engine.storage().reader())
        .await
        .map(|owners| owners.into_iter().map(|owner| owner.id.to_string()).collect());
    match (following.look().await, owners) {
        (Ok(seen), Ok(owners)) => html(
            StatusCode::OK,
            &Page {
                layout: Layout::new("Overview", Here::Overview, app.config.dev),
                owners,
                now: following.now(&seen),
                figures: following.figures(&seen),
                following: &following,
            },
        ),
        (Err(error), _) => no_database(&error),
        (_, Err(error)) => no_database(&of_storage(error)),
    }
}

#[handler]
pub(crate) async fn live(Query(given): Query<Given>, Data(app): Data<&App>) -> Response {
    follow(Following::of(app, given))
}

/// The counts that a follower has read, and the last minute that was counted then.
type Read = (Option<DateTime<Utc>>, Arc<Vec<Count>>);

struct Following {
    app: App,
    /// What was read last: it stays so until another minute is counted.
    read: Mutex<Option<Read>>,
    range: (&'static str, &'static str, i64, i64),
    owner: String,
}

struct Seen {
    counts: Arc<Vec<Count>>,
    until: Option<DateTime<Utc>>,
    used: Vec<Used>,
    open: Vec<(RunState, i64)>,
    oldest: Option<DateTime<Utc>>,
    stuck: Stuck,
}

impl Following {
    fn of(app: &App, given: Given) -> Self {
        let asked = RANGES.into_iter().find(|(word, ..)| *word == given.range);
        Self {
            app: app.clone(),
            read: Mutex::default(),
            range: asked.unwrap_or(RANGES[0]),
            owner: given.owner.trim().to_owned(),
        }
    }

    fn ranges(&self) -> Vec<(&'static str, &'static str, bool)> {
        let ranges = RANGES.into_iter();
        ranges
            .map(|(word, told, ..)| (word, told, word == self.range.0))
            .collect()
    }

    /// Where the live changes of this page come from.
    fn source(&self) -> String {
        let query = serde_urlencoded::to_string([("range", self.range.0), ("owner", &self.owner)]);
        format!("/overview/live?{}", query.unwrap_or_default())
    }

    /// The counts of the range, whose last minute is `until`.
    async fn counts(
        &self,
        owner: &str,
        until: Option<DateTime<Utc>>,
    ) -> Result<Arc<Vec<Count>>, StorageError> {
        let read = || self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counts)) = read().as_ref().filter(|(last, _)| *last == until) {
            return Ok(counts.clone());
        }
        let from = Utc::now() - TimeDelta::minutes(self.range.2 + 2);
        let reader = self.app.engine.storage().reader();
        let counts = minutes::since(reader, owner, from).await.map_err(of_storage)?;
        let counts = Arc::new(counts);
        *read() = Some((until, counts.clone()));
        Ok(counts)
    }

    fn asked_owner(&self) -> Option<&str> {
        Some(self.owner.as_str()).filter(|owner| !owner.is_empty())
    }

    fn now(&self, seen: &Seen) -> Now {
        let list = |line: Line| runs_like(&line.with("owner", &self.owner));
        let count = |state| {
            seen.open
                .iter()
                .find(|(of, _)| *of == state)
                .map_or(0, |(_, n)| *n)
        };
        let open = RunState::ALL.into_iter().filter(|state| !state.is_final());
        Now {
            open: open
                .map(|state| {
                    let line = Line::default().with("state", state.as_str());
                    (Mark(state), count(state), list(line))
                })
                .collect(),
            oldest: seen.oldest.map(Moment::relative),
            causes: seen
                .stuck
                .causes
                .iter()
                .take(8)
                .map(|cause| Cause {
                    class: match cause.class.as_str() {
                        "" => cause.waiting_for.clone().unwrap_or_default(),
                        class => class.to_owned(),
                    },
                    workflow: cause.workflow.clone(),
                    runs: cause.runs,
                    list: runs_like(&Line::of_cause(cause, self.asked_owner())),
                })
                .collect(),
        }
    }

    fn figures(&self, seen: &Seen) -> Figures {
        let (_, _, minutes, step) = self.range;
        let until = seen.until.map(|last| last + TimeDelta::minutes(1));
        let end = until.unwrap_or_else(Utc::now);
        let numbers = Numbers::of(&seen.counts, end, minutes, step);
        Figures {
            first: until
                .is_none()
                .then(|| Moment::local(Utc::now() + TimeDelta::minutes(1))),
            until: until.map(Moment::local),
            charts: numbers.charts(),
            numbers,
            used: seen.used.clone(),
        }
    }
}

impl Followed for Following {
    type Seen = Seen;

    async fn look(&self) -> Result<Seen, StorageError> {
        let storage = self.app.engine.storage();
        let now = Utc::now();
        let owner = self.asked_owner().unwrap_or(ALL);
        let filter = recado_engine::Filter {
            owner: self.asked_owner().map(str::to_owned),
            ..Default::default()
        };
        let reader = storage.reader();
        let until = minutes::last(reader).await.map_err(of_storage)?;
        Ok(Seen {
            counts: self.counts(owner, until).await?,
            until,
            used: minutes::used(reader, owner, now - TimeDelta::days(31))
                .await
                .map_err(of_storage)?,
            open: storage.open_runs_of(&filter).await?,
            oldest: match self.asked_owner() {
                None => storage.oldest_queued().await?,
                Some(_) => None,
            },
            stuck: storage.stuck(self.asked_owner()).await?,
        })
    }

    fn cursor(&self, seen: &Seen) -> u64 {
        cursor(&(
            seen.until,
            seen.counts.len(),
            &seen.used,
            &seen.open,
            seen.oldest,
            &seen.stuck,
        ))
    }

    fn sections(&self, seen: &Seen) -> Sections {
        Sections::from([
            ("now", self.now(seen).render().unwrap_or_default()),
            ("figures", self.figures(seen).render().unwrap_or_default()),
        ])
    }
}

impl Figures {
    fn told_until(&self) -> String {
        let until = self.until.map(|until| until.to_string()).unwrap_or_default();
        tell("Counted until {until}, a minute at a time.", &[("until", until)])
    }
}
