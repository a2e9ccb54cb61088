//! What a measurement came to.
use serde_json::{Map, Value, json};

use super::usage::Usage;

/// The figures of one measurement.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// What was measured.
    pub(super) mode: &'static str,
    /// Which part of it, where a mode has several.
    pub(super) part: Option<String>,
    /// How many were on their way at once; absent where they began at a rate.
    pub(super) in_flight: Option<u64>,
    /// How many began a second, if that was asked for.
    pub(super) rate: Option<u64>,
    /// How many; none where nothing was counted.
    pub(super) count: u64,
    /// How long all of them took, in seconds.
    pub(super) seconds: f64,
    /// Times in milliseconds, by what they are the times of.
    pub(super) times: Vec<(&'static str, Vec<f64>)>,
    /// Commits and rows of the journal's writers.
    pub(super) journal: (f64, f64),
    /// Further figures by name, units in the name.
    pub(super) more: Vec<(String, f64)>,
    /// Processor seconds.
    pub(super) cpu: Usage,
    /// Resident memory afterwards, in MiB.
    pub(super) resident: Usage,
}

impl Figures {
    /// Figures that were taken and not measured under load.
    pub(super) fn told(mode: &'static str, part: &str, more: Vec<(String, f64)>) -> Self {
        Self {
            mode,
            part: Some(part.to_owned()),
            more,
            ..Self::default()
        }
    }

    /// The same as a part of a mode.
    pub(super) fn of_part(self, mode: &'static str, part: impl Into<String>) -> Self {
        Self {
            mode,
            part: Some(part.into()),
            ..self
        }
    }

    /// Adds a figure.
    pub(super) fn and(mut self, name: impl Into<String>, figure: f64) -> Self {
        self.more.push((name.into(), figure));
        self
    }

    /// The figures by name, in the order in which a table shows them.
    pub(super) fn named(&self) -> Vec<(String, f64)> {
        let mut named = Vec::new();
        if self.count > 0 {
            named.push(("per_second".to_owned(), self.count as f64 / self.seconds));
        }
        for (what, times) in &self.times {
            let mut sorted = times.clone();
            sorted.sort_by(f64::total_cmp);
            let prefix = if what.is_empty() {
                String::new()
            } else {
                format!("{what}_")
            };
            for (part, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
                named.push((format!("{prefix}{part}_ms"), at(&sorted, share)));
            }
        }
        if self.count > 0 {
            named.push(("commits_per_run".to_owned(), self.journal.0 / self.count as f64));
            named.push(("rows_per_run".to_owned(), self.journal.1 / self.count as f64));
        }
        named.extend(self.more.iter().cloned());
        named
    }

    /// One measurement as an object.
    pub(super) fn as_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("mode".to_owned(), json!(self.mode));
        object.insert("part".to_owned(), json!(self.part));
        object.insert("in_flight".to_owned(), json!(self.in_flight));
        object.insert("rate".to_owned(), json!(self.rate));
        object.insert("count".to_owned(), json!(self.count));
        object.extend(
            self.named()
                .into_iter()
                .map(|(name, figure)| (name, json!(rounded(figure)))),
        );
        for (name, usage) in [("cpu", &self.cpu), ("resident_mib", &self.resident)] {
            let usage = usage
                .iter()
                .map(|(name, used)| ((*name).to_owned(), json!(rounded(*used))));
            object.insert(name.to_owned(), Value::Object(usage.collect()));
        }
        Value::Object(object)
    }

    /// All measurements as tables of medians, one for each mode and part, with the least and the most where there are
    /// several.
    pub(super) fn tables(all: &[Self]) -> String {
        let mut parts: Vec<Vec<&Self>> = Vec::new();
        for figures in all {
            let same = |part: &&mut Vec<&Self>| {
                part.first()
                    .is_some_and(|first| (first.mode, &first.part) == (figures.mode, &figures.part))
            };
            match parts.iter_mut().find(same) {
                Some(part) => part.push(figures),
                None => parts.push(vec![figures]),
            }
        }
        parts
            .iter()
            .map(|part| table(part))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn table(all: &[&Figures]) -> String {
    let Some(first) = all.first() else {
        return String::new();
    };
    let mut lines = vec![head(first, all.len())];
    let named: Vec<_> = all.iter().map(|figures| figures.named()).collect();
    for (index, (name, _)) in first.named().iter().enumerate() {
        let figures = named
            .iter()
            .filter_map(|figures| figures.get(index))
            .map(|(_, figure)| *figure);
        lines.push(line(name, figures.collect()));
    }
    type Of = for<'a> fn(&'a Figures) -> &'a Usage;
    let usages: [(&str, Of); 2] = [
        ("cpu s", |figures| &figures.cpu),
        ("resident MiB", |figures| &figures.resident),
    ];
    for (what, usage) in usages {
        for name in usage(first).keys() {
            let used = all.iter().filter_map(|figures| usage(figures).get(name)).copied();
            lines.push(line(&format!("{what}, {name}"), used.collect()));
        }
    }
    lines.join("\n")
}

fn head(first: &Figures, times: usize) -> String {
    let mode = match &first.part {
        Some(part) => format!("{}, {part}", first.mode),
        None => first.mode.to_owned(),
    };
    match (first.count, first.rate, first.in_flight) {
        (0, ..) => mode,
        (count, Some(rate), _) => format!("{mode}: {times} x {count}, {rate} a second"),
        (count, None, in_flight) => {
            format!("{mode}: {times} x {count}, {} at once", in_flight.unwrap_or(1))
        }
    }
}

fn line(name: &str, mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let median = at(&figures, 0.5);
    match figures.as_slice() {
        [least, .., most] => format!("  {name:28} {median:>10.2}   ({least:.2} to {most:.2})"),
        _ => format!("  {name:28} {median:>10.2}"),
    }
}

/// The figure below which a share of `sorted` lies.
pub(super) fn at(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(seconds: f64) -> Figures {
        Figures {
            mode: "steps",
            in_flight: Some(8),
            count: 100,
            seconds,
            times: vec![("", vec![3.0, 1.0, 2.0])],
            journal: (200.0, 700.0),
            cpu: Usage::from([("postgres", 1.5)]),
            ..Figures::default()
        }
    }

    #[test]
    fn a_table_shows_the_median_between_the_least_and_the_most() {
        let tables = Figures::tables(&[measured(1.0), measured(4.0), measured(2.0)]);
        assert!(tables.contains("50.00   (25.00 to 100.00)"), "{tables}");
        assert!(tables.starts_with("steps: 3 x 100, 8 at once"), "{tables}");
        let object = measured(2.0).as_json();
        assert_eq!(object["p50_ms"], json!(2.0));
        assert_eq!(
            (&object["commits_per_run"], &object["rows_per_run"]),
            (&json!(2.0), &json!(7.0))
        );
    }

    #[test]
    fn each_part_has_a_table_of_its_own() {
        let ratio = Figures::told("growth", "ratio", vec![("list".to_owned(), 1.5)]);
        let tables = Figures::tables(&[measured(1.0), ratio, measured(2.0)]);
        assert!(tables.starts_with("steps: 2 x 100"), "{tables}");
        assert!(tables.contains("\ngrowth, ratio\n  list"), "{tables}");
    }
}
