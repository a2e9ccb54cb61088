//! Workflows that the clock starts, on both databases. Time is given, but for the one test of a worker.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use recado_engine::{Engine, Filter, NewSchedule, Overlap, Run, RunState, Schedule, ScheduleError, Storage};
use recado_testkit::{Backend, eventually};
use serde_json::json;
use world::{Answer, Hand, World};

const DAY: TimeDelta = TimeDelta::days(1);

/// The same test on both databases.
macro_rules! on_both {
    ($(async fn $name:ident($world:ident: World) $body:block)*) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(World::new(Backend::Sqlite).await).await })*
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(World::new(Backend::Postgres).await).await })*
        }
        $(async fn $name($world: World) $body)*
    };
}

/// An errand every midnight in UTC.
fn nightly(id: &str, overlap: Overlap) -> NewSchedule {
    NewSchedule {
        input: json!({"what": id}),
        owner: Some("us".into()),
        overlap,
        ..NewSchedule::new(id, "errand", "0 0 * * *")
    }
}

/// Creates it, and returns it with its first tick.
async fn create(world: &World, new: NewSchedule) -> DateTime<Utc> {
    world
        .engine
        .schedules()
        .create(new)
        .await
        .unwrap()
        .next_at
        .unwrap()
}

async fn get(world: &World, id: &str) -> Schedule {
    world.engine.schedules().get(id, None).await.unwrap()
}

/// How many runs are started at `at`.
async fn fire(engine: &Engine, at: DateTime<Utc>) -> u64 {
    engine.fire_schedules_due_at(at).await.unwrap().started
}

/// All runs, oldest first.
async fn runs(storage: &Storage) -> Vec<Run> {
    let mut runs = storage.runs(&Filter::default(), 500, None).await.unwrap().items;
    runs.reverse();
    runs
}

fn key(id: &str, tick: DateTime<Utc>) -> String {
    format!(
        "schedule:{id}:{}",
        tick.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    )
}

