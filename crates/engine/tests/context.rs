//! What a workflow may ask for, through crashes, on both databases.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "this suite needs a part of that world")]
mod world;

use std::{sync::Arc, time::Duration};

use recado_engine::{
    Activity, Attempt, Child, Context, Effect, Engine, EngineBuilder, EventKind, Fault, OnClose, Race,
    Receive, Retry, RunId, RunState, Signal, Sleep, Start, Storage, StorageOptions, Workflow,
    dispatch::Bells,
};
use recado_testkit::{Backend, TestDatabase, eventually};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use world::{Answer, Done, Hand, Look, Send, Vendor, Write, settings};

/// What a test workflow does, as data.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Play {
    Join,
    JoinMany(u32),
    RaceWithTimer,
    RaceSendWithTimer,
    RaceWithWord,
    Sleep(Duration),
    Children(OnClose),
    LetGo(OnClose),
    Versioned,
    Compensate,
    Again(u32),
    Long,
    Late,
    Refused,
    Await(Option<Duration>),
}

#[derive(Serialize, Deserialize)]
struct Player {
    play: Play,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Word(String);

impl Signal for Word {
    const NAME: &'static str = "word";
}

/// Counts up to ten, and tells how far it has come.
#[derive(Serialize, Deserialize)]
struct Count {}

impl Activity<Vendor> for Count {
    const NAME: &'static str = "count";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(10)).up_to(3);
    const TIMEOUT: Duration = Duration::from_secs(60);
    const HEARTBEAT: Option<Duration> = Some(Duration::from_millis(1500));
    type Output = (u32, u32);

    async fn run(&self, vendor: &Vendor, attempt: &Attempt<'_>) -> Result<(u32, u32), Fault> {
        let begun = attempt.details::<u32>().unwrap_or_default();
        attempt.heartbeat(&(begun + 5));
        if attempt.number() == 1 {
            // It falls silent.
            vendor.call("silent").await?;
            std::future::pending::<()>().await;
        }
        Ok((attempt.number(), begun + 5))
    }
}

/// Always asks for another try, until its time is over.
#[derive(Serialize, Deserialize)]
struct Hurry {}

impl Activity<Vendor> for Hurry {
    const NAME: &'static str = "hurry";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(20)).up_to(1000);
    const DEADLINE: Option<Duration> = Some(Duration::from_millis(300));
    type Output = ();

    async fn run(&self, vendor: &Vendor, _: &Attempt<'_>) -> Result<(), Fault> {
        vendor.call("hurry").await?;
        Err(Fault::retry("busy", "not now"))
    }
}

/// Fails in a way that is not worth another try.
#[derive(Serialize, Deserialize)]
struct Picky {}

impl Activity<Vendor> for Picky {
    const NAME: &'static str = "picky";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(20)).not_for(&["bad_request"]);
    type Output = ();

    async fn run(&self, vendor: &Vendor, _: &Attempt<'_>) -> Result<(), Fault> {
        vendor.call("picky").await?;
        Err(Fault::retry("bad_request", "it will be as bad the next time"))
    }
}

fn look(what: &str) -> Look {
    Look {
        what: what.to_owned(),
    }
}

fn send(what: &str) -> Send {
    Send {
        what: what.to_owned(),
    }
}

impl Workflow for Player {
    const NAME: &'static str = "player";
    type Output = Done;

