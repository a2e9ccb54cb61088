//! The test kit, by what a test of a workflow wants of it.
#![expect(clippy::unwrap_used, reason = "tests")]
use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use recado_engine::{
    Activity, Attempt, Context, Effect, EngineBuilder, EventKind, Fault, NewSchedule, Overlap, Race, Receive,
    Retry, RunState, Signal, Sleep, Start, Workflow,
    testing::{Script, TestEngine},
};
use recado_testkit::TestDatabase;
use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the activities need in production, and no test of a workflow.
struct Shop;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    goods: String,
}

impl Activity<Shop> for Price {
    const NAME: &'static str = "price";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_secs(60)).up_to(4);
    type Output = u32;

    async fn run(&self, _: &Shop, _: &Attempt<'_>) -> Result<u32, Fault> {
        unreachable!("the script stands in for it")
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Reserve {
    goods: String,
}

impl Activity<Shop> for Reserve {
    const NAME: &'static str = "reserve";
    const EFFECT: Effect = Effect::Database;
    type Output = ();

    async fn run(&self, _: &Shop, _: &Attempt<'_>) -> Result<(), Fault> {
        unreachable!("the script stands in for it")
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Charge {
    amount: u32,
}

impl Activity<Shop> for Charge {
    const NAME: &'static str = "charge";
    const EFFECT: Effect = Effect::Once;
    type Output = String;

    async fn run(&self, _: &Shop, _: &Attempt<'_>) -> Result<String, Fault> {
        unreachable!("the script stands in for it")
    }
}

#[derive(Serialize, Deserialize)]
struct Confirmed;

impl Signal for Confirmed {
    const NAME: &'static str = "confirmed";
}

/// Reserves, waits a day for the word, and charges.
#[derive(Serialize, Deserialize)]
struct Order {
    goods: String,
}

impl Workflow for Order {
    const NAME: &'static str = "order";
    type Output = ();

    async fn run(self, ctx: &mut Context) -> Result<(), Fault> {
        let amount = ctx
            .run(Price {
                goods: self.goods.clone(),
            })
            .await?;
        ctx.run(Reserve { goods: self.goods }).await?;
        if ctx.signal::<Confirmed>(Some(DAY)).await?.is_some() {
            let receipt = ctx.run(Charge { amount }).await?;
            ctx.publish("receipt", &receipt).await;
        }
        Ok(())
    }
}

fn script() -> Script {
    Script::new()
        .answers(|call: Price| Ok(call.goods.len() as u32))
        .returns::<Reserve, _>(())
        .returns::<Charge, _>("paid".into())
}

async fn engine(database: &TestDatabase, script: &Script) -> TestEngine {
    let engine = EngineBuilder::new(Arc::new(())).workflow::<Order>();
    TestEngine::new(engine, script.clone(), database.url()).await
}

fn order() -> Order {
    Order { goods: "tea".into() }
}

async fn kinds(engine: &TestEngine, run: &recado_engine::RunId, name: &str) -> Vec<EventKind> {
    let journal = engine.journal(run).await;
    let of = journal.iter().filter(|event| event.name.as_deref() == Some(name));
    of.map(|event| event.kind).collect()
}

#[tokio::test]
async fn a_day_of_waiting_takes_no_time() {
    let (database, script) = (TestDatabase::in_memory().await, script());
    let mut engine = engine(&database, &script).await;
    let (midnight, begun) = (engine.now(), std::time::Instant::now());
    engine.run(&order()).await;
    assert_eq!(engine.now() - midnight, TimeDelta::days(1));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(script.calls::<Charge, _>(), []);
}

#[tokio::test]
async fn a_signal_comes_when_the_test_says_so() {
    let (database, script) = (TestDatabase::in_memory().await, script());
    let mut engine = engine(&database, &script).await;
    let run = engine.start(&order(), Start::default()).await;
    engine.advance(DAY / 2).await;
    assert_eq!(
        engine.status(&run).await.waiting_for.as_deref(),
        Some("signal:confirmed")
    );
    engine.signal(&run, &Confirmed).await;
    engine.work().await;
    engine.output::<Order>(&run).await;
    assert_eq!(script.calls::<Charge, _>(), [Charge { amount: 3 }]);
    assert_eq!(script.calls::<Price, _>(), [Price { goods: "tea".into() }]);
}

#[tokio::test]
async fn back_off_passes_in_virtual_time_and_attempts_are_counted() {
    let database = TestDatabase::in_memory().await;
    let script = script()
        .fails_once::<Price, _>(Fault::retry("busy", "not now"))
        .fails_once::<Price, _>(Fault::retry_after(
            "busy",
            "in an hour",
            Some(Duration::from_secs(3600)),
        ));
    let mut engine = engine(&database, &script).await;
    let midnight = engine.now();
    let run = engine.start(&order(), Start::default()).await;
    let due = engine.work().await.unwrap();
    assert_eq!(due - midnight, TimeDelta::minutes(1));
    engine.settle().await;
    engine.output::<Order>(&run).await;
    assert_eq!(script.calls::<Price, _>().len(), 3);
    assert_eq!(
        engine.now() - midnight,
        TimeDelta::days(1) + TimeDelta::minutes(61)
    );
}

#[tokio::test]
async fn an_exhausted_activity_parks_its_run_and_a_retry_goes_on_with_it() {
    let database = TestDatabase::in_memory().await;
    let failing = (0..4).fold(script(), |script, _| {
        script.fails_once::<Price, _>(Fault::retry("busy", "not now"))
    });
    let mut engine = engine(&database, &failing).await;
    let run = engine.start(&order(), Start::default()).await;
    engine.settle().await;
    let parked = engine.status(&run).await;
    assert_eq!(
        (parked.state, parked.error.as_deref()),
        (RunState::Parked, Some("busy: not now"))
    );
    engine.within(engine.engine().retry(&run)).await.unwrap();
    engine.settle().await;
    engine.output::<Order>(&run).await;
    assert_eq!(failing.calls::<Price, _>().len(), 5);
}

#[tokio::test]
async fn a_call_that_outlasts_its_time_is_given_up_and_found_to_have_happened() {
    let database = TestDatabase::in_memory().await;
    let script = Script::new()
        .returns::<Price, _>(1)
        .returns::<Reserve, _>(())
        .takes_once::<Charge, _>(Duration::from_secs(3600), "late".into());
    let mut engine = engine(&database, &script).await;
    let run = engine.start(&order(), Start::default()).await;
    engine.signal(&run, &Confirmed).await;
    engine.settle().await;
    engine.output::<Order>(&run).await;
    assert_eq!(script.calls::<Charge, _>().len(), 1);
    assert_eq!(
        kinds(&engine, &run, "charge").await,
        [
            EventKind::ActivityIntended,
            EventKind::ActivityUnknown,
            EventKind::ActivityCompleted
        ]
    );
    assert_eq!(
        engine.now() - TimeDelta::seconds(10),
        "2030-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap()
    );
}

#[tokio::test]
async fn a_lost_call_is_repeated_and_a_settled_one_is_not_made() {
    let database = TestDatabase::in_memory().await;
    let lost = script().is_lost_unseen_once::<Charge, _>();
    let mut engine = engine(&database, &lost).await;
    let run = engine.start(&order(), Start::default()).await;
    engine.signal(&run, &Confirmed).await;
    engine.settle().await;
    engine.output::<Order>(&run).await;
    assert_eq!(lost.calls::<Charge, _>().len(), 2);
    let settled = lost.clone().settles_once::<Charge, _>("free".into());
    let run = engine.start(&order(), Start::default()).await;
    engine.signal(&run, &Confirmed).await;
    engine.settle().await;
    engine.output::<Order>(&run).await;
    assert_eq!(settled.calls::<Charge, _>().len(), 2);
}

#[tokio::test]
async fn a_crash_in_a_call_repeats_no_call_that_must_not_happen_twice() {
    let database = TestDatabase::in_memory().await;
    let script = script()
        .crashes_once::<Reserve, _>(())
        .happens_unseen_once::<Charge, _>("found".into());
    let mut engine = engine(&database, &script).await;
    let run = engine.start(&order(), Start::default()).await;
    engine.signal(&run, &Confirmed).await;
    engine.settle().await;
    engine.output::<Order>(&run).await;
    assert_eq!(engine.processes(), 2);
    assert_eq!(script.calls::<Reserve, _>().len(), 2);
    assert_eq!(script.calls::<Charge, _>().len(), 1);
    let crashing = script
        .clone()
        .crashes_once::<Charge, _>("before the crash".into());
    let run = engine.start(&order(), Start::default()).await;
    engine.signal(&run, &Confirmed).await;
    engine.settle().await;
    engine.output::<Order>(&run).await;
    assert_eq!((engine.processes(), crashing.calls::<Charge, _>().len()), (3, 2));
}

#[tokio::test]
async fn a_crash_at_any_commit_changes_neither_result_nor_calls() {
    let (database, calm) = (TestDatabase::in_memory().await, script());
    let mut without = engine(&database, &calm).await;
    let begun = without.commits();
    let run = without.start(&order(), Start::default()).await;
    without.signal(&run, &Confirmed).await;
    without.settle().await;
    let commits = without.commits() - begun;
    assert!(commits >= 6, "{commits}");
    for n in 1..=commits {
        for before in [true, false] {
            let (database, script) = (TestDatabase::in_memory().await, script());
            let mut engine = engine(&database, &script).await;
            match before {
                true => engine.crash_before_commit(n),
                false => engine.crash_after_commit(n),
            }
            let run = engine.start(&order(), Start::default()).await;
            engine.signal(&run, &Confirmed).await;
            engine.settle().await;
            engine.output::<Order>(&run).await;
            assert_eq!(engine.processes(), 2, "commit {n}, before {before}");
            assert_eq!(
                script.calls::<Charge, _>().len(),
                1,
                "commit {n}, before {before}"
            );
        }
    }
}

#[tokio::test]
#[should_panic(expected = "the script has nothing (more) for price")]
async fn an_activity_that_nobody_scripted_fails_the_test_by_name() {
    let database = TestDatabase::in_memory().await;
    engine(&database, &Script::new()).await.run(&order()).await;
}

/// A slow answer against the customer's patience.
#[derive(Serialize, Deserialize)]
struct Patience;

impl Workflow for Patience {
    const NAME: &'static str = "patience";
    type Output = ();

    async fn run(self, ctx: &mut Context) -> Result<(), Fault> {
        let price = Price { goods: "tea".into() };
        let first = ctx.race(price, Sleep(Duration::from_secs(20))).await?;
        let won = if let Race::First(_) = first {
            "price"
        } else {
            "patience"
        };
        ctx.tag("won", won).await;
        let second = ctx.race(Receive::<Confirmed>::new(), Sleep(DAY)).await?;
        if let Race::First(Some(Confirmed)) = second {
            ctx.tag("second", "confirmed").await;
        }
        ctx.run(Reserve { goods: "tea".into() }).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_race_is_won_by_what_comes_first_and_does_not_wait_for_what_lost() {
    for (seconds, winner) in [(19, "price"), (21, "patience")] {
        let database = TestDatabase::in_memory().await;
        let script = script().takes_once::<Price, _>(Duration::from_secs(seconds), 7);
        let engine = EngineBuilder::new(Arc::new(())).workflow::<Patience>();
        let mut engine = TestEngine::new(engine, script, database.url()).await;
        let run = engine.start(&Patience, Start::default()).await;
        engine.advance(Duration::from_secs(60)).await;
        engine.signal(&run, &Confirmed).await;
        assert_eq!(engine.work().await, None, "nothing is left to wait for");
        engine.output::<Patience>(&run).await;
        let tags = engine.engine().storage().tags(&run).await.unwrap();
        let tags: Vec<_> = tags
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(tags, [("second", "confirmed"), ("won", winner)]);
        assert_eq!(engine.now().to_rfc3339(), "2030-01-01T00:01:00+00:00");
    }
}

#[tokio::test]
async fn schedules_tick_while_time_is_let_pass() {
    let (database, script) = (TestDatabase::in_memory().await, script());
    let mut engine = engine(&database, &script).await;
    let schedule = NewSchedule {
        input: serde_json::json!({"goods": "tea"}),
        overlap: Overlap::Allow,
        ..NewSchedule::new("hourly", "order", "0 * * * *")
    };
    let created = engine.within(engine.engine().schedules().create(schedule)).await;
    created.unwrap();
    engine.advance(Duration::from_secs(5 * 3600 + 60)).await;
    assert_eq!(script.calls::<Reserve, _>().len(), 5);
}
