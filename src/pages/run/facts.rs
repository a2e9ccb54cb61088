//! What stands at the top of a run's page.
use askama::{Template, filters::HtmlSafe};
use chrono::Utc;
use recado_engine::{Link, Run, RunState};

use super::seen::{CHILDREN, Seen};
use crate::{
    line::Line,
    pages::{
        contact,
        language::tell,
        moment::{Moment, between},
        runs::{Waits, runs_like},
        sight::Sight,
        state::Mark,
    },
    t,
};

#[derive(Template)]
#[template(path = "facts.html")]
pub(super) struct Facts<'a> {
    run: &'a Run,
    mark: Mark,
    contact: Option<String>,
    waits: Option<Waits>,
    key: String,
    lane: Option<String>,
    place: Option<String>,
    head: Option<String>,
    error: Option<String>,
    created: Moment,
    finished: Option<Moment>,
    took: String,
    conversation: Option<(&'a str, &'a str)>,
    ties: Vec<Tie>,
    trace: Option<String>,
    /// Where all of its children are listed, if it has any.
    children: Option<String>,
    revealed: Option<(usize, Moment)>,
}

/// A tie to another run.
struct Tie {
    /// What the other is to this one.
    what: &'static str,
    other: String,
    /// Where the other stands, where that is known.
    mark: Option<Mark>,
}

impl HtmlSafe for Facts<'_> {}

impl<'a> Facts<'a> {
    pub(super) fn of(seen: &'a Seen, sight: &Sight) -> Self {
        let run = &seen.run;
        let parent = run.parent.iter().map(|parent| Tie {
            what: t("Started by"),
            other: parent.to_string(),
            mark: None,
        });
        let children = seen.children.iter().take(CHILDREN as usize).map(|child| Tie {
            what: t("Child run"),
            other: child.id.to_string(),
            mark: Some(Mark(child.state)),
        });
        let links = seen.links.iter().map(|link| Tie::of(run, link));
        let waiting = !run.state.is_final() && run.state != RunState::Parked;
        Self {
            run,
            mark: Mark(run.state),
            contact: contact::of(run),
            waits: Waits::of(run),
            key: sight.told(&run.key),
            lane: run.lane.as_deref().map(|lane| sight.told(lane)),
            place: run.place.filter(|_| waiting).map(|_| match &seen.before {
                Some(before) => tell("{n} before it", &[("n", before.runs.to_string())]),
                None => t("it is the head").to_owned(),
            }),
            head: seen.before.as_ref().map(|before| before.head.to_string()),
            error: run.error.as_deref().map(|error| sight.told(error)),
            created: Moment::relative(run.created_at),
            finished: run.finished_at.map(Moment::relative),
            took: between(run.created_at, run.finished_at.unwrap_or_else(Utc::now)),
            conversation: seen.conversation().zip(run.owner.as_deref()),
            ties: parent.chain(links).chain(children).collect(),
            trace: crate::telemetry::trace_url(&run.id),
            children: (!seen.children.is_empty())
                .then(|| runs_like(&Line::default().with("parent", run.id.as_str()))),
            revealed: seen
                .reveals
                .first()
                .map(|last| (seen.reveals.len(), Moment::relative(last.at))),
        }
    }

    fn is_parked(&self) -> bool {
        self.run.state == RunState::Parked
    }
}

impl Tie {
    fn of(run: &Run, link: &Link) -> Self {
        let (here, there) = match link.kind.as_str() {
            "merged_into" => (t("Answered by"), t("Answers for")),
            "forked_from" => (t("Forked from"), t("Forked as")),
            _ => (t("Continues"), t("Continued as")),
        };
        let (what, other) = if link.run == run.id {
            (here, &link.other)
        } else {
            (there, &link.run)
        };
        Self {
            what,
            other: other.to_string(),
            mark: None,
        }
    }
}