    async fn run(self, ctx: &mut Context) -> Result<Done, Fault> {
        Ok(Done(match self.play {
            Play::Join => {
                let write = Write {
                    what: "joined".into(),
                };
                let (seen, written, sent, slept) = ctx
                    .join((look("a"), write, send("letter"), Sleep(Duration::from_millis(50))))
                    .await;
                written?;
                slept?;
                format!("{} {}", seen?, sent?)
            }
            Play::JoinMany(n) => {
                let looks: Vec<_> = (0..n).map(|n| look(&format!("{n}"))).collect();
                let seen = ctx.join(looks).await.into_iter().collect::<Result<Vec<_>, _>>()?;
                format!("{}", seen.len())
            }
            Play::RaceWithTimer => match ctx.race(look("slow"), Sleep(Duration::from_millis(100))).await? {
                Race::First(seen) => seen,
                Race::Second(()) => format!("gave up, {}", ctx.run(look("after")).await?),
            },
            Play::RaceSendWithTimer => {
                let won = ctx
                    .race(send("slow letter"), Sleep(Duration::from_millis(50)))
                    .await?;
                format!("{won:?}")
            }
            Play::RaceWithWord => {
                let first = ctx.race(look("quick"), Receive::<Word>::new()).await?;
                let heard = ctx.signal::<Word>(Some(Duration::from_millis(200))).await?;
                format!("{first:?}, then {heard:?}")
            }
            Play::Sleep(duration) => {
                let before = ctx.now().await;
                ctx.sleep(duration).await?;
                let slept = ctx.now().await - before;
                ctx.run(look("awake")).await?;
                assert!(slept.to_std().unwrap() >= duration);
                ctx.id()
            }
            Play::Children(on_close) => {
                let child = Child {
                    on_close,
                    ..Child::default()
                };
                let one = ctx
                    .start(
                        &Player {
                            play: Play::JoinMany(2),
                        },
                        child.clone(),
                    )
                    .await?;
                let two = ctx
                    .start(
                        &Player {
                            play: Play::JoinMany(3),
                        },
                        child,
                    )
                    .await?;
                let (one, two) = ctx.join((one, two)).await;
                format!("{} {}", one?.0, two?.0)
            }
            Play::LetGo(on_close) => {
                let child = Child {
                    on_close,
                    ..Child::default()
                };
                let child = ctx
                    .start(
                        &Player {
                            play: Play::Await(None),
                        },
                        child,
                    )
                    .await?;
                child.run_id().to_string()
            }
            Play::Versioned => {
                let new = ctx.version("look first").await;
                ctx.tag("contact", "ana").await;
                ctx.publish("step", &1).await;
                ctx.run(look("x")).await?;
                ctx.tag("contact", "bea").await;
                ctx.publish("step", &2).await;
                let again = ctx.version("look first").await;
                ctx.run(look("y")).await?;
                format!("{new} {again}")
            }
            Play::Compensate => match ctx.run(look("slow")).await {
                Err(fault @ Fault::Cancelled { .. }) => {
                    assert!(ctx.cancelled());
                    ctx.run(Write {
                        what: "undone".into(),
                    })
                    .await?;
                    return Err(fault);
                }
                other => other?,
            },
            Play::Again(0) => "at last".into(),
            Play::Again(n) => {
                ctx.run(look(&format!("round {n}"))).await?;
                return ctx
                    .continue_as_new(&Player {
                        play: Play::Again(n - 1),
                    })
                    .await;
            }
            Play::Long => format!("{:?}", ctx.run(Count {}).await?),
            Play::Late => match ctx.run(Hurry {}).await {
                Err(fault) => fault.failure().class.clone(),
                Ok(()) => "never".into(),
            },
            Play::Refused => match ctx.run(Picky {}).await {
                Err(fault) => fault.failure().class.clone(),
                Ok(()) => "never".into(),
            },
            Play::Await(timeout) => match ctx.signal::<Word>(timeout).await? {
                Some(word) => match ctx.ask(Receive::<Word>::within(Duration::from_millis(1))).await? {
                    Some(second) => format!("{} {}", word.0, second.0),
                    None => word.0,
                },
                None => "nobody said a word".into(),
            },
        }))
    }
}

struct Stage {
    vendor: Arc<Vendor>,
    engine: Engine,
    database: TestDatabase,
}

impl Stage {
    async fn new(backend: Backend) -> Self {
        let database = TestDatabase::new(backend).await;
        let vendor = Arc::<Vendor>::default();
        let create = "create table notes (what text not null)";
        database.connect().await.execute_unprepared(create).await.unwrap();
        let engine = build(&database, vendor.clone()).await;
        Self {
            vendor,
            engine,
            database,
        }
    }

