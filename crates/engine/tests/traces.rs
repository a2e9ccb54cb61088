//! What the implementation does is a path of the model: scenarios on both databases, whose steps are recorded and then
//! followed in the models of leases, lanes and sends.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "the model test uses the rest")]
#[path = "model/checker.rs"]
mod checker;
#[path = "model/lane.rs"]
mod lane;
#[path = "model/lease.rs"]
mod lease;
#[path = "traces/recorder.rs"]
mod recorder;
#[expect(dead_code, reason = "the model test uses the rest")]
#[path = "model/send.rs"]
mod send;
#[expect(dead_code, reason = "this suite needs a part of that world")]
mod world;

use std::time::Duration;

use recado_engine::{Event, EventKind, RunId, RunState, Start};
use recado_testkit::{Backend, eventually, unique};
use sea_orm::ConnectionTrait;
use world::{Answer, Hand, World, chat::Chat};

use checker::{Model, follows};
use recorder::Recorder;

/// The same test on both databases.
macro_rules! on_both {
    ($(async fn $name:ident($world:ident: World, $recorder:ident: Recorder) $body:block)*) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                let recorder = Recorder::start();
                super::$name(World::new(Backend::Sqlite).await, recorder).await
            })*
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                let recorder = Recorder::start();
                super::$name(World::new(Backend::Postgres).await, recorder).await
            })*
        }
        $(async fn $name($world: World, $recorder: Recorder) $body)*
    };
}

fn accepted<M: Model>(model: &M, trace: &[M::Step]) {
    if let Err(refused) = follows(model, trace) {
        panic!(
            "step {} ({:?}) does not follow: {trace:#?}",
            refused.number, refused.step
        );
    }
}

/// Follows what was recorded of `runs` in the model of leases.
fn leases_are_followed(recorder: &Recorder, runs: &[RunId]) {
    for run in runs {
        let (trace, workers) = recorder.leases(run);
        assert!(trace.len() > 1, "{trace:?}");
        let model = lease::Lease {
            workers,
            runs: 1,
            epochs: u8::MAX,
            events: u8::MAX,
            flaw: lease::Flaw::None,
        };
        accepted(&model, &trace);
    }
}

fn lane_is_followed(recorder: &Recorder, lane: &str) -> Vec<lane::Step> {
    let (trace, runs) = recorder.lane(lane);
    assert!(trace.len() > 2, "{trace:?}");
    let model = lane::Lane {
        runs,
        places: u8::MAX,
        ghosts: true,
        told: false,
        flaw: lane::Flaw::None,
    };
    accepted(&model, &trace);
    trace
}

/// Follows what the journal tells of the send of `run`.
async fn send_is_followed(world: &World, run: &RunId) -> Vec<send::Step> {
    let trace = sends(&world.engine.storage().journal(run).await.unwrap());
    let model = send::Send {
        lease: 2,
        request: 2,
        listing: 2,
        attempts: 4,
        stale: 2,
        flaw: send::Flaw::None,
    };
    accepted(&model, &trace);
    trace
}

fn sends(journal: &[Event]) -> Vec<send::Step> {
    let settings = world::settings();
    let since = |from: &Event, to: &Event| (to.at - from.at).to_std().unwrap_or_default();
    let (mut intended, mut unknown) = (None, None);
    let mut trace = Vec::new();
    for event in journal {
        let step = match event.kind {
            EventKind::TakenOver if intended.is_some() => send::Step::TakenOver,
            _ if event.name.as_deref() != Some("send") => continue,
            EventKind::ActivityIntended => {
                (intended, unknown) = (Some(event), None);
                send::Step::Intended
            }
            EventKind::ActivityUnknown => {
                let told = event.data.as_ref().and_then(|data| data.get("under_way"));
                let under_way = told.is_some_and(|told| told == true);
                unknown = Some((event, under_way));
                match under_way {
                    true => send::Step::TimedOut,
                    false => send::Step::Unknown,
                }
            }
            EventKind::ActivityReconciled => {
                let all = settings.lease + settings.request_timeout + settings.listing_delay;
                let waited = match (unknown, intended) {
                    (Some((unknown, false)), _) => since(unknown, event) >= settings.listing_delay,
                    (Some((unknown, true)), _) => {
                        since(unknown, event) >= settings.request_timeout + settings.listing_delay
                    }
                    (None, Some(intended)) => since(intended, event) >= all,
                    (None, None) => false,
                };
                if waited {
                    send::Step::Reconciled
                } else {
                    send::Step::NoBeforeItsTime
                }
            }
            EventKind::ActivityAttempted => send::Step::Attempted,
            EventKind::ActivityCompleted => send::Step::Completed,
            EventKind::ActivityFailed => send::Step::Failed,
            _ => continue,
        };
        trace.push(step);
    }
    trace
}

async fn is_called(world: &World, what: &str) {
    eventually(Duration::from_secs(20), || async {
        (world.vendor.calls(what) > 0).then_some(())
    })
    .await;
}

