//! What a measurement came to.
use serde_json::{Map, Value, json};

use super::cpu::Cpu;

/// The figures of one measurement.
#[derive(Debug)]
pub(super) struct Figures {
    /// What was measured.
    pub(super) mode: &'static str,
    /// How many were on their way at once; absent where they began at a rate.
    pub(super) in_flight: Option<u64>,
    /// How many began a second, if that was asked for.
    pub(super) rate: Option<u64>,
    /// How many.
    pub(super) count: u64,
    /// How long all of them took, in seconds.
    pub(super) seconds: f64,
    /// Times in milliseconds, by what they are the times of.
    pub(super) times: Vec<(&'static str, Vec<f64>)>,
    /// Commits and rows of the journal's writers.
    pub(super) journal: (f64, f64),
    /// Processor seconds.
    pub(super) cpu: Cpu,
}

impl Figures {
    /// The figures by name, in the order in which a table shows them.
    fn named(&self) -> Vec<(String, f64)> {
        let each = |total: f64| total / self.count as f64;
        let mut named = vec![("per_second".to_owned(), self.count as f64 / self.seconds)];
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
        named.push(("commits_per_run".to_owned(), each(self.journal.0)));
        named.push(("rows_per_run".to_owned(), each(self.journal.1)));
        named
    }

    /// One measurement as an object.
    pub(super) fn as_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("mode".to_owned(), json!(self.mode));
        object.insert("in_flight".to_owned(), json!(self.in_flight));
        object.insert("rate".to_owned(), json!(self.rate));
        object.insert("count".to_owned(), json!(self.count));
        object.extend(
            self.named()
                .into_iter()
                .map(|(name, figure)| (name, json!(rounded(figure)))),
        );
        let cpu = self
            .cpu
            .iter()
            .map(|(name, seconds)| ((*name).to_owned(), json!(rounded(*seconds))));
        object.insert("cpu".to_owned(), Value::Object(cpu.collect()));
        Value::Object(object)
    }

    /// All measurements as a table of medians, with the least and the most where there are several.
    pub(super) fn table(all: &[Self]) -> String {
        let Some(first) = all.first() else {
            return String::new();
        };
        let how = match (first.in_flight, first.rate) {
            (_, Some(rate)) => format!("{rate} a second"),
            (in_flight, _) => format!("{} at once", in_flight.unwrap_or(1)),
        };
        let mut lines = vec![format!("{}: {} x {}, {how}", first.mode, all.len(), first.count)];
        let named: Vec<_> = all.iter().map(Self::named).collect();
        for (index, (name, _)) in first.named().iter().enumerate() {
            let figures = named
                .iter()
                .filter_map(|figures| figures.get(index))
                .map(|(_, figure)| *figure);
            lines.push(line(name, figures.collect()));
        }
        for name in first.cpu.keys() {
            let seconds = all.iter().filter_map(|figures| figures.cpu.get(name)).copied();
            lines.push(line(&format!("cpu s, {name}"), seconds.collect()));
        }
        lines.join("\n")
    }
}

fn line(name: &str, mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let median = at(&figures, 0.5);
    match figures.as_slice() {
        [least, .., most] => format!("  {name:24} {median:>10.2}   ({least:.2} to {most:.2})"),
        _ => format!("  {name:24} {median:>10.2}"),
    }
}

/// The figure below which a share of `sorted` lies.
fn at(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_the_median_between_the_least_and_the_most() {
        let measured = |seconds| Figures {
            mode: "steps",
            in_flight: Some(8),
            rate: None,
            count: 100,
            seconds,
            times: vec![("", vec![3.0, 1.0, 2.0])],
            journal: (200.0, 700.0),
            cpu: Cpu::from([("postgres", 1.5)]),
        };
        let table = Figures::table(&[measured(1.0), measured(4.0), measured(2.0)]);
        assert!(table.contains("50.00   (25.00 to 100.00)"), "{table}");
        assert!(table.starts_with("steps: 3 x 100, 8 at once"), "{table}");
        let object = measured(2.0).as_json();
        assert_eq!(object["p50_ms"], json!(2.0));
        assert_eq!(
            (&object["commits_per_run"], &object["rows_per_run"]),
            (&json!(2.0), &json!(7.0))
        );
    }
}
