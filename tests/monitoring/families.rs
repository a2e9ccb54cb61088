//! The table of docs/METRICS.md.
use std::collections::BTreeSet;

use super::exposition::Labels;

/// A process that has a family from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Front,
    Worker,
}

/// A row of the table.
pub(crate) struct Documented {
    pub(crate) name: String,
    pub(crate) kind: String,
    labels: Vec<Label>,
    owner: String,
}

struct Label {
    name: String,
    /// What it can say, where that is a list of words.
    words: Option<BTreeSet<String>>,
}

impl Documented {
    pub(crate) fn all(document: &str) -> Vec<Self> {
        let rows = document.lines().filter(|line| line.starts_with("| `"));
        let rows: Vec<_> = rows.map(Self::read).collect();
        assert!(!rows.is_empty());
        rows
    }

    fn read(row: &str) -> Self {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, name, kind, _unit, labels, owner, meaning, _] = cells[..] else {
            panic!("{row}");
        };
        assert!(!meaning.is_empty(), "{row}");
        let labels = labels.split("; ").filter(|label| !label.is_empty());
        Self {
            name: name.trim_matches('`').to_owned(),
            kind: kind.to_owned(),
            labels: labels.map(Label::read).collect(),
            owner: owner.to_owned(),
        }
    }

    pub(crate) fn is_had_by(&self, owner: Owner) -> bool {
        match owner {
            Owner::Front => self.owner == "every" || self.owner == "front end",
            Owner::Worker => self.owner == "every" || self.owner == "worker",
        }
    }

    /// Asserts that a series has the labels that are told, and that they say what they may.
    #[track_caller]
    pub(crate) fn check(&self, series: &Labels) {
        let told: BTreeSet<_> = self.labels.iter().map(|label| label.name.as_str()).collect();
        let found: BTreeSet<_> = series.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, told, "{}", self.name);
        for (name, value) in series {
            let label = self.labels.iter().find(|label| label.name == *name);
            if let Some(words) = label.and_then(|label| label.words.as_ref()) {
                assert!(words.contains(value), "{}: {name} says {value}", self.name);
            }
            let digits = value.chars().filter(char::is_ascii_digit).count();
            assert!(digits <= 5, "{}: {name} holds a number: {value}", self.name);
        }
    }
}

impl Label {
    /// `` `name` ``, or `` `name`: `word`, `word` ``, or `` `name`: and some prose ``.
    fn read(cell: &str) -> Self {
        let (name, told) = cell.split_once(": ").unwrap_or((cell, ""));
        let words = told
            .split(", ")
            .map(|word| word.strip_prefix('`')?.strip_suffix('`'));
        Self {
            name: name.trim_matches('`').to_owned(),
            words: words.map(|word| word.map(str::to_owned)).collect(),
        }
    }
}
