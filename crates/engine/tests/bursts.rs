//! One run answers for those that wait behind it: once, in order, through crashes, and nobody is swallowed.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "this suite needs a part of that world")]
mod world;

use std::time::Duration;

use recado_engine::{
    Child, Codec, Context, ControlError, Engine, EngineBuilder, Event, EventKind, Fault, Outcome, RunId,
    RunState, Start, Storage, StorageOptions, Workflow, dispatch::Bells,
};
use recado_testkit::{Backend, eventually};
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use world::{
    Answer, Hand, World,
    chat::{Chat, Said},
};

/// The same test on both databases.
macro_rules! on_both {
    ($(async fn $name:ident($world:ident: World) $body:block)*) => {
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
        $(async fn $name($world: World) $body)*
    };
}

/// Two that are asked in one lane, and what became of them.
#[derive(Serialize, Deserialize)]
struct Parent {}

#[derive(Serialize, Deserialize)]
struct Heard(Vec<Said>);

impl Outcome for Heard {
    fn word(&self) -> &'static str {
        "heard"
    }
}

impl Workflow for Parent {
    const NAME: &'static str = "parent";
    type Output = Heard;

    async fn run(self, ctx: &mut Context) -> Result<Heard, Fault> {
        let child = Child {
            lane: Some("family".to_owned()),
            ..Child::default()
        };
        let mut asked = Vec::new();
        for what in ["ask", "and ask"] {
            asked.push(ctx.start(&again(what, 3), child.clone()).await?);
        }
        let heard = ctx.join(asked).await.into_iter().collect::<Result<_, _>>()?;
        Ok(Heard(heard))
    }
}

fn chat(what: &str) -> Chat {
    Chat {
        what: what.to_owned(),
        ..Chat::default()
    }
}

fn again(what: &str, again: u32) -> Chat {
    Chat { again, ..chat(what) }
}

async fn waits_for(world: &World, run: &RunId, what: &str) {
    eventually(Duration::from_secs(20), || async {
        let run = world.engine.storage().run(run).await.unwrap().unwrap();
        (run.state == RunState::Waiting && run.waiting_for.as_deref() == Some(what)).then_some(())
    })
    .await;
}

async fn is_called(world: &World, what: &str, times: u32) {
    eventually(Duration::from_secs(20), || async {
        (world.vendor.calls(what) >= times).then_some(())
    })
    .await;
}

async fn of_kind(world: &World, run: &RunId, kind: EventKind) -> Vec<Event> {
    let mut journal = world.engine.storage().journal(run).await.unwrap();
    journal.retain(|event| event.kind == kind);
    journal
}

/// What was sent, without what was looked at.
fn sent(world: &World) -> Vec<String> {
    let mut book = world.vendor.book();
    book.retain(|entry| !entry.starts_with("look ") && !entry.starts_with("record "));
    book
}

async fn ended(world: &World, run: &RunId) -> Said {
    let run = world.until(run, RunState::Completed).await;
    serde_json::from_value(run.output.unwrap()).unwrap()
}

/// The first holds the lane until the gate opens; the others wait behind it.
async fn line(world: &World, lane: &str, names: &[&str]) -> Vec<RunId> {
    world
        .vendor
        .will(&format!("look {}", names[0]), &[Answer::WaitForGate]);
    let mut ids = Vec::new();
    for name in names {
        ids.push(world.say(&chat(name), lane).await);
        // The first has looked for others before there are any.
        is_called(world, &format!("look {}", names[0]), 1).await;
    }
    for id in &ids[1..] {
        waits_for(world, id, "lane").await;
    }
    ids
}

