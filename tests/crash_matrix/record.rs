//! Which cells there are: the points that a scenario passes when nothing dies.
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    attempt::Order,
    jobs::{Job, try_out},
    options::Options,
    plan::{Fate, Mutant, Row, Scenario},
};

/// The cells of some rows.
#[derive(Default)]
pub(crate) struct Cells {
    pub(crate) jobs: Vec<Job>,
    /// How many points each row has, before and after counted as one.
    pub(crate) points: BTreeMap<Row, usize>,
    /// Whether all is well while nothing dies.
    pub(crate) good: bool,
}

/// Plays every row twice without any crash, or for a sample once. A point that is passed each time is firm: its cell must
/// pass it too.
pub(crate) async fn record(options: &Options, rows: &[Row], without: Option<Mutant>) -> Cells {
    let times = if options.sample { 1 } else { 2 };
    let each = rows.iter().flat_map(|row| std::iter::repeat_n(*row, times));
    let jobs = each.map(|row| Job {
        row,
        order: Order::Record,
        without: None,
        firm: true,
    });
    let recordings = try_out(options, jobs.collect(), "recording").await;
    let (mut good, mut lists) = (true, BTreeMap::<Row, Vec<Vec<String>>>::new());
    for tried in recordings {
        let (row, outcome) = (tried.job.row, tried.outcome);
        if !outcome.counts.is_zero() {
            good = false;
            println!(
                "RED   {row} without any crash: {} {:?}",
                outcome.counts, outcome.told
            );
        }
        lists.entry(row).or_default().push(outcome.points);
    }
    let mut cells = Cells {
        good,
        ..Cells::default()
    };
    for (row, lists) in lists {
        let mut seen = BTreeSet::new();
        let all = lists
            .iter()
            .flatten()
            .filter(|point| seen.insert((*point).clone()));
        let points: Vec<_> = all.filter(|point| is_a_cell(point)).cloned().collect();
        let names = points.iter().filter_map(|point| point.rsplit_once(':'));
        let names: BTreeSet<_> = names.map(|(name, _)| name).collect();
        cells.points.insert(row, names.len());
        if options.points {
            points.iter().for_each(|point| println!("{row}: {point}"));
        }
        let wanted = points
            .iter()
            .filter(|point| row.has(point) && point.contains(&options.only));
        cells.jobs.extend(wanted.map(|point| Job {
            row,
            order: Order::At(point.clone()),
            without,
            firm: !is_by_chance(row, point) && lists.iter().all(|list| list.contains(point)),
        }));
    }
    // Those that freeze take longest: they begin first.
    cells.jobs.sort_by_key(|job| job.row.fate == Fate::Dies);
    cells
}

/// How often one looks for a trace depends on the clock alone: the first look stands for all.
fn is_a_cell(point: &str) -> bool {
    let looks = ["call reconcile ", "commit transaction#"];
    !looks.iter().any(|begins| point.starts_with(begins)) || point.contains("#1:")
}

/// Twilio's reports arrive when they arrive, before or after the run's end. And where two workers share the work, which
/// of them does something for the second time is a matter of who was quicker; as it is which of a campaign's runs waits
/// for which, so that of it only the calls are certain.
fn is_by_chance(row: Row, point: &str) -> bool {
    let reports = ["commit transaction#", "commit tell evidence"];
    reports.iter().any(|begins| point.starts_with(begins))
        || (row.fate == Fate::Freezes && !point.contains("#1:"))
        || (row.scenario == Scenario::Campaign && !point.starts_with("call "))
}
