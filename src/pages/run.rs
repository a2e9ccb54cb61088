//! `/runs/{id}`: what a run does, did and waits for.
pub(super) mod acts;
mod facts;
mod journal;

use askama::Template;
use chrono::Utc;
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Path},
};
use recado_engine::{Event, Link, Run, RunId, RunState, StorageError};

use self::{acts::Acts, facts::Facts, journal::Entry};
use super::{
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    problem::{no_database, not_found},
    text::{pretty, short},
    time_line::{Line, TimeLine},
};
use crate::app::App;

#[derive(Template)]
#[template(path = "run.html")]
struct Page<'a> {
    layout: Layout,
    id: &'a str,
    workflow: &'a str,
    live: bool,
    facts: Facts<'a>,
    acts: Acts<'a>,
    drawing: Drawing,
    record: Record<'a>,
}

#[derive(Template)]
#[template(path = "time_line.html")]
struct Drawing {
    time_line: TimeLine,
}

#[derive(Template)]
#[template(path = "record.html")]
struct Record<'a> {
    run: &'a Run,
    journal: Vec<Entry>,
}

impl askama::filters::HtmlSafe for Drawing {}
impl askama::filters::HtmlSafe for Record<'_> {}

#[handler]
pub(crate) async fn show(Path(id): Path<String>, Data(app): Data<&App>) -> Response {
    let following = Following {
        app: app.clone(),
        id: RunId::from(id),
    };
    let (run, events, links) = match following.look().await {
        Ok(Some(seen)) => seen,
        Ok(None) => return not_found(),
        Err(error) => return no_database(&error),
    };
    let page = Page {
        layout: Layout::new(
            format!("{} {}", run.workflow, short(run.id.as_str())),
            Here::Runs,
            app.config.dev,
        ),
        id: run.id.as_str(),
        workflow: &run.workflow,
        live: !run.state.is_final(),
        facts: Facts::of(&run, &links),
        acts: Acts::of(&run, &events),
        drawing: Drawing {
            time_line: TimeLine::of(&run, &events, Utc::now()),
        },
        record: Record::of(&run, &events),
    };
    html(StatusCode::OK, &page)
}

#[handler]
pub(crate) async fn live(Path(id): Path<String>, Data(app): Data<&App>) -> Response {
    follow(Following {
        app: app.clone(),
        id: RunId::from(id),
    })
}

struct Following {
    app: App,
    id: RunId,
}

impl Followed for Following {
    type Seen = Option<(Run, Vec<Event>, Vec<Link>)>;

    async fn look(&self) -> Result<Self::Seen, StorageError> {
        let storage = self.app.engine.storage();
        // The run first: its journal may then be ahead of it, which the next look mends, and never behind its end.
        let Some(run) = storage.run(&self.id).await? else {
            return Ok(None);
        };
        let (events, links) = (storage.journal(&self.id).await?, storage.links(&self.id).await?);
        Ok(Some((run, events, links)))
    }

    fn cursor(&self, seen: &Self::Seen) -> u64 {
        let Some((run, events, links)) = seen else {
            return 0;
        };
        // While it is at work its open bar grows.
        let second = (run.state == RunState::Running).then(|| Utc::now().timestamp());
        cursor(&(
            run.state,
            run.epoch,
            run.since,
            run.until,
            &run.waiting_for,
            &run.error,
            &run.owner,
            events.len(),
            links.len(),
            second,
        ))
    }

    fn sections(&self, seen: &Self::Seen) -> Sections {
        let Some((run, events, links)) = seen else {
            return Sections::new();
        };
        let render = |part: Result<String, askama::Error>| part.unwrap_or_default();
        let drawing = Drawing {
            time_line: TimeLine::of(run, events, Utc::now()),
        };
        Sections::from([
            ("facts", render(Facts::of(run, links).render())),
            ("acts", render(Acts::of(run, events).render())),
            ("time-line", render(drawing.render())),
            ("record", render(Record::of(run, events).render())),
        ])
    }

    fn is_last(&self, seen: &Self::Seen) -> bool {
        seen.as_ref().is_none_or(|(run, ..)| run.state.is_final())
    }
}

impl<'a> Record<'a> {
    fn of(run: &'a Run, events: &[Event]) -> Self {
        Self {
            run,
            journal: events.iter().map(|event| Entry::of(run, event)).collect(),
        }
    }
}
