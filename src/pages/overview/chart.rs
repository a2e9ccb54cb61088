//! A chart of lines over time, drawn here: the page needs no script for it, and a table says the same.
use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

/// The drawing's size, and where its lines are, in its own units.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;
/// How many times are told below.
const TIMES: usize = 6;

/// A line of a chart.
pub(super) struct Series {
    name: String,
    values: Vec<Option<f64>>,
}

impl Series {
    pub(super) fn new(name: &str, values: Vec<Option<f64>>) -> Self {
        Self {
            name: name.to_owned(),
            values,
        }
    }
}

#[derive(Template)]
#[template(path = "chart.html")]
pub(super) struct Chart {
    id: &'static str,
    title: String,
    lines: Vec<Drawn>,
    /// Height and word of the lines across.
    across: Vec<(String, String)>,
    /// Place and word of the times below.
    below: Vec<(String, String)>,
    rows: Vec<(String, Vec<String>)>,
}

impl HtmlSafe for Chart {}

struct Drawn {
    name: String,
    /// What an SVG path draws.
    path: String,
}

impl Chart {
    pub(super) fn new(
        id: &'static str,
        title: &str,
        times: &[DateTime<Utc>],
        series: Vec<Series>,
        told: impl Fn(f64) -> String,
    ) -> Self {
        let values = || series.iter().flat_map(|series| series.values.iter().flatten());
        let most = nice(values().copied().fold(0.0, f64::max));
        let x = |place: usize| LEFT + (WIDTH - LEFT) * place as f64 / (times.len().max(2) - 1) as f64;
        let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / most);
        let clock = |at: &DateTime<Utc>| at.format("%H:%M").to_string();
        let step = times.len().div_ceil(TIMES).max(1);
        let rows = times.iter().enumerate().rev().filter_map(|(place, at)| {
            let told = |series: &Series| series.values.get(place).copied().flatten().map(&told);
            let cells: Vec<_> = series.iter().map(told).collect();
            // What was quiet says nothing.
            let quiet = series
                .iter()
                .all(|series| series.values.get(place).copied().flatten().unwrap_or(0.0) == 0.0);
            let cells = cells
                .into_iter()
                .map(|cell| cell.unwrap_or_else(|| "–".to_owned()));
            (!quiet).then(|| (clock(at), cells.collect()))
        });
        Self {
            id,
            title: title.to_owned(),
            rows: rows.collect(),
            across: [0.0, 0.5, 1.0]
                .map(|part| (format!("{:.1}", y(most * part)), told(most * part)))
                .to_vec(),
            below: times
                .iter()
                .enumerate()
                .step_by(step)
                .map(|(place, at)| (format!("{:.1}", x(place)), clock(at)))
                .collect(),
            lines: series
                .iter()
                .map(|series| Drawn {
                    name: series.name.clone(),
                    path: path(&series.values, &x, &y),
                })
                .collect(),
        }
    }
}

/// A line through the values; where there is none it stops, and begins again behind.
fn path(values: &[Option<f64>], x: &impl Fn(usize) -> f64, y: &impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for (place, value) in values.iter().enumerate() {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let verb = if drawing { 'L' } else { 'M' };
        path.push_str(&format!("{verb}{:.1} {:.1}", x(place), y(*value)));
        let alone = !drawing && values.get(place + 1).copied().flatten().is_none();
        if alone {
            // A single value would be no line at all.
            path.push_str("h3");
        }
        drawing = true;
    }
    path
}

/// The least of 1, 2 and 5 times a power of ten that is no less.
fn nice(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|part| part * power)
        .find(|nice| *nice >= most * 0.999_999)
        .unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_number() {
        for (most, end) in [(0.0, 1.0), (0.3, 0.5), (1.0, 1.0), (7.0, 10.0), (130.0, 200.0)] {
            assert!((nice(most) - end).abs() < 1e-9, "{most}: {}", nice(most));
        }
    }

    #[test]
    fn a_line_stops_where_nothing_is_known() {
        let drawn = path(&[Some(1.0), Some(2.0), None, Some(3.0)], &|x| x as f64, &|y| y);
        assert_eq!(drawn, "M0.0 1.0L1.0 2.0M3.0 3.0h3");
    }
}
