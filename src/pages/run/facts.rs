//! What stands at the top of a run's page.
use askama::{Template, filters::HtmlSafe};
use recado_engine::{Link, Run, RunState};

use crate::pages::{
    contact,
    moment::{Moment, between},
    runs::Waits,
    state::Mark,
    text::masked,
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
    error: Option<String>,
    created: Moment,
    finished: Option<Moment>,
    took: Option<String>,
    ties: Vec<Tie>,
    trace: Option<String>,
}

/// A tie to another run.
struct Tie {
    /// What the other is to this one.
    what: &'static str,
    other: String,
}

impl HtmlSafe for Facts<'_> {}

impl<'a> Facts<'a> {
    pub(super) fn of(run: &'a Run, links: &[Link]) -> Self {
        Self {
            run,
            mark: Mark(run.state),
            contact: contact::of(run),
            waits: Waits::of(run),
            key: masked(&run.key),
            lane: run.lane.as_deref().map(masked),
            error: run.error.as_deref().map(masked),
            created: Moment::relative(run.created_at),
            finished: run.finished_at.map(Moment::relative),
            took: run.finished_at.map(|finished| between(run.created_at, finished)),
            ties: links.iter().map(|link| Tie::of(run, link)).collect(),
            trace: crate::telemetry::trace_url(&run.id),
        }
    }

    fn is_parked(&self) -> bool {
        self.run.state == RunState::Parked
    }
}

impl Tie {
    fn of(run: &Run, link: &Link) -> Self {
        let (here, there) = match link.kind.as_str() {
            "merged_into" => ("Answered by", "Answers for"),
            "forked_from" => ("Forked from", "Forked as"),
            _ => ("Continues", "Continued as"),
        };
        let (what, other) = if link.run == run.id {
            (here, &link.other)
        } else {
            (there, &link.run)
        };
        Self {
            what,
            other: other.to_string(),
        }
    }
}
