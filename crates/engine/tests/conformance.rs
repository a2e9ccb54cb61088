//! What the engine promises, on both databases, with workers that are woken in process and by Redis.
#![expect(clippy::unwrap_used, reason = "tests")]
mod world;

use std::time::Duration;

use recado_engine::{Event, EventKind, RunId, RunState, Start};
use recado_testkit::{Backend, eventually};
use world::{Answer, Dispatch, Errand, Hand, World};

/// The same test on both databases, each with both ways of dispatch.
macro_rules! on_both {
    ($($(#[$doc:meta])* async fn $name:ident($world:ident: World) $body:block)*) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(World::new(Backend::Sqlite).await).await }
            )*
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(World::new(Backend::Postgres).await).await }
            )*
        }
        mod sqlite_and_redis {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                super::$name(World::dispatched(Backend::Sqlite, Dispatch::redis()).await).await
            })*
        }
        mod postgres_and_redis {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                super::$name(World::dispatched(Backend::Postgres, Dispatch::redis()).await).await
            })*
        }
        $($(#[$doc])* async fn $name($world: World) $body)*
    };
}

fn kinds(events: &[Event]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

async fn journal(world: &World, run: &RunId) -> Vec<Event> {
    world.engine.storage().journal(run).await.unwrap()
}

on_both! {
    async fn a_run_completes_and_its_journal_tells_it(world: World) {
        let hand = Hand::of(&world.engine);
        let id = world.start("one", Some("lane")).await;
        let run = world.until(&id, RunState::Completed).await;
        assert_eq!((run.outcome.as_deref(), run.output), (Some("done"), Some("sent".into())));
        use EventKind::*;
        let expected = [ActivityCompleted, ActivityCompleted, LaneEntered, ActivityIntended, ActivityCompleted];
        let events = journal(&world, &id).await;
        assert_eq!(kinds(&events), expected);
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(world.notes().await, ["write one"]);
        hand.go_home().await;
    }

    async fn p2_the_same_key_started_fifty_times_at_once_is_one_run(world: World) {
        let hand = Hand::of(&world.engine);
        let starts = (0..50).map(|_| world.start("same", Some("lane")));
        let runs = futures::future::join_all(starts).await;
        assert!(runs.iter().all(|run| *run == runs[0]));
        world.until(&runs[0], RunState::Completed).await;
        assert_eq!(world.start("same", Some("lane")).await, runs[0]);
        // A phantom place would hold the lane up for ever.
        let next = world.start("next", Some("lane")).await;
        world.until(&next, RunState::Completed).await;
        assert_eq!(world.vendor.book().iter().filter(|entry| *entry == "same").count(), 1);
        hand.go_home().await;
    }

    async fn p2_hundreds_of_starts_at_once_are_one_run_a_key_with_a_place_of_its_own(world: World) {
        use sea_orm::{ConnectionTrait, Statement};
        // One key is taken before, and twenty come twice: in neither statement nor transaction may one spoil the others.
        let before = world.start("errand 7", Some("lane 1")).await;
        let ids = futures::future::join_all((0..300).map(|n| {
            let (world, n) = (&world, n % 280);
            async move { world.start(&format!("errand {n}"), Some(&format!("lane {}", n % 3))).await }
        }))
        .await;
        assert_eq!(ids[7], before);
        assert!((0..20).all(|n| ids[n] == ids[n + 280]));
        let db = world.database.connect().await;
        let sql = "select count(*) as runs, count(distinct key) as keys, count(distinct lane || ' ' || place) as places,
            count(distinct lane) as lanes from runs";
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap().unwrap();
        let count = |what: &str| row.try_get::<i64>("", what).unwrap();
        assert_eq!(["runs", "keys", "places", "lanes"].map(count), [280, 280, 280, 3]);
        let hand = Hand::of(&world.engine);
        for id in &ids {
            world.until(id, RunState::Completed).await;
        }
        hand.go_home().await;
    }

    async fn p2_a_recorded_activity_is_never_run_again(world: World) {
        world.vendor.will("again", &[Answer::Refuse, Answer::Refuse]);
        let hand = Hand::of(&world.engine);
        let id = world.start("again", None).await;
        world.until(&id, RunState::Completed).await;
        // The waits were long enough to drop the run from memory, so it was replayed.
        assert_eq!((world.vendor.calls("look again"), world.vendor.calls("again")), (1, 3));
        assert_eq!(world.notes().await, ["write again"]);
        let attempts = kinds(&journal(&world, &id).await);
        assert_eq!(attempts.iter().filter(|kind| **kind == EventKind::ActivityAttempted).count(), 2);
        hand.go_home().await;
    }

    async fn p2_what_a_failed_database_activity_wrote_is_gone(world: World) {
        world.vendor.will("write x", &[Answer::Refuse, Answer::Refuse]);
        let hand = Hand::of(&world.engine);
        let id = world.start("x", None).await;
        world.until(&id, RunState::Completed).await;
        assert_eq!((world.vendor.calls("write x"), world.notes().await.len()), (3, 1));
        hand.go_home().await;
    }

    async fn p2_a_send_that_happened_unheard_is_found_and_not_repeated(world: World) {
        world.vendor.will("send", &[Answer::HappensSilently]);
        let hand = Hand::of(&world.engine);
        let id = world.start("send", None).await;
        let run = world.until(&id, RunState::Completed).await;
        assert_eq!(run.output, Some("found".into()));
        assert_eq!(world.vendor.calls("send"), 1);
        hand.go_home().await;
    }

    async fn p2_a_send_that_was_lost_is_repeated_after_a_definite_no(world: World) {
        world.vendor.will("send", &[Answer::LostSilently]);
        let hand = Hand::of(&world.engine);
        let id = world.start("send", None).await;
        world.until(&id, RunState::Completed).await;
        assert_eq!((world.vendor.calls("send"), world.vendor.book().iter().filter(|e| *e == "send").count()), (2, 1));
        let events = journal(&world, &id).await;
        let unknown = events.iter().find(|event| event.kind == EventKind::ActivityUnknown).unwrap();
        let no = events.iter().find(|event| event.kind == EventKind::ActivityReconciled).unwrap();
        assert!((no.at - unknown.at).to_std().unwrap() >= world::settings().listing_delay);
        hand.go_home().await;
    }

    async fn p2_a_send_that_was_not_answered_in_time_is_repeated_only_when_it_cannot_happen_any_more(world: World) {
        world.vendor.will("send", &[Answer::WaitForGate]);
        let hand = Hand::of(&world.engine);
        let id = world.start("send", None).await;
        world.until(&id, RunState::Completed).await;
        assert_eq!(world.vendor.calls("send"), 2);
        let events = journal(&world, &id).await;
        let unknown = events.iter().find(|event| event.kind == EventKind::ActivityUnknown).unwrap();
        let no = events.iter().find(|event| event.kind == EventKind::ActivityReconciled).unwrap();
        let settings = world::settings();
        assert!((no.at - unknown.at).to_std().unwrap() >= settings.request_timeout + settings.listing_delay);
        hand.go_home().await;
    }

    async fn a_send_that_is_withheld_makes_no_call(world: World) {
        let hand = Hand::of(&world.engine);
        let id = world.start("nothing", None).await;
        let run = world.until(&id, RunState::Completed).await;
        assert_eq!((run.output, world.vendor.calls("nothing")), (Some("withheld".into()), 0));
        hand.go_home().await;
    }

    async fn p3_a_lane_acts_in_the_order_of_its_starts(world: World) {
        world.vendor.will("look a", &[Answer::WaitForGate]);
        let mut ids = Vec::new();
        for what in ["a", "b", "c"] {
            ids.push(world.start(what, Some("lane")).await);
        }
        let hand = Hand::of(&world.engine);
        for id in &ids[1..] {
            assert_eq!(world.until(id, RunState::Waiting).await.waiting_for.as_deref(), Some("lane"));
        }
        let other = world.start("other", Some("another lane")).await;
        world.until(&other, RunState::Completed).await;
        world.vendor.gate.notify_one();
        for id in &ids {
            world.until(id, RunState::Completed).await;
        }
        let acted: Vec<_> = world.vendor.book().into_iter().filter(|entry| entry.len() == 1).collect();
        assert_eq!(acted, ["a", "b", "c"]);
        hand.go_home().await;
    }

    async fn p5_a_run_that_cannot_go_on_is_parked_frees_its_lane_and_can_be_retried(world: World) {
        world.vendor.will("first", &[Answer::Never]);
        let hand = Hand::of(&world.engine);
        let first = world.start("first", Some("lane")).await;
        let second = world.start("second", Some("lane")).await;
        let parked = world.until(&first, RunState::Parked).await;
        assert!(parked.error.unwrap().contains("not ever"));
        assert_eq!(parked.waiting_for.as_deref(), Some("a person"));
        world.until(&second, RunState::Completed).await;
        assert!(world.engine.storage().retry(&second).await.is_err());
        world.engine.storage().retry(&first).await.unwrap();
        world.until(&first, RunState::Completed).await;
        assert_eq!((world.vendor.calls("look first"), world.vendor.calls("first")), (1, 2));
        hand.go_home().await;
    }

    async fn an_activity_is_retried_as_often_as_it_says_and_then_parked(world: World) {
        world.vendor.will("look x", &[Answer::Refuse; 5]);
        let hand = Hand::of(&world.engine);
        let id = world.start("x", None).await;
        world.until(&id, RunState::Parked).await;
        assert_eq!(world.vendor.calls("look x"), 3);
        hand.go_home().await;
    }

    async fn a_send_that_is_lost_again_and_again_is_parked_when_its_attempts_are_used_up(world: World) {
        world.vendor.will("ghost", &[Answer::LostSilently; 4]);
        let hand = Hand::of(&world.engine);
        let id = world.start("ghost", None).await;
        let parked = world.until(&id, RunState::Parked).await;
        assert!(parked.error.unwrap().contains("exhausted"));
        assert_eq!(world.vendor.calls("ghost"), 4);
        hand.go_home().await;
    }

    async fn a_send_whose_fate_nobody_can_tell_is_held_then_parked_and_looked_for_again(world: World) {
        world.vendor.will("riddle", &[Answer::HappensSilently]);
        let hand = Hand::of(&world.engine);
        let id = world.start("riddle", Some("lane")).await;
        let next = world.start("next", Some("lane")).await;
        assert_eq!(world.until(&next, RunState::Waiting).await.waiting_for.as_deref(), Some("lane"));
        let parked = world.until(&id, RunState::Parked).await;
        assert!(parked.error.unwrap().contains("unknown_fate"));
        world.until(&next, RunState::Completed).await;
        world.vendor.call("solved").await.unwrap();
        world.engine.storage().retry(&id).await.unwrap();
        let run = world.until(&id, RunState::Completed).await;
        assert_eq!((run.output, world.vendor.calls("riddle")), (Some("found".into()), 1));
        hand.go_home().await;
    }

    async fn p2_a_send_whose_record_fails_is_recorded_later_and_not_repeated(world: World) {
        world.vendor.will("record x", &[Answer::Refuse, Answer::Refuse]);
        let hand = Hand::of(&world.engine);
        let id = world.start("x", None).await;
        world.until(&id, RunState::Completed).await;
        assert_eq!((world.vendor.calls("x"), world.vendor.calls("record x")), (1, 3));
        hand.go_home().await;
    }

    async fn p5_a_run_that_this_build_cannot_read_is_parked_and_keeps_nobody_up(world: World) {
        use sea_orm::ConnectionTrait;
        world.vendor.will("x", &[Answer::Never]);
        let hand = Hand::of(&world.engine);
        let id = world.start("x", None).await;
        world.until(&id, RunState::Parked).await;
        let db = world.database.connect().await;
        db.execute_unprepared("update journal set kind = 'from_the_future' where op = 1").await.unwrap();
        world.engine.storage().retry(&id).await.unwrap();
        let other = world.start("other", None).await;
        world.until(&other, RunState::Completed).await;
        let told = eventually(Duration::from_secs(10), || async {
            let run = world.engine.storage().run(&id).await.unwrap().unwrap();
            run.error.filter(|error| run.state == RunState::Parked && error.contains("unreadable"))
        })
        .await;
        assert!(told.contains("from_the_future"), "{told}");
        hand.go_home().await;
    }

    async fn p5_a_run_that_ends_its_worker_again_and_again_is_parked(world: World) {
        use sea_orm::ConnectionTrait;
        let id = world.start("bomb", None).await;
        let db = world.database.connect().await;
        db.execute_unprepared("update runs set takeovers = 10").await.unwrap();
        let hand = Hand::of(&world.engine);
        assert!(world.until(&id, RunState::Parked).await.error.unwrap().contains("crash_loop"));
        world.engine.storage().retry(&id).await.unwrap();
        world.until(&id, RunState::Completed).await;
        hand.go_home().await;
    }

    async fn p4_a_worker_that_lost_its_lease_cannot_write(world: World) {
        use sea_orm::ConnectionTrait;
        world.vendor.will("look x", &[Answer::NeverAfterGate]);
        let first = Hand::of(&world.engine);
        let id = world.start("x", Some("lane")).await;
        eventually(Duration::from_secs(10), || async { (world.vendor.calls("look x") == 1).then_some(()) }).await;
        // Another takes the run over while the first one still believes that it holds it.
        let db = world.database.connect().await;
        db.execute_unprepared("update runs set state = 'queued', epoch = epoch + 1").await.unwrap();
        let another = world.another().await;
        let second = Hand::of(&another);
        let done = world.until(&id, RunState::Completed).await;
        let before = journal(&world, &id).await;
        // Now the first one finds that the run cannot go on, and would park it.
        world.vendor.gate.notify_one();
        first.go_home().await;
        second.go_home().await;
        let after = world.engine.storage().run(&id).await.unwrap().unwrap();
        assert_eq!((after.state, after.epoch), (RunState::Completed, done.epoch));
        assert_eq!(kinds(&journal(&world, &id).await), kinds(&before));
        assert_eq!((world.notes().await.len(), world.vendor.calls("x")), (1, 1));
    }

    async fn p1_a_worker_that_falls_silent_is_taken_over(world: World) {
        world.vendor.will("look x", &[Answer::WaitForGate]);
        let id = world.start("x", None).await;
        let silent = Hand::of(&world.engine);
        eventually(Duration::from_secs(10), || async { (world.vendor.calls("look x") == 1).then_some(()) }).await;
        silent.die();
        let another = world.another().await;
        let hand = Hand::of(&another);
        world.until(&id, RunState::Completed).await;
        let taken = journal(&world, &id).await;
        assert!(kinds(&taken).contains(&EventKind::TakenOver));
        hand.go_home().await;
    }

    async fn two_workers_share_a_backlog_and_do_nothing_twice(world: World) {
        let ids = futures::future::join_all((0..60).map(|n| {
            let (world, what) = (&world, format!("errand {n}"));
            async move { world.start(&what, Some(&format!("lane {}", n % 7))).await }
        }))
        .await;
        let another = world.another().await;
        let hands = [Hand::of(&world.engine), Hand::of(&another)];
        for id in &ids {
            world.until(id, RunState::Completed).await;
        }
        let mut book = world.vendor.book();
        book.retain(|entry| entry.starts_with("errand"));
        book.sort();
        book.dedup();
        assert_eq!(book.len(), 60);
        assert!((0..60).all(|n| world.vendor.calls(&format!("errand {n}")) == 1));
        for hand in hands {
            hand.go_home().await;
        }
    }

    async fn p5_a_history_that_does_not_fit_is_parked_with_both_sides_shown(world: World) {
        use sea_orm::ConnectionTrait;
        world.vendor.will("x", &[Answer::Never]);
        let hand = Hand::of(&world.engine);
        let id = world.start("x", None).await;
        world.until(&id, RunState::Parked).await;
        let db = world.database.connect().await;
        db.execute_unprepared("update journal set name = 'glance' where op = 1").await.unwrap();
        world.engine.storage().retry(&id).await.unwrap();
        let told = eventually(Duration::from_secs(10), || async {
            let run = world.engine.storage().run(&id).await.unwrap().unwrap();
            run.error.filter(|error| run.state == RunState::Parked && error.contains("replay_mismatch"))
        })
        .await;
        assert!(told.contains("glance") && told.contains("look"), "{told}");
        hand.go_home().await;
    }

    async fn a_worker_that_goes_home_gives_its_runs_back(world: World) {
        world.vendor.will("look x", &[Answer::WaitForGate]);
        let hand = Hand::of(&world.engine);
        let id = world.start("x", None).await;
        eventually(Duration::from_secs(10), || async { (world.vendor.calls("look x") == 1).then_some(()) }).await;
        hand.go_home().await;
        assert_eq!(world.until(&id, RunState::Queued).await.worker, None);
        let hand = Hand::of(&world.engine);
        world.until(&id, RunState::Completed).await;
        assert_eq!(world.vendor.calls("look x"), 2);
        hand.go_home().await;
    }

    async fn what_was_started_before_any_worker_lived_is_found(world: World) {
        let id = world.start("early", None).await;
        let hand = Hand::of(&world.engine);
        world.until(&id, RunState::Completed).await;
        hand.go_home().await;
    }
}

#[tokio::test]
async fn a_key_outlives_its_run() {
    use sea_orm::ConnectionTrait;
    let world = World::new(Backend::Sqlite).await;
    let id = world.start("kept", None).await;
    world
        .database
        .connect()
        .await
        .execute_unprepared("delete from runs")
        .await
        .unwrap();
    let start = Start {
        key: Some("kept".into()),
        ..Start::default()
    };
    let again = world
        .engine
        .start(&Errand { what: "kept".into() }, start)
        .await
        .unwrap();
    assert_eq!((again.run, again.new), (id, false));
}