/// The field that is refused.
fn field<T: std::fmt::Debug>(result: Result<T, ScheduleError>) -> &'static str {
    match result {
        Err(ScheduleError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

on_both! {
    async fn a_tick_is_started_once_by_processes_that_race_for_it(world: World) {
        let other = world.another().await;
        let ids: Vec<_> = (0..20).map(|n| format!("s{n:02}")).collect();
        let mut first = None;
        for id in &ids {
            first = Some(create(&world, nightly(id, Overlap::Allow)).await);
        }
        let first = first.unwrap();
        assert_eq!(fire(&world.engine, first - TimeDelta::seconds(1)).await, 0);
        for day in 0..4 {
            let at = first + DAY * day;
            let race = (0..8).map(|n| {
                let engine = [&world.engine, &other][n % 2].clone();
                tokio::spawn(async move { fire(&engine, at).await })
            });
            let started: u64 = futures::future::join_all(race).await.into_iter().map(Result::unwrap).sum();
            assert_eq!(started, 20, "day {day}");
        }
        let runs = runs(world.engine.storage()).await;
        let keys: BTreeSet<_> = runs.iter().map(|run| run.key.clone()).collect();
        let expected = (0..4).flat_map(|day| ids.iter().map(move |id| key(id, first + DAY * day)));
        assert_eq!(keys, expected.collect());
        assert_eq!(runs.len(), 80);
        assert!(runs.iter().all(|run| run.owner.as_deref() == Some("us") && run.state == RunState::Queued));
        let schedule = get(&world, "s07").await;
        assert_eq!((schedule.last_at, schedule.next_at), (Some(first + DAY * 3), Some(first + DAY * 4)));
        let last = world.engine.storage().run_by_key("errand", &key("s07", first + DAY * 3)).await.unwrap();
        assert_eq!(schedule.last_run, last);
    }

    async fn a_worker_fires_what_is_due_without_being_told(world: World) {
        let hand = Hand::of(&world.engine);
        let new = NewSchedule { cron: "* * * * * *".into(), ..nightly("tick", Overlap::Skip) };
        create(&world, new).await;
        let done = eventually(Duration::from_secs(30), async || {
            let runs = runs(world.engine.storage()).await;
            let done: Vec<_> = runs.into_iter().filter(|run| run.state == RunState::Completed).collect();
            (done.len() >= 2).then_some(done)
        }).await;
        assert!(done[0].key < done[1].key && done[0].key.starts_with("schedule:tick:20"), "{:?}", done[0].key);
        hand.go_home().await;
    }

    async fn skip_starts_nothing_while_a_run_is_at_work_and_a_parked_one_is_not(world: World) {
        world.vendor.will("look skip", &[Answer::WaitForGate]);
        world.vendor.will("skip", &[Answer::Never]);
        let first = create(&world, nightly("skip", Overlap::Skip)).await;
        assert_eq!(fire(&world.engine, first).await, 1);
        let hand = Hand::of(&world.engine);
        assert_eq!(fire(&world.engine, first + DAY).await, 0);
        assert_eq!((get(&world, "skip").await.skipped, runs(world.engine.storage()).await.len()), (1, 1));
        world.vendor.gate.notify_one();
        let id = runs(world.engine.storage()).await[0].id.clone();
        world.until(&id, RunState::Parked).await;
        assert_eq!(fire(&world.engine, first + DAY * 2).await, 1);
        let id = runs(world.engine.storage()).await[1].id.clone();
        world.until(&id, RunState::Completed).await;
        assert_eq!(fire(&world.engine, first + DAY * 3).await, 1);
        assert_eq!(get(&world, "skip").await.skipped, 1);
        hand.go_home().await;
    }

    async fn cancel_begins_when_the_earlier_run_has_ended_in_its_own_way(world: World) {
        world.vendor.will("look cancel", &[Answer::WaitForGate]);
        let new = NewSchedule { catch_up: Duration::from_secs(7 * 86_400), ..nightly("cancel", Overlap::Cancel) };
        let first = create(&world, new).await;
        assert_eq!(fire(&world.engine, first).await, 1);
        let hand = Hand::of(&world.engine);
        eventually(Duration::from_secs(20), async || (world.vendor.calls("look cancel") == 1).then_some(())).await;
        // Of several ticks at once only the last would not be cancelled.
        assert_eq!(fire(&world.engine, first + DAY * 3).await, 1);
        assert_eq!(get(&world, "cancel").await.skipped, 2);
        let ids: Vec<_> = runs(world.engine.storage()).await.into_iter().map(|run| run.id).collect();
        assert_eq!(ids.len(), 2);
        let cancelled = world.until(&ids[0], RunState::Cancelled).await;
        let done = world.until(&ids[1], RunState::Completed).await;
        assert_eq!(done.key, key("cancel", first + DAY * 3));
        let begun = world.engine.storage().journal(&done.id).await.unwrap()[0].at;
        assert!(begun >= cancelled.finished_at.unwrap(), "not beside the one before");
        assert_eq!(world.vendor.book().iter().filter(|entry| *entry == "cancel").count(), 1);
        hand.go_home().await;
    }

    async fn cancel_also_ends_a_run_that_had_not_begun(world: World) {
        let first = create(&world, nightly("cancel", Overlap::Cancel)).await;
        for day in 0..3 {
            assert_eq!(fire(&world.engine, first + DAY * day).await, 1);
        }
        let ids: Vec<_> = runs(world.engine.storage()).await.into_iter().map(|run| run.id).collect();
        let hand = Hand::of(&world.engine);
        world.until(&ids[0], RunState::Cancelled).await;
        world.until(&ids[1], RunState::Cancelled).await;
        world.until(&ids[2], RunState::Completed).await;
        assert_eq!(world.vendor.calls("look cancel"), 1);
        hand.go_home().await;
    }

    async fn terminate_ends_the_earlier_run_at_once_and_no_other_whoever_fires(world: World) {
        world.vendor.will("look terminate", &[Answer::WaitForGate]);
        let other = world.another().await;
        let first = create(&world, nightly("terminate", Overlap::Terminate)).await;
        let hand = Hand::of(&world.engine);
        for day in 0..2 {
            let at = first + DAY * day;
            let race = (0..6).map(|n| {
                let engine = [&world.engine, &other][n % 2].clone();
                tokio::spawn(async move { fire(&engine, at).await })
            });
            let started: u64 = futures::future::join_all(race).await.into_iter().map(Result::unwrap).sum();
            assert_eq!(started, 1, "day {day}");
            if day == 0 {
                eventually(Duration::from_secs(20), async || (world.vendor.calls("look terminate") == 1).then_some(())).await;
            }
        }
        let ids: Vec<_> = runs(world.engine.storage()).await.into_iter().map(|run| run.id).collect();
        world.until(&ids[0], RunState::Terminated).await;
        world.until(&ids[1], RunState::Completed).await;
        assert_eq!((ids.len(), world.vendor.calls("look terminate")), (2, 2));
        hand.go_home().await;
    }

    async fn queue_lets_runs_begin_one_after_another(world: World) {
        world.vendor.will("look queue", &[Answer::WaitForGate, Answer::WaitForGate]);
        world.vendor.will("queue", &[Answer::Never]);
        let new = NewSchedule { catch_up: Duration::from_secs(7 * 86_400), ..nightly("queue", Overlap::Queue) };
        let first = create(&world, new).await;
        assert_eq!(fire(&world.engine, first + DAY).await, 2);
        assert_eq!(fire(&world.engine, first + DAY * 2).await, 1);
        let ids: Vec<_> = runs(world.engine.storage()).await.into_iter().map(|run| (run.state, run.id)).collect();
        let states: Vec<_> = ids.iter().map(|(state, _)| *state).collect();
        assert_eq!(states, [RunState::Queued, RunState::Waiting, RunState::Waiting]);
        let hand = Hand::of(&world.engine);
        eventually(Duration::from_secs(20), async || (world.vendor.calls("look queue") == 1).then_some(())).await;
        assert_eq!(world.until(&ids[1].1, RunState::Waiting).await.waiting_for.as_deref(), Some("lane"));
        world.vendor.gate.notify_one();
        // A parked head does not stop the line either.
        world.until(&ids[0].1, RunState::Parked).await;
        eventually(Duration::from_secs(20), async || (world.vendor.calls("look queue") == 2).then_some(())).await;
        assert_eq!(world.until(&ids[2].1, RunState::Waiting).await.waiting_for.as_deref(), Some("lane"));
        world.vendor.gate.notify_one();
        world.until(&ids[1].1, RunState::Completed).await;
        world.until(&ids[2].1, RunState::Completed).await;
        hand.go_home().await;
    }

    async fn ticks_that_nobody_saw_are_caught_up_within_the_window_and_counted_beyond_it(world: World) {
        let new = NewSchedule { catch_up: Duration::from_secs(2 * 86_400 + 60), ..nightly("late", Overlap::Allow) };
        let first = create(&world, new).await;
        let fired = world.engine.fire_schedules_due_at(first + DAY * 10).await.unwrap();
        assert_eq!((fired.started, fired.next), (3, Some(first + DAY * 11)));
        let schedule = get(&world, "late").await;
        assert_eq!((schedule.missed, schedule.next_at), (8, Some(first + DAY * 11)));
        let keys: Vec<_> = runs(world.engine.storage()).await.into_iter().map(|run| run.key).collect();
        assert_eq!(keys, [8, 9, 10].map(|day| key("late", first + DAY * day)));
    }

    async fn a_paused_schedule_starts_nothing_but_what_a_person_asks_for(world: World) {
        let schedules = world.engine.schedules();
        let first = create(&world, nightly("paused", Overlap::Skip)).await;
        let paused = schedules.pause("paused", Some("us")).await.unwrap();
        assert!(paused.paused && paused.next_at.is_none());
        assert_eq!(fire(&world.engine, first + DAY).await, 0);
        let one = schedules.trigger("paused", Some("us")).await.unwrap();
        let two = schedules.trigger("paused", None).await.unwrap();
        assert!(one.new && two.new && one.run != two.run);
        let run = world.engine.storage().run(&two.run).await.unwrap().unwrap();
        assert!(run.key.starts_with("schedule:paused:manual:"), "{}", run.key);
        assert_eq!(get(&world, "paused").await.last_run, Some(two.run));
        // A change does not wake it.
        let changed = schedules.replace(nightly("paused", Overlap::Allow)).await.unwrap();
        assert!(changed.paused && changed.next_at.is_none() && changed.overlap == Overlap::Allow);
        let resumed = schedules.resume("paused", Some("us")).await.unwrap();
        assert!(!resumed.paused && resumed.next_at.unwrap() >= first && resumed.missed == 0);
        assert_eq!(fire(&world.engine, resumed.next_at.unwrap()).await, 1);
    }

    async fn a_backfill_starts_the_ticks_that_were_not_started_and_none_twice(world: World) {
        let schedules = world.engine.schedules();
        create(&world, nightly("back", Overlap::Queue)).await;
        let midnight = |days: i64| {
            let today = Utc::now().date_naive().and_hms_opt(0, 0, 0).unwrap().and_utc();
            today - DAY * days as i32
        };
        let first = schedules.backfill("back", Some("us"), midnight(4), midnight(1)).await.unwrap();
        assert_eq!((first.started.len(), first.already), (3, 0));
        let again = schedules.backfill("back", None, midnight(6), midnight(0)).await.unwrap();
        assert_eq!((again.started.len(), again.already), (3, 3));
        let ran: BTreeSet<_> = runs(world.engine.storage()).await.into_iter().map(|run| run.key).collect();
        assert_eq!(ran, (1..=6).map(|days| key("back", midnight(days))).collect());
        for run in runs(world.engine.storage()).await {
            assert_eq!(run.lane.as_deref(), Some("schedule:back"));
        }
        let hand = Hand::of(&world.engine);
        for run in first.started.iter().chain(&again.started) {
            world.until(run, RunState::Completed).await;
        }
        hand.go_home().await;
        assert_eq!(field(schedules.backfill("back", None, midnight(1), midnight(1)).await), "to");
        assert_eq!(field(schedules.backfill("back", None, midnight(1), Utc::now() + DAY).await), "to");
        assert_eq!(field(schedules.backfill("back", None, midnight(1500), midnight(1)).await), "to");
    }

    async fn a_tick_that_a_backfill_has_started_is_not_fired_again(world: World) {
        let schedules = world.engine.schedules();
        let every_second = NewSchedule { cron: "* * * * * *".into(), ..nightly("both", Overlap::Allow) };
        let first = create(&world, every_second).await;
        eventually(Duration::from_secs(20), async || (Utc::now() > first + TimeDelta::seconds(1)).then_some(())).await;
        let end = first + TimeDelta::seconds(1);
        assert_eq!(schedules.backfill("both", None, first, end).await.unwrap().started.len(), 1);
        assert_eq!(fire(&world.engine, first).await, 0);
        assert_eq!(get(&world, "both").await.next_at, Some(end));
        assert_eq!(fire(&world.engine, end).await, 1);
        assert_eq!(runs(world.engine.storage()).await.len(), 2);
    }

    async fn what_cannot_be_scheduled_is_refused_by_its_field(world: World) {
        let schedules = world.engine.schedules();
        let good = || nightly("good", Overlap::Skip);
        let wrong = [
            ("id", NewSchedule { id: "a:b".into(), ..good() }),
            ("id", NewSchedule { id: String::new(), ..good() }),
            ("workflow", NewSchedule { workflow: "errands".into(), ..good() }),
            ("input", NewSchedule { input: json!({"which": 1}), ..good() }),
            ("cron", NewSchedule { cron: "daily".into(), ..good() }),
            ("cron", NewSchedule { cron: "0 0 30 2 *".into(), ..good() }),
            ("time_zone", NewSchedule { time_zone: "Mars/Olympus".into(), ..good() }),
            ("catch_up", NewSchedule { catch_up: Duration::from_secs(1), ..good() }),
        ];
        for (name, new) in wrong {
            assert_eq!(field(schedules.create(new.clone()).await), name);
            assert_eq!(field(schedules.replace(new).await), name);
        }
        assert!(schedules.list(None, 10, None).await.unwrap().items.is_empty());
    }

    async fn a_schedule_is_its_owners_alone_and_its_name_is_nobody_elses(world: World) {
        let schedules = world.engine.schedules();
        for id in ["a", "b", "c"] {
            create(&world, nightly(id, Overlap::Skip)).await;
        }
        let theirs = || NewSchedule { owner: Some("them".into()), ..nightly("a", Overlap::Skip) };
        assert!(matches!(schedules.create(theirs()).await, Err(ScheduleError::Taken(_))));
        assert!(matches!(schedules.replace(theirs()).await, Err(ScheduleError::Taken(_))));
        assert!(matches!(schedules.create(nightly("a", Overlap::Skip)).await, Err(ScheduleError::Taken(_))));
        let them = Some("them");
        let none = |result: Result<(), ScheduleError>| assert!(matches!(result, Err(ScheduleError::NoSuchSchedule(_))));
        none(schedules.get("a", them).await.map(drop));
        none(schedules.pause("a", them).await.map(drop));
        none(schedules.resume("a", them).await.map(drop));
        none(schedules.trigger("a", them).await.map(drop));
        none(schedules.backfill("a", them, Utc::now() - DAY, Utc::now()).await.map(drop));
        none(schedules.delete("a", them).await);
        assert!(schedules.list(them, 10, None).await.unwrap().items.is_empty());
        let page = schedules.list(Some("us"), 2, None).await.unwrap();
        assert_eq!((page.items.len(), page.next.as_deref()), (2, Some("b")));
        let rest = schedules.list(Some("us"), 2, Some("b")).await.unwrap();
        assert_eq!((rest.items[0].id.as_str(), rest.next), ("c", None));
        schedules.delete("a", Some("us")).await.unwrap();
        none(schedules.get("a", None).await.map(drop));
        schedules.create(theirs()).await.unwrap();
    }
}
