//! Prometheus's text format, as /metrics answers it.
use std::collections::{BTreeMap, BTreeSet};

/// Names and values of labels.
pub(crate) type Labels = Vec<(String, String)>;

/// What a process exports.
#[derive(Default)]
pub(crate) struct Exposition {
    kinds: BTreeMap<String, String>,
    described: BTreeSet<String>,
    /// By name, buckets and sums of histograms with their suffixes.
    samples: Vec<(String, Labels, f64)>,
}

impl Exposition {
    pub(crate) fn read(text: &str) -> Self {
        let mut read = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                read.kinds.insert(name.to_owned(), kind.to_owned());
            } else if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, told) = help.split_once(' ').unwrap();
                assert!(!told.is_empty(), "{line}");
                read.described.insert(name.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let labels = labels.trim_end_matches('}').split("\",");
                let labels = labels.filter_map(|label| label.split_once("=\""));
                let labels =
                    labels.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
                read.samples
                    .push((name.to_owned(), labels.collect(), value.parse().unwrap()));
            }
        }
        read
    }

    /// The families, with their kinds.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&str, &str)> {
        self.kinds
            .iter()
            .map(|(name, kind)| (name.as_str(), kind.as_str()))
    }

    pub(crate) fn is_described(&self, family: &str) -> bool {
        self.described.contains(family)
    }

    /// The labels of each series of a family; of a histogram those of its counts.
    pub(crate) fn series_of(&self, family: &str) -> Vec<&Labels> {
        let is_histogram = self.kinds.get(family).is_some_and(|kind| kind == "histogram");
        let name = match is_histogram {
            true => format!("{family}_count"),
            false => family.to_owned(),
        };
        let series = self.samples.iter().filter(|(found, ..)| *found == name);
        series.map(|(_, labels, _)| labels).collect()
    }

    /// The sum of the series that `wanted` takes.
    pub(crate) fn value(&self, name: &str, wanted: impl Fn(&Labels) -> bool) -> f64 {
        let series = self
            .samples
            .iter()
            .filter(|(found, labels, _)| found == name && wanted(labels));
        series.map(|(_, _, value)| value).sum()
    }
}
