//! What stands at the top of a run's page.
use askama::{Template, filters::HtmlSafe};
use recado_engine::{Run, RunState};

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
}

impl HtmlSafe for Facts<'_> {}

impl<'a> Facts<'a> {
    pub(super) fn of(run: &'a Run) -> Self {
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
        }
    }

    fn is_parked(&self) -> bool {
        self.run.state == RunState::Parked
    }
}
