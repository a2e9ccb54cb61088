//! `/workers`: who is alive, and what each has in hand.
use askama::{Template, filters::HtmlSafe};
use poem::{Response, handler, http::StatusCode, web::Data};
use recado_engine::{StorageError, Worker};

use super::{
    language::tell,
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    moment::Moment,
    problem::no_database,
    runs::runs_like,
};
use crate::{app::App, line::Line};

#[derive(Template)]
#[template(path = "workers.html")]
struct Page {
    layout: Layout,
    list: List,
}

#[derive(Template)]
#[template(path = "worker_list.html")]
struct List {
    rows: Vec<Row>,
    alive: usize,
    runs: i64,
}

impl HtmlSafe for List {}

impl List {
    fn summary(&self) -> String {
        let given = [("alive", self.alive.to_string()), ("runs", self.runs.to_string())];
        tell("{alive} alive, runs in hand: {runs}", &given)
    }
}

/// A worker as a line of the list.
struct Row {
    id: String,
    build: String,
    alive: bool,
    started: Moment,
    heartbeat: Moment,
    runs: i64,
    list: String,
}

#[handler]
pub(crate) async fn show(Data(app): Data<&App>) -> Response {
    let following = Following(app.clone());
    match following.look().await {
        Ok(seen) => html(
            StatusCode::OK,
            &Page {
                layout: Layout::new("Workers", Here::Workers, app.config.dev),
                list: following.list(&seen),
            },
        ),
        Err(error) => no_database(&error),
    }
}

#[handler]
pub(crate) async fn live(Data(app): Data<&App>) -> Response {
    follow(Following(app.clone()))
}

struct Following(App);

impl Following {
    fn is_alive(&self, worker: &Worker) -> bool {
        worker.is_alive(self.0.engine.settings().lease)
    }

    fn list(&self, seen: &[Worker]) -> List {
        List {
            rows: seen
                .iter()
                .map(|worker| Row::of(worker, self.is_alive(worker)))
                .collect(),
            alive: seen.iter().filter(|worker| self.is_alive(worker)).count(),
            runs: seen.iter().map(|worker| worker.runs).sum(),
        }
    }
}

impl Followed for Following {
    type Seen = Vec<Worker>;

    async fn look(&self) -> Result<Vec<Worker>, StorageError> {
        self.0.engine.storage().workers().await
    }

    fn cursor(&self, seen: &Vec<Worker>) -> u64 {
        let of_each = |worker: &Worker| {
            (
                worker.id.clone(),
                worker.heartbeat_at,
                worker.runs,
                self.is_alive(worker),
            )
        };
        cursor(&seen.iter().map(of_each).collect::<Vec<_>>())
    }

    fn sections(&self, seen: &Vec<Worker>) -> Sections {
        Sections::from([("list", self.list(seen).render().unwrap_or_default())])
    }
}

impl Row {
    fn of(worker: &Worker, alive: bool) -> Self {
        let line = Line::default()
            .with("state", "running")
            .with("worker", &worker.id);
        Self {
            id: worker.id.clone(),
            build: worker.build.clone(),
            alive,
            started: Moment::relative(worker.started_at),
            heartbeat: Moment::relative(worker.heartbeat_at),
            runs: worker.runs,
            list: runs_like(&line),
        }
    }
}
