//! `/communications/batch/{run}`: what became of each message of a batch.
use askama::{Template, filters::HtmlSafe};
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Form, Path, Query},
};
use recado_domain::{Address, OwnerId};
use recado_engine::{Run, RunId, StorageError, Workflow};
use recado_workflows::{BatchReport, BatchRow, RowReport, SendBatch};
use serde::Deserialize;

use super::super::owner;
use crate::{
    app::App,
    pages::{
        language::tell,
        layout::{Here, Layout, html},
        live::{Followed, Sections, cursor, follow},
        problem::{no_database, not_found, of_store},
        reveal,
        sight::Sight,
    },
};

/// Whose, and whether it is revealed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    owner: String,
    reveal: String,
}

#[derive(Template)]
#[template(path = "communications_batch_result.html")]
struct Page<'a> {
    layout: Layout,
    run: &'a Run,
    asked: &'a Asked,
    sight: &'a Sight,
    source: String,
    state: State,
}

/// What changes while one looks.
#[derive(Template)]
#[template(path = "communications_batch_state.html")]
struct State {
    is_over: bool,
    /// How many of how many went; where the run was ended before it knew, nothing is known.
    summary: Option<String>,
    rows: Vec<Row>,
}

impl HtmlSafe for State {}

/// A message as a line.
struct Row {
    n: u32,
    to: String,
    body: String,
    status: String,
    class: &'static str,
    told: Option<String>,
    run: Option<String>,
}

#[handler]
pub(crate) async fn show(
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    Data(app): Data<&App>,
) -> Response {
    let following = match Following::of(app, id, asked).await {
        Ok(following) => following,
        Err(error) => return no_database(&error),
    };
    let run = match following.look().await {
        Ok(Some(run)) => run,
        Ok(None) => return not_found(),
        Err(error) => return no_database(&error),
    };
    let Asked { owner, reveal } = &following.asked;
    let query = serde_urlencoded::to_string([("owner", owner), ("reveal", reveal)]).unwrap_or_default();
    let page = Page {
        layout: Layout::new("Write to several", Here::Communications, app.config.dev),
        source: format!("/communications/batch/{}/live?{query}", run.id),
        state: State::of(&run, &following.sight),
        run: &run,
        asked: &following.asked,
        sight: &following.sight,
    };
    html(StatusCode::OK, &page)
}

#[handler]
pub(crate) async fn live(
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    Data(app): Data<&App>,
) -> Response {
    match Following::of(app, id, asked).await {
        Ok(following) => follow(following),
        Err(error) => no_database(&error),
    }
}

/// Shows the texts and numbers, and writes down that they were seen.
#[handler]
pub(crate) async fn show_whole(
    Path(id): Path<String>,
    Form(asked): Form<Asked>,
    Data(app): Data<&App>,
) -> Response {
    let back = serde_urlencoded::to_string([("owner", &asked.owner)]).unwrap_or_default();
    let following = match Following::of(app, id, asked).await {
        Ok(following) => following,
        Err(error) => return no_database(&error),
    };
    match following.look().await {
        Ok(Some(run)) => {
            let page = format!("/communications/batch/{}", run.id);
            let subject = subject(&run.id);
            reveal::reveal(app, Some(following.owner.as_str()), subject, &page, &back).await
        }
        Ok(None) => not_found(),
        Err(error) => no_database(&error),
    }
}

/// What is revealed, as the audit names it: it is what the run's own page shows.
fn subject(id: &RunId) -> String {
    format!("run:{id}")
}

struct Following {
    app: App,
    owner: OwnerId,
    id: RunId,
    asked: Asked,
    sight: Sight,
}

impl Following {
    async fn of(app: &App, id: String, asked: Asked) -> Result<Self, StorageError> {
        let id = RunId::from(id);
        let sight = Sight::of(app, &subject(&id), &asked.reveal).await;
        Ok(Self {
            app: app.clone(),
            owner: owner(&asked.owner),
            sight: sight.map_err(of_store)?,
            id,
            asked,
        })
    }
}

impl Followed for Following {
    /// `None` where the owner has no such batch.
    type Seen = Option<Run>;

    async fn look(&self) -> Result<Option<Run>, StorageError> {
        let found = self.app.engine.storage().run(&self.id).await?;
        Ok(found.filter(|run| {
            run.workflow == SendBatch::NAME && run.owner.as_deref() == Some(self.owner.as_str())
        }))
    }

    fn cursor(&self, seen: &Option<Run>) -> u64 {
        cursor(&seen.as_ref().map(|run| run.state))
    }

    fn sections(&self, seen: &Option<Run>) -> Sections {
        let state = seen.as_ref().map(|run| State::of(run, &self.sight));
        let rendered = state.and_then(|state| state.render().ok());
        Sections::from([("state", rendered.unwrap_or_default())])
    }

    fn until(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        self.sight.until()
    }

    fn is_last(&self, seen: &Option<Run>) -> bool {
        seen.as_ref().is_none_or(|run| run.state.is_final())
    }
}

impl State {
    fn of(run: &Run, sight: &Sight) -> Self {
        let batch: Option<SendBatch> = serde_json::from_value(run.input.clone()).ok();
        let asked = batch.map(|batch| batch.rows).unwrap_or_default();
        let report = run
            .output
            .clone()
            .and_then(|output| serde_json::from_value(output).ok());
        let report: Option<BatchReport> = report;
        let told = report.as_ref().map(|report| {
            let counts = [("sent", report.success), ("total", report.total)];
            tell(
                "{sent} of {total} sent",
                &counts.map(|(name, count)| (name, count.to_string())),
            )
        });
        let mut details = report
            .map(|report| report.details)
            .unwrap_or_default()
            .into_iter();
        let rows = (1..).zip(asked);
        Self {
            is_over: run.state.is_final(),
            summary: told,
            rows: rows
                .map(|(n, row)| Row::of(n, row, details.next(), sight))
                .collect(),
        }
    }
}

impl Row {
    fn of(n: u32, asked: BatchRow, became: Option<RowReport>, sight: &Sight) -> Self {
        let (to, body) = match asked {
            BatchRow::Good(message) => (message.to.to_twilio(), message.body),
            BatchRow::Bad { to, .. } => (to, String::new()),
        };
        let (status, error, run) = match became {
            Some(row) => (row.status, row.error, row.run),
            None => ("queued".to_owned(), None, None),
        };
        Self {
            n,
            to: match Address::parse(&to) {
                Ok(address) if !sight.is_whole() => address.masked(),
                _ => sight.said(&to),
            },
            body: sight.said(&body),
            class: match status.as_str() {
                "failed" | "unknown" => "failed",
                "queued" if run.is_none() => "queued",
                _ => "completed",
            },
            status,
            told: error.map(|error| {
                let code = error.code.map(|code| format!("{code}: ")).unwrap_or_default();
                sight.told(&format!("{code}{}", error.message))
            }),
            run,
        }
    }
}
