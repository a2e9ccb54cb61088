//! A matrix that cannot fail proves nothing: without a protection, cells must turn red.
use std::collections::BTreeMap;

use crate::{
    attempt::Order,
    jobs::{Job, try_out},
    options::Options,
    plan::{Mutant, Row},
    record::record,
};

/// Does without each of `mutants` in turn. Returns whether all were seen.
pub(crate) async fn mutate(options: &Options, mutants: &[Mutant]) -> bool {
    let (mut good, mut table) = (true, Vec::new());
    for mutant in mutants {
        let mut rows = options.rows();
        rows.retain(|row| mutant.concerns(*row));
        for (row, shown) in without(options, *mutant, &rows).await {
            let named = mutant.must_show(row.scenario);
            good &= shown.named;
            let seen = if shown.named { "red" } else { "GREEN" };
            table.push(format!(
                "| {} | {} | {} | {} | {} | `{named}` is {seen} |",
                mutant.name(),
                row.scenario.name(),
                row.place.name(),
                shown.cells,
                shown.red,
            ));
        }
    }
    good &= !table.is_empty();
    println!("\n| without | scenario | servers | cells | red | the named one |");
    println!("|---|---|---|---:|---:|---|");
    table.iter().for_each(|line| println!("{line}"));
    good
}

/// What a row shows of it.
#[derive(Default)]
struct Shown {
    cells: usize,
    red: usize,
    /// Whether the cell is red that must be.
    named: bool,
}

/// Tries all cells of `rows` without a protection; in a sample those that must turn red alone.
async fn without(options: &Options, mutant: Mutant, rows: &[Row]) -> BTreeMap<Row, Shown> {
    let named = |row: &Row| Job {
        row: *row,
        order: Order::At(mutant.must_show(row.scenario).to_owned()),
        without: Some(mutant),
        firm: true,
    };
    let jobs = match options.sample {
        true => rows.iter().map(named).collect(),
        false => record(options, rows, Some(mutant)).await.jobs,
    };
    let what = format!("without {}", mutant.name());
    let mut shown: BTreeMap<Row, Shown> = rows.iter().map(|row| (*row, Shown::default())).collect();
    for tried in try_out(options, jobs, &what).await {
        let shown = shown.entry(tried.job.row).or_default();
        shown.cells += 1;
        if let (Order::At(point), false) = (&tried.job.order, tried.outcome.counts.is_zero()) {
            shown.red += 1;
            shown.named |= mutant.is_named(tried.job.row, &tried.job.order);
            println!("red   {} `{point}`: {}", tried.job.row, tried.outcome.counts);
        }
    }
    shown
}