on_both! {
    async fn those_that_wait_are_answered_for_once_in_order_and_stay_who_they_are(world: World) {
        let hand = Hand::of(&world.engine);
        let ids = line(&world, "lane", &["a", "b", "c", "d"]).await;
        world.vendor.gate.notify_one();
        assert_eq!(ended(&world, &ids[1]).await, Said::Sent("b+c+d".into()));
        assert_eq!(sent(&world), ["a", "b+c+d"]);
        let storage = world.engine.storage();
        for merged in &ids[2..] {
            let run = world.until(merged, RunState::Completed).await;
            assert_eq!((run.outcome.as_deref(), run.waiting_for, run.error), (Some("merged"), None, None));
            assert!(run.finished_at.is_some());
            assert_eq!(ended(&world, merged).await, Said::Merged { into: ids[1].clone() });
            assert_eq!(storage.run_by_key("chat", &run.key).await.unwrap().as_ref(), Some(merged));
            assert_eq!(of_kind(&world, merged, EventKind::Merged).await.len(), 1);
            let links = storage.links(merged).await.unwrap();
            assert_eq!((links.len(), links[0].kind.as_str(), &links[0].other), (1, "merged_into", &ids[1]));
        }
        let gathered = of_kind(&world, &ids[1], EventKind::Gathered).await;
        let runs = gathered[0].data.as_ref().unwrap()["runs"].clone();
        let expected = serde_json::json!([{"run": ids[2], "offer": "c"}, {"run": ids[3], "offer": "d"}]);
        assert_eq!((gathered.len(), runs), (1, expected));
        assert_eq!(storage.links(&ids[1]).await.unwrap().len(), 2);
        // Whoever comes later finds the lane free, and who had nobody behind it has nothing to tell.
        let next = world.say(&chat("e"), "lane").await;
        assert_eq!(ended(&world, &next).await, Said::Sent("e".into()));
        assert!(of_kind(&world, &next, EventKind::Gathered).await.is_empty());
        hand.go_home().await;
    }

    async fn a_head_that_dies_after_it_gathered_answers_for_all_of_them(world: World) {
        let hand = Hand::of(&world.engine);
        world.vendor.will("look b+c", &[Answer::WaitForGate]);
        world.vendor.will("b+c", &[Answer::WaitForGate]);
        let ids = line(&world, "lane", &["a", "b", "c"]).await;
        world.vendor.gate.notify_one();
        is_called(&world, "look b+c", 1).await;
        world.until(&ids[2], RunState::Completed).await;
        hand.die();
        // Nobody has looked at it yet, so it may look again; what it dies at next is intended.
        let another = world.another().await;
        let second = Hand::of(&another);
        is_called(&world, "b+c", 1).await;
        second.die();
        let third = Hand::of(&world.engine);
        assert_eq!(ended(&world, &ids[1]).await, Said::Sent("b+c".into()));
        assert_eq!(sent(&world), ["a", "b+c"]);
        assert_eq!(world.vendor.calls("look b+c"), 2);
        for (run, kind) in [(&ids[1], EventKind::Gathered), (&ids[2], EventKind::Merged)] {
            assert_eq!(of_kind(&world, run, kind).await.len(), 1);
        }
        third.go_home().await;
    }

    async fn one_that_is_not_ready_is_left_out_and_nobody_overtakes_it(world: World) {
        let hand = Hand::of(&world.engine);
        let ids = line(&world, "lane", &["a", "b", "c", "d"]).await;
        world.engine.pause(&ids[2]).await.unwrap();
        world.vendor.gate.notify_one();
        assert_eq!(ended(&world, &ids[1]).await, Said::Sent("b".into()));
        waits_for(&world, &ids[2], "resume").await;
        waits_for(&world, &ids[3], "lane").await;
        world.engine.resume(&ids[2]).await.unwrap();
        assert_eq!(ended(&world, &ids[2]).await, Said::Sent("c+d".into()));
        assert_eq!(sent(&world), ["a", "b", "c+d"]);
        hand.go_home().await;
    }

    async fn a_run_that_is_cancelled_as_it_is_gathered_is_cancelled_or_answered_for(world: World) {
        let hand = Hand::of(&world.engine);
        let (mut merged, mut cancelled) = (0, 0);
        for round in 0..12 {
            let names = ["a", "b", "c", "d"].map(|name| format!("{name}{round}"));
            let ids = line(&world, &format!("lane {round}"), &names.each_ref().map(String::as_str)).await;
            let cancel = async {
                if round % 2 == 0 {
                    // Later by what it takes to hear of the first's end.
                    world.until(&ids[0], RunState::Completed).await;
                }
                world.engine.cancel(&ids[2]).await
            };
            world.vendor.gate.notify_one();
            let told = cancel.await;
            let head = ended(&world, &ids[1]).await;
            let all = Said::Sent(names[1..].join("+"));
            match told {
                Ok(()) => {
                    world.until(&ids[2], RunState::Cancelled).await;
                    // The one behind it is answered for if it was gone in time, and else after it.
                    let last = match ended(&world, &ids[3]).await {
                        Said::Merged { .. } => format!("{}+{}", names[1], names[3]),
                        last => {
                            assert_eq!(last, Said::Sent(names[3].clone()));
                            names[1].clone()
                        }
                    };
                    assert_eq!(head, Said::Sent(last));
                    cancelled += 1;
                }
                Err(ControlError::WrongState(RunState::Completed, _)) => {
                    assert_eq!(head, all);
                    merged += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        eprintln!("{merged} merged, {cancelled} cancelled");
        hand.go_home().await;
    }

    async fn a_head_waits_until_it_is_quiet_says_so_and_takes_along_who_came_meanwhile(world: World) {
        const QUIET: Duration = Duration::from_secs(3);
        let patient = |what: &str| Chat {
            quiet: QUIET,
            at_most: Duration::from_secs(600),
            ..chat(what)
        };
        let hand = Hand::of(&world.engine);
        let first = world.say(&patient("a"), "lane").await;
        waits_for(&world, &first, "quiet").await;
        let run = world.engine.storage().run(&first).await.unwrap().unwrap();
        assert_eq!((run.until.unwrap() - run.created_at).to_std().unwrap(), QUIET);
        let second = world.say(&patient("b"), "lane").await;
        assert_eq!(ended(&world, &first).await, Said::Sent("a+b".into()));
        let second = world.engine.storage().run(&second).await.unwrap().unwrap();
        let gathered = of_kind(&world, &first, EventKind::Gathered).await;
        assert!((gathered[0].at - second.created_at).to_std().unwrap() >= QUIET);
        hand.go_home().await;
    }

    async fn a_head_waits_for_quiet_no_longer_than_the_most(world: World) {
        let hand = Hand::of(&world.engine);
        let restless = Chat {
            quiet: Duration::from_secs(3600),
            at_most: Duration::from_millis(700),
            ..chat("a")
        };
        let id = world.say(&restless, "lane").await;
        waits_for(&world, &id, "quiet").await;
        let run = world.engine.storage().run(&id).await.unwrap().unwrap();
        let entered = of_kind(&world, &id, EventKind::LaneEntered).await;
        assert_eq!((run.until.unwrap() - entered[0].at).to_std().unwrap(), restless.at_most);
        assert_eq!(ended(&world, &id).await, Said::Sent("a".into()));
        hand.go_home().await;
    }

    async fn one_who_becomes_ready_supersedes_a_pure_call_and_is_answered_with_it(world: World) {
        // Its answer never comes.
        world.vendor.will("look a", &[Answer::WaitForGate]);
        world.vendor.will("look a+b", &[Answer::WaitForGate]);
        let hand = Hand::of(&world.engine);
        let first = world.say(&again("a", 3), "lane").await;
        is_called(&world, "look a", 1).await;
        let second = world.say(&again("b", 3), "lane").await;
        is_called(&world, "look a+b", 1).await;
        assert_eq!(ended(&world, &second).await, Said::Merged { into: first.clone() });
        // What was superseded stays so.
        hand.die();
        let another = world.another().await;
        let hand = Hand::of(&another);
        assert_eq!(ended(&world, &first).await, Said::Sent("a+b".into()));
        assert_eq!((world.vendor.calls("look a"), sent(&world)), (1, vec!["a+b".to_owned()]));
        assert_eq!(of_kind(&world, &first, EventKind::Superseded).await.len(), 1);
        hand.go_home().await;
    }

    async fn a_call_is_superseded_as_often_as_was_said_and_a_send_never(world: World) {
        world.vendor.will("look a", &[Answer::WaitForGate]);
        world.vendor.will("look a+b", &[Answer::WaitForGate]);
        world.vendor.will("a+b", &[Answer::WaitForGate]);
        let hand = Hand::of(&world.engine);
        let first = world.say(&again("a", 1), "lane").await;
        is_called(&world, "look a", 1).await;
        world.say(&again("b", 1), "lane").await;
        is_called(&world, "look a+b", 1).await;
        let third = world.say(&again("c", 1), "lane").await;
        waits_for(&world, &third, "lane").await;
        world.vendor.gate.notify_one();
        is_called(&world, "a+b", 1).await;
        world.vendor.gate.notify_one();
        assert_eq!(ended(&world, &first).await, Said::Sent("a+b".into()));
        assert_eq!(ended(&world, &third).await, Said::Sent("c".into()));
        assert_eq!((world.vendor.calls("a+b"), sent(&world)), (1, vec!["a+b".to_owned(), "c".to_owned()]));
        assert_eq!(of_kind(&world, &first, EventKind::Superseded).await.len(), 1);
        hand.go_home().await;
    }

    async fn p6_a_run_of_another_owner_or_workflow_is_not_taken_along(world: World) {
        let hand = Hand::of(&world.engine);
        world.vendor.will("look a", &[Answer::WaitForGate]);
        let start = |key: &str, owner: &str| Start {
            key: Some(key.to_owned()),
            owner: Some(owner.to_owned()),
            lane: Some("lane".to_owned()),
            ..Start::default()
        };
        let mut ids = Vec::new();
        for (what, owner) in [("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")] {
            ids.push(world.engine.start(&chat(what), start(what, owner)).await.unwrap().run);
            is_called(&world, "look a", 1).await;
        }
        let errand = world::Errand { what: "e".into() };
        ids.push(world.engine.start(&errand, start("e", "y")).await.unwrap().run);
        for id in &ids[1..] {
            waits_for(&world, id, "lane").await;
        }
        world.vendor.gate.notify_one();
        for id in &ids {
            world.until(id, RunState::Completed).await;
        }
        let mut sent = sent(&world);
        sent.retain(|entry| !entry.starts_with("write "));
        assert_eq!(sent, ["a", "b", "c+d", "e"]);
        hand.go_home().await;
    }

    async fn what_is_offered_is_sealed_while_it_waits(world: World) {
        let engine = world.with_parent(Some(Codec::aes("a secret of more than thirty-two characters"))).await;
        world.vendor.will("look a", &[Answer::WaitForGate]);
        let hand = Hand::of(&engine);
        let mut ids = Vec::new();
        for what in ["a", "b", "c"] {
            let start = Start { lane: Some("lane".to_owned()), ..Start::default() };
            ids.push(engine.start(&chat(what), start).await.unwrap().run);
            is_called(&world, "look a", 1).await;
        }
        for id in &ids[1..] {
            waits_for(&world, id, "lane").await;
        }
        let db = world.database.connect().await;
        let sql = "select offer from lane_places where waiting order by place";
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
        let offers: Vec<String> = rows.iter().map(|row| row.try_get("", "offer").unwrap()).collect();
        assert!(offers.len() == 2 && offers.iter().all(|offer| offer.starts_with("@aes:")), "{offers:?}");
        world.vendor.gate.notify_one();
        for id in &ids {
            world.until(id, RunState::Completed).await;
        }
        assert_eq!(sent(&world), ["a", "b+c"]);
        hand.go_home().await;
    }

    async fn a_parent_hears_of_a_child_that_was_taken_along(world: World) {
        let engine = world.with_parent(None).await;
        world.vendor.will("look ask", &[Answer::WaitForGate]);
        let hand = Hand::of(&engine);
        let parent = engine.start(&Parent {}, Start::default()).await.unwrap().run;
        let run = world.until(&parent, RunState::Completed).await;
        let Heard(heard) = serde_json::from_value(run.output.unwrap()).unwrap();
        assert_eq!(heard[0], Said::Sent("ask+and ask".into()));
        assert!(matches!(heard[1], Said::Merged { .. }), "{heard:?}");
        hand.go_home().await;
    }
}

impl World {
    async fn say(&self, chat: &Chat, lane: &str) -> RunId {
        let start = Start {
            key: Some(chat.what.clone()),
            lane: Some(lane.to_owned()),
            ..Start::default()
        };
        self.engine.start(chat, start).await.unwrap().run
    }

    async fn with_parent(&self, codec: Option<Codec>) -> Engine {
        let bells = Bells::in_process();
        let ring = bells.clone();
        let options = StorageOptions {
            codec,
            ..StorageOptions::new(self.database.url())
        };
        let storage = Storage::open(&options, move || ring.ring()).await.unwrap();
        storage.unlock().await.unwrap();
        EngineBuilder::new(self.vendor.clone())
            .workflow::<Parent>()
            .workflow::<Chat>()
            .activity::<world::Look>()
            .activity::<world::Send>()
            .build(storage, bells, world::settings())
    }
}
