//! `/stuck`: what does not go on, by cause, with the act that mends it.
use askama::{Template, filters::HtmlSafe};
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Query},
};
use recado_engine::{Cause, Kind, StorageError, Stuck};
use serde::Deserialize;

use super::{
    language::tell,
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    moment::Moment,
    problem::no_database,
    runs::{batch_of, runs_like},
    text::{masked, short},
};
use crate::{app::App, line::Line, t};

/// Whose runs; everybody's, if it is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    owner: String,
}

#[derive(Template)]
#[template(path = "stuck.html")]
struct Page<'a> {
    layout: Layout,
    owner: &'a str,
    source: String,
    list: List,
}

#[derive(Template)]
#[template(path = "causes.html")]
struct List {
    sections: Vec<Section>,
    is_cut: bool,
}

impl HtmlSafe for List {}

/// The causes of one kind.
struct Section {
    kind: Kind,
    runs: i64,
    causes: Vec<Row>,
}

/// A cause as a line of the list.
struct Row {
    title: String,
    workflow: String,
    step: Option<String>,
    told: Option<String>,
    advice: &'static str,
    runs: i64,
    first: Moment,
    last: Moment,
    example: String,
    /// Where its runs are listed.
    list: String,
    /// What mends it: word and address.
    act: Option<(&'static str, String)>,
}

#[handler]
pub(crate) async fn show(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    let following = Following {
        app: app.clone(),
        asked,
    };
    let seen = match following.look().await {
        Ok(seen) => seen,
        Err(error) => return no_database(&error),
    };
    let owner = following.asked.owner.as_str();
    let query = serde_urlencoded::to_string([("owner", owner)]).unwrap_or_default();
    let page = Page {
        layout: Layout::new("Stuck", Here::Stuck, app.config.dev),
        owner,
        source: format!("/stuck/live?{query}"),
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

struct Following {
    app: App,
    asked: Asked,
}

impl Following {
    fn owner(&self) -> Option<&str> {
        Some(self.asked.owner.trim()).filter(|owner| !owner.is_empty())
    }

    fn list(&self, seen: &Stuck) -> List {
        let section = |kind| {
            let of_kind = || seen.causes.iter().filter(move |cause| cause.kind == kind);
            Section {
                kind,
                runs: of_kind().map(|cause| cause.runs).sum(),
                causes: of_kind().map(|cause| Row::of(cause, self.owner())).collect(),
            }
        };
        let sections = Kind::ALL.into_iter().map(section);
        List {
            sections: sections.filter(|section| section.runs > 0).collect(),
            is_cut: seen.is_cut,
        }
    }
}

impl Followed for Following {
    type Seen = Stuck;

    async fn look(&self) -> Result<Stuck, StorageError> {
        self.app.engine.storage().stuck(self.owner()).await
    }

    fn cursor(&self, seen: &Stuck) -> u64 {
        cursor(seen)
    }

    fn sections(&self, seen: &Stuck) -> Sections {
        Sections::from([("list", self.list(seen).render().unwrap_or_default())])
    }
}

impl Section {
    fn title(&self) -> &'static str {
        match self.kind {
            Kind::Parked => t("Cannot go on without a person"),
            Kind::Failing => t("Fails again and again"),
            Kind::Slow => t("Waits for too long"),
        }
    }
}

impl Row {
    fn of(cause: &Cause, owner: Option<&str>) -> Self {
        let line = Line::of_cause(cause, owner);
        let (what, name) = split(cause.waiting_for.as_deref().unwrap_or_default());
        let act = match (cause.kind, what) {
            (Kind::Parked, _) => Some(("Retry", batch_of("retry", &line))),
            (_, "resume") => Some(("Resume", batch_of("resume", &line))),
            _ => None,
        };
        Self {
            title: match (cause.kind, cause.class.as_str()) {
                (Kind::Slow, _) | (_, "") => waits(what, name),
                (_, class) => class.to_owned(),
            },
            workflow: cause.workflow.clone(),
            step: cause
                .step
                .clone()
                .or_else(|| Some(name.to_owned()).filter(|name| !name.is_empty())),
            told: cause.told.as_deref().map(|told| {
                let class = format!("{}: ", cause.class);
                masked(told.strip_prefix(&class).unwrap_or(told))
            }),
            advice: advice(cause.kind, what),
            runs: cause.runs,
            first: Moment::relative(cause.first),
            last: Moment::relative(cause.last),
            example: cause.example.to_string(),
            list: runs_like(&line),
            act,
        }
    }
}

impl Row {
    /// What the act on all of them is called.
    fn act_told(&self, word: &str) -> String {
        let given = [("act", t(word).to_owned()), ("n", self.runs.to_string())];
        match self.runs {
            1 => tell("{act} this one…", &given),
            _ => tell("{act} all {n}…", &given),
        }
    }
}

fn split(waiting_for: &str) -> (&str, &str) {
    waiting_for.split_once(':').unwrap_or((waiting_for, ""))
}

fn waits(what: &str, name: &str) -> String {
    match (what, name) {
        ("", _) => t("no error").to_owned(),
        ("worker", _) => t("no worker takes them").to_owned(),
        ("lane", _) => t("their turn does not come").to_owned(),
        ("resume", _) => t("paused by a person").to_owned(),
        ("activity", _) => t("at work for long").to_owned(),
        ("reconcile", name) => tell(
            "nobody can tell whether {name} happened",
            &[("name", name.to_owned())],
        ),
        (what, "") => tell("waits for {what}", &[("what", what.to_owned())]),
        (what, name) => tell("waits for {what}", &[("what", format!("{what} {name}"))]),
    }
}

/// What a person can do about it.
fn advice(kind: Kind, what: &str) -> &'static str {
    match (kind, what) {
        (Kind::Parked, _) => t("Mend what the error names, then retry them all."),
        (Kind::Failing, _) => t("They are tried again by themselves. Mend what the error names."),
        (_, "worker") => t("See under Workers whether any is alive, and under Queues whose line is long."),
        (_, "lane") => t("See under Queues which run is at the head of their lane."),
        (_, "reconcile") => t("Open one: where Twilio's console shows the message, say that it happened."),
        (_, "resume") => {
            t("Resume them when their time has come: others of the same lanes wait behind them.")
        }
        _ => t("Open one to see what it does."),
    }
}