    async fn another(&self) -> Engine {
        build(&self.database, self.vendor.clone()).await
    }

    async fn start(&self, play: Play) -> RunId {
        self.engine
            .start(&Player { play }, Start::default())
            .await
            .unwrap()
            .run
    }

    async fn until(&self, run: &RunId, state: RunState) -> recado_engine::Run {
        eventually(Duration::from_secs(30), || async {
            let run = self.engine.storage().run(run).await.unwrap().unwrap();
            (run.state == state).then_some(run)
        })
        .await
    }

    /// The word that the run ends with.
    async fn end(&self, run: &RunId) -> String {
        let run = self.until(run, RunState::Completed).await;
        run.output.unwrap().as_str().unwrap().to_owned()
    }

    async fn count(&self, run: &RunId, kind: EventKind) -> usize {
        let events = self.engine.storage().journal(run).await.unwrap();
        events.iter().filter(|event| event.kind == kind).count()
    }
}

async fn build(database: &TestDatabase, vendor: Arc<Vendor>) -> Engine {
    let bells = Bells::in_process();
    let ring = bells.clone();
    let storage = Storage::open(&StorageOptions::new(database.url()), move || ring.ring())
        .await
        .unwrap();
    EngineBuilder::new(vendor)
        .workflow::<Player>()
        .activity::<Look>()
        .activity::<Write>()
        .activity::<Send>()
        .activity::<Count>()
        .activity::<Hurry>()
        .activity::<Picky>()
        .build(storage, bells, settings())
}

macro_rules! on_both {
    ($(async fn $name:ident($stage:ident: Stage) $body:block)*) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(Stage::new(Backend::Sqlite).await).await })*
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(Stage::new(Backend::Postgres).await).await })*
        }
        $(async fn $name($stage: Stage) $body)*
    };
}

