//! A call that must not happen twice: what proves it, what becomes of it when nobody can tell, and what its failure
//! leaves behind; on both databases.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "this suite needs a part of that world")]
mod world;

use std::time::Duration;

use recado_engine::{
    ControlError, Decision, Event, EventKind, RunId, RunState, Storage, StorageError, Undecided,
};
use recado_testkit::{Backend, eventually};
use sea_orm::ConnectionTrait;
use serde_json::json;
use world::{Answer, Hand, World, settings};

const PATIENCE: Duration = Duration::from_secs(20);

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

impl World {
    async fn journal(&self, id: &RunId) -> Vec<Event> {
        self.engine.storage().journal(id).await.unwrap()
    }

    async fn execute(&self, sql: &str) -> u64 {
        let done = self.database.connect().await.execute_unprepared(sql).await;
        done.unwrap().rows_affected()
    }

    /// Proof of the call that `key` names arrives from outside. Whether anybody was told.
    async fn proof(&self, key: &str) -> bool {
        let key = key.to_owned();
        let told = self
            .engine
            .storage()
            .transaction(move |tx| Box::pin(async move { Storage::prove(tx, &key).await }));
        let told: Result<_, StorageError> = told.await;
        match told.unwrap() {
            Some(run) => {
                self.engine.wake(&run).await;
                true
            }
            None => false,
        }
    }

    /// A run that waits for news of a send that happened unheard. It does not look again by itself for an hour.
    async fn asking(&self) -> RunId {
        self.vendor.will("riddle", &[Answer::HappensSilently]);
        let id = self.start("riddle", Some("lane")).await;
        let later = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).to_rfc3339();
        let put_off = format!(
            "update runs set until = '{later}' where id = '{id}' and state = 'waiting' and waiting_for = 'reconcile:send'"
        );
        eventually(PATIENCE, || async {
            (self.execute(&put_off).await == 1).then_some(())
        })
        .await;
        id
    }
}

/// The send of an errand is its fourth step.
fn key_of(id: &RunId) -> String {
    format!("{id}-4")
}

