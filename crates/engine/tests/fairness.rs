//! Owners share the workers: by weight, within their caps, and whatever others have waiting.
#![expect(clippy::unwrap_used, reason = "tests")]
mod turns;

use std::{
    num::{NonZeroU8, NonZeroU32},
    sync::Arc,
};

use recado_engine::{Engine, Filter, Policy, RunState};
use recado_testkit::{Backend, TestDatabase};
use turns::{Book, Hand, Pace, engine, start, start_many, until};

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

/// What one claim takes at most, and what a worker has in hand at most.
const CLAIM: usize = 64;
const IN_HAND: usize = 256;

fn weight(of: u8) -> NonZeroU8 {
    NonZeroU8::new(of).unwrap()
}

async fn ready(engine: &Engine, owner: &str) -> usize {
    let filter = Filter {
        state: Some(RunState::Queued),
        owner: Some(owner.to_owned()),
        ..Filter::default()
    };
    let page = engine.storage().runs(&filter, 10_000, None).await.unwrap();
    page.items.len()
}

on_both! {
    async fn who_waits_longest_for_a_worker_is_told_until_nobody_does(backend) {
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let engine = engine(&database, &book).await;
        assert_eq!(engine.storage().oldest_queued().await.unwrap(), None);
        start(&engine, "first", "one", Pace::Quick).await;
        start(&engine, "second", "another", Pace::Quick).await;
        let runs = engine.storage().runs(&Filter::default(), 10, None).await.unwrap().items;
        let oldest = engine.storage().oldest_queued().await.unwrap();
        assert_eq!(oldest, runs.last().map(|first| first.since));
        let hand = Hand::of(&engine);
        until(async || engine.storage().oldest_queued().await.unwrap().is_none()).await;
        hand.go_home().await;
    }

    async fn the_single_run_of_one_owner_is_in_the_first_claim_however_many_another_has(backend) {
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let engine = engine(&database, &book).await;
        start_many(&engine, 5_000, "many", Pace::Quick).await;
        start(&engine, "single", "few", Pace::Gated).await;
        let hand = Hand::of(&engine);
        until(async || book.now("few") == 1).await;
        let at = book.began().iter().position(|who| who == "single").unwrap();
        // It comes from the first claim; what follows may overtake it on its way to its activity.
        assert!(at < 2 * CLAIM, "{at} began before it");
        book.gate.add_permits(1);
        hand.go_home().await;
    }

    async fn p6_a_tenant_with_a_backlog_does_not_slow_another(backend) {
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let engine = engine(&database, &book).await;
        start_many(&engine, 5_000, "many", Pace::Quick).await;
        let hand = Hand::of(&engine);
        book.ended(1).await;
        for n in 0..5 {
            let (who, before) = (format!("few {n}"), book.began().len());
            start(&engine, &who, "few", Pace::Quick).await;
            until(async || book.began().contains(&who)).await;
            assert!(ready(&engine, "many").await > 0, "there is no backlog any more; this proves nothing");
            let at = book.began().iter().position(|began| *began == who).unwrap();
            // What was in hand goes on, and one claim may be on its way.
            let most = IN_HAND + 2 * CLAIM;
            assert!(at - before <= most, "{} of the other's runs began before it", at - before);
        }
        hand.go_home().await;
    }

    async fn claims_follow_the_weights(backend) {
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let engine = engine(&database, &book).await;
        engine.storage().set_policy("heavy", weight(3), None).await.unwrap();
        start_many(&engine, 300, "light", Pace::Gated).await;
        start_many(&engine, 300, "heavy", Pace::Gated).await;
        let hand = Hand::of(&engine);
        until(async || book.began().len() == IN_HAND).await;
        assert_eq!((book.now("heavy"), book.now("light")), (IN_HAND * 3 / 4, IN_HAND / 4));
        book.gate.add_permits(600);
        book.ended(600).await;
        hand.go_home().await;
    }

    async fn a_cap_is_never_exceeded_while_others_go_on_and_its_owner_does_not_stall(backend) {
        const RUNS: usize = 40;
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let (one, other) = (engine(&database, &book).await, engine(&database, &book).await);
        one.storage().set_policy("capped", weight(1), NonZeroU32::new(2)).await.unwrap();
        let hands = [Hand::of(&one), Hand::of(&other)];
        for n in 0..RUNS {
            let engine = if n % 2 == 0 { &one } else { &other };
            start(engine, &format!("capped {n}"), "capped", Pace::Gated).await;
            start(engine, &format!("free {n}"), "free", Pace::Quick).await;
        }
        book.ended(RUNS).await;
        until(async || book.now("capped") == 2).await;
        assert_eq!((book.most("capped"), ready(&one, "capped").await), (2, RUNS - 2));
        // The sweep is an hour away: whoever ends, makes room that is noticed.
        book.gate.add_permits(RUNS);
        book.ended(2 * RUNS).await;
        assert_eq!(book.most("capped"), 2);
        for hand in hands {
            hand.go_home().await;
        }
    }

    async fn a_cap_that_is_raised_lets_more_run_at_once(backend) {
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let engine = engine(&database, &book).await;
        engine.storage().set_policy("capped", weight(1), NonZeroU32::new(1)).await.unwrap();
        let hand = Hand::of(&engine);
        start_many(&engine, 6, "capped", Pace::Gated).await;
        until(async || book.now("capped") == 1).await;
        engine.storage().set_policy("capped", weight(1), NonZeroU32::new(4)).await.unwrap();
        until(async || book.now("capped") == 4).await;
        engine.storage().set_policy("capped", weight(1), None).await.unwrap();
        until(async || book.now("capped") == 6).await;
        assert_eq!(book.most("capped"), 6);
        book.gate.add_permits(6);
        hand.go_home().await;
    }

    async fn of_more_owners_than_a_claim_has_runs_nobody_starves(backend) {
        const OWNERS: usize = 150;
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let engine = engine(&database, &book).await;
        for n in 0..OWNERS {
            start_many(&engine, 3, &format!("owner {n:03}"), Pace::Gated).await;
        }
        // Some of them may have nothing more, so that the round passes them by.
        for n in 0..70 {
            let owner = format!("owner {n:03}");
            engine.storage().set_policy(&owner, weight(1), NonZeroU32::new(1)).await.unwrap();
        }
        let hand = Hand::of(&engine);
        until(async || book.began().len() == 70 + (IN_HAND - 70)).await;
        let at_it = |n| book.now(&format!("owner {n:03}"));
        assert!((0..70).all(|n| at_it(n) == 1), "a cap of 1");
        assert!((70..OWNERS).all(|n| (2..=3).contains(&at_it(n))), "{:?}", (70..OWNERS).map(at_it).collect::<Vec<_>>());
        book.gate.add_permits(3 * OWNERS);
        book.ended(3 * OWNERS).await;
        hand.go_home().await;
    }

    async fn a_policy_is_the_default_until_it_is_set(backend) {
        let database = TestDatabase::new(backend).await;
        let engine = engine(&database, &Arc::default()).await;
        let storage = engine.storage();
        assert_eq!(storage.policy("a").await.unwrap(), Policy::default_of("a"));
        assert_eq!(storage.policies().await.unwrap(), []);
        storage.set_policy("b", weight(255), None).await.unwrap();
        storage.set_policy("a", weight(1), NonZeroU32::new(9)).await.unwrap();
        let set = storage.set_policy("a", weight(2), NonZeroU32::new(8)).await.unwrap();
        assert_eq!(storage.policy("a").await.unwrap(), set);
        assert_eq!((set.weight.get(), set.most_running.map(NonZeroU32::get)), (2, Some(8)));
        let owners: Vec<_> = storage.policies().await.unwrap().into_iter().map(|policy| policy.owner).collect();
        assert_eq!(owners, ["a", "b"]);
    }

    // Starts beside a worker and its own claims want the same places. No sweep helps: a run that was claimed and then
    // found no place ends the test.
    async fn a_run_that_is_claimed_has_a_place_however_many_are_started_meanwhile(backend) {
        const RUNS: usize = 3_000;
        let database = TestDatabase::new(backend).await;
        let book = Arc::<Book>::default();
        let engine = engine(&database, &book).await;
        let hand = Hand::of(&engine);
        start_many(&engine, RUNS, "one", Pace::Quick).await;
        book.ended(RUNS).await;
        hand.go_home().await;
    }
}
