//! The drawing of one line. Everything is an attribute of an SVG, because our pages forbid styles inside them.
use std::borrow::Borrow;

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{attempt::Fate, scale::Scale, steps::Step};
use crate::pages::moment::between;

/// The narrowest bar that can be seen, in percent.
const NARROW: f64 = 0.6;

/// What is drawn on one line; lengths in percent.
#[derive(Debug, Default, Template)]
#[template(path = "bars.html")]
pub(crate) struct Bars {
    bars: Vec<Bar>,
    waits: Vec<Wait>,
    shortened: Vec<Shortened>,
    ticks: Vec<Tick>,
    marks: Vec<Mark>,
    is_axis: bool,
}

impl HtmlSafe for Bars {}

#[derive(Debug)]
struct Bar {
    left: f64,
    width: f64,
    fate: Fate,
    title: String,
}

#[derive(Debug)]
struct Wait {
    left: f64,
    right: f64,
}

#[derive(Debug)]
struct Shortened {
    left: f64,
    right: f64,
    long: String,
}

/// Something that befell the run, drawn through every line.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) left: f64,
    pub(super) class: &'static str,
}

#[derive(Debug)]
struct Tick {
    left: f64,
    text: String,
}

impl Bars {
    pub(super) fn axis(scale: &Scale) -> Self {
        let ticks = scale.ticks().into_iter().map(|(left, text)| Tick { left, text });
        Self {
            ticks: ticks.collect(),
            shortened: shortened(scale),
            is_axis: true,
            ..Self::default()
        }
    }

    pub(super) fn of(step: &Step, scale: &Scale, marks: &[Mark], end: DateTime<Utc>) -> Self {
        let bar = |from: DateTime<Utc>, to: DateTime<Utc>, fate: Fate, title: String| {
            let left = scale.at(from).min(100.0 - NARROW);
            Bar {
                left,
                width: (scale.at(to) - left).max(NARROW),
                fate,
                title,
            }
        };
        let attempts = step.attempts.iter().map(|attempt| {
            let to = attempt.ended.unwrap_or(end);
            let (number, word) = (attempt.number, attempt.fate.word());
            let title = format!("attempt {number}: {word}, {}", between(attempt.started, to));
            bar(attempt.started, to, attempt.fate, title)
        });
        let found = step.attempts.iter().filter_map(|attempt| {
            let (at, what) = attempt.found?;
            Some(bar(at, at, Fate::Succeeded, format!("found out: {what}")))
        });
        // A step without attempts is done in the moment in which its wait is over.
        let moment = step
            .waits
            .iter()
            .filter(|_| step.attempts.is_empty())
            .filter_map(|(_, to)| *to);
        let moment = moment.map(|at| bar(at, at, Fate::Succeeded, "done".to_owned()));
        let looked = step
            .attempts
            .iter()
            .filter_map(|attempt| Some((attempt.ended?, Some(attempt.found?.0))));
        let waits = step.waits.iter().copied().chain(looked);
        let waits = waits.map(|(from, to)| Wait {
            left: scale.at(from),
            right: scale.at(to.unwrap_or(end)),
        });
        Self {
            bars: attempts.chain(found).chain(moment).collect(),
            waits: waits.collect(),
            shortened: shortened(scale),
            marks: marks.to_vec(),
            ..Self::default()
        }
    }
}

fn shortened(scale: &Scale) -> Vec<Shortened> {
    let shortened = scale.shortened();
    shortened
        .map(|(piece, long)| Shortened {
            left: piece.left,
            right: piece.right,
            long,
        })
        .collect()
}

/// The template hands fields by reference and sums by value.
fn percent(value: impl Borrow<f64>) -> String {
    format!("{:.2}%", value.borrow())
}

fn middle(left: &f64, right: &f64) -> String {
    percent(f64::midpoint(*left, *right))
}