on_both! {
    async fn proof_from_outside_settles_a_send_long_before_its_next_look(world: World) {
        let hand = Hand::of(&world.engine);
        let id = world.asking().await;
        world.vendor.call("solved").await.unwrap();
        assert!(world.proof(&key_of(&id)).await);
        let run = world.until(&id, RunState::Completed).await;
        assert_eq!((run.output, world.vendor.calls("riddle")), (Some("found".into()), 1));
        // What is known needs no proof, and what there is not cannot be proved.
        for key in [&key_of(&id), &format!("{id}-1"), "nobody-4", "nonsense", "", &format!("{id}-x")] {
            assert!(!world.proof(key).await, "{key}");
        }
        assert_eq!(world.engine.storage().run(&id).await.unwrap().unwrap().inbox, 1);
        hand.go_home().await;
    }

    async fn proof_frees_a_send_for_which_a_person_was_to_be_asked(world: World) {
        world.vendor.will("riddle", &[Answer::HappensSilently]);
        let hand = Hand::of(&world.engine);
        let id = world.start("riddle", Some("lane")).await;
        world.until(&id, RunState::Parked).await;
        world.vendor.call("solved").await.unwrap();
        assert!(world.proof(&key_of(&id)).await);
        let run = world.until(&id, RunState::Completed).await;
        assert_eq!((run.output, world.vendor.calls("riddle")), (Some("found".into()), 1));
        hand.go_home().await;
    }

    async fn who_is_about_to_hear_of_a_send_himself_is_not_told(world: World) {
        world.vendor.will("x", &[Answer::WaitForGate]);
        let hand = Hand::of(&world.engine);
        let id = world.start("x", None).await;
        eventually(PATIENCE, || async { (world.vendor.calls("x") == 1).then_some(()) }).await;
        assert!(!world.proof(&key_of(&id)).await);
        world.vendor.gate.notify_one();
        let run = world.until(&id, RunState::Completed).await;
        assert_eq!((run.output, run.inbox), (Some("sent".into()), 0));
        hand.go_home().await;
    }

    async fn where_it_cannot_be_told_the_send_is_repeated_if_that_is_the_policy(world: World) {
        *world.vendor.undecided.lock().unwrap() = Undecided::Resend;
        world.vendor.will("riddle", &[Answer::LostSilently]);
        let hand = Hand::of(&world.engine);
        let id = world.start("riddle", None).await;
        let run = world.until(&id, RunState::Completed).await;
        assert_eq!((run.output, world.vendor.calls("riddle")), (Some("sent".into()), 2));
        let events = world.journal(&id).await;
        let unknown = events.iter().find(|event| event.kind == EventKind::ActivityUnknown).unwrap();
        let again = events.iter().rev().find(|event| event.kind == EventKind::ActivityIntended).unwrap();
        assert!((again.at - unknown.at).to_std().unwrap() >= settings().listing_delay, "not before a trace must show");
        hand.go_home().await;
    }

    async fn where_it_cannot_be_told_the_send_is_given_up_if_that_is_the_policy(world: World) {
        *world.vendor.undecided.lock().unwrap() = Undecided::GiveUp;
        world.vendor.will("riddle", &[Answer::HappensSilently]);
        let hand = Hand::of(&world.engine);
        let id = world.start("riddle", None).await;
        let parked = world.until(&id, RunState::Parked).await;
        assert!(parked.error.unwrap().starts_with("given_up"));
        assert_eq!((world.vendor.calls("riddle"), world.notes().await), (1, vec!["failed riddle".to_owned(), "write riddle".into()]));
        hand.go_home().await;
    }

    async fn a_policy_counts_from_the_moment_it_is_set(world: World) {
        let hand = Hand::of(&world.engine);
        let id = world.asking().await;
        *world.vendor.undecided.lock().unwrap() = Undecided::GiveUp;
        world.execute(&format!("update runs set until = null, state = 'queued' where id = '{id}'")).await;
        assert!(world.until(&id, RunState::Parked).await.error.unwrap().starts_with("given_up"));
        hand.go_home().await;
    }

    async fn a_send_that_failed_for_good_leaves_what_it_writes_about_that_once(world: World) {
        world.vendor.will("x", &[Answer::Never]);
        // The first try to write it down fails, and leaves nothing.
        world.vendor.will("failed x", &[Answer::Refuse]);
        let hand = Hand::of(&world.engine);
        let id = world.start("x", None).await;
        world.until(&id, RunState::Parked).await;
        assert_eq!((world.vendor.calls("failed x"), world.notes().await), (2, vec!["failed x".to_owned(), "write x".into()]));
        world.engine.retry(&id).await.unwrap();
        world.until(&id, RunState::Completed).await;
        assert_eq!(world.notes().await.len(), 2);

        world.vendor.will("ghost", &[Answer::LostSilently; 4]);
        let ghost = world.start("ghost", None).await;
        assert!(world.until(&ghost, RunState::Parked).await.error.unwrap().starts_with("exhausted"));
        assert_eq!(world.vendor.calls("failed ghost"), 1);
        hand.go_home().await;
    }

    async fn a_send_of_unknown_fate_has_not_failed_until_somebody_gives_it_up(world: World) {
        world.vendor.will("riddle", &[Answer::LostSilently]);
        let hand = Hand::of(&world.engine);
        let id = world.start("riddle", None).await;
        world.until(&id, RunState::Parked).await;
        assert_eq!(world.vendor.calls("failed riddle"), 0);
        world.engine.decide(&id, Decision::GiveUp).await.unwrap();
        eventually(PATIENCE, || async { (world.vendor.calls("failed riddle") == 1).then_some(()) }).await;
        assert!(world.until(&id, RunState::Parked).await.error.unwrap().starts_with("given_up"));
        hand.go_home().await;
    }

    async fn nobody_can_decide_that_a_send_returned_what_it_cannot(world: World) {
        let hand = Hand::of(&world.engine);
        let id = world.asking().await;
        assert_eq!(world.engine.storage().undecided(&id).await.unwrap(), Some(("send".to_owned(), 4)));
        let refused = world.engine.decide(&id, Decision::Happened(json!({"sid": "SM1"}))).await;
        assert!(matches!(&refused, Err(ControlError::Unfit(told)) if told.contains("send")), "{refused:?}");
        assert_eq!(world.engine.storage().run(&id).await.unwrap().unwrap().inbox, 0);
        // Where nobody could see that at once, it is seen later, and says nothing.
        world.engine.storage().decide(&id, Decision::Happened(json!(5))).await.unwrap();
        world.engine.decide(&id, Decision::Happened(json!("SM1"))).await.unwrap();
        assert_eq!(world.until(&id, RunState::Completed).await.output, Some("SM1".into()));
        let decided = world.journal(&id).await.into_iter().filter(|event| event.kind == EventKind::ActivityDecided);
        assert_eq!(decided.count(), 1);
        assert_eq!(world.engine.storage().undecided(&id).await.unwrap(), None);
        hand.go_home().await;
    }

    async fn nothing_is_sent_by_who_has_no_lease_left(world: World) {
        world.vendor.will("look x", &[Answer::WaitForGate]);
        let hand = Hand::of(&world.engine);
        let id = world.start("x", None).await;
        eventually(PATIENCE, || async { (world.vendor.calls("look x") == 1).then_some(()) }).await;
        // Its heartbeats fail, so that after a lease it can rely on nobody's patience; the rest of the database works.
        world.execute("alter table workers rename to workers_away").await;
        tokio::time::sleep(settings().lease).await;
        world.vendor.gate.notify_one();
        let refused = eventually(PATIENCE, || async {
            let events = world.journal(&id).await;
            events.into_iter().find(|event| event.kind == EventKind::ActivityAttempted)
        })
        .await;
        assert_eq!(refused.data.unwrap()["failure"]["class"], "lease");
        assert_eq!(world.vendor.calls("x"), 0);
        world.execute("alter table workers_away rename to workers").await;
        world.until(&id, RunState::Completed).await;
        assert_eq!(world.vendor.calls("x"), 1);
        hand.go_home().await;
    }
}
