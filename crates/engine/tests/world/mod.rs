//! A small world for the engine's tests: a vendor that keeps a book, and workflows that call it.
pub(crate) mod chat;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use recado_engine::{
    Activity, Attempt, Context, Effect, Engine, EngineBuilder, Fault, Outcome, Prepared, Reconciled, Retry,
    Run, RunId, RunState, Settings, Start, Storage, StorageOptions, Undecided, Workflow, dispatch::Bells,
};
use recado_testkit::{Backend, TestDatabase, eventually, redis_url};
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The outside: what was called, and how it is to behave.
#[derive(Default)]
pub(crate) struct Vendor {
    pub(crate) book: Mutex<Vec<String>>,
    pub(crate) calls: Mutex<HashMap<String, u32>>,
    /// Answers of the next calls; when empty, all is well.
    pub(crate) script: Mutex<HashMap<String, Vec<Answer>>>,
    pub(crate) gate: Notify,
    pub(crate) prepared: AtomicU32,
    /// What is to be done with a send of which nobody can tell.
    pub(crate) undecided: Mutex<Undecided>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Refuse,
    Never,
    /// It happens, and nobody hears of it.
    HappensSilently,
    /// It does not happen, and nobody hears of it.
    LostSilently,
    WaitForGate,
    /// It does not happen, and will not, as is found out when the gate opens.
    NeverAfterGate,
}

impl Vendor {
    pub(crate) fn will(&self, what: &str, answers: &[Answer]) {
        self.script
            .lock()
            .unwrap()
            .insert(what.to_owned(), answers.to_vec());
    }

    pub(crate) fn calls(&self, what: &str) -> u32 {
        self.calls.lock().unwrap().get(what).copied().unwrap_or_default()
    }

    pub(crate) fn book(&self) -> Vec<String> {
        self.book.lock().unwrap().clone()
    }

    pub(crate) async fn call(&self, what: &str) -> Result<(), Fault> {
        *self.calls.lock().unwrap().entry(what.to_owned()).or_default() += 1;
        let next = {
            let mut script = self.script.lock().unwrap();
            script
                .get_mut(what)
                .filter(|answers| !answers.is_empty())
                .map(|answers| answers.remove(0))
        };
        let write = || self.book.lock().unwrap().push(what.to_owned());
        match next {
            None => write(),
            Some(Answer::Refuse) => return Err(Fault::retry("refused", "not now")),
            Some(Answer::Never) => return Err(Fault::fatal("never", "not ever")),
            Some(Answer::HappensSilently) => {
                write();
                return Err(Fault::unknown("reset", "the line went dead"));
            }
            Some(Answer::LostSilently) => return Err(Fault::unknown("reset", "the line went dead")),
            Some(Answer::NeverAfterGate) => {
                self.gate.notified().await;
                return Err(Fault::fatal("never", "not ever"));
            }
            Some(Answer::WaitForGate) => {
                self.gate.notified().await;
                write();
            }
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Look {
    pub(crate) what: String,
}

impl Activity<Vendor> for Look {
    const NAME: &'static str = "look";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(50)).up_to(3);
    type Output = String;

    async fn run(&self, vendor: &Vendor, _: &Attempt<'_>) -> Result<String, Fault> {
        vendor.call(&self.what).await?;
        Ok(format!("saw {}", self.what))
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) what: String,
}

impl Activity<Vendor> for Write {
    const NAME: &'static str = "write";
    const EFFECT: Effect = Effect::Database;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(20)).up_to(3);
    type Output = ();

    async fn run(&self, vendor: &Vendor, attempt: &Attempt<'_>) -> Result<(), Fault> {
        note(attempt, &self.what).await?;
        vendor.call(&self.what).await
    }
}

async fn note(attempt: &Attempt<'_>, what: &str) -> Result<(), Fault> {
    let tx = attempt.transaction()?;
    let sql = "insert into notes (what) values ($1)";
    let insert = Statement::from_sql_and_values(tx.get_database_backend(), sql, [what.into()]);
    tx.execute_raw(insert).await?;
    Ok(())
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Send {
    pub(crate) what: String,
}

impl Activity<Vendor> for Send {
    const NAME: &'static str = "send";
    const EFFECT: Effect = Effect::Once;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(20)).up_to(4);
    type Output = String;

    async fn prepare(&self, vendor: &Vendor, _: &Attempt<'_>) -> Result<Prepared<String>, Fault> {
        vendor.prepared.fetch_add(1, Ordering::SeqCst);
        Ok(if self.what == "nothing" {
            Prepared::Settled("withheld".into())
        } else {
            Prepared::Go
        })
    }

    async fn run(&self, vendor: &Vendor, attempt: &Attempt<'_>) -> Result<String, Fault> {
        assert!(attempt.intended_at().is_some());
        vendor.call(&self.what).await?;
        Ok("sent".into())
    }

    async fn record(&self, vendor: &Vendor, attempt: &Attempt<'_>, _: &String) -> Result<(), Fault> {
        attempt.transaction()?;
        vendor.call(&format!("record {}", self.what)).await
    }

    async fn failed(&self, vendor: &Vendor, attempt: &Attempt<'_>, _: &Fault) -> Result<(), Fault> {
        let what = format!("failed {}", self.what);
        note(attempt, &what).await?;
        vendor.call(&what).await
    }

    async fn undecided(&self, vendor: &Vendor, _: &Attempt<'_>) -> Result<Undecided, Fault> {
        Ok(*vendor.undecided.lock().unwrap())
    }

    async fn reconcile(&self, vendor: &Vendor, _: &Attempt<'_>) -> Result<Reconciled<String>, Fault> {
        if self.what == "riddle" && vendor.calls("solved") == 0 {
            return Ok(Reconciled::CannotTell);
        }
        let found = vendor.book().contains(&self.what);
        Ok(if found {
            Reconciled::Happened("found".into())
        } else {
            Reconciled::NoTrace
        })
    }
}

/// Looks, writes and sends, in its lane's order if it has one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Errand {
    pub(crate) what: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Done(pub String);

impl Outcome for Done {
    fn word(&self) -> &'static str {
        "done"
    }
}

impl Workflow for Errand {
    const NAME: &'static str = "errand";
    type Output = Done;

