//! The protocols of ARCHITECTURE.md, every state of them: what must hold holds, and where a part is left out the checker
//! finds the way to the harm.
mod checker;
mod lane;
mod lease;
mod send;

use checker::{Counterexample, Model, STUCK, check, follows};
use lane::Lane;
use lease::Lease;
use send::Send;

const MOST: usize = 400_000;

const ONE_RUN: Lease = Lease {
    workers: 3,
    runs: 1,
    epochs: 4,
    events: 2,
    flaw: lease::Flaw::None,
};
const TWO_RUNS: Lease = Lease {
    workers: 2,
    runs: 2,
    epochs: 3,
    events: 1,
    ..ONE_RUN
};
const LANE: Lane = Lane {
    runs: 3,
    places: 4,
    ghosts: false,
    told: true,
    flaw: lane::Flaw::None,
};
const SEND: Send = Send {
    lease: 2,
    request: 2,
    listing: 2,
    attempts: 2,
    stale: 2,
    flaw: send::Flaw::None,
};

fn holds<M: Model>(model: &M) {
    match check(model, MOST) {
        Ok(checked) => {
            // A model that does nothing breaks nothing.
            assert!(
                checked.states > 10_000 && checked.steps > checked.states,
                "{checked:?}"
            );
        }
        Err(counterexample) => panic!("{counterexample:#?}"),
    }
}

fn breaks<M: Model>(model: &M, broken: &str) -> Vec<M::Step> {
    let Err(Counterexample { broken: found, path }) = check(model, MOST) else {
        panic!("the checker found nothing: {broken}");
    };
    assert_eq!(found, broken, "{path:#?}");
    path
}

#[test]
fn a_run_has_one_holder_whose_checkpoints_alone_are_accepted_and_never_stays_with_the_dead() {
    holds(&ONE_RUN);
    holds(&TWO_RUNS);
}

#[test]
fn without_the_epoch_a_stale_worker_writes() {
    let flaw = lease::Flaw::EpochNotCompared;
    breaks(
        &Lease { flaw, ..ONE_RUN },
        "a checkpoint of an old epoch was accepted",
    );
}

#[test]
fn without_a_new_epoch_two_hold_the_same_run() {
    let flaw = lease::Flaw::EpochNotRaised;
    breaks(
        &Lease { flaw, ..ONE_RUN },
        "two hold the same run in the same epoch",
    );
}

#[test]
fn without_take_over_a_run_stays_with_the_dead() {
    let flaw = lease::Flaw::NoTakeOver;
    let path = breaks(&Lease { flaw, ..ONE_RUN }, STUCK);
    assert!(
        path.iter()
            .any(|step| matches!(step, lease::Step::Dies(_) | lease::Step::Freezes(_))),
        "{path:#?}"
    );
}

#[test]
fn a_lane_admits_one_at_a_time_in_the_order_of_places_and_never_stalls() {
    holds(&LANE);
}

#[test]
fn a_leave_without_the_lock_loses_a_wake_up() {
    breaks(
        &Lane {
            flaw: lane::Flaw::LeaveUnlocked,
            ..LANE
        },
        "the head of the lane sleeps",
    );
}

#[test]
fn to_gather_behind_one_that_is_not_ready_overtakes_it() {
    let flaw = lane::Flaw::GatherAnybody;
    let path = breaks(
        &Lane { flaw, ..LANE },
        "a run was admitted before one of a lower place",
    );
    assert!(
        path.iter()
            .any(|step| matches!(step, lane::Step::Gathered { .. })),
        "{path:#?}"
    );
}

#[test]
fn to_gather_what_was_ready_a_moment_ago_swallows_what_it_was_told() {
    let flaw = lane::Flaw::GatherUnguarded;
    breaks(
        &Lane { flaw, ..LANE },
        "a run was taken along that had been told something",
    );
}

#[test]
fn a_start_without_the_lock_lets_two_in() {
    let path = breaks(
        &Lane {
            flaw: lane::Flaw::StartUnlocked,
            ..LANE
        },
        "two runs are past the lane",
    );
    assert!(path.len() < 12, "{path:#?}");
}

#[test]
fn a_leave_that_wakes_nobody_stalls_the_lane() {
    breaks(
        &Lane {
            flaw: lane::Flaw::NoWakeUp,
            ..LANE
        },
        "the head of the lane sleeps",
    );
}

#[test]
fn a_send_is_delivered_once_or_a_person_is_asked() {
    holds(&SEND);
}

fn doubles(flaw: send::Flaw) -> Vec<send::Step> {
    breaks(&Send { flaw, ..SEND }, "delivered twice")
}

