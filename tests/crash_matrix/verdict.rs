//! What must not be, counted.
use std::{collections::BTreeMap, fmt};

/// What a cell came to. All zero is green.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Acknowledged, and never done.
    pub(crate) lost: usize,
    /// Done more than once, or though it was cancelled.
    pub(crate) doubled: usize,
    /// Done before what comes first.
    pub(crate) reordered: usize,
    /// Runs that did not end by themselves.
    pub(crate) stuck: usize,
    /// Anything else that must not be: gaps in a journal, places left behind in a lane, books that differ.
    pub(crate) other: usize,
}

impl Counts {
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn add(&mut self, more: &Self) {
        self.lost += more.lost;
        self.doubled += more.doubled;
        self.reordered += more.reordered;
        self.stuck += more.stuck;
        self.other += more.other;
    }

    /// What was `done`, in order, against what was to be done, in order. Something done twice is judged where it was
    /// done first.
    pub(crate) fn of(expected: &[String], done: &[String]) -> Self {
        let mut counts = Self::default();
        let place: BTreeMap<&String, usize> = expected.iter().zip(0..).collect();
        let (mut times, mut latest) = (vec![0_usize; expected.len()], 0);
        for what in done {
            let Some(&index) = place.get(what) else {
                counts.other += 1;
                continue;
            };
            times[index] += 1;
            if times[index] > 1 {
                continue;
            }
            counts.reordered += usize::from(index < latest);
            latest = latest.max(index);
        }
        counts.lost = times.iter().filter(|times| **times == 0).count();
        counts.doubled = times.iter().map(|times| times.saturating_sub(1)).sum();
        counts
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("reordered", self.reordered),
            ("stuck", self.stuck),
            ("other", self.other),
        ];
        let words = words.iter().filter(|(_, count)| *count > 0);
        let words: Vec<_> = words.map(|(word, count)| format!("{count} {word}")).collect();
        f.write_str(&words.join(", "))
    }
}

/// The numbers of the messages that an answer lists: an answer may cover several.
pub(crate) fn numbers(answer: &str) -> Vec<String> {
    let digits = |rest: &str| -> String { rest.chars().take_while(char::is_ascii_digit).collect() };
    answer
        .split('#')
        .skip(1)
        .map(digits)
        .filter(|number| !number.is_empty())
        .collect()
}

/// The counting itself must be able to fail.
///
/// # Panics
/// When it cannot.
pub(crate) fn check_counting() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let of = |done: &[&str]| Counts::of(&words(&["1", "2", "3"]), &words(done));
    assert!(of(&["1", "2", "3"]).is_zero());
    assert_eq!(of(&["1", "3"]).lost, 1);
    assert_eq!(of(&["1", "2", "2", "3"]).doubled, 1);
    assert_eq!(of(&["2", "1", "3"]).reordered, 1);
    assert_eq!(of(&["1", "2", "3", "4"]).other, 1);
    assert_eq!(numbers("you said: pedido #1\npedido #23"), ["1", "23"]);
}
