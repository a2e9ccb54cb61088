//! `/queues`: whose runs wait for a worker, and which lanes are held up by whom.
use askama::{Template, filters::HtmlSafe};
use poem::{Response, handler, http::StatusCode, web::Data};
use recado_engine::{Backlog, HeldLane, StorageError};

use super::{
    language::tell,
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    moment::Moment,
    problem::no_database,
    runs::{Waits, runs_like},
    state::Mark,
    text::{masked, short},
};
use crate::{app::App, line::Line};

/// The most owners, and the most lanes, on the page.
const LIMIT: u64 = 50;

#[derive(Template)]
#[template(path = "queues.html")]
struct Page {
    layout: Layout,
    owners: Owners,
    lanes: Lanes,
}

#[derive(Template)]
#[template(path = "owner_list.html")]
struct Owners {
    rows: Vec<Owner>,
    is_cut: bool,
}

#[derive(Template)]
#[template(path = "lane_list.html")]
struct Lanes {
    rows: Vec<Lane>,
    is_cut: bool,
}

impl HtmlSafe for Owners {}
impl HtmlSafe for Lanes {}

/// An owner as a line of the list.
struct Owner {
    name: Option<String>,
    queued: i64,
    running: i64,
    oldest: Option<Moment>,
    share: String,
    queued_list: String,
    running_list: String,
}

/// A lane as a line of the list.
struct Lane {
    key: String,
    waiting: i64,
    since: Moment,
    head: String,
    workflow: String,
    mark: Mark,
    waits: Option<Waits>,
}

#[handler]
pub(crate) async fn show(Data(app): Data<&App>) -> Response {
    let following = Following(app.clone());
    match following.look().await {
        Ok((backlogs, lanes)) => html(
            StatusCode::OK,
            &Page {
                layout: Layout::new("Queues", Here::Queues, app.config.dev),
                owners: Owners::of(&backlogs),
                lanes: Lanes::of(&lanes),
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

impl Followed for Following {
    type Seen = (Vec<Backlog>, Vec<HeldLane>);

    async fn look(&self) -> Result<Self::Seen, StorageError> {
        let storage = self.0.engine.storage();
        Ok((
            storage.backlogs(None, LIMIT).await?,
            storage.held_lanes(None, LIMIT).await?,
        ))
    }

    fn cursor(&self, seen: &Self::Seen) -> u64 {
        cursor(seen)
    }

    fn sections(&self, (backlogs, lanes): &Self::Seen) -> Sections {
        Sections::from([
            ("owners", Owners::of(backlogs).render().unwrap_or_default()),
            ("lanes", Lanes::of(lanes).render().unwrap_or_default()),
        ])
    }
}

impl Owners {
    fn of(backlogs: &[Backlog]) -> Self {
        Self {
            rows: backlogs.iter().map(Owner::of).collect(),
            is_cut: backlogs.len() as u64 >= LIMIT,
        }
    }
}

impl Lanes {
    fn of(lanes: &[HeldLane]) -> Self {
        Self {
            rows: lanes.iter().map(Lane::of).collect(),
            is_cut: lanes.len() as u64 >= LIMIT,
        }
    }
}

impl Owner {
    fn of(line: &Backlog) -> Self {
        let name = line.owner.as_deref().unwrap_or_default();
        let list = |state| runs_like(&Line::default().with("state", state).with("owner", name));
        Self {
            name: line.owner.clone(),
            queued: line.queued,
            running: line.running,
            oldest: line.oldest.map(Moment::relative),
            share: match line.most_running {
                Some(most) => tell(
                    "{n} a turn, {most} at a time",
                    &[("n", line.weight.to_string()), ("most", most.to_string())],
                ),
                None => tell("{n} a turn", &[("n", line.weight.to_string())]),
            },
            queued_list: list("queued"),
            running_list: list("running"),
        }
    }
}

impl Lane {
    fn of(lane: &HeldLane) -> Self {
        Self {
            key: masked(&lane.lane),
            waiting: lane.waiting,
            since: Moment::relative(lane.since),
            head: lane.head.to_string(),
            workflow: lane.workflow.clone(),
            mark: Mark(lane.state),
            waits: Waits::for_what(lane.state, lane.head_waits_for.as_deref(), lane.head_since),
        }
    }
}