#[test]
fn without_reconciling_a_send_is_doubled() {
    doubles(send::Flaw::NotReconciled);
}

#[test]
fn a_definite_no_that_comes_too_early_doubles_a_send() {
    doubles(send::Flaw::NoTooEarly);
}

#[test]
fn without_the_look_at_lease_and_intent_a_send_is_doubled() {
    doubles(send::Flaw::NotChecked);
}

/// The residual window of README, and nothing else, is left.
#[test]
fn a_process_that_freezes_between_the_look_and_the_first_byte_may_double_a_send() {
    let path = doubles(send::Flaw::FreezesAfterCheck);
    assert!(
        path.iter().any(|step| matches!(step, send::Step::Thaws(_))),
        "{path:#?}"
    );
}

/// What the protocol takes for granted of the world; ARCHITECTURE.md says so.
#[test]
fn a_request_that_outlives_its_connection_may_double_a_send() {
    doubles(send::Flaw::ArrivesAfterReset);
}

#[test]
fn where_a_time_out_counts_as_an_end_a_vendor_that_is_slow_makes_a_double() {
    let path = doubles(send::Flaw::TimeOutForgotten);
    assert!(path.contains(&send::Step::TimedOut), "{path:#?}");
}

#[test]
fn counting_from_the_start_of_the_only_process_needs_requests_that_do_not_outlive_theirs() {
    doubles(send::Flaw::CountsFromStart);
}

/// The number of the step at which the model refuses `trace`.
fn refused_at<M: Model>(model: &M, trace: &[M::Step]) -> Option<usize> {
    let refused = follows(model, trace).err()?;
    assert_eq!(
        format!("{:?}", refused.step),
        format!("{:?}", trace[refused.number])
    );
    Some(refused.number)
}

#[test]
fn a_forged_trace_with_two_holders_is_refused() {
    use lease::{After, Step::*};
    let run = 0;
    let written = |epoch, first, after| Checkpoint {
        run,
        epoch,
        first,
        count: 1,
        after,
    };
    let honest = [
        Claimed {
            worker: 0,
            run,
            epoch: 1,
        },
        written(1, 1, After::Running),
        TakenOver { run, epoch: 2 },
        Claimed {
            worker: 1,
            run,
            epoch: 3,
        },
        Refused { run, epoch: 1 },
        written(3, 2, After::Parked),
    ];
    assert_eq!(refused_at(&ONE_RUN, &honest), None);
    let mut two_holders = honest.to_vec();
    two_holders.remove(2);
    assert_eq!(refused_at(&ONE_RUN, &two_holders), Some(2));
    let mut stale = honest.to_vec();
    stale[4] = written(1, 2, After::Running);
    assert_eq!(refused_at(&ONE_RUN, &stale), Some(4));
    let mut gap = honest.to_vec();
    gap[5] = written(3, 3, After::Parked);
    assert_eq!(refused_at(&ONE_RUN, &gap), Some(5));
}

#[test]
fn a_forged_trace_of_a_lane_in_the_wrong_order_is_refused() {
    use lane::Step::*;
    let lane = Lane {
        ghosts: true,
        told: false,
        ..LANE
    };
    let left = |place, wakes| Left {
        places: vec![place],
        wakes,
    };
    let honest = [
        Given { run: 0, place: 0 },
        Given { run: 1, place: 1 },
        Waits { place: 1 },
        Entered { place: 0 },
        left(0, Some(1)),
        Entered { place: 1 },
        left(1, None),
    ];
    assert_eq!(refused_at(&lane, &honest), None);
    let mut wrong_order = honest.to_vec();
    wrong_order[2] = Entered { place: 1 };
    assert_eq!(refused_at(&lane, &wrong_order), Some(2));
    let mut lost_wake_up = honest.to_vec();
    lost_wake_up[4] = left(0, None);
    assert_eq!(refused_at(&lane, &lost_wake_up), Some(4));
}

#[test]
fn a_forged_trace_of_a_send_that_is_repeated_without_a_definite_no_is_refused() {
    use send::Step::*;
    let honest = [Intended, TakenOver, Reconciled, Intended, Unknown, Completed];
    assert_eq!(refused_at(&SEND, &honest), None);
    assert_eq!(refused_at(&SEND, &[Intended, TakenOver, Intended]), Some(2));
    assert_eq!(
        refused_at(&SEND, &[Intended, TakenOver, NoBeforeItsTime]),
        Some(2)
    );
    assert_eq!(refused_at(&SEND, &[Intended, Attempted, Completed]), Some(2));
}
