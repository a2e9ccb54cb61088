//! What can be done with runs that nobody works on, on both databases.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "another test of this package uses the rest")]
mod world;

use std::time::Duration;

use recado_engine::{
    Act, ControlError, Decision, Event, EventKind, Filter, Mode, Run, RunId, RunState, Start, Storage,
};
use recado_testkit::{Backend, eventually};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use world::{Answer, Errand, Hand, World};

const PATIENCE: Duration = Duration::from_secs(20);

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
    fn storage(&self) -> &Storage {
        self.engine.storage()
    }

    async fn run(&self, id: &RunId) -> Run {
        self.storage().run(id).await.unwrap().unwrap()
    }

    async fn journal(&self, id: &RunId) -> Vec<Event> {
        self.storage().journal(id).await.unwrap()
    }

    async fn kinds(&self, id: &RunId) -> Vec<EventKind> {
        self.journal(id).await.iter().map(|event| event.kind).collect()
    }

    /// What the run was told: kind, name and data of each, in order.
    async fn told(&self, id: &RunId) -> Vec<(String, Option<String>, Option<Value>)> {
        let export = self.storage().export(id).await.unwrap().unwrap();
        let numbers: Vec<_> = export.signals.iter().map(|signal| signal.n).collect();
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
        assert_eq!(self.run(id).await.inbox, numbers.len() as i64);
        export
            .signals
            .into_iter()
            .map(|told| (told.kind, told.name, told.data))
            .collect()
    }

    async fn told_kinds(&self, id: &RunId) -> Vec<String> {
        self.told(id).await.into_iter().map(|(kind, ..)| kind).collect()
    }

    /// A run that was parked because its send was refused for good.
    async fn parked(&self, what: &str, lane: Option<&str>) -> RunId {
        self.vendor.will(what, &[Answer::Never]);
        let hand = Hand::of(&self.engine);
        let id = self.start(what, lane).await;
        self.until(&id, RunState::Parked).await;
        hand.go_home().await;
        id
    }

    /// A run that was parked because nobody can tell whether it sent.
    async fn riddle(&self) -> RunId {
        self.vendor.will("riddle", &[Answer::LostSilently]);
        let hand = Hand::of(&self.engine);
        let id = self.start("riddle", None).await;
        self.until(&id, RunState::Parked).await;
        hand.go_home().await;
        id
    }

    async fn execute(&self, sql: &str) {
        self.database
            .connect()
            .await
            .execute_unprepared(sql)
            .await
            .unwrap();
    }

    async fn count(&self, sql: &str) -> i64 {
        let db = self.database.connect().await;
        let row = db
            .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
            .await;
        row.unwrap().unwrap().try_get("", "n").unwrap()
    }

    /// Makes `child` a child of `parent`.
    async fn adopt(&self, parent: &RunId, child: &RunId, on_close: &str) {
        self.execute(&format!(
            "update runs set parent = '{parent}', parent_op = 3, on_close = '{on_close}' where id = '{child}'"
        ))
        .await;
    }
}

#[track_caller]
fn wrong_state<T: std::fmt::Debug>(done: Result<T, ControlError>, expected: RunState) {
    match done {
        Err(ControlError::WrongState(state, told)) if state == expected => assert!(!told.is_empty()),
        other => panic!("{other:?} is not refused as {expected}"),
    }
}

#[track_caller]
fn unfit<T: std::fmt::Debug>(done: Result<T, ControlError>) -> String {
    match done {
        Err(ControlError::Unfit(told)) => told,
        other => panic!("{other:?} is not refused as unfit"),
    }
}

