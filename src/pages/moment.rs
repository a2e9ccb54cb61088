//! Points in time and durations, as a person reads them.
use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

/// A point in time. It is exact without script, which turns it into "12 s ago" or local time.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<time datetime="{{ iso() }}" data-show="{{ show }}" title="{{ exact() }}">{{ clock() }}</time>"#
)]
pub(crate) struct Moment {
    at: DateTime<Utc>,
    show: &'static str,
}

impl HtmlSafe for Moment {}

impl Moment {
    /// How long ago, or in how long.
    pub(crate) fn relative(at: DateTime<Utc>) -> Self {
        Self { at, show: "relative" }
    }

    /// The hour and minute on the reader's own clock.
    pub(crate) fn local(at: DateTime<Utc>) -> Self {
        Self { at, show: "local" }
    }

    fn iso(&self) -> String {
        self.at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    fn exact(&self) -> String {
        self.at.format("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
    }

    fn clock(&self) -> String {
        self.at.format("%b %-d, %H:%M:%S UTC").to_string()
    }
}

/// From `start` to `end`, in the two units that matter; never negative.
pub(crate) fn between(start: DateTime<Utc>, end: DateTime<Utc>) -> String {
    duration((end - start).num_microseconds().unwrap_or(i64::MAX))
}

/// A number of microseconds, in the two units that matter; never negative.
pub(crate) fn duration(micros: i64) -> String {
    let micros = micros.max(0);
    let (millis, seconds) = (micros as f64 / 1e3, micros / 1_000_000);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match micros {
        0 => "0 ms".to_owned(),
        1..100 => "< 0.1 ms".to_owned(),
        100..10_000 => format!("{millis:.1} ms"),
        10_000..1_000_000 => format!("{millis:.0} ms"),
        1_000_000..60_000_000 => format!("{:.1} s", millis / 1e3),
        _ if minutes < 60 => format!("{minutes} min {:02} s", seconds % 60),
        _ if hours < 48 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// How long something plays, as players write it: `0:42`, `1:02:05`.
pub(crate) fn played(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_the_units_that_matter() {
        for (micros, text) in [
            (-5, "0 ms"),
            (7, "< 0.1 ms"),
            (1_240, "1.2 ms"),
            (340_000, "340 ms"),
            (1_250_000, "1.2 s"),
            (125_000_000, "2 min 05 s"),
            (7_500_000_000, "2 h 05 min"),
            (200_000_000_000, "2 d 7 h"),
        ] {
            assert_eq!(duration(micros), text);
        }
    }

    #[test]
    fn what_is_played_reads_as_in_a_player() {
        assert_eq!(
            [0, 42, 605, 3725].map(played),
            ["0:00", "0:42", "10:05", "1:02:05"]
        );
    }
}
