//! `/runs/{id}`: what a run does, did and waits for.
pub(super) mod acts;
mod asked;
mod facts;
mod journal;
mod seen;
mod window;

use askama::Template;
use chrono::{DateTime, Utc};
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Path, Query},
};
use recado_engine::{RunId, RunState, StorageError};

use self::{acts::Acts, asked::Asked, facts::Facts, journal::Events, seen::Seen, window::Window};
use super::{
    language::tell,
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    problem::{no_database, not_found, of_store},
    sight::Sight,
    text::short,
    time_line::{Drawing, Span, TimeLine},
};
use crate::{app::App, t};

/// Events on one page.
const WINDOW: i64 = 200;

#[derive(Template)]
#[template(path = "run.html")]
struct Page<'a> {
    layout: Layout,
    id: &'a str,
    workflow: &'a str,
    live: bool,
    asked: &'a Asked,
    sight: &'a Sight,
    facts: Facts<'a>,
    acts: Acts<'a>,
    drawing: Drawing<'a>,
    record: Record<'a>,
}

#[derive(Template)]
#[template(path = "record.html")]
struct Record<'a> {
    seen: &'a Seen,
    asked: &'a Asked,
    sight: &'a Sight,
    events: Events<'a>,
    /// The other parts of a long journal.
    parts: Vec<(&'static str, String)>,
}

fn events(count: &i64) -> String {
    tell("Journal, {n} events", &[("n", count.to_string())])
}

impl askama::filters::HtmlSafe for Record<'_> {}

#[handler]
pub(crate) async fn show(
    Path(id): Path<String>,
    Query(query): Query<asked::Query>,
    Data(app): Data<&App>,
) -> Response {
    let following = match Following::of(app, id, &query).await {
        Ok(following) => following,
        Err(error) => return no_database(&error),
    };
    let seen = match following.look().await {
        Ok(Some(seen)) => seen,
        Ok(None) => return not_found(),
        Err(error) => return no_database(&error),
    };
    let run = &seen.run;
    let page = Page {
        layout: Layout::new(
            format!("{} {}", run.workflow, short(run.id.as_str())),
            Here::Runs,
            app.config.dev,
        ),
        id: run.id.as_str(),
        workflow: &run.workflow,
        live: !run.state.is_final(),
        asked: &following.asked,
        sight: &following.sight,
        facts: Facts::of(&seen, &following.sight),
        acts: Acts::of(run, &seen.tail, &following.sight),
        drawing: following.drawing(&seen),
        record: following.record(&seen),
    };
    html(StatusCode::OK, &page)
}

#[handler]
pub(crate) async fn live(
    Path(id): Path<String>,
    Query(query): Query<asked::Query>,
    Data(app): Data<&App>,
) -> Response {
    match Following::of(app, id, &query).await {
        Ok(following) => follow(following),
        Err(error) => no_database(&error),
    }
}

/// The next lines of the journal, to be put behind those that are there.
#[handler]
pub(crate) async fn more(
    Path(id): Path<String>,
    Query(query): Query<asked::Query>,
    Data(app): Data<&App>,
) -> Response {
    let read = async {
        let Following {
            app,
            id,
            asked,
            sight,
        } = Following::of(app, id, &query).await?;
        let storage = app.engine.storage();
        let Some(run) = storage.run(&id).await? else {
            return Ok(None);
        };
        let window = Window::read(storage, &run, &asked).await?;
        Ok::<_, StorageError>(Some(Events::of(&run, &window, &asked, &sight).render()))
    };
    match read.await {
        Ok(Some(Ok(lines))) => Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(poem::http::header::CACHE_CONTROL, "no-store")
            .body(lines),
        Ok(_) => not_found(),
        Err(error) => no_database(&error),
    }
}

struct Following {
    app: App,
    id: RunId,
    asked: Asked,
    sight: Sight,
}

impl Following {
    async fn of(app: &App, id: String, query: &asked::Query) -> Result<Self, StorageError> {
        let sight = Sight::of(app, &format!("run:{id}"), &query.reveal).await;
        let sight = sight.map_err(of_store)?;
        let reveal = sight.key().map(str::to_owned);
        Ok(Self {
            app: app.clone(),
            id: RunId::from(id),
            asked: Asked {
                reveal,
                ..Asked::from(query)
            },
            sight,
        })
    }

    fn drawing(&self, seen: &Seen) -> Drawing<'_> {
        let window = &seen.window;
        let span = Span {
            begins: window.earlier().is_none(),
            ends: window.later().is_none(),
        };
        Drawing {
            time_line: TimeLine::of(&seen.run, &window.events, span, Utc::now()),
            sight: &self.sight,
            run: self.id.as_str(),
            folder: "",
        }
    }

    fn record<'a>(&'a self, seen: &'a Seen) -> Record<'a> {
        let window = &seen.window;
        let page = |after: i64| format!("/runs/{}{}#journal", self.id, self.asked.at(after).query());
        let before = window
            .earlier()
            .map(|earlier| [(t("First events"), page(0)), (t("Earlier"), page(earlier))]);
        let behind = window
            .later()
            .map(|later| [(t("Later"), page(later)), (t("Last events"), page(window.end()))]);
        Record {
            parts: before.into_iter().chain(behind).flatten().collect(),
            seen,
            asked: &self.asked,
            sight: &self.sight,
            events: Events::of(&seen.run, &seen.window, &self.asked, &self.sight),
        }
    }
}

impl Followed for Following {
    type Seen = Option<Seen>;

    async fn look(&self) -> Result<Self::Seen, StorageError> {
        Seen::look(&self.app, &self.id, &self.asked).await
    }

    fn until(&self) -> Option<DateTime<Utc>> {
        self.sight.until()
    }

    fn cursor(&self, seen: &Self::Seen) -> u64 {
        let Some(seen) = seen else {
            return 0;
        };
        let run = &seen.run;
        // While it is at work its open bar grows; while it waits, only its age does.
        let every = if run.state == RunState::Running { 1 } else { 60 };
        let tick = (!run.state.is_final()).then(|| Utc::now().timestamp() / every);
        cursor(&(
            (run.state, run.epoch, run.since, run.until),
            (&run.waiting_for, &run.error, &run.owner),
            (seen.window.count, seen.window.after),
            (&seen.links.len(), &seen.children, &seen.before, &seen.reveals),
            tick,
        ))
    }

    fn sections(&self, seen: &Self::Seen) -> Sections {
        let Some(seen) = seen else {
            return Sections::new();
        };
        let render = |part: Result<String, askama::Error>| part.unwrap_or_default();
        let mut sections = Sections::from([
            ("facts", render(Facts::of(seen, &self.sight).render())),
            (
                "acts",
                render(Acts::of(&seen.run, &seen.tail, &self.sight).render()),
            ),
        ]);
        // An earlier part of the journal changes no more, and the reader may have scrolled on in it.
        if seen.window.later().is_none() {
            sections.insert("time-line", render(self.drawing(seen).render()));
            sections.insert("record", render(self.record(seen).render()));
        }
        sections
    }

    fn is_last(&self, seen: &Self::Seen) -> bool {
        seen.as_ref().is_none_or(|seen| seen.run.state.is_final())
    }
}
