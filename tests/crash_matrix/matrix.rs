//! The whole: rows are recorded, their cells tried out, and the table printed.
use std::{collections::BTreeMap, process::ExitCode, time::Instant};

use crate::{
    jobs::{Job, try_out},
    mutants::mutate,
    options::Options,
    plan::{Mutant, Row},
    record::{Cells, record},
    verdict::{self, Counts},
};

/// How many cells of a row are in a sample.
const SAMPLE: usize = 2;

/// Tries everything out that is asked for. It succeeds if all is as it should be.
pub(crate) async fn run(options: Options) -> ExitCode {
    verdict::check_counting();
    let begun = Instant::now();
    let good = match options.without.as_slice() {
        [] if options.sample => matrix(&options).await & mutate(&options, &Mutant::ALL).await,
        [] => matrix(&options).await,
        mutants => mutate(&options, mutants).await,
    };
    // What there was no time for is not known to be well.
    let good = good && options.has_time();
    println!("{} s", begun.elapsed().as_secs());
    // As other tests end, so that whoever counts tests counts this one.
    match good {
        true => {
            println!("test result: ok. 1 passed; 0 failed; 0 ignored");
            ExitCode::SUCCESS
        }
        false => {
            println!("test result: FAILED. 0 passed; 1 failed; 0 ignored");
            ExitCode::FAILURE
        }
    }
}

/// A row of the table.
#[derive(Default)]
struct Sum {
    cells: usize,
    unreached: usize,
    counts: Counts,
}

async fn matrix(options: &Options) -> bool {
    let Cells {
        mut jobs,
        points,
        mut good,
    } = record(options, &options.rows(), None).await;
    if options.points {
        return good;
    }
    if options.sample {
        jobs = sample(jobs);
    }
    let mut table: BTreeMap<Row, Sum> = BTreeMap::new();
    for tried in try_out(options, jobs, "cells").await {
        let sum = table.entry(tried.job.row).or_default();
        sum.cells += 1;
        sum.unreached += usize::from(!tried.outcome.reached && tried.job.firm);
        sum.counts.add(&tried.outcome.counts);
    }
    println!(
        "\n| scenario | servers | process | points | cells | lost | doubled | reordered | stuck | other | not reached |"
    );
    println!("|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (row, sum) in &table {
        good &= sum.counts.is_zero() && sum.unreached == 0;
        let (names, points) = (row.names(), points.get(row).copied().unwrap_or_default());
        let Counts {
            lost,
            doubled,
            reordered,
            stuck,
            other,
        } = &sum.counts;
        let (cells, unreached) = (sum.cells, sum.unreached);
        println!(
            "| {names} | {points} | {cells} | {lost} | {doubled} | {reordered} | {stuck} | {other} | {unreached} |"
        );
    }
    let cells: usize = table.values().map(|sum| sum.cells).sum();
    println!("\n{cells} cells");
    good && cells > 0
}

/// A few cells of each row, spread over its length.
fn sample(jobs: Vec<Job>) -> Vec<Job> {
    let mut rows: BTreeMap<Row, Vec<Job>> = BTreeMap::new();
    for job in jobs.into_iter().filter(|job| job.firm) {
        rows.entry(job.row).or_default().push(job);
    }
    let spread = |jobs: Vec<Job>| -> Vec<Job> {
        let step = jobs.len() / (SAMPLE + 1);
        (1..=SAMPLE).filter_map(|n| jobs.get(n * step).cloned()).collect()
    };
    rows.into_values().flat_map(spread).collect()
}
