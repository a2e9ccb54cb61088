//! Runs that take turns, and a book of who was at it when.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use recado_engine::{
    Activity, Attempt, Context, Effect, Engine, EngineBuilder, Fault, Outcome, Settings, Start, Storage,
    StorageOptions, Workflow, dispatch::Bells,
};
use recado_testkit::{TestDatabase, eventually};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What the activities of all engines write into.
pub(crate) struct Book {
    /// Who began, in order.
    pub(crate) began: Mutex<Vec<String>>,
    /// How many of a group are at it, and how many there were at most.
    at_it: Mutex<HashMap<String, (usize, usize)>>,
    ended: watch::Sender<usize>,
    /// Whoever is to wait, takes a permit of this to go on.
    pub(crate) gate: Semaphore,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            began: Mutex::default(),
            at_it: Mutex::default(),
            ended: watch::Sender::new(0),
            gate: Semaphore::new(0),
        }
    }
}

impl Book {
    pub(crate) fn began(&self) -> Vec<String> {
        self.began.lock().unwrap().clone()
    }

    pub(crate) fn now(&self, group: &str) -> usize {
        self.at_it.lock().unwrap().get(group).map_or(0, |(now, _)| *now)
    }

    pub(crate) fn most(&self, group: &str) -> usize {
        self.at_it.lock().unwrap().get(group).map_or(0, |(_, most)| *most)
    }

    /// Waits until so many have ended; fails if for a long time nobody does.
    pub(crate) async fn ended(&self, n: usize) {
        let mut ended = self.ended.subscribe();
        loop {
            let so_far = *ended.borrow_and_update();
            if so_far >= n {
                return;
            }
            let more = tokio::time::timeout(LONG, ended.changed()).await;
            assert!(more.is_ok(), "stalled after {so_far} of {n}");
        }
    }
}

/// Whether an activity waits at the gate.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Pace {
    Quick,
    Gated,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Act {
    who: String,
    group: String,
    pace: Pace,
}

impl Activity<Book> for Act {
    const NAME: &'static str = "act";
    const EFFECT: Effect = Effect::Pure;
    type Output = ();

    async fn run(&self, book: &Book, _: &Attempt<'_>) -> Result<(), Fault> {
        {
            book.began.lock().unwrap().push(self.who.clone());
            let mut at_it = book.at_it.lock().unwrap();
            let (now, most) = at_it.entry(self.group.clone()).or_default();
            *now += 1;
            *most = (*most).max(*now);
        }
        if matches!(self.pace, Pace::Gated) {
            book.gate.acquire().await.unwrap().forget();
        }
        book.at_it.lock().unwrap().get_mut(&self.group).unwrap().0 -= 1;
        book.ended.send_modify(|ended| *ended += 1);
        Ok(())
    }
}

/// Takes its turn, and acts.
#[derive(Serialize, Deserialize)]
pub(crate) struct TakeTurn {
    pub(crate) who: String,
    pub(crate) group: String,
    pub(crate) pace: Pace,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Done;

impl Outcome for Done {
    fn word(&self) -> &'static str {
        "done"
    }
}

impl Workflow for TakeTurn {
    const NAME: &'static str = "take_turn";
    type Output = Done;

    async fn run(self, ctx: &mut Context) -> Result<Done, Fault> {
        ctx.enter_lane().await?;
        let (who, group, pace) = (self.who, self.group, self.pace);
        ctx.run(Act { who, group, pace }).await?;
        Ok(Done)
    }
}

/// An engine whose sweep finds nothing for an hour: what is not announced, is not found.
pub(crate) async fn engine(database: &TestDatabase, book: &Arc<Book>) -> Engine {
    let bells = Bells::in_process();
    let ring = bells.clone();
    let storage = Storage::open(&StorageOptions::new(database.url()), move || ring.ring())
        .await
        .unwrap();
    let settings = Settings {
        sweep: Duration::from_secs(3600),
        lease: LONG,
        ..Settings::default()
    };
    EngineBuilder::new(book.clone())
        .workflow::<TakeTurn>()
        .activity::<Act>()
        .build(storage, bells, settings)
}

/// Starts a run of `group`, which is its owner too.
pub(crate) async fn start(engine: &Engine, who: &str, group: &str, pace: Pace) {
    let start = Start {
        owner: Some(group.to_owned()),
        ..Start::default()
    };
    begin(engine, who, group, pace, start).await;
}

pub(crate) async fn begin(engine: &Engine, who: &str, group: &str, pace: Pace, start: Start) {
    let call = TakeTurn {
        who: who.to_owned(),
        group: group.to_owned(),
        pace,
    };
    engine.start(&call, start).await.unwrap();
}

/// Starts `n` runs of `group`.
pub(crate) async fn start_many(engine: &Engine, n: usize, group: &str, pace: Pace) {
    let starts = (0..n).map(|i| async move { start(engine, &format!("{group} {i}"), group, pace).await });
    futures::future::join_all(starts).await;
}

/// A worker.
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

    pub(crate) async fn go_home(self) {
        self.stop.cancel();
        self.work.await.unwrap();
    }
}

/// Waits until `true`.
pub(crate) async fn until(condition: impl AsyncFn() -> bool) {
    eventually(LONG, async || condition().await.then_some(())).await;
}
