//! Lanes under load, and lanes that let several in.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod turns;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use futures::StreamExt;
use recado_engine::{Engine, Filter, RunState, Start};
use recado_testkit::{Backend, TestDatabase};
use sea_orm::{ConnectionTrait, Statement};
use turns::{Book, Hand, Pace, begin, engine, until};

/// The same test on both databases.
macro_rules! on_both {
    ($(async fn $name:ident($backend:ident) $body:block)*) => {
        $(mod $name {
            use super::*;
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() { test(Backend::Sqlite).await }
            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgres() { test(Backend::Postgres).await }
            async fn test($backend: Backend) $body
        })*
    };
}

fn on_lane(width: Option<u32>) -> Start {
    Start {
        lane: Some("lane".to_owned()),
        width,
        ..Start::default()
    }
}

/// The book's names by place in the lane, from the database.
async fn by_place(database: &TestDatabase) -> Vec<String> {
    let db = database.connect().await;
    let sql = "select input from runs where state = 'completed' order by place";
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await
        .unwrap();
    let who = |input: String| {
        let input: serde_json::Value = serde_json::from_str(&input).unwrap();
        input["who"].as_str().unwrap().to_owned()
    };
    rows.iter()
        .map(|row| who(row.try_get("", "input").unwrap()))
        .collect()
}

async fn in_state(engine: &Engine, state: RunState) -> usize {
    let filter = Filter {
        state: Some(state),
        ..Filter::default()
    };
    let page = engine.storage().runs(&filter, 20_000, None).await.unwrap();
    page.items.len()
}

on_both! {
    // Three engines, each like a process of its own, start and finish the runs of one lane. No sweep helps: a leave
    // that wakes nobody ends the test.
    async fn ten_thousand_starts_and_leaves_on_one_lane(backend) {
        const RUNS: usize = 10_000;
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let mut engines = Vec::new();
        for _ in 0..3 {
            engines.push(engine(&database, &book).await);
        }
        let hands: Vec<_> = engines.iter().map(Hand::of).collect();
        let began = Instant::now();
        let starts = (0..RUNS).map(|n| {
            let engine = &engines[n % engines.len()];
            async move { begin(engine, &n.to_string(), "lane", Pace::Quick, on_lane(None)).await }
        });
        let starts = futures::stream::iter(starts).buffer_unordered(96).count();
        let (started, ()) = tokio::join!(starts, book.ended(RUNS));
        assert_eq!(started, RUNS);
        until(async || by_place(&database).await.len() == RUNS).await;
        eprintln!("{RUNS} runs of one lane on {backend:?}: {:?}", began.elapsed());
        assert_eq!(book.most("lane"), 1);
        let (expected, seen) = (by_place(&database).await, book.began());
        // Compared one by one, for a message that can be read.
        let wrong = expected.iter().zip(&seen).position(|(expected, seen)| expected != seen);
        assert_eq!((wrong, seen.len()), (None, RUNS));
        for hand in hands {
            hand.go_home().await;
        }
    }

    async fn a_lane_of_width_three_lets_three_in_at_a_time(backend) {
        const RUNS: usize = 12;
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let (one, other) = (engine(&database, &book).await, engine(&database, &book).await);
        let hands = [Hand::of(&one), Hand::of(&other)];
        for n in 0..RUNS {
            let engine = if n % 2 == 0 { &one } else { &other };
            begin(engine, &n.to_string(), "lane", Pace::Gated, on_lane(Some(3))).await;
        }
        for left in 0..=RUNS - 3 {
            // Three are in, those that were started first; all others have asked and wait.
            until(async || book.now("lane") == 3).await;
            until(async || in_state(&one, RunState::Waiting).await == RUNS - 3 - left).await;
            let expected: BTreeSet<_> = (0..left + 3).map(|n| n.to_string()).collect();
            assert_eq!(book.began().into_iter().collect::<BTreeSet<_>>(), expected);
            book.gate.add_permits(1);
            book.ended(left + 1).await;
        }
        book.gate.add_permits(RUNS);
        until(async || in_state(&one, RunState::Completed).await == RUNS).await;
        assert_eq!(book.most("lane"), 3);
        let order: HashMap<_, _> = book.began().into_iter().enumerate().map(|(at, who)| (who, at)).collect();
        assert!((3..RUNS).all(|n| order[&n.to_string()] == n), "{order:?}");
        for hand in hands {
            hand.go_home().await;
        }
    }

    async fn a_start_that_makes_a_lane_wider_lets_the_next_in_and_a_narrower_one_nobody(backend) {
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let engine = engine(&database, &book).await;
        let hand = Hand::of(&engine);
        for n in 0..4 {
            begin(&engine, &n.to_string(), "lane", Pace::Gated, on_lane(None)).await;
        }
        until(async || book.now("lane") == 1 && in_state(&engine, RunState::Waiting).await == 3).await;
        begin(&engine, "4", "lane", Pace::Gated, on_lane(Some(3))).await;
        until(async || book.now("lane") == 3 && in_state(&engine, RunState::Waiting).await == 2).await;
        assert_eq!(book.began().into_iter().collect::<BTreeSet<_>>(), ["0", "1", "2"].map(String::from).into());
        begin(&engine, "5", "lane", Pace::Gated, on_lane(Some(1))).await;
        // The three may stay; the next comes in when it is the only one.
        for left in 1..=3 {
            book.gate.add_permits(1);
            until(async || in_state(&engine, RunState::Completed).await == left).await;
            assert_eq!(book.began().len(), if left < 3 { 3 } else { book.began().len() });
        }
        until(async || book.began().len() == 4).await;
        book.gate.add_permits(3);
        until(async || in_state(&engine, RunState::Completed).await == 6).await;
        assert_eq!(book.began()[3..], ["3", "4", "5"]);
        hand.go_home().await;
    }
}
