//! The time line of a run: its steps and what befell it, drawn on one scale.
mod advice;
mod attempt;
mod bars;
mod critical;
mod scale;
mod steps;
#[cfg(test)]
mod steps_tests;

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};
use recado_engine::{Event, Run, RunState};

use self::{
    bars::Bars,
    critical::Chain,
    scale::Scale,
    steps::{Item, Note, Step},
};
use super::sight::Sight;

/// A time line on a page.
#[derive(Template)]
#[template(path = "time_line.html")]
pub(crate) struct Drawing<'a> {
    pub(crate) time_line: TimeLine,
    pub(crate) sight: &'a Sight,
    pub(crate) run: &'a str,
    /// What the ids of its elements begin with, so that there may be several on a page.
    pub(crate) folder: &'a str,
}

impl HtmlSafe for Drawing<'_> {}

/// A line of the time line.
pub(crate) enum Line {
    Step(Box<Step>, Bars),
    Note(Note),
}

/// Which part of a run the events are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// They are its first.
    pub(crate) begins: bool,
    /// They are its last.
    pub(crate) ends: bool,
}

/// All lines, and the axis above them.
pub(crate) struct TimeLine {
    pub(crate) axis: Bars,
    pub(crate) lines: Vec<Line>,
    pub(crate) chain: Chain,
}

impl TimeLine {
    /// Draws what `events` say of `run`, as it is at `now`.
    pub(crate) fn of(run: &Run, events: &[Event], span: Span, now: DateTime<Utc>) -> Self {
        let mut items = steps::read(run, events, span);
        let first = |event: &Event| event.started_at.map_or(event.at, |started| started.min(event.at));
        let start = match events.first() {
            Some(event) if !span.begins => first(event),
            _ => run.created_at,
        };
        let end = match (run.finished_at, events.last()) {
            (_, Some(last)) if !span.ends => last.at,
            (Some(finished), _) => finished,
            _ if run.state == RunState::Parked => run.since,
            _ => now,
        };
        let chain = Chain::mark(&mut items, start, end);
        let busy = items
            .iter()
            .filter_map(Item::step)
            .flat_map(|step| step.busy(end));
        let scale = Scale::new(start, end, busy);
        let marks: Vec<_> = items
            .iter()
            .filter_map(Item::note)
            .map(|note| note.mark(&scale))
            .collect();
        let axis = Bars::axis(&scale);
        let lines = items.into_iter().map(|item| match item {
            Item::Step(step) => {
                let bars = Bars::of(&step, &scale, &marks, end);
                Line::Step(step, bars)
            }
            Item::Note(note) => Line::Note(note),
        });
        Self {
            axis,
            lines: lines.collect(),
            chain,
        }
    }
}