on_both! {
    async fn signals_are_numbered_in_order_and_once_per_key(world: World) {
        let id = world.start("one", None).await;
        let engine = &world.engine;
        assert!(engine.signal(&id, "colour", &"red", Some("k1")).await.unwrap());
        assert!(engine.signal(&id, "colour", &"green", None).await.unwrap());
        assert!(!engine.signal(&id, "colour", &"blue", Some("k1")).await.unwrap());
        assert!(engine.signal(&id, "size", &json!({"n": 1}), Some("k2")).await.unwrap());
        let colour = |data: &str| ("signal".to_owned(), Some("colour".to_owned()), Some(json!(data)));
        let size = ("signal".to_owned(), Some("size".to_owned()), Some(json!({"n": 1})));
        assert_eq!(world.told(&id).await, [colour("red"), colour("green"), size]);
        assert_eq!(world.run(&id).await.state, RunState::Queued);
    }

    async fn fifty_signals_at_once_lose_none_and_share_no_number(world: World) {
        let id = world.start("many", None).await;
        let sent = (0..50).map(|n| {
            let (engine, id) = (world.engine.clone(), id.clone());
            async move { engine.signal(&id, "n", &n, Some(&format!("{}", n / 2))).await.unwrap() }
        });
        let new = futures::future::join_all(sent).await.into_iter().filter(|new| *new).count();
        assert_eq!((new, world.told(&id).await.len()), (25, 25));
    }

    async fn a_signal_wakes_a_run_that_waits_but_not_one_that_is_paused(world: World) {
        let id = world.start("sleepy", None).await;
        world.execute("update runs set state = 'waiting', waiting_for = 'signal:x'").await;
        world.engine.signal(&id, "x", &1, None).await.unwrap();
        let run = world.run(&id).await;
        assert_eq!((run.state, run.waiting_for.as_deref()), (RunState::Queued, Some("worker")));
        world.engine.pause(&id).await.unwrap();
        world.engine.signal(&id, "x", &2, None).await.unwrap();
        let run = world.run(&id).await;
        assert_eq!((run.state, run.waiting_for.as_deref(), run.inbox), (RunState::Waiting, Some("resume"), 2));
    }

    async fn a_run_that_has_ended_is_told_nothing_more(world: World) {
        let hand = Hand::of(&world.engine);
        let id = world.start("over", None).await;
        world.until(&id, RunState::Completed).await;
        hand.go_home().await;
        wrong_state(world.engine.signal(&id, "x", &1, None).await, RunState::Completed);
        wrong_state(world.engine.cancel(&id).await, RunState::Completed);
        wrong_state(world.engine.terminate(&id).await, RunState::Completed);
        wrong_state(world.engine.pause(&id).await, RunState::Completed);
        wrong_state(world.engine.resume(&id).await, RunState::Completed);
        wrong_state(world.engine.retry(&id).await, RunState::Completed);
        wrong_state(world.engine.skip(&id, &1).await, RunState::Completed);
        wrong_state(world.engine.decide(&id, Decision::Resend).await, RunState::Completed);
        let nobody = RunId::from("nobody");
        for act in [Act::Cancel, Act::Terminate, Act::Pause, Act::Fork { from: 0, input: None }] {
            let done = world.storage().act(&nobody, &act).await;
            assert!(matches!(done, Err(ControlError::NoSuchRun(id)) if id == nobody));
        }
        assert!(world.told(&id).await.is_empty());
    }

    async fn signal_with_start_starts_once_and_signals_each_time(world: World) {
        let call = Errand { what: "both".into() };
        let start = || Start { key: Some("both".into()), ..Start::default() };
        let first = world.engine.signal_with_start(&call, start(), "x", &1, Some("a")).await.unwrap();
        let second = world.engine.signal_with_start(&call, start(), "x", &2, Some("b")).await.unwrap();
        let again = world.engine.signal_with_start(&call, start(), "x", &2, Some("b")).await.unwrap();
        assert_eq!((first.new, second.new, again.new), (true, false, false));
        assert_eq!((&second.run, &again.run), (&first.run, &first.run));
        assert_eq!(world.told(&first.run).await.len(), 2);
        world.engine.terminate(&first.run).await.unwrap();
        let late = world.engine.signal_with_start(&call, start(), "x", &3, None).await;
        wrong_state(late, RunState::Terminated);
        assert_eq!(world.count("select count(*) as n from runs").await, 1);
    }

    async fn a_paused_run_stays_where_it_is_until_it_is_resumed(world: World) {
        let id = world.start("paused", None).await;
        world.engine.pause(&id).await.unwrap();
        world.engine.pause(&id).await.unwrap();
        let hand = Hand::of(&world.engine);
        // Whoever comes later is done first.
        let other = world.start("other", None).await;
        world.until(&other, RunState::Completed).await;
        assert_eq!((world.run(&id).await.state, world.vendor.calls("look paused")), (RunState::Waiting, 0));
        world.engine.resume(&id).await.unwrap();
        world.until(&id, RunState::Completed).await;
        assert_eq!(world.kinds(&id).await[..2], [EventKind::Paused, EventKind::Resumed]);
        assert_eq!(world.told_kinds(&id).await, ["resume"]);
        hand.go_home().await;
        let parked = world.parked("stuck", None).await;
        wrong_state(world.engine.pause(&parked).await, RunState::Parked);
        wrong_state(world.engine.resume(&parked).await, RunState::Parked);
    }

    async fn a_run_in_somebodys_hands_is_told_to_pause_once_and_may_be_told_otherwise(world: World) {
        let id = world.start("held", None).await;
        world.execute("update runs set state = 'running', worker = 'w', epoch = 1").await;
        wrong_state(world.engine.resume(&id).await, RunState::Running);
        world.engine.pause(&id).await.unwrap();
        world.engine.pause(&id).await.unwrap();
        world.engine.resume(&id).await.unwrap();
        wrong_state(world.engine.resume(&id).await, RunState::Running);
        assert_eq!(world.told_kinds(&id).await, ["pause", "resume"]);
        let run = world.run(&id).await;
        assert_eq!((run.state, run.epoch), (RunState::Running, 1));
    }

    async fn a_cancel_is_told_once_and_sets_a_parked_or_paused_run_going(world: World) {
        let id = world.start("queued", None).await;
        world.engine.cancel(&id).await.unwrap();
        world.engine.cancel(&id).await.unwrap();
        assert_eq!(world.told_kinds(&id).await, ["cancel"]);

        let paused = world.start("paused", None).await;
        world.engine.pause(&paused).await.unwrap();
        world.engine.cancel(&paused).await.unwrap();
        assert_eq!(world.run(&paused).await.state, RunState::Queued);
        assert_eq!(world.told_kinds(&paused).await, ["resume", "cancel"]);
        assert_eq!(world.kinds(&paused).await, [EventKind::Paused, EventKind::Resumed]);
        world.engine.terminate(&paused).await.unwrap();
        world.engine.terminate(&id).await.unwrap();

        let parked = world.parked("stuck", Some("lane")).await;
        let before = world.run(&parked).await;
        world.engine.cancel(&parked).await.unwrap();
        let run = world.run(&parked).await;
        assert_eq!((run.state, run.epoch), (RunState::Queued, before.epoch + 1));
        assert!(run.place > before.place);
        assert_eq!(world.told_kinds(&parked).await, ["cancel"]);
        let hand = Hand::of(&world.engine);
        world.until(&parked, RunState::Cancelled).await;
        assert_eq!(world.vendor.calls("stuck"), 1);
        hand.go_home().await;
    }

    async fn terminate_ends_a_run_cuts_its_holder_off_and_wakes_the_next_of_its_lane(world: World) {
        world.vendor.will("first", &[Answer::WaitForGate]);
        let hand = Hand::of(&world.engine);
        let first = world.start("first", Some("lane")).await;
        eventually(PATIENCE, || async {
            (world.vendor.calls("first") == 1).then_some(())
        })
        .await;
        let second = world.start("second", Some("lane")).await;
        eventually(PATIENCE, || async {
            (world.run(&second).await.waiting_for.as_deref() == Some("lane")).then_some(())
        })
        .await;
        world.engine.terminate(&first).await.unwrap();
        world.until(&second, RunState::Completed).await;
        world.vendor.gate.notify_one();
        hand.go_home().await;
        let run = world.run(&first).await;
        assert_eq!((run.state, run.outcome, run.worker), (RunState::Terminated, None, None));
        assert!(run.finished_at.is_some());
        // What its holder had to say came too late.
        assert_eq!(world.kinds(&first).await.last(), Some(&EventKind::Terminated));
        assert_eq!(world.journal(&first).await.last().unwrap().data.as_ref().unwrap()["was"], "running");
        assert_eq!(world.count("select count(*) as n from lane_places").await, 0);
    }

    async fn children_share_the_end_of_a_terminated_run_as_was_said_and_its_parent_hears(world: World) {
        let mut ids = Vec::new();
        for what in ["grandparent", "parent", "abandoned", "cancelled", "terminated", "grandchild"] {
            ids.push(world.start(what, Some(what)).await);
        }
        let [grandparent, parent, abandoned, cancelled, terminated, grandchild] = ids.try_into().unwrap();
        world.adopt(&grandparent, &parent, "abandon").await;
        world.adopt(&parent, &abandoned, "abandon").await;
        world.adopt(&parent, &cancelled, "cancel").await;
        world.adopt(&parent, &terminated, "terminate").await;
        world.adopt(&terminated, &grandchild, "terminate").await;
        world.engine.terminate(&parent).await.unwrap();
        for (id, state, told) in [
            (&grandparent, RunState::Queued, vec!["child"]),
            (&parent, RunState::Terminated, vec![]),
            (&abandoned, RunState::Queued, vec![]),
            (&cancelled, RunState::Queued, vec!["cancel"]),
            (&terminated, RunState::Terminated, vec![]),
            (&grandchild, RunState::Terminated, vec![]),
        ] {
            let run = world.run(id).await;
            assert_eq!((run.state, world.told_kinds(id).await), (state, told.iter().map(|t| (*t).to_owned()).collect()), "{}", run.key);
        }
        assert_eq!(world.count("select count(*) as n from lane_places").await, 3);
        let children = world.storage().children(&parent).await.unwrap();
        assert_eq!(children.iter().map(|run| &run.id).collect::<Vec<_>>(), [&abandoned, &cancelled, &terminated]);
    }

    async fn a_retry_names_every_step_that_failed_at_once(world: World) {
        let id = world.parked("several", None).await;
        let parked = world.journal(&id).await.last().unwrap().clone();
        let data = json!({"class": "never", "message": "not ever", "ops": [2, 4]});
        world.execute(&format!("update journal set data = '{data}' where run = '{id}' and seq = {}", parked.seq)).await;
        world.engine.retry(&id).await.unwrap();
        let events = world.journal(&id).await;
        let retried: Vec<_> = events[parked.seq as usize..].iter().map(|event| (event.seq, event.kind, event.op)).collect();
        assert_eq!(retried, [
            (parked.seq + 1, EventKind::Retried, Some(2)),
            (parked.seq + 2, EventKind::Retried, Some(4)),
        ]);
        wrong_state(world.engine.retry(&id).await, RunState::Queued);
    }

    async fn a_skipped_step_has_the_given_result_under_its_own_name_and_hash(world: World) {
        let id = world.parked("stuck", None).await;
        let failed = world.journal(&id).await.into_iter().rev().find(|event| event.kind == EventKind::ActivityFailed).unwrap();
        world.engine.skip(&id, &"by hand").await.unwrap();
        let skipped = world.journal(&id).await.pop().unwrap();
        assert_eq!((skipped.kind, skipped.op, &skipped.name, &skipped.hash), (EventKind::Skipped, failed.op, &failed.name, &failed.hash));
        assert_eq!(skipped.data, Some(json!("by hand")));
        assert_eq!(world.run(&id).await.state, RunState::Queued);
        wrong_state(world.engine.skip(&id, &1).await, RunState::Queued);
        let hand = Hand::of(&world.engine);
        assert_eq!(world.until(&id, RunState::Completed).await.output, Some(json!("by hand")));
        assert_eq!(world.vendor.calls("stuck"), 1);
        hand.go_home().await;
    }

    async fn a_run_that_no_step_parked_has_none_to_skip(world: World) {
        let id = world.start("crashing", None).await;
        world.execute("update runs set state = 'parked', error = 'crash_loop: it dies'").await;
        assert!(unfit(world.engine.skip(&id, &1).await).contains("retry"));
        wrong_state(world.engine.decide(&id, Decision::GiveUp).await, RunState::Parked);
        assert_eq!(world.run(&id).await.state, RunState::Parked);
        assert!(world.journal(&id).await.is_empty());
    }

    async fn a_decision_about_a_call_of_unknown_fate_is_written_at_its_step(world: World) {
        let id = world.riddle().await;
        let failed = world.journal(&id).await.into_iter().rev().find(|event| event.kind == EventKind::ActivityFailed).unwrap();
        world.engine.decide(&id, Decision::Happened(json!("SM1"))).await.unwrap();
        let decided = world.journal(&id).await.pop().unwrap();
        assert_eq!((decided.kind, decided.op, &decided.name), (EventKind::ActivityDecided, failed.op, &failed.name));
        assert_eq!(decided.data, Some(json!({"decision": "happened", "result": "SM1"})));
        assert_eq!(world.run(&id).await.state, RunState::Queued);
        let hand = Hand::of(&world.engine);
        assert_eq!(world.until(&id, RunState::Completed).await.output, Some(json!("SM1")));
        assert_eq!(world.vendor.calls("riddle"), 1);
        hand.go_home().await;
        // A call that certainly failed is no matter of opinion.
        let refused = world.parked("refused", None).await;
        wrong_state(world.engine.decide(&refused, Decision::Resend).await, RunState::Parked);
    }

    async fn a_run_that_still_asks_is_told_the_decision(world: World) {
        world.vendor.will("riddle", &[Answer::LostSilently]);
        let hand = Hand::of(&world.engine);
        let id = world.start("riddle", None).await;
        eventually(PATIENCE, || async {
            world.kinds(&id).await.contains(&EventKind::ActivityUnknown).then_some(())
        })
        .await;
        hand.go_home().await;
        let unknown = world.journal(&id).await.into_iter().find(|event| event.kind == EventKind::ActivityUnknown).unwrap();
        world.engine.decide(&id, Decision::GiveUp).await.unwrap();
        let told = ("decision".to_owned(), unknown.op.map(|op| op.to_string()), Some(json!({"decision": "give_up"})));
        assert_eq!(world.told(&id).await, [told]);
        let calm = world.start("calm", None).await;
        wrong_state(world.engine.decide(&calm, Decision::GiveUp).await, RunState::Queued);
    }

    async fn a_fork_of_a_finished_run_does_again_only_what_came_after(world: World) {
        let hand = Hand::of(&world.engine);
        let id = world.start("done", Some("lane")).await;
        world.until(&id, RunState::Completed).await;
        assert_eq!(world.kinds(&id).await[2..], [EventKind::LaneEntered, EventKind::ActivityIntended, EventKind::ActivityCompleted]);
        let told = unfit(world.engine.fork(&id, 4, None).await);
        assert!(told.contains("fork from 3 or 5"), "{told}");
        unfit(world.engine.fork(&id, 6, None).await);
        let new = world.engine.fork(&id, 3, None).await.unwrap();
        let run = world.until(&new, RunState::Completed).await;
        assert_eq!((run.key.as_str(), run.lane.as_deref()), (format!("done/fork/{new}").as_str(), Some("lane")));
        assert_eq!((world.vendor.calls("look done"), world.vendor.calls("write done"), world.vendor.calls("done")), (1, 1, 2));
        use EventKind::*;
        let kinds = world.kinds(&new).await;
        assert_eq!(kinds[..5], [ActivityCompleted, ActivityCompleted, LaneEntered, Forked, LaneLeft]);
        assert_eq!(world.journal(&new).await[3].data, Some(json!({"from": id, "seq": 3})));
        let links = world.storage().links(&id).await.unwrap();
        assert_eq!(links.len(), 1);
        assert_eq!((links[0].kind.as_str(), &links[0].run, &links[0].other), ("forked_from", &new, &id));
        assert_eq!(world.run(&id).await.state, RunState::Completed);
        assert_eq!(world.storage().run_by_key("errand", &run.key).await.unwrap(), Some(new));
        hand.go_home().await;
    }

    async fn a_fork_ends_an_unfinished_original_and_takes_its_open_signals_along(world: World) {
        let id = world.parked("stuck", Some("lane")).await;
        for (name, key) in [("a", Some("k")), ("b", None), ("c", None)] {
            world.engine.signal(&id, name, &name, key).await.unwrap();
        }
        // The second was received by a step that the fork keeps.
        let seq = world.journal(&id).await.len() + 1;
        world.execute(&format!(
            "insert into journal (run, seq, op, kind, name, data, at)
            select id, {seq}, 9, 'signal_received', 'b', '{{\"n\": 2, \"data\": \"b\"}}', since from runs where id = '{id}'"
        )).await;
        world.execute(&format!("insert into run_tags (name, value, run) values ('colour', 'red', '{id}')")).await;
        let all = seq as i64;
        let new = world.engine.fork(&id, all, None).await.unwrap();
        assert_eq!(world.run(&id).await.state, RunState::Terminated);
        let names: Vec<_> = world.told(&new).await.into_iter().filter_map(|(_, name, _)| name).collect();
        assert_eq!(names, ["a", "c"]);
        assert!(!world.engine.signal(&new, "a", &"a", Some("k")).await.unwrap());
        assert_eq!(world.storage().tags(&new).await.unwrap(), [("colour".to_owned(), "red".to_owned())]);
        // From the beginning, with another input: nothing was received yet.
        let fresh = world.engine.fork(&id, 0, Some(json!({"what": "fresh"}))).await.unwrap();
        assert_eq!(world.told(&fresh).await.len(), 3);
        assert_eq!(world.run(&fresh).await.input, json!({"what": "fresh"}));
        assert_eq!(world.kinds(&fresh).await, [EventKind::Forked]);
        world.engine.terminate(&new).await.unwrap();
        let hand = Hand::of(&world.engine);
        world.until(&fresh, RunState::Completed).await;
        assert_eq!((world.vendor.calls("look fresh"), world.vendor.calls("look stuck")), (1, 1));
        hand.go_home().await;
    }

    async fn a_batch_touches_what_its_filter_finds_and_a_dry_run_nothing(world: World) {
        let mut ids = Vec::new();
        for what in ["a", "b", "c", "d"] {
            let start = Start { key: Some(what.into()), owner: (what != "d").then(|| "ours".into()), ..Start::default() };
            ids.push(world.engine.start(&Errand { what: what.into() }, start).await.unwrap().run);
        }
        world.engine.terminate(&ids[0]).await.unwrap();
        world.execute(&format!("insert into run_tags (name, value, run) values ('colour', 'red', '{}')", ids[2])).await;
        let ours = Filter { owner: Some("ours".into()), ..Filter::default() };
        let storage = world.storage();
        let rehearsed = storage.batch(&ours, &Act::Cancel, Mode::DryRun, 100).await.unwrap();
        assert_eq!(rehearsed.iter().map(|touched| &touched.run.id).collect::<Vec<_>>(), [&ids[1], &ids[2]]);
        assert!(rehearsed.iter().all(|touched| touched.done.is_ok()));
        assert_eq!(world.count("select count(*) as n from signals").await, 0);
        let refused = storage.batch(&ours, &Act::Retry, Mode::Act, 100).await.unwrap();
        assert!(refused.iter().all(|touched| matches!(touched.done, Err(ControlError::WrongState(RunState::Queued, _)))));
        let red = Filter { tag: Some(("colour".into(), "red".into())), ..Filter::default() };
        let done = storage.batch(&red, &Act::Pause, Mode::Act, 100).await.unwrap();
        assert_eq!(done.iter().map(|touched| touched.done.as_ref().unwrap()).collect::<Vec<_>>(), [&ids[2]]);
        let waits = Filter { waiting_for: Some("res".into()), ..Filter::default() };
        assert_eq!(storage.batch(&waits, &Act::Resume, Mode::Act, 100).await.unwrap().len(), 1);
        let done = storage.batch(&ours, &Act::Terminate, Mode::Act, 1).await.unwrap();
        assert_eq!(done.iter().map(|touched| &touched.run.id).collect::<Vec<_>>(), [&ids[2]]);
        assert_eq!(world.run(&ids[1]).await.state, RunState::Queued);
    }

    async fn runs_are_found_by_error_and_by_the_time_of_their_start(world: World) {
        let early = world.start("early", None).await;
        let parked = world.parked("never", None).await;
        let storage = world.storage();
        let found = async |filter: Filter| -> Vec<RunId> {
            storage.runs(&filter, 10, None).await.unwrap().items.into_iter().map(|run| run.id).collect()
        };
        assert_eq!(found(Filter { error: Some("never".into()), ..Filter::default() }).await, std::slice::from_ref(&parked));
        assert!(found(Filter { error: Some("n%".into()), ..Filter::default() }).await.is_empty());
        let at = world.run(&parked).await.created_at;
        assert_eq!(found(Filter { created_from: Some(at), ..Filter::default() }).await, std::slice::from_ref(&parked));
        assert_eq!(found(Filter { created_before: Some(at), ..Filter::default() }).await, std::slice::from_ref(&early));
        let open = Filter { unfinished: true, ..Filter::default() };
        assert_eq!(found(open).await, [parked]);
    }

    async fn an_export_can_be_read_again(world: World) {
        let hand = Hand::of(&world.engine);
        let id = world.start("told", None).await;
        world.until(&id, RunState::Completed).await;
        hand.go_home().await;
        let export = world.storage().export(&id).await.unwrap().unwrap();
        let text = serde_json::to_string(&export).unwrap();
        let read: recado_engine::Export = serde_json::from_str(&text).unwrap();
        assert_eq!((read.format, read.workflow.as_str(), &read.input), (1, "errand", &json!({"what": "told"})));
        let events: Vec<Event> = read.events.into_iter().map(Event::from).collect();
        let journal = world.journal(&id).await;
        assert_eq!(format!("{events:?}"), format!("{journal:?}"));
        assert!(events.iter().all(|event| event.hash.is_some()));
        assert!(world.storage().export(&RunId::from("nobody")).await.unwrap().is_none());
    }

    async fn what_a_run_publishes_can_be_read_while_it_waits(world: World) {
        let id = world.start("public", None).await;
        world.execute(&format!(
            "insert into run_values (run, name, data, at) select id, 'step', '{{\"n\": 2}}', since from runs where id = '{id}'"
        )).await;
        let values = world.storage().values(&id).await.unwrap();
        assert_eq!((values.len(), values[0].name.as_str(), &values[0].data), (1, "step", &json!({"n": 2})));
    }
}
