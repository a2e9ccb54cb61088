//! Activities that share a transaction with those of other runs: each gets what it would get by itself.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use recado_engine::{
    Activity, Attempt, Context, Effect, Engine, EngineBuilder, Fault, Joint, Outcome, Prepared, Retry, Run,
    RunState, Settings, Start, Storage, StorageOptions, Workflow, dispatch::Bells,
};
use recado_testkit::{Backend, TestDatabase, eventually};
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// How many calls each transaction had, and what was sent.
#[derive(Default)]
struct Seen {
    groups: Mutex<Vec<usize>>,
    sent: Mutex<Vec<u32>>,
}

async fn note(attempt: &Attempt<'_>, what: &str) -> Result<(), Fault> {
    let tx = attempt.transaction()?;
    let values = vec![what.into()];
    let sql = "insert into notes (what) values ($1)";
    let insert = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    let inserted = tx.execute_raw(insert).await;
    inserted
        .map(drop)
        .map_err(|error| Fault::retry("database", error.to_string()))
}

/// Writes its number down; every seventh never can, every fifth only the second time.
#[derive(Serialize, Deserialize)]
struct Write(u32);

impl Activity<Seen> for Write {
    const NAME: &'static str = "write";
    const EFFECT: Effect = Effect::Database;
    const TOGETHER: bool = true;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(10)).up_to(3);
    type Output = u32;

    async fn run(&self, _: &Seen, attempt: &Attempt<'_>) -> Result<u32, Fault> {
        note(attempt, &format!("write {}", self.0)).await?;
        match self.0 {
            n if n % 7 == 0 => Err(Fault::fatal("never", "not ever")),
            n if n % 5 == 0 && attempt.number() == 1 => Err(Fault::retry("later", "not now")),
            n => Ok(n),
        }
    }

    async fn run_together(seen: &Seen, calls: &[Joint<'_, Self>]) -> Result<Vec<u32>, Fault> {
        seen.groups.lock().unwrap().push(calls.len());
        let mut outputs = Vec::new();
        for Joint { call, attempt } in calls {
            outputs.push(call.run(seen, attempt).await?);
        }
        Ok(outputs)
    }
}

/// Sends its number; every fourth has nothing to send.
#[derive(Serialize, Deserialize)]
struct Send(u32);

impl Activity<Seen> for Send {
    const NAME: &'static str = "send";
    const EFFECT: Effect = Effect::Once;
    const TOGETHER: bool = true;
    type Output = u32;

    async fn prepare(&self, _: &Seen, attempt: &Attempt<'_>) -> Result<Prepared<u32>, Fault> {
        if self.0.is_multiple_of(4) {
            return Ok(Prepared::Settled(self.0));
        }
        note(attempt, &format!("prepare {}", self.0)).await?;
        Ok(Prepared::Go)
    }

    async fn run(&self, seen: &Seen, _: &Attempt<'_>) -> Result<u32, Fault> {
        seen.sent.lock().unwrap().push(self.0);
        Ok(self.0)
    }

    async fn record(&self, _: &Seen, attempt: &Attempt<'_>, output: &u32) -> Result<(), Fault> {
        assert_eq!(*output, self.0);
        note(attempt, &format!("record {}", self.0)).await
    }
}

#[derive(Serialize, Deserialize)]
struct Errand(u32);

#[derive(Serialize, Deserialize)]
struct Done(u32);

impl Outcome for Done {
    fn word(&self) -> &'static str {
        "done"
    }
}

impl Workflow for Errand {
    const NAME: &'static str = "errand";
    type Output = Done;

    async fn run(self, ctx: &mut Context) -> Result<Done, Fault> {
        let written = ctx.run(Write(self.0)).await?;
        Ok(Done(ctx.run(Send(written)).await?))
    }
}

async fn engine(database: &TestDatabase, seen: &Arc<Seen>) -> Engine {
    let bells = Bells::in_process();
    let ready = bells.clone();
    let storage = Storage::open(&StorageOptions::new(database.url()), move || ready.ring())
        .await
        .unwrap();
    EngineBuilder::new(seen.clone())
        .workflow::<Errand>()
        .activity::<Write>()
        .activity::<Send>()
        .build(storage, bells, Settings::default())
}

