//! The chain of steps that a run's time went to: who is not in it could have been faster without the run being so.
use chrono::{DateTime, Utc};

use super::steps::{Item, Step};
use crate::pages::moment::between;

/// Steps of the chain that are named.
const NAMED: usize = 3;

/// The longest steps of the chain.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Chain {
    /// Name, how long, and its share of the whole in percent; the longest first.
    pub(crate) links: Vec<(String, String, i64)>,
}

impl Chain {
    /// Goes back from `end`: to the step that ended last before, from its beginning to the one that ended last before
    /// that, and so on. Marks them.
    pub(super) fn mark(items: &mut [Item], start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        let mut spans: Vec<(usize, DateTime<Utc>, DateTime<Utc>)> = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                let (from, to) = item.step()?.stretch(end)?;
                Some((index, from, to))
            })
            .collect();
        let mut chain = Vec::new();
        let mut until = end;
        loop {
            spans.retain(|(_, from, _)| *from < until);
            // Of those that end together the one that began first.
            let last = spans
                .iter()
                .max_by_key(|(_, from, to)| ((*to).min(until), std::cmp::Reverse(*from)));
            let Some((index, from, to)) = last.copied() else {
                break;
            };
            chain.push((index, to.min(until) - from));
            until = from;
        }
        for (index, _) in &chain {
            if let Item::Step(step) = &mut items[*index] {
                step.critical = true;
            }
        }
        chain.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
        let whole = (end - start).num_microseconds().unwrap_or(i64::MAX).max(1);
        let name = |step: &Step| step.name.clone();
        let links = chain.into_iter().take(NAMED).filter_map(|(index, took)| {
            let share = took.num_microseconds()?.saturating_mul(100) / whole;
            let took = between(start, start + took);
            Some((name(items[index].step()?), took, share.min(100)))
        });
        Self {
            // What takes no time worth a percent explains nothing.
            links: links.filter(|(_, _, share)| *share > 0).collect(),
        }
    }

    /// The steps in one line; nothing, if none counts.
    pub(crate) fn told(&self) -> String {
        let told = self
            .links
            .iter()
            .map(|(name, took, share)| format!("{name} {took} ({share} %)"));
        told.collect::<Vec<_>>().join(", ")
    }
}
