//! The whole: rows are recorded, their cells tried out several at a time, and the table printed.
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry},
    process::ExitCode,
    time::{Duration, Instant},
};

use futures::future::join_all;

use crate::{
    attempt::{Order, Outcome},
    plan::{Fate, Mutant, Place, Row, Scenario},
    slot::Slot,
    verdict::{self, Counts},
};

const USAGE: &str = "usage: [--scenario NAME,…] [--database NAME,…] [--only TEXT] [--without reconciling|epoch|key|each] \
                     [--sample] [--jobs N] [--minutes N] [--points]";
/// How often a cell is tried whose point is not passed, before it is said.
const TRIES: usize = 3;
/// How many cells of a row are in a sample.
const SAMPLE: usize = 2;

/// What is to be tried out.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    scenarios: Vec<String>,
    places: Vec<String>,
    only: String,
    without: Vec<Mutant>,
    sample: bool,
    points: bool,
    jobs: usize,
    longest: Duration,
}

impl Options {
    /// # Errors
    /// What is wrong with `words`.
    pub(crate) fn read(words: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            scenarios: Scenario::ALL.map(|scenario| scenario.name().to_owned()).to_vec(),
            places: Place::ALL.map(|place| place.name().to_owned()).to_vec(),
            only: String::new(),
            without: Vec::new(),
            sample: false,
            points: false,
            jobs: 9,
            longest: Duration::from_secs(40 * 60),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| format!("{word} wants a value\n{USAGE}"))
            };
            let names = |value: &str, known: Vec<&str>| -> Result<Vec<String>, String> {
                let names: Vec<_> = value.split(',').map(str::to_owned).collect();
                match names.iter().find(|name| !known.contains(&name.as_str())) {
                    Some(name) => Err(format!("{name} is none of {known:?}")),
                    None => Ok(names),
                }
            };
            let number = |value: &str| value.parse::<u64>().map_err(|_| format!("{value} is no number"));
            match *word {
                "--scenario" => {
                    options.scenarios = names(value()?, Scenario::ALL.map(Scenario::name).to_vec())?
                }
                "--database" => options.places = names(value()?, Place::ALL.map(Place::name).to_vec())?,
                "--only" => options.only = (*value()?).to_owned(),
                "--without" => {
                    let name = *value()?;
                    options.without = Mutant::ALL
                        .into_iter()
                        .filter(|mutant| name == "each" || mutant.name() == name)
                        .collect();
                    if options.without.is_empty() {
                        return Err(format!("{name} is no protection\n{USAGE}"));
                    }
                }
                "--sample" => options.sample = true,
                "--points" => options.points = true,
                "--jobs" => options.jobs = number(value()?)?.max(1) as usize,
                "--minutes" => options.longest = Duration::from_secs(60 * number(value()?)?),
                _ => return Err(format!("{word} is not known\n{USAGE}")),
            }
        }
        Ok(options)
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Row::all();
        rows.retain(|row| {
            self.scenarios.iter().any(|name| name == row.scenario.name())
                && self.places.iter().any(|name| name == row.place.name())
                && !(self.sample && row.place == Place::RedisLost)
        });
        rows
    }
}

/// Something to be tried out.
#[derive(Clone, Debug)]
struct Job {
    row: Row,
    order: Order,
    without: Option<Mutant>,
    /// Whether every recording of the row passed the point, so that the cell must.
    firm: bool,
}

/// What came of it.
struct Tried {
    job: Job,
    outcome: Outcome,
}

