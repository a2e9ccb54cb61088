//! Time on paper: what takes long and is empty is shortened, and marked as such.
use chrono::{DateTime, Utc};

use crate::pages::moment::duration;

/// The share of the width that a shortened stretch keeps, in percent.
const SHORTENED: f64 = 12.0;
/// Only an empty stretch longer than this is ever shortened, in microseconds.
const LONG: i64 = 1_000_000;
/// Two labels of the axis are at least so far apart, in percent.
const APART: f64 = 16.0;

/// Maps points in time to percent of the width.
#[derive(Debug)]
pub(super) struct Scale {
    start: DateTime<Utc>,
    pieces: Vec<Piece>,
}

/// A stretch of time, in microseconds since the start, and where it lies, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    from: i64,
    to: i64,
    pub(super) left: f64,
    pub(super) right: f64,
    shortened: bool,
}

impl Piece {
    /// Whether a label at `left` would run into the one in the middle of this shortened stretch.
    fn is_labelled_near(&self, left: f64) -> bool {
        let middle = f64::midpoint(self.left, self.right);
        self.shortened && (middle - APART * 0.75..middle + APART / 2.0).contains(&left)
    }
}

impl Scale {
    /// From `start` to `end`, with something to see in each of `busy`.
    pub(super) fn new(
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        busy: impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)>,
    ) -> Self {
        let micros = |at: DateTime<Utc>| (at - start).num_microseconds().unwrap_or(i64::MAX / 2).max(0);
        let mut busy: Vec<_> = busy.map(|(from, to)| (micros(from), micros(to))).collect();
        busy.sort_unstable();
        let last = busy.iter().map(|(_, to)| *to).max().unwrap_or_default();
        let total = micros(end).max(last).max(1);
        let long = |from: i64, to: i64| to - from > (total / 3).max(LONG);

        let mut stretches = Vec::new();
        let mut seen = 0;
        for (from, to) in busy.into_iter().chain([(total, total)]) {
            if long(seen, from) {
                stretches.push((seen, from));
            }
            seen = seen.max(to);
        }
        Self {
            start,
            pieces: lay_out(total, &stretches),
        }
    }

    /// Where `at` lies, in percent.
    pub(super) fn at(&self, at: DateTime<Utc>) -> f64 {
        let micros = (at - self.start).num_microseconds().unwrap_or(i64::MAX);
        self.of(micros)
    }

    fn of(&self, micros: i64) -> f64 {
        let Some(piece) = self.pieces.iter().find(|piece| micros <= piece.to) else {
            return 100.0;
        };
        let share = (micros - piece.from).max(0) as f64 / (piece.to - piece.from).max(1) as f64;
        piece.left + share * (piece.right - piece.left)
    }

    /// The stretches that are shortened, and how long each is.
    pub(super) fn shortened(&self) -> impl Iterator<Item = (Piece, String)> {
        let pieces = self.pieces.iter().filter(|piece| piece.shortened);
        pieces.map(|piece| (*piece, duration(piece.to - piece.from)))
    }

    /// The labels of the axis: percent and text.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let drawn: i64 = self.drawn().map(|piece| piece.to - piece.from).sum();
        let step = round_step(drawn);
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for piece in self.drawn() {
            let first = (piece.from + step - 1) / step * step;
            // A piece after a gap begins with its own time, so that no gap hides how late it is.
            let begins = (piece.from > 0).then_some(piece.from);
            let marks = begins
                .into_iter()
                .chain((first..=piece.to).step_by(step as usize));
            for micros in marks {
                let left = self.of(micros).max(piece.left);
                let crowded = ticks.last().is_some_and(|(last, _)| left - last < APART)
                    || self.pieces.iter().any(|piece| piece.is_labelled_near(left));
                if !crowded && left <= 100.0 - APART / 3.0 {
                    ticks.push((left, label(micros)));
                }
            }
        }
        ticks
    }

    fn drawn(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| !piece.shortened)
    }
}

/// Places the stretches: shortened ones have a fixed width, the rest share what is left by their length.
fn lay_out(total: i64, shortened: &[(i64, i64)]) -> Vec<Piece> {
    let empty: i64 = shortened.iter().map(|(from, to)| to - from).sum();
    let per_micro = (100.0 - SHORTENED * shortened.len() as f64) / (total - empty).max(1) as f64;
    let mut pieces = Vec::new();
    let (mut micros, mut left) = (0, 0.0);
    let mut push = |from: i64, to: i64, width: f64, shortened: bool| {
        if to > from {
            pieces.push(Piece {
                from,
                to,
                left,
                right: left + width,
                shortened,
            });
            left += width;
        }
    };
    for (from, to) in shortened {
        push(micros, *from, (from - micros) as f64 * per_micro, false);
        push(*from, *to, SHORTENED, true);
        micros = *to;
    }
    push(micros, total, (total - micros) as f64 * per_micro, false);
    pieces
}

/// A step of 1, 2 or 5 times a power of ten that gives about five labels.
fn round_step(total: i64) -> i64 {
    let mut step = 1;
    loop {
        for factor in [1, 2, 5] {
            if total / (step * factor) <= 6 {
                return step * factor;
            }
        }
        step *= 10;
    }
}

fn label(micros: i64) -> String {
    match micros {
        0 => "0".to_owned(),
        1..1_000_000 if micros % 1000 == 0 => format!("{} ms", micros / 1000),
        1_000_000..60_000_000 if micros % 1_000_000 == 0 => format!("{} s", micros / 1_000_000),
        _ => duration(micros),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;

    fn scale(end: i64, busy: &[(i64, i64)]) -> Scale {
        let start = DateTime::UNIX_EPOCH;
        let at = |millis: i64| start + Duration::milliseconds(millis);
        Scale::new(start, at(end), busy.iter().map(|(from, to)| (at(*from), at(*to))))
    }

    fn percent(scale: &Scale, millis: i64) -> f64 {
        scale.at(DateTime::UNIX_EPOCH + Duration::milliseconds(millis))
    }

    #[test]
    fn a_short_run_is_drawn_true_to_scale() {
        let scale = scale(200, &[(0, 20), (150, 200)]);
        assert_eq!(percent(&scale, 50), 25.0);
        assert_eq!(percent(&scale, 200), 100.0);
        assert_eq!(scale.shortened().count(), 0);
        let labels: Vec<_> = scale.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(labels, ["0", "50 ms", "100 ms", "150 ms"]);
    }

    #[test]
    fn two_hours_of_waiting_do_not_hide_two_seconds_of_work() {
        let (hours, second) = (7_200_000, 1000);
        let scale = scale(
            hours + 2 * second,
            &[(0, second), (hours + second, hours + 2 * second)],
        );
        assert!((percent(&scale, second) - 44.0).abs() < 0.01);
        assert!((percent(&scale, hours + second) - 56.0).abs() < 0.01);
        let shortened: Vec<_> = scale.shortened().map(|(_, long)| long).collect();
        assert_eq!(shortened, ["2 h 00 min"]);
    }

    #[test]
    fn a_run_that_has_not_lasted_yet_is_drawn_too() {
        let scale = scale(0, &[]);
        assert_eq!(percent(&scale, 0), 0.0);
        assert_eq!(percent(&scale, 10), 100.0);
    }
}
