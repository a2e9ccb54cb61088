//! What people who watch are shown: what is stuck, who works, and who waits, on both databases.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "another test of this package uses the rest")]
mod world;

use recado_engine::{Act, Filter, Kind, Mode, RunState, Start};
use recado_testkit::{Backend, eventually};
use sea_orm::ConnectionTrait;
use std::time::Duration;
use world::{Answer, Errand, Hand, World};

/// The same test on both databases.
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
        $($(#[$doc])* async fn $name($world: World) $body)*
    };
}

impl World {
    async fn execute(&self, sql: &str) {
        self.database
            .connect()
            .await
            .execute_unprepared(sql)
            .await
            .unwrap();
    }

    async fn start_for(&self, what: &str, owner: &str) -> recado_engine::RunId {
        let start = Start {
            key: Some(what.into()),
            owner: Some(owner.into()),
            ..Start::default()
        };
        self.engine
            .start(&Errand { what: what.into() }, start)
            .await
            .unwrap()
            .run
    }
}

on_both! {
    async fn what_is_stuck_is_told_by_cause_and_mended_by_it(world: World) {
        let storage = world.engine.storage();
        assert_eq!(storage.stuck(None).await.unwrap(), recado_engine::Stuck::default());
        for what in ["one", "two", "three"] {
            world.vendor.will(what, &[Answer::Never]);
        }
        let hand = Hand::of(&world.engine);
        let mut parked = Vec::new();
        for (what, owner) in [("one", "ours"), ("two", "ours"), ("three", "theirs")] {
            parked.push(world.start_for(what, owner).await);
        }
        for run in &parked {
            world.until(run, RunState::Parked).await;
        }
        hand.go_home().await;
        let fresh = world.start_for("fresh", "ours").await;
        let late = world.start_for("late", "ours").await;
        let failing = world.start_for("failing", "ours").await;
        world.execute(&format!("update runs set since = '2026-01-01T00:00:00+00:00' where id = '{late}'")).await;
        world.execute(&format!(
            "update runs set state = 'waiting', waiting_for = 'retry:send', attempt = 3, error = 'busy: later' where id = '{failing}'"
        )).await;

        let stuck = storage.stuck(None).await.unwrap();
        assert!(!stuck.is_cut);
        let told: Vec<_> = stuck.causes.iter().map(|cause| {
            (cause.kind, cause.class.as_str(), cause.waiting_for.as_deref(), cause.runs)
        }).collect();
        assert_eq!(told, [
            (Kind::Parked, "never", None, 3),
            (Kind::Failing, "busy", Some("retry:send"), 1),
            (Kind::Slow, "", Some("worker"), 1),
        ]);
        let cause = &stuck.causes[0];
        assert_eq!((&cause.example, cause.workflow.as_str()), (&parked[2], "errand"));
        assert!(cause.first <= cause.last);
        assert_eq!(stuck.causes[2].example, late);
        assert_ne!(late, fresh);

        let ours = storage.stuck(Some("ours")).await.unwrap();
        assert_eq!(ours.causes[0].runs, 2);
        let cause = &ours.causes[0];
        let of_cause = Filter {
            state: Some(RunState::Parked),
            workflow: Some(cause.workflow.clone()),
            error: Some(format!("{}:", cause.class)),
            step: Some(cause.step.clone().unwrap_or_default()),
            owner: Some("ours".into()),
            ..Filter::default()
        };
        assert_eq!(storage.runs(&of_cause, 10, None).await.unwrap().items.len(), 2);
        let other_step = Filter { step: Some("another".into()), ..of_cause.clone() };
        assert_eq!(storage.runs(&other_step, 10, None).await.unwrap().items.len(), 0);
        let done = storage.batch(&of_cause, &Act::Retry, Mode::Act, 10).await.unwrap();
        assert_eq!(done.iter().filter(|touched| touched.done.is_ok()).count(), 2);
        assert_eq!(storage.stuck(None).await.unwrap().causes[0].runs, 1);
    }

    async fn a_run_is_found_by_its_step_its_attempt_its_worker_and_its_text(world: World) {
        let storage = world.engine.storage();
        let first = world.start("Apples", None).await;
        let second = world.start("pears", Some("lane/of/pears")).await;
        let found = async |filter: Filter| -> Vec<_> {
            storage.runs(&filter, 10, None).await.unwrap().items.into_iter().map(|run| run.id).collect()
        };
        let text = |text: &str| Filter { text: Some(text.into()), ..Filter::default() };
        assert_eq!(found(text("aPPLes")).await, std::slice::from_ref(&first));
        assert_eq!(found(text("/OF/")).await, std::slice::from_ref(&second));
        assert_eq!(found(text(first.as_str())).await, std::slice::from_ref(&first));
        assert!(found(text("%")).await.is_empty());
        let oldest = Filter { order: recado_engine::Order::Oldest, ..Filter::default() };
        let page = storage.runs(&oldest, 1, None).await.unwrap();
        assert_eq!((&page.items[0].id, page.next.as_deref()), (&first, Some(first.as_str())));
        let page = storage.runs(&oldest, 1, page.next.as_deref()).await.unwrap();
        assert_eq!((&page.items[0].id, page.next), (&second, None));
        world.execute(&format!("update runs set attempt = 4, state = 'running', worker = 'w1' where id = '{second}'")).await;
        assert_eq!(found(Filter { attempt_from: Some(4), ..Filter::default() }).await, std::slice::from_ref(&second));
        assert!(found(Filter { attempt_from: Some(5), ..Filter::default() }).await.is_empty());
        assert_eq!(found(Filter { worker: Some("w1".into()), ..Filter::default() }).await, std::slice::from_ref(&second));
        let since = world.engine.storage().run(&first).await.unwrap().unwrap().since;
        assert_eq!(found(Filter { still_since: Some(since), ..Filter::default() }).await, std::slice::from_ref(&first));
    }

    async fn who_works_is_known_with_what_it_has_in_hand(world: World) {
        let storage = world.engine.storage();
        assert!(storage.workers().await.unwrap().is_empty());
        world.vendor.will("long", &[Answer::WaitForGate]);
        let hand = Hand::of(&world.engine);
        let run = world.start("long", None).await;
        let worker = eventually(Duration::from_secs(20), async || {
            let workers = storage.workers().await.unwrap();
            workers.into_iter().find(|worker| worker.runs == 1)
        }).await;
        assert_eq!(storage.run(&run).await.unwrap().unwrap().worker.as_ref(), Some(&worker.id));
        assert!(worker.started_at <= worker.heartbeat_at && worker.silent_for >= chrono::TimeDelta::zero());
        assert!(worker.build.starts_with("recado"));
        world.vendor.gate.notify_waiters();
        world.vendor.gate.notify_one();
        world.until(&run, RunState::Completed).await;
        hand.go_home().await;
    }

    async fn lines_and_blocked_lanes_are_shown_with_who_holds_them_up(world: World) {
        let storage = world.engine.storage();
        for what in ["a", "b"] {
            world.start_for(what, "ours").await;
        }
        world.start_for("c", "theirs").await;
        let backlogs = storage.backlogs(None, 10).await.unwrap();
        let told: Vec<_> = backlogs.iter().map(|line| (line.owner.as_deref(), line.queued, line.running, line.weight)).collect();
        assert_eq!(told, [(Some("ours"), 2, 0, 1), (Some("theirs"), 1, 0, 1)]);
        assert!(backlogs[0].oldest.is_some());
        assert_eq!(storage.backlogs(Some("theirs"), 10).await.unwrap().len(), 1);
        assert_eq!(storage.backlogs(None, 1).await.unwrap().len(), 1);

        assert!(storage.held_lanes(None, 10).await.unwrap().is_empty());
        let head = world.start("head", Some("the lane")).await;
        let next = world.start("next", Some("the lane")).await;
        world.execute(&format!(
            "update runs set state = 'waiting', waiting_for = 'lane', owner = 'ours' where id = '{next}'"
        )).await;
        let lanes = storage.held_lanes(None, 10).await.unwrap();
        assert_eq!(lanes.len(), 1);
        let lane = &lanes[0];
        assert_eq!((lane.lane.as_str(), lane.waiting, &lane.head, lane.state), ("the lane", 1, &head, RunState::Queued));
        assert_eq!(lane.head_waits_for.as_deref(), Some("worker"));
        assert!(storage.held_lanes(Some("theirs"), 10).await.unwrap().is_empty());
    }
}