/// Tries everything out. Returns whether all is as it should be.
pub(crate) async fn run(options: Options) -> ExitCode {
    verdict::check_counting();
    let begun = Instant::now();
    let work = async {
        match options.without.as_slice() {
            [] => matrix(&options).await,
            mutants => {
                let mut good = true;
                for mutant in mutants {
                    good &= mutate(&options, *mutant).await;
                }
                good
            }
        }
    };
    let good = tokio::time::timeout(options.longest, work)
        .await
        .unwrap_or_else(|_| {
            println!("it took longer than {} minutes", options.longest.as_secs() / 60);
            false
        });
    println!("{} s", begun.elapsed().as_secs());
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The cells of `rows`: every point that was passed in a recording.
async fn record(
    options: &Options,
    rows: &[Row],
    without: Option<Mutant>,
) -> (Vec<Job>, BTreeMap<Row, usize>, bool) {
    let twice = rows.iter().flat_map(|row| [*row, *row]);
    let jobs = twice.map(|row| Job {
        row,
        order: Order::Record,
        without: None,
        firm: true,
    });
    let recordings = try_out(options, jobs.collect(), "recording").await;
    let (mut good, mut lists) = (true, BTreeMap::<Row, Vec<Vec<String>>>::new());
    for tried in recordings {
        if !tried.outcome.counts.is_zero() {
            good = false;
            println!(
                "RED   {} without any crash: {:?} {:?}",
                tried.job.row, tried.outcome.counts, tried.outcome.told
            );
        }
        lists.entry(tried.job.row).or_default().push(tried.outcome.points);
    }
    let (mut jobs, mut points) = (Vec::new(), BTreeMap::new());
    for (row, lists) in lists {
        let mut seen = BTreeSet::new();
        let all = lists
            .iter()
            .flatten()
            .filter(|point| seen.insert((*point).clone()));
        let cells: Vec<_> = all.filter(|point| is_a_cell(point)).cloned().collect();
        if options.points {
            cells.iter().for_each(|point| println!("{row}: {point}"));
        }
        let names: BTreeSet<_> = cells
            .iter()
            .filter_map(|point| point.rsplit_once(':'))
            .map(|(name, _)| name)
            .collect();
        points.insert(row, names.len());
        jobs.extend(cells.iter().filter(|point| row.has(point)).map(|point| Job {
            row,
            order: Order::At(point.clone()),
            without,
            firm: lists.iter().all(|list| list.contains(point)),
        }));
    }
    jobs.retain(|job| matches!(&job.order, Order::At(point) if point.contains(&options.only)));
    // Those that freeze wait longest: they begin first.
    jobs.sort_by_key(|job| job.row.fate == Fate::Dies);
    (jobs, points, good)
}

/// How often one looks for a trace depends on the clock alone: the first look stands for all.
fn is_a_cell(point: &str) -> bool {
    let looks = ["call reconcile ", "commit transaction#"]
        .iter()
        .any(|begins| point.starts_with(begins));
    !looks || point.contains("#1:")
}

async fn matrix(options: &Options) -> bool {
    let rows = options.rows();
    let (mut jobs, points, mut good) = record(options, &rows, None).await;
    if options.points {
        return good;
    }
    if options.sample {
        jobs = sample(jobs);
    }
    let mut table: BTreeMap<Row, (usize, usize, Counts)> = BTreeMap::new();
    for tried in try_out(options, jobs, "cells").await {
        let (cells, unreached, counts) = table.entry(tried.job.row).or_default();
        *cells += 1;
        *unreached += usize::from(!tried.outcome.reached && tried.job.firm);
        counts.add(&tried.outcome.counts);
    }
    println!(
        "\n| scenario | servers | fate | points | cells | lost | doubled | reordered | stuck | other | not reached |"
    );
    println!("|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut all = 0;
    for (row, (cells, unreached, counts)) in &table {
        all += cells;
        good &= counts.is_zero() && *unreached == 0;
        println!(
            "| {} | {} | {} | {} | {cells} | {} | {} | {} | {} | {} | {unreached} |",
            row.scenario.name(),
            row.place.name(),
            format!("{:?}", row.fate).to_lowercase(),
            points.get(row).copied().unwrap_or_default(),
            counts.lost,
            counts.doubled,
            counts.reordered,
            counts.stuck,
            counts.other,
        );
    }
    println!("\n{all} cells");
    good && all > 0
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

/// Without a protection, cells must turn red, the named ones among them.
async fn mutate(options: &Options, mutant: Mutant) -> bool {
    let mut rows = options.rows();
    rows.retain(|row| mutant.concerns(*row));
    let (jobs, _, _) = record(options, &rows, Some(mutant)).await;
    let named =
        |job: &Job| matches!(&job.order, Order::At(point) if point == mutant.must_show(job.row.scenario));
    let jobs: Vec<_> = jobs
        .into_iter()
        .filter(|job| !options.sample || named(job))
        .collect();
    let cells = jobs.len();
    let tried = try_out(options, jobs, mutant.name()).await;
    let red: Vec<_> = tried
        .iter()
        .filter(|tried| !tried.outcome.counts.is_zero())
        .collect();
    println!(
        "\nwithout {}: {} of {cells} cells are red",
        mutant.name(),
        red.len()
    );
    for tried in &red {
        let Order::At(point) = &tried.job.order else {
            continue;
        };
        println!("- {} `{point}`: {:?}", tried.job.row, tried.outcome.counts);
    }
    let mut good = !rows.is_empty();
    for row in rows {
        let point = mutant.must_show(row.scenario);
        if !red.iter().any(|tried| tried.job.row == row && named(&tried.job)) {
            good = false;
            println!("GREEN {row} `{point}`, which must be red: the matrix does not see what is missing");
        }
    }
    good
}

/// Tries jobs out, several at the same time, each on servers of its own.
async fn try_out(options: &Options, jobs: Vec<Job>, what: &str) -> Vec<Tried> {
    let (total, begun) = (jobs.len(), Instant::now());
    let (queue, done) = (
        RefCell::new(VecDeque::from(jobs)),
        RefCell::new(Vec::with_capacity(total)),
    );
    let (queue, done) = (&queue, &done);
    let work = (0..options.jobs.min(total)).map(|_| async move {
        let mut slots: BTreeMap<Place, Slot> = BTreeMap::new();
        while let Some(job) = next(queue) {
            let slot = match slots.entry(job.row.place) {
                Entry::Occupied(slot) => slot.into_mut(),
                Entry::Vacant(place) => {
                    let slot = Slot::new(job.row.place).await;
                    place.insert(slot)
                }
            };
            let tried = try_one(slot, job).await;
            done.borrow_mut().push(tried);
            let n = done.borrow().len();
            if n.is_multiple_of(25) || n == total {
                println!("{what}: {n} of {total} after {} s", begun.elapsed().as_secs());
            }
        }
    });
    join_all(work).await;
    done.take()
}

fn next(queue: &RefCell<VecDeque<Job>>) -> Option<Job> {
    queue.borrow_mut().pop_front()
}

/// A cell whose point is not passed is tried again: what happens at the same time in one process has no fixed order.
async fn try_one(slot: &mut Slot, job: Job) -> Tried {
    let mut outcome = Outcome::default();
    for _ in 0..TRIES {
        outcome = slot.attempt(job.row, &job.order, job.without).await;
        if outcome.reached || !outcome.counts.is_zero() || matches!(job.order, Order::Record) {
            break;
        }
    }
    if let Order::At(point) = &job.order
        && job.without.is_none()
    {
        if !outcome.counts.is_zero() {
            println!(
                "RED   {} `{point}`: {:?} {:?}",
                job.row, outcome.counts, outcome.told
            );
        } else if !outcome.reached && job.firm {
            println!("-     {} `{point}` was not passed", job.row);
        }
    }
    Tried { job, outcome }
}