on_both! {
    async fn activities_of_different_kinds_are_joined_each_once(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::Join).await;
        assert_eq!(stage.end(&run).await, "saw a sent");
        assert_eq!((stage.vendor.calls("a"), stage.vendor.calls("letter"), stage.vendor.calls("joined")), (1, 1, 1));
        hand.go_home().await;
    }

    async fn a_join_goes_on_after_a_crash_without_repeating_what_was_recorded(stage: Stage) {
        stage.vendor.will("letter", &[Answer::WaitForGate]);
        let dying = Hand::of(&stage.engine);
        let run = stage.start(Play::Join).await;
        eventually(Duration::from_secs(20), || async {
            let written = stage.count(&run, EventKind::ActivityIntended).await == 1 && stage.vendor.calls("letter") == 1;
            (written && stage.vendor.calls("joined") == 1).then_some(())
        })
        .await;
        dying.die();
        let other = stage.another().await;
        let hand = Hand::of(&other);
        assert!(stage.end(&run).await.starts_with("saw a "));
        // The letter was never written into the vendor's book by the first worker, and so is sent again, once.
        assert_eq!(stage.vendor.book().iter().filter(|entry| *entry == "letter").count(), 1);
        assert_eq!(stage.vendor.calls("joined"), 1);
        hand.go_home().await;
    }

    async fn fifty_activities_run_at_the_same_time(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::JoinMany(50)).await;
        assert_eq!(stage.end(&run).await, "50");
        hand.go_home().await;
    }

    async fn a_race_is_won_by_what_comes_first_and_the_loser_is_dropped(stage: Stage) {
        stage.vendor.will("slow", &[Answer::WaitForGate]);
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::RaceWithTimer).await;
        assert_eq!(stage.end(&run).await, "gave up, saw after");
        assert_eq!(stage.count(&run, EventKind::RaceWon).await, 1);
        hand.go_home().await;
    }

    async fn a_race_does_not_drop_a_send_that_was_intended(stage: Stage) {
        stage.vendor.will("slow letter", &[Answer::WaitForGate]);
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::RaceSendWithTimer).await;
        eventually(Duration::from_secs(20), || async { (stage.vendor.calls("slow letter") == 1).then_some(()) }).await;
        stage.vendor.gate.notify_one();
        stage.end(&run).await;
        let events = stage.engine.storage().journal(&run).await.unwrap();
        let completed = events.iter().filter(|event| event.name.as_deref() == Some("send") && event.kind == EventKind::ActivityCompleted);
        assert_eq!(completed.count(), 1);
        let sent = stage.vendor.book().into_iter().filter(|entry| entry == "slow letter");
        assert_eq!(sent.count(), 1);
        hand.go_home().await;
    }

    async fn a_signal_is_not_taken_by_a_step_that_loses_its_race(stage: Stage) {
        let run = stage.start(Play::RaceWithWord).await;
        stage.engine.signal(&run, Word::NAME, &Word("kept".into()), None).await.unwrap();
        let hand = Hand::of(&stage.engine);
        assert_eq!(stage.end(&run).await, r#"First("saw quick"), then Some(Word("kept"))"#);
        assert_eq!(stage.count(&run, EventKind::SignalReceived).await, 1);
        hand.go_home().await;
    }

    async fn a_long_sleep_is_a_row_that_another_process_wakes(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::Sleep(Duration::from_millis(900))).await;
        let waiting = stage.until(&run, RunState::Waiting).await;
        assert_eq!((waiting.waiting_for.as_deref(), waiting.until.is_some()), (Some("timer"), true));
        hand.die();
        let other = stage.another().await;
        let hand = Hand::of(&other);
        assert_eq!(stage.end(&run).await.len(), 32);
        assert_eq!((stage.count(&run, EventKind::TimerSet).await, stage.count(&run, EventKind::TimerFired).await), (1, 1));
        hand.go_home().await;
    }

    async fn a_parent_waits_for_its_children_and_receives_what_they_bring(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::Children(OnClose::Cancel)).await;
        assert_eq!(stage.end(&run).await, "2 3");
        assert_eq!(stage.count(&run, EventKind::ChildFinished).await, 2);
        hand.go_home().await;
    }

    async fn the_end_of_a_parent_does_to_its_children_what_it_was_to_do(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        for (on_close, state) in [
            (OnClose::Cancel, RunState::Cancelled),
            (OnClose::Terminate, RunState::Terminated),
        ] {
            let parent = stage.start(Play::LetGo(on_close)).await;
            let child = RunId::from(stage.end(&parent).await.as_str());
            stage.until(&child, state).await;
        }
        let parent = stage.start(Play::LetGo(OnClose::Abandon)).await;
        let child = RunId::from(stage.end(&parent).await.as_str());
        assert_eq!(stage.until(&child, RunState::Waiting).await.waiting_for.as_deref(), Some("signal:word"));
        hand.go_home().await;
    }

    async fn versions_tags_and_published_values_are_told_once(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::Versioned).await;
        assert_eq!(stage.end(&run).await, "true true");
        assert_eq!((stage.count(&run, EventKind::VersionMarked).await, stage.count(&run, EventKind::Tagged).await), (1, 2));
        let db = stage.database.connect().await;
        let read = async |sql: &str| {
            let rows = db.query_all_raw(sea_orm::Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
            rows.iter().map(|row| row.try_get::<String>("", "v").unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(read("select value as v from run_tags").await, ["bea"]);
        assert_eq!(read("select data as v from run_values").await, ["2"]);
        hand.go_home().await;
    }

    async fn a_run_goes_on_as_new_under_the_same_key(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        let start = Start { key: Some("loop".into()), ..Start::default() };
        let first = stage.engine.start(&Player { play: Play::Again(3) }, start).await.unwrap().run;
        let last = eventually(Duration::from_secs(20), || async {
            let storage = stage.engine.storage();
            let run = storage.run_by_key("player", "loop").await.unwrap().unwrap();
            let run = storage.run(&run).await.unwrap().unwrap();
            (run.outcome.as_deref() == Some("done")).then_some(run)
        })
        .await;
        assert_ne!(last.id, first);
        assert_eq!(stage.until(&first, RunState::Completed).await.outcome.as_deref(), Some("continued"));
        let rounds: Vec<_> = stage.vendor.book();
        assert_eq!(rounds, ["round 3", "round 2", "round 1"]);
        hand.go_home().await;
    }

    async fn a_silent_attempt_is_tried_again_and_finds_how_far_it_had_come(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::Long).await;
        assert_eq!(stage.end(&run).await, "(2, 10)");
        hand.go_home().await;
    }

    async fn retries_end_with_their_deadline_and_with_a_class_that_is_final(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        let (late, refused) = (stage.start(Play::Late).await, stage.start(Play::Refused).await);
        assert_eq!((stage.end(&late).await.as_str(), stage.end(&refused).await.as_str()), ("busy", "bad_request"));
        assert!(stage.vendor.calls("hurry") < 20);
        assert_eq!(stage.vendor.calls("picky"), 1);
        hand.go_home().await;
    }

    async fn signals_are_received_in_order_each_once_also_before_anybody_waits(stage: Stage) {
        let start = || Start { key: Some("talk".into()), ..Start::default() };
        let call = || Player { play: Play::Await(None) };
        let one = Word("one".into());
        let first = stage.engine.signal_with_start(&call(), start(), Word::NAME, &one, Some("1")).await.unwrap();
        let again = stage.engine.signal_with_start(&call(), start(), Word::NAME, &one, Some("1")).await.unwrap();
        assert_eq!((first.new, again.new, &first.run), (true, false, &again.run));
        assert!(stage.engine.signal(&first.run, Word::NAME, &Word("two".into()), Some("2")).await.unwrap());
        assert!(!stage.engine.signal(&first.run, Word::NAME, &Word("two".into()), Some("2")).await.unwrap());
        let hand = Hand::of(&stage.engine);
        assert_eq!(stage.end(&first.run).await, "one two");
        hand.go_home().await;
    }

    async fn a_signal_wakes_a_run_that_waits_for_it(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::Await(None)).await;
        stage.until(&run, RunState::Waiting).await;
        stage.engine.signal(&run, Word::NAME, &Word("at last".into()), None).await.unwrap();
        assert_eq!(stage.end(&run).await, "at last");
        hand.go_home().await;
    }

    async fn a_cancel_breaks_an_activity_off_and_lets_the_workflow_put_things_right(stage: Stage) {
        stage.vendor.will("slow", &[Answer::WaitForGate]);
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::Compensate).await;
        eventually(Duration::from_secs(20), || async { (stage.vendor.calls("slow") == 1).then_some(()) }).await;
        stage.engine.cancel(&run).await.unwrap();
        stage.until(&run, RunState::Cancelled).await;
        assert_eq!((stage.vendor.calls("undone"), stage.vendor.calls("slow")), (1, 1));
        assert_eq!(stage.count(&run, EventKind::Cancelled).await, 1);
        hand.go_home().await;
    }

    async fn a_run_that_is_under_way_pauses_before_its_next_step_and_goes_on_when_it_is_resumed(stage: Stage) {
        stage.vendor.will("x", &[Answer::WaitForGate]);
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::Versioned).await;
        eventually(Duration::from_secs(20), || async { (stage.vendor.calls("x") == 1).then_some(()) }).await;
        stage.engine.pause(&run).await.unwrap();
        stage.vendor.gate.notify_one();
        let paused = stage.until(&run, RunState::Waiting).await;
        assert_eq!((paused.waiting_for.as_deref(), stage.vendor.calls("y")), (Some("resume"), 0));
        stage.engine.resume(&run).await.unwrap();
        stage.end(&run).await;
        hand.go_home().await;
    }

    async fn a_signal_that_nobody_sends_is_given_up_in_time(stage: Stage) {
        let hand = Hand::of(&stage.engine);
        let run = stage.start(Play::Await(Some(Duration::from_millis(200)))).await;
        assert_eq!(stage.end(&run).await, "nobody said a word");
        hand.go_home().await;
    }
}