    async fn run(self, ctx: &mut Context) -> Result<Done, Fault> {
        ctx.run(Look {
            what: format!("look {}", self.what),
        })
        .await?;
        ctx.run(Write {
            what: format!("write {}", self.what),
        })
        .await?;
        ctx.enter_lane().await?;
        let sent = ctx.run(Send { what: self.what }).await?;
        Ok(Done(sent))
    }
}

/// What wakes the workers.
#[derive(Clone, Debug)]
pub(crate) enum Dispatch {
    InProcess,
    /// By the bells of this namespace.
    Redis(String),
}

impl Dispatch {
    pub(crate) fn redis() -> Self {
        Self::Redis(format!("world-{}", ulid::Ulid::generate()))
    }

    async fn bells(&self) -> Bells {
        match self {
            Self::InProcess => Bells::in_process(),
            Self::Redis(namespace) => Bells::redis(&redis_url(), namespace).await.unwrap(),
        }
    }
}

/// An engine on a database of its own, and its vendor.
pub(crate) struct World {
    dispatch: Dispatch,
    pub(crate) vendor: Arc<Vendor>,
    pub(crate) engine: Engine,
    pub(crate) database: TestDatabase,
}

pub(crate) fn settings() -> Settings {
    Settings {
        lease: Duration::from_millis(800),
        request_timeout: Duration::from_millis(300),
        listing_delay: Duration::from_millis(200),
        hold: Duration::from_secs(2),
        short_wait: Duration::from_millis(30),
        sweep: Duration::from_millis(200),
        grace: Duration::from_secs(2),
        ..Settings::default()
    }
}

impl World {
    pub(crate) async fn new(backend: Backend) -> Self {
        Self::dispatched(backend, Dispatch::InProcess).await
    }

    pub(crate) async fn dispatched(backend: Backend, dispatch: Dispatch) -> Self {
        let database = TestDatabase::new(backend).await;
        let vendor = Arc::<Vendor>::default();
        let engine = engine(&database, vendor.clone(), dispatch.bells().await).await;
        let create = "create table notes (what text not null)";
        database.connect().await.execute_unprepared(create).await.unwrap();
        Self {
            dispatch,
            vendor,
            engine,
            database,
        }
    }

    /// Another process on the same database, with the same vendor.
    pub(crate) async fn another(&self) -> Engine {
        let bells = self.dispatch.bells().await;
        engine(&self.database, self.vendor.clone(), bells).await
    }

    pub(crate) async fn start(&self, what: &str, lane: Option<&str>) -> RunId {
        let start = Start {
            key: Some(what.into()),
            owner: None,
            lane: lane.map(str::to_owned),
            width: None,
        };
        self.engine
            .start(&Errand { what: what.into() }, start)
            .await
            .unwrap()
            .run
    }

    pub(crate) async fn until(&self, run: &RunId, state: RunState) -> Run {
        let storage = self.engine.storage();
        eventually(Duration::from_secs(20), || async {
            let run = storage.run(run).await.unwrap().unwrap();
            (run.state == state).then_some(run)
        })
        .await
    }

    pub(crate) async fn notes(&self) -> Vec<String> {
        let db = self.database.connect().await;
        let sql = "select what from notes order by what";
        let rows = db
            .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
            .await
            .unwrap();
        rows.iter().map(|row| row.try_get("", "what").unwrap()).collect()
    }
}

pub(crate) async fn engine(database: &TestDatabase, vendor: Arc<Vendor>, bells: Bells) -> Engine {
    let ring = bells.clone();
    let storage = Storage::open(&StorageOptions::new(database.url()), move || ring.ring())
        .await
        .unwrap();
    EngineBuilder::new(vendor)
        .workflow::<Errand>()
        .workflow::<chat::Chat>()
        .activity::<Look>()
        .activity::<Write>()
        .activity::<Send>()
        .build(storage, bells, settings())
}

/// A worker that goes home when it is dropped, or dies when it is killed.
pub(crate) struct Hand {
    stop: CancellationToken,
    work: JoinHandle<()>,
}

impl Hand {
    pub(crate) fn of(engine: &Engine) -> Self {
        let (engine, stop) = (engine.clone(), CancellationToken::new());
        let token = stop.clone();
        Self {
            stop,
            work: tokio::spawn(async move { engine.work(token).await }),
        }
    }

    /// Dies as a process does: its heart stops, and nothing is given back.
    pub(crate) fn die(self) {
        self.work.abort();
    }

    pub(crate) async fn go_home(self) {
        self.stop.cancel();
        self.work.await.unwrap();
    }
}