async fn ended(engine: &Engine, run: &recado_engine::RunId) -> Run {
    eventually(PATIENCE, async || {
        let run = engine.storage().run(run).await.unwrap().unwrap();
        matches!(run.state, RunState::Completed | RunState::Parked).then_some(run)
    })
    .await
}

async fn each_of_many_gets_what_it_would_get_alone(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let seen = Arc::<Seen>::default();
    let engine = engine(&database, &seen).await;
    let notes = "create table notes (what text primary key)";
    engine
        .storage()
        .transaction::<_, recado_engine::StorageError, _>(move |tx| {
            Box::pin(async move { Ok(tx.execute_unprepared(notes).await.map(drop)?) })
        })
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let worker = tokio::spawn({
        let (engine, stop) = (engine.clone(), stop.clone());
        async move { engine.work(stop).await }
    });
    const ALL: u32 = 100;
    let starts = (1..=ALL).map(|n| {
        let engine = engine.clone();
        async move { engine.start(&Errand(n), Start::default()).await.unwrap().run }
    });
    let runs = join_all(starts).await;
    let mut expected = Vec::new();
    let mut sent = Vec::new();
    for (n, run) in (1..).zip(&runs) {
        let run = ended(&engine, run).await;
        if n % 7 == 0 {
            assert_eq!(run.state, RunState::Parked, "{n}: {run:?}");
            continue;
        }
        assert_eq!((run.state, run.output), (RunState::Completed, Some(n.into())));
        expected.push(format!("write {n}"));
        if n % 4 != 0 {
            sent.push(n);
            expected.extend([format!("prepare {n}"), format!("record {n}")]);
        }
    }
    let reader = engine.storage().reader();
    let select = Statement::from_string(reader.get_database_backend(), "select what from notes");
    let rows = reader.query_all_raw(select).await.unwrap();
    let mut notes: Vec<String> = rows.iter().map(|row| row.try_get("", "what").unwrap()).collect();
    notes.sort();
    expected.sort();
    assert_eq!(notes, expected);
    let mut made = seen.sent.lock().unwrap().clone();
    made.sort_unstable();
    assert_eq!(made, sent);
    let largest = seen.groups.lock().unwrap().iter().max().copied();
    assert!(largest > Some(1), "nobody shared anything; this proves nothing");
    stop.cancel();
    worker.await.unwrap();
}

/// A start is in the hands of the worker of its process from its commit on, and needs no claim.
async fn a_start_hands_its_run_to_the_worker_beside_it(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let seen = Arc::<Seen>::default();
    let engine = engine(&database, &seen).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn({
        let (engine, stop) = (engine.clone(), stop.clone());
        async move { engine.work(stop).await }
    });
    // Until the worker has looked for those who wait, a start stands in line; that is no error.
    eventually(PATIENCE, async || {
        let run = engine.start(&Errand(7), Start::default()).await.unwrap().run;
        let run = engine.storage().run(&run).await.unwrap().unwrap();
        let handed = run.epoch == 1 && run.since == run.created_at;
        handed.then_some(())
    })
    .await;
    stop.cancel();
    worker.await.unwrap();
    // Nobody works here any more: the next one waits for whoever comes.
    let run = engine.start(&Errand(1), Start::default()).await.unwrap().run;
    let run = engine.storage().run(&run).await.unwrap().unwrap();
    assert_eq!((run.state, run.epoch), (RunState::Queued, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_gets_what_it_would_get_alone_on_sqlite() {
    each_of_many_gets_what_it_would_get_alone(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_gets_what_it_would_get_alone_on_postgres() {
    each_of_many_gets_what_it_would_get_alone(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_hands_its_run_to_the_worker_beside_it_on_sqlite() {
    a_start_hands_its_run_to_the_worker_beside_it(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_hands_its_run_to_the_worker_beside_it_on_postgres() {
    a_start_hands_its_run_to_the_worker_beside_it(Backend::Postgres).await;
}
