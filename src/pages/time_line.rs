//! The time line of a run: its steps and what befell it, drawn on one scale.
mod attempt;
mod bars;
mod scale;
mod steps;
#[cfg(test)]
mod steps_tests;

use chrono::{DateTime, Utc};
use recado_engine::{Event, Run, RunState};

use self::{
    bars::Bars,
    scale::Scale,
    steps::{Item, Note, Step},
};

/// A line of the time line.
pub(crate) enum Line {
    Step(Box<Step>, Bars),
    Note(Note),
}

/// All lines, and the axis above them.
pub(crate) struct TimeLine {
    pub(crate) axis: Bars,
    pub(crate) lines: Vec<Line>,
}

impl TimeLine {
    /// Draws what `events` say of `run`, as it is at `now`.
    pub(crate) fn of(run: &Run, events: &[Event], now: DateTime<Utc>) -> Self {
        let items = steps::read(run, events);
        let end = match run.finished_at {
            Some(finished) => finished,
            None if run.state == RunState::Parked => run.since,
            None => now,
        };
        let busy = items
            .iter()
            .filter_map(Item::step)
            .flat_map(|step| step.busy(end));
        let scale = Scale::new(run.created_at, end, busy);
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
        }
    }
}
