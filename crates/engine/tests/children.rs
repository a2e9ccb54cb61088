//! Children that take turns, and a parent that starts more of them while they end.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use recado_engine::{
    Activity, Attempt, Child, Context, Effect, EngineBuilder, Fault, Outcome, RunState, Settings, Start,
    Storage, StorageOptions, Workflow, dispatch::Bells,
};
use recado_testkit::{Backend, TestDatabase, eventually};
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Step;

impl Activity<()> for Step {
    const NAME: &'static str = "step";
    const EFFECT: Effect = Effect::Pure;
    type Output = ();

    async fn run(&self, (): &(), _: &Attempt<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Done;

impl Outcome for Done {
    fn word(&self) -> &'static str {
        "done"
    }
}

/// Takes its turn, and does a step.
#[derive(Serialize, Deserialize)]
struct Part;

impl Workflow for Part {
    const NAME: &'static str = "part";
    type Output = Done;

    async fn run(self, ctx: &mut Context) -> Result<Done, Fault> {
        ctx.enter_lane().await?;
        ctx.run(Step).await?;
        Ok(Done)
    }
}

/// Starts so many children in one lane, and waits for them.
#[derive(Serialize, Deserialize)]
struct Whole(u32);

impl Workflow for Whole {
    const NAME: &'static str = "whole";
    type Output = Done;

    async fn run(self, ctx: &mut Context) -> Result<Done, Fault> {
        let child = Child {
            lane: Some("lane".to_owned()),
            ..Child::default()
        };
        let mut parts = Vec::new();
        for _ in 0..self.0 {
            parts.push(ctx.start(&Part, child.clone()).await?);
        }
        for part in parts {
            ctx.ask(part).await?;
        }
        Ok(Done)
    }
}

/// Lanes come before runs in everybody's order of locks: else the end of a child, which holds the lane and wants its
/// parent, and the start of the next, which holds the parent and wants the lane, wait for each other.
#[tokio::test(flavor = "multi_thread")]
async fn children_of_one_lane_end_while_their_parent_starts_more_and_nobody_is_deadlocked() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let bells = Bells::in_process();
    let ready = bells.clone();
    let storage = Storage::open(&StorageOptions::new(database.url()), move || ready.ring())
        .await
        .unwrap();
    let engine = EngineBuilder::new(std::sync::Arc::new(()))
        .workflow::<Whole>()
        .workflow::<Part>()
        .activity::<Step>()
        .build(storage, bells, Settings::default());
    let stop = CancellationToken::new();
    let worker = tokio::spawn({
        let (engine, stop) = (engine.clone(), stop.clone());
        async move { engine.work(stop).await }
    });
    let wholes = (0..4).map(|_| async { engine.start(&Whole(60), Start::default()).await.unwrap().run });
    for whole in futures::future::join_all(wholes).await {
        eventually(PATIENCE, async || {
            let run = engine.storage().run(&whole).await.unwrap().unwrap();
            (run.state == RunState::Completed).then_some(())
        })
        .await;
    }
    stop.cancel();
    worker.await.unwrap();
    drop(engine);
    let db = database.connect().await;
    // A connection tells what befell it when it is closed.
    let ours =
        "select 1 from pg_stat_activity where datname = current_database() and application_name = 'recado'";
    let ours = Statement::from_string(db.get_database_backend(), ours);
    eventually(PATIENCE, async || {
        db.query_all_raw(ours.clone())
            .await
            .unwrap()
            .is_empty()
            .then_some(())
    })
    .await;
    let deadlocks = "select deadlocks as n from pg_stat_database where datname = current_database()";
    let deadlocks = Statement::from_string(db.get_database_backend(), deadlocks);
    let row = db.query_one_raw(deadlocks).await.unwrap().unwrap();
    assert_eq!(row.try_get::<i64>("", "n").unwrap(), 0);
}
