//! Classes of errors as labels of metrics. Whoever writes an activity invents them, and a vendor's code may be in
//! them, so how many a process tells apart is bounded.
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// So many; any other is counted as [`OTHER`].
const MOST: usize = 100;
const OTHER: &str = "other";

/// The classes that this process has seen.
#[derive(Default)]
struct Seen(BTreeSet<String>);

impl Seen {
    fn label(&mut self, class: &str) -> String {
        if !self.0.contains(class) {
            if self.0.len() >= MOST {
                return OTHER.to_owned();
            }
            self.0.insert(class.to_owned());
        }
        class.to_owned()
    }
}

/// The label of a class.
pub(crate) fn label(class: &str) -> String {
    static SEEN: Mutex<Seen> = Mutex::new(Seen(BTreeSet::new()));
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).label(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_endless_classes_the_first_hundred_are_told_apart() {
        let mut seen = Seen::default();
        let labels: BTreeSet<_> = (0..1000).map(|n| seen.label(&format!("twilio_{n}"))).collect();
        assert_eq!(labels.len(), MOST + 1);
        assert_eq!(seen.label("twilio_7"), "twilio_7");
        assert_eq!(seen.label("twilio_777"), OTHER);
    }
}