on_both! {
    async fn a_run_whose_worker_dropped_it_goes_on_as_the_model_says(world: World, recorder: Recorder) {
        world.vendor.will("look x", &[Answer::WaitForGate]);
        let id = world.start("x", None).await;
        let silent = Hand::of(&world.engine);
        is_called(&world, "look x").await;
        silent.die();
        let another = world.another().await;
        let hand = Hand::of(&another);
        world.until(&id, RunState::Completed).await;
        hand.go_home().await;
        assert_eq!(world.notes().await, ["write x"]);
        leases_are_followed(&recorder, std::slice::from_ref(&id));
        send_is_followed(&world, &id).await;
    }

    async fn a_stale_worker_is_refused_as_the_model_says(world: World, recorder: Recorder) {
        let lane = unique("lane");
        world.vendor.will("look x", &[Answer::NeverAfterGate]);
        let first = Hand::of(&world.engine);
        let id = world.start("x", Some(&lane)).await;
        is_called(&world, "look x").await;
        let holder = world.engine.storage().run(&id).await.unwrap().unwrap();
        let another = world.another().await;
        let second = Hand::of(&another);
        // Its heartbeats come to nothing until the other has taken the run over.
        let db = world.database.connect().await;
        let silence = format!(
            "update workers set heartbeat_at = '2001-01-01 00:00:00+00:00' where id = '{}'",
            holder.worker.unwrap()
        );
        let done = eventually(Duration::from_secs(20), || async {
            db.execute_unprepared(&silence).await.unwrap();
            let run = world.engine.storage().run(&id).await.unwrap().unwrap();
            (run.state == RunState::Completed).then_some(run)
        })
        .await;
        world.vendor.gate.notify_one();
        first.go_home().await;
        second.go_home().await;
        assert!(done.epoch > holder.epoch);
        let (trace, _) = recorder.leases(&id);
        let refused = lease::Step::Refused { run: 0, epoch: holder.epoch as u8 };
        assert!(trace.iter().any(|step| matches!(step, lease::Step::TakenOver { .. })), "{trace:?}");
        assert!(trace.contains(&refused), "{trace:?}");
        leases_are_followed(&recorder, &[id]);
        lane_is_followed(&recorder, &lane);
    }

    async fn a_lane_is_walked_as_the_model_says(world: World, recorder: Recorder) {
        let lane = unique("lane");
        world.vendor.will("look a", &[Answer::WaitForGate]);
        let mut ids = Vec::new();
        for what in ["a", "b", "c"] {
            ids.push(world.start(what, Some(&lane)).await);
        }
        let hand = Hand::of(&world.engine);
        for id in &ids[1..] {
            world.until(id, RunState::Waiting).await;
        }
        world.vendor.gate.notify_one();
        for id in &ids {
            world.until(id, RunState::Completed).await;
        }
        hand.go_home().await;
        let trace = lane_is_followed(&recorder, &lane);
        let woken = |step: &&lane::Step| matches!(step, lane::Step::Left { wakes: Some(_), .. });
        assert_eq!(trace.iter().filter(woken).count(), 2, "{trace:?}");
        leases_are_followed(&recorder, &ids);
    }

    async fn those_behind_the_head_are_gathered_as_the_model_says(world: World, recorder: Recorder) {
        let lane = unique("lane");
        world.vendor.will("look a", &[Answer::WaitForGate]);
        let hand = Hand::of(&world.engine);
        let mut ids = Vec::new();
        for what in ["a", "b", "c", "d"] {
            let chat = Chat { what: what.into(), ..Chat::default() };
            let start = Start { lane: Some(lane.clone()), ..Start::default() };
            ids.push(world.engine.start(&chat, start).await.unwrap().run);
            // The first has looked for others before there are any.
            is_called(&world, "look a").await;
        }
        for id in &ids[1..] {
            world.until(id, RunState::Waiting).await;
        }
        world.engine.pause(&ids[3]).await.unwrap();
        world.vendor.gate.notify_one();
        world.until(&ids[2], RunState::Completed).await;
        world.until(&ids[1], RunState::Completed).await;
        world.engine.resume(&ids[3]).await.unwrap();
        for id in &ids {
            world.until(id, RunState::Completed).await;
        }
        hand.go_home().await;
        let (mut trace, runs) = recorder.lane(&lane);
        let model = lane::Lane { runs, places: u8::MAX, ghosts: false, told: true, flaw: lane::Flaw::None };
        accepted(&model, &trace);
        let gathered = trace.iter_mut().find(|step| matches!(step, lane::Step::Gathered { .. })).unwrap();
        assert_eq!(*gathered, lane::Step::Gathered { place: 1, places: vec![2] });
        *gathered = lane::Step::Gathered { place: 1, places: vec![3] };
        assert!(follows(&model, &trace).is_err(), "one was overtaken");
        leases_are_followed(&recorder, &ids[..2]);
    }

    async fn a_parked_head_leaves_and_comes_back_as_the_model_says(world: World, recorder: Recorder) {
        let lane = unique("lane");
        world.vendor.will("first", &[Answer::Never]);
        let hand = Hand::of(&world.engine);
        let first = world.start("first", Some(&lane)).await;
        let second = world.start("second", Some(&lane)).await;
        world.until(&first, RunState::Parked).await;
        world.until(&second, RunState::Completed).await;
        world.engine.storage().retry(&first).await.unwrap();
        world.until(&first, RunState::Completed).await;
        hand.go_home().await;
        let trace = lane_is_followed(&recorder, &lane);
        assert!(trace.contains(&lane::Step::Given { run: 0, place: 2 }), "{trace:?}");
        send_is_followed(&world, &second).await;
        leases_are_followed(&recorder, &[first, second]);
    }

    async fn a_head_that_dies_in_its_lane_keeps_its_place_as_the_model_says(world: World, recorder: Recorder) {
        let lane = unique("lane");
        world.vendor.will("a", &[Answer::WaitForGate]);
        let silent = Hand::of(&world.engine);
        let ids = [world.start("a", Some(&lane)).await, world.start("b", Some(&lane)).await];
        is_called(&world, "a").await;
        world.until(&ids[1], RunState::Waiting).await;
        silent.die();
        let another = world.another().await;
        let hand = Hand::of(&another);
        for id in &ids {
            world.until(id, RunState::Completed).await;
        }
        hand.go_home().await;
        lane_is_followed(&recorder, &lane);
        leases_are_followed(&recorder, &ids);
        // The dead one's request was never sent in full; it is sent again after a definite no.
        use send::Step::*;
        assert_eq!(send_is_followed(&world, &ids[0]).await, [Intended, TakenOver, Reconciled, Intended, Completed]);
    }

    async fn a_send_of_unknown_fate_is_looked_for_as_the_model_says(world: World, recorder: Recorder) {
        use send::Step::*;
        world.vendor.will("heard", &[Answer::HappensSilently]);
        world.vendor.will("lost", &[Answer::LostSilently]);
        world.vendor.will("refused", &[Answer::Refuse]);
        // Its gate stays shut, so that the attempt's time is up.
        world.vendor.will("slow", &[Answer::WaitForGate]);
        let hand = Hand::of(&world.engine);
        let mut ids = Vec::new();
        for what in ["heard", "lost", "refused", "slow"] {
            ids.push(world.start(what, None).await);
        }
        for id in &ids {
            world.until(id, RunState::Completed).await;
        }
        hand.go_home().await;
        assert_eq!(send_is_followed(&world, &ids[0]).await, [Intended, Unknown, Completed]);
        assert_eq!(send_is_followed(&world, &ids[1]).await, [Intended, Unknown, Reconciled, Intended, Completed]);
        assert_eq!(send_is_followed(&world, &ids[2]).await, [Intended, Attempted, Intended, Completed]);
        assert_eq!(send_is_followed(&world, &ids[3]).await, [Intended, TimedOut, Reconciled, Intended, Completed]);
        leases_are_followed(&recorder, &ids);
    }

    async fn two_workers_that_share_a_backlog_do_as_the_model_says(world: World, recorder: Recorder) {
        let lanes = [unique("lane"), unique("lane")];
        let mut ids = Vec::new();
        for n in 0..8 {
            ids.push(world.start(&format!("errand {n}"), Some(&lanes[n % 2])).await);
        }
        let another = world.another().await;
        let hands = [Hand::of(&world.engine), Hand::of(&another)];
        for id in &ids {
            world.until(id, RunState::Completed).await;
        }
        for hand in hands {
            hand.go_home().await;
        }
        leases_are_followed(&recorder, &ids);
        for lane in &lanes {
            lane_is_followed(&recorder, lane);
        }
    }
}

/// A recorder that hears nothing would let everything pass.
#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_trace_with_a_step_changed_is_refused() {
    let recorder = Recorder::start();
    let world = World::new(Backend::Sqlite).await;
    let hand = Hand::of(&world.engine);
    let id = world.start("x", None).await;
    world.until(&id, RunState::Completed).await;
    hand.go_home().await;
    let (honest, workers) = recorder.leases(&id);
    let model = lease::Lease {
        workers,
        runs: 1,
        epochs: u8::MAX,
        events: u8::MAX,
        flaw: lease::Flaw::None,
    };
    accepted(&model, &honest);
    let mut unclaimed = honest.clone();
    unclaimed.remove(0);
    assert!(follows(&model, &unclaimed).is_err());
    let mut stale = honest.clone();
    for step in &mut stale[1..] {
        if let lease::Step::Checkpoint { epoch, .. } = step {
            *epoch -= 1;
        }
    }
    assert!(follows(&model, &stale).is_err());
}
