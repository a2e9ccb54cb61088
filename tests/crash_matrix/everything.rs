//! A program of the engine alone, whose workflows use everything that it has. It starts them, works on them, and ends
//! with 0 when all have ended. Killed and started again it goes on.
use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use recado_engine::{
    Activity, Attempt, Child, Context, ControlError, Effect, Engine, EngineBuilder, Fault, Filter, OnClose,
    Outcome, Race, Reconciled, Retry, Settings, Signal, Sleep, Start, Storage, StorageOptions, Workflow,
    dispatch::Bells,
};
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

const LANE: &str = "the lane";

/// The vendor of a cell: a folder that nobody dies with.
pub(crate) fn vendor(folder: &Path, cell: u32) -> PathBuf {
    folder.join(format!("vendor-{cell}"))
}

/// What the database activities are to have written.
pub(crate) fn effects() -> Vec<String> {
    [
        "note 0",
        "noted by child 0",
        "noted by neighbour",
        "note 1",
        "noted by child 1",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What is to have been sent, in this order: a round of the first run, the run behind it in its lane, the next round.
pub(crate) fn letters() -> Vec<String> {
    [
        "letter 0",
        "from child 0",
        "last 0",
        "from neighbour",
        "letter 1",
        "from child 1",
        "last 1",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The calls that repeat harmlessly, each under a key of its own.
pub(crate) fn posts() -> Vec<String> {
    ["post 0", "post 1"].map(str::to_owned).to_vec()
}

struct Vendor {
    folder: PathBuf,
}

impl Vendor {
    fn write(&self, book: &str, line: &str) -> Result<(), Fault> {
        let wrong = |error: std::io::Error| Fault::fatal("vendor", error.to_string());
        let mut file: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(book))
            .map_err(wrong)?;
        file.write_all(format!("{line}\n").as_bytes()).map_err(wrong)
    }
}

/// The lines of a vendor's book.
pub(crate) fn book(folder: &Path, book: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(book)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[derive(Serialize, Deserialize)]
struct Look {
    takes: Duration,
}

impl Activity<Vendor> for Look {
    const NAME: &'static str = "look";
    const EFFECT: Effect = Effect::Pure;
    type Output = ();

    async fn run(&self, _: &Vendor, _: &Attempt<'_>) -> Result<(), Fault> {
        tokio::time::sleep(self.takes).await;
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Note {
    what: String,
}

impl Activity<Vendor> for Note {
    const NAME: &'static str = "note";
    const EFFECT: Effect = Effect::Database;
    type Output = ();

    async fn run(&self, _: &Vendor, attempt: &Attempt<'_>) -> Result<(), Fault> {
        let tx = attempt.transaction()?;
        let sql = "insert into effects (what) values ($1)";
        let insert =
            Statement::from_sql_and_values(tx.get_database_backend(), sql, [self.what.as_str().into()]);
        tx.execute_raw(insert).await?;
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Post {
    what: String,
}

impl Activity<Vendor> for Post {
    const NAME: &'static str = "post";
    const EFFECT: Effect = Effect::Idempotent;
    type Output = ();

    async fn run(&self, vendor: &Vendor, attempt: &Attempt<'_>) -> Result<(), Fault> {
        vendor.write("posts", &format!("{}\t{}", self.what, attempt.key()))
    }
}

#[derive(Serialize, Deserialize)]
struct Send {
    what: String,
}

impl Activity<Vendor> for Send {
    const NAME: &'static str = "send";
    const EFFECT: Effect = Effect::Once;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(50)).up_to(8);
    type Output = ();

    async fn run(&self, vendor: &Vendor, _: &Attempt<'_>) -> Result<(), Fault> {
        vendor.write("letters", &self.what)
    }

    async fn reconcile(&self, vendor: &Vendor, _: &Attempt<'_>) -> Result<Reconciled<()>, Fault> {
        Ok(match book(&vendor.folder, "letters").contains(&self.what) {
            true => Reconciled::Happened(()),
            false => Reconciled::NoTrace,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Go;

impl Signal for Go {
    const NAME: &'static str = "go";
}

#[derive(Debug, Serialize, Deserialize)]
struct Done;

impl Outcome for Done {
    fn word(&self) -> &'static str {
        "done"
    }
}

/// Notes and sends, in its lane's order if it has one.
#[derive(Serialize, Deserialize)]
struct Errand {
    who: String,
}

impl Workflow for Errand {
    const NAME: &'static str = "errand";
    type Output = Done;

    async fn run(self, ctx: &mut Context) -> Result<Done, Fault> {
        let who = self.who;
        ctx.run(Note {
            what: format!("noted by {who}"),
        })
        .await?;
        ctx.enter_lane().await?;
        ctx.run(Send {
            what: format!("from {who}"),
        })
        .await?;
        Ok(Done)
    }
}

/// All of it, twice: the second time as a run that the first goes on as.
#[derive(Serialize, Deserialize)]
struct Everything {
    round: u32,
}

impl Workflow for Everything {
    const NAME: &'static str = "everything";
    type Output = Done;

    async fn run(self, ctx: &mut Context) -> Result<Done, Fault> {
        let round = self.round;
        if !ctx.version("the second edition").await {
            return Err(Fault::fatal("edition", "a new run goes the new way"));
        }
        ctx.tag("round", &round.to_string()).await;
        ctx.enter_lane().await?;
        let (noted, posted, sent, seen) = ctx
            .join((
                Note {
                    what: format!("note {round}"),
                },
                Post {
                    what: format!("post {round}"),
                },
                Send {
                    what: format!("letter {round}"),
                },
                Look {
                    takes: Duration::ZERO,
                },
            ))
            .await;
        noted.and(posted).and(sent).and(seen)?;
        ctx.publish("round", &round).await;
        let slow = Look {
            takes: Duration::from_secs(20),
        };
        let Race::Second(()) = ctx.race(slow, Sleep(Duration::from_millis(50))).await? else {
            return Err(Fault::fatal("race", "the slow one won"));
        };
        let before = ctx.now().await;
        ctx.sleep(Duration::from_millis(100)).await?;
        if ctx.now().await - before < chrono::TimeDelta::milliseconds(100) {
            return Err(Fault::fatal("sleep", "it was too short"));
        }
        if round == 0 {
            ctx.signal::<Go>(None).await?;
        }
        let on_close = OnClose::Cancel;
        let who = format!("child {round}");
        let child = ctx
            .start(
                &Errand { who },
                Child {
                    on_close,
                    ..Child::default()
                },
            )
            .await?;
        ctx.ask(child).await?;
        ctx.run(Send {
            what: format!("last {round}"),
        })
        .await?;
        match round {
            0 => ctx.continue_as_new(&Self { round: 1 }).await,
            _ => Ok(Done),
        }
    }
}

/// The program.
pub(crate) async fn run(url: &str, folder: &Path) {
    let bells = match std::env::var("REDIS_URL") {
        Ok(url) => Bells::redis(&url, "runs").await.unwrap(),
        Err(_) => Bells::in_process(),
    };
    let ring = bells.clone();
    let storage = Storage::open(&StorageOptions::new(url), move || ring.ring())
        .await
        .unwrap();
    storage.lock_alone();
    let settings = Settings {
        request_timeout: Duration::from_millis(500),
        listing_delay: Duration::from_millis(200),
        short_wait: Duration::from_millis(20),
        sweep: Duration::from_millis(100),
        ..Settings::default()
    };
    let vendor = Arc::new(Vendor {
        folder: folder.to_owned(),
    });
    let engine = EngineBuilder::new(vendor)
        .workflow::<Everything>()
        .workflow::<Errand>()
        .activity::<Look>()
        .activity::<Note>()
        .activity::<Post>()
        .activity::<Send>()
        .build(storage, bells, settings);
    let stop = CancellationToken::new();
    let client = async {
        ask(&engine).await;
        until_all_have_ended(&engine).await;
        stop.cancel();
    };
    tokio::join!(engine.work(stop.clone()), client);
}

/// What a client does: again after a crash, under the same keys.
async fn ask(engine: &Engine) {
    let named = |key: &str| Start {
        key: Some(key.to_owned()),
        lane: Some(LANE.to_owned()),
        ..Start::default()
    };
    let (round, neighbour) = (
        Everything { round: 0 },
        Errand {
            who: "neighbour".to_owned(),
        },
    );
    recado_testkit::eventually(Duration::MAX, async || {
        let first = engine.start(&round, named("first")).await.ok()?;
        engine.start(&neighbour, named("neighbour")).await.ok()?;
        match engine.signal(&first.run, "go", &Go, Some("go")).await {
            // Told before the crash, it may have gone on since, or ended.
            Ok(_) | Err(ControlError::WrongState(..)) => Some(()),
            // Somebody froze with the run's row locked.
            Err(_) => None,
        }
    })
    .await;
}

async fn until_all_have_ended(engine: &Engine) {
    recado_testkit::eventually(Duration::MAX, async || {
        let runs = engine.storage().runs(&Filter::default(), 100, None).await.ok()?;
        runs.items.iter().all(|run| run.state.is_final()).then_some(())
    })
    .await;
}
