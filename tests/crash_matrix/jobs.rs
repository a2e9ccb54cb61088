//! Cells at work: several at the same time, each on servers of its own.
use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    panic::AssertUnwindSafe,
    time::Instant,
};

use futures::{FutureExt as _, future::join_all};

use crate::{
    attempt::{Order, Outcome},
    options::Options,
    plan::{Mutant, Place, Row},
    slot::Slot,
};

/// How often a cell is tried whose point is not passed, before it is said.
const TRIES: usize = 3;

/// Something to be tried out.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) row: Row,
    pub(crate) order: Order,
    pub(crate) without: Option<Mutant>,
    /// Whether every recording of the row passed the point, so that the cell must.
    pub(crate) firm: bool,
}

/// What came of it.
pub(crate) struct Tried {
    pub(crate) job: Job,
    pub(crate) outcome: Outcome,
}

/// Tries jobs out, several at the same time, each on servers of its own, for as long as there is time.
pub(crate) async fn try_out(options: &Options, jobs: Vec<Job>, what: &str) -> Vec<Tried> {
    let (total, begun) = (jobs.len(), Instant::now());
    let (queue, done) = (
        RefCell::new(VecDeque::from(jobs)),
        RefCell::new(Vec::with_capacity(total)),
    );
    let (queue, done) = (&queue, &done);
    let work = (0..options.jobs.min(total)).map(|_| async move {
        let mut slots: BTreeMap<Place, Slot> = BTreeMap::new();
        while options.has_time()
            && let Some(job) = next(queue)
        {
            let slot = match slots.entry(job.row.place) {
                Entry::Occupied(slot) => slot.into_mut(),
                Entry::Vacant(place) => {
                    let slot = Slot::new(job.row.place).await;
                    place.insert(slot)
                }
            };
            let place = job.row.place;
            let (tried, whole) = try_one(slot, job).await;
            if !whole {
                slots.remove(&place);
            }
            done.borrow_mut().push(tried);
            let n = done.borrow().len();
            if n.is_multiple_of(25) || n == total {
                println!("{what}: {n} of {total} after {} s", begun.elapsed().as_secs());
            }
        }
    });
    join_all(work).await;
    if !queue.borrow().is_empty() {
        println!("{what}: no time was left for {} of {total}", queue.borrow().len());
    }
    done.take()
}

fn next(queue: &RefCell<VecDeque<Job>>) -> Option<Job> {
    queue.borrow_mut().pop_front()
}

/// A cell whose point is not passed is tried again: what happens at the same time in one process has no fixed order.
///
/// Returns whether the slot can still be used, too.
async fn try_one(slot: &mut Slot, job: Job) -> (Tried, bool) {
    let (mut outcome, mut whole) = (Outcome::default(), true);
    for _ in 0..TRIES {
        let attempt = AssertUnwindSafe(slot.attempt(job.row, &job.order, job.without));
        match attempt.catch_unwind().await {
            Ok(came) => outcome = came,
            Err(panic) => {
                let told = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                outcome.counts.other += 1;
                outcome.told.push(told);
                whole = false;
            }
        }
        let red = !outcome.counts.is_zero();
        let tried = match job.without {
            Some(mutant) if mutant.is_named(job.row, &job.order) => red,
            _ => red || outcome.reached || matches!(job.order, Order::Record),
        };
        if tried {
            break;
        }
    }
    if let Order::At(point) = &job.order
        && job.without.is_none()
    {
        if !outcome.counts.is_zero() {
            println!(
                "RED   {} `{point}`: {} {:?}",
                job.row, outcome.counts, outcome.told
            );
        } else if !outcome.reached && job.firm {
            println!("-     {} `{point}` was not passed", job.row);
        }
    }
    (Tried { job, outcome }, whole)
}
