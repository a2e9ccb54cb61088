//! How inputs and results are kept: large ones, sealed ones, and for how long; on both databases.
#![expect(clippy::unwrap_used, reason = "tests")]
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use recado_engine::{
    Activity, Attempt, Codec, Context, ControlError, Effect, Engine, EngineBuilder, Event, Fault, Outcome,
    Retention, Retry, Run, RunId, RunState, Settings, Signal, Start, Storage, StorageError, StorageOptions,
    Workflow, dispatch::Bells,
};
use recado_testkit::{Backend, TestDatabase, eventually};
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const SECRET: &str = "a secret of more than thirty-two characters";
const MARKER: &str = "the-words-of-a-customer";

/// The same test on both databases.
macro_rules! on_both {
    ($(async fn $name:ident($database:ident: TestDatabase) $body:block)*) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(TestDatabase::new(Backend::Sqlite).await).await }
            )*
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(TestDatabase::new(Backend::Postgres).await).await }
            )*
        }
        $(async fn $name($database: TestDatabase) $body)*
    };
}

/// What activities see: how often one was called, and a gate that some wait at.
struct World {
    calls: AtomicU32,
    gate: Semaphore,
}

/// Letters that do not get fewer when they are packed.
fn noise(bytes: usize) -> String {
    let mut state = 7_u64;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b' ' + 4 + ((state >> 33) % 85) as u8)
    });
    letters.filter(|letter| *letter != '\\').take(bytes).collect()
}

/// Answers with as many bytes as it is asked for, the marker first.
#[derive(Serialize, Deserialize)]
struct Make {
    bytes: usize,
    words: String,
}

impl Activity<World> for Make {
    const NAME: &'static str = "make";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(10)).up_to(2);
    type Output = String;

    async fn run(&self, world: &World, _: &Attempt<'_>) -> Result<String, Fault> {
        world.calls.fetch_add(1, Ordering::SeqCst);
        Ok(format!("{}{}", self.words, noise(self.bytes)))
    }
}

/// Nothing, by a transaction of its own, so that all before it is on the disk.
#[derive(Serialize, Deserialize)]
struct Pause {}

impl Activity<World> for Pause {
    const NAME: &'static str = "pause";
    const EFFECT: Effect = Effect::Idempotent;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(10)).up_to(2);
    const TIMEOUT: Duration = Duration::from_secs(60);
    type Output = ();

    async fn run(&self, world: &World, _: &Attempt<'_>) -> Result<(), Fault> {
        world.gate.acquire().await.unwrap().forget();
        Ok(())
    }
}

/// Makes something, pauses, and answers with it.
#[derive(Clone, Serialize, Deserialize)]
struct Letter {
    words: String,
    bytes: usize,
    owner: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Written(String);

impl Outcome for Written {
    fn word(&self) -> &'static str {
        "written"
    }
}

impl Workflow for Letter {
    const NAME: &'static str = "letter";
    type Output = Written;

    async fn run(self, ctx: &mut Context) -> Result<Written, Fault> {
        let made = ctx
            .run(Make {
                bytes: self.bytes,
                words: self.words,
            })
            .await?;
        if let Some(owner) = &self.owner {
            ctx.tag_owner(owner);
        }
        ctx.run(Pause {}).await?;
        Ok(Written(made))
    }
}

/// Tells how far it has come, waits at the gate, and answers with what the attempt before it told.
#[derive(Serialize, Deserialize)]
struct Tell {
    words: String,
}

impl Activity<World> for Tell {
    const NAME: &'static str = "tell";
    const EFFECT: Effect = Effect::Pure;
    const TIMEOUT: Duration = Duration::from_secs(60);
    const HEARTBEAT: Option<Duration> = Some(Duration::from_secs(60));
    type Output = Option<String>;

    async fn run(&self, world: &World, attempt: &Attempt<'_>) -> Result<Option<String>, Fault> {
        let before = attempt.details();
        attempt.heartbeat(&self.words);
        world.gate.acquire().await.unwrap().forget();
        Ok(before)
    }
}

#[derive(Serialize, Deserialize)]
struct Word(String);

impl Signal for Word {
    const NAME: &'static str = "word";
}

/// Publishes its words, tells of them while it works, and answers with what it was told.
#[derive(Clone, Serialize, Deserialize)]
struct Diary {
    owner: String,
    words: String,
    /// How often it publishes them in a row.
    times: usize,
}

impl Workflow for Diary {
    const NAME: &'static str = "diary";
    type Output = Written;

    async fn run(self, ctx: &mut Context) -> Result<Written, Fault> {
        ctx.tag_owner(&self.owner);
        ctx.publish("page", &self.words.repeat(self.times)).await;
        let told = ctx.run(Tell { words: self.words }).await?;
        let heard = ctx.signal::<Word>(None).await?;
        Ok(Written(format!(
            "{} {}",
            told.unwrap_or_default(),
            heard.unwrap().0
        )))
    }
}

/// A diary whose words, more than a row holds, are told, published and on their way as a signal; and its worker.
async fn half_a_diary(engine: &Engine, database: &TestDatabase) -> (RunId, String, Hand) {
    let words = format!("{MARKER} {}", noise(70_000));
    let diary = Diary {
        owner: "ana".into(),
        words: words.clone(),
        times: 1,
    };
    let run = engine.start(&diary, Start::default()).await.unwrap().run;
    engine
        .signal(&run, Word::NAME, &Word(words.clone()), None)
        .await
        .unwrap();
    let hand = Hand::of(engine);
    eventually(Duration::from_secs(60), || async {
        let written = count(database, "activity_progress").await + count(database, "run_values").await;
        (written == 2).then_some(())
    })
    .await;
    (run, words, hand)
}

/// What the run was told.
async fn told(engine: &Engine, run: &RunId) -> Vec<serde_json::Value> {
    let export = engine.storage().export(run).await.unwrap().unwrap();
    export
        .signals
        .into_iter()
        .filter_map(|signal| signal.data)
        .collect()
}

fn letter(bytes: usize) -> Letter {
    Letter {
        words: MARKER.into(),
        bytes,
        owner: None,
    }
}

fn letter_of(owner: &str) -> Letter {
    Letter {
        owner: Some(owner.into()),
        ..letter(10)
    }
}

async fn storage(database: &TestDatabase, secret: Option<&str>, bells: &Bells) -> Storage {
    let options = StorageOptions {
        codec: secret.map(Codec::aes),
        ..StorageOptions::new(database.url())
    };
    let ring = bells.clone();
    Storage::open(&options, move || ring.ring()).await.unwrap()
}

/// An engine with its world, whose gate is open to `passes`.
async fn engine(database: &TestDatabase, secret: Option<&str>, passes: usize) -> (Engine, Arc<World>) {
    let bells = Bells::in_process();
    let storage = storage(database, secret, &bells).await;
    storage.unlock().await.unwrap();
    let world = Arc::new(World {
        calls: AtomicU32::new(0),
        gate: Semaphore::new(passes),
    });
    let engine = EngineBuilder::new(world.clone())
        .workflow::<Letter>()
        .workflow::<Diary>()
        .activity::<Make>()
        .activity::<Pause>()
        .activity::<Tell>();
    let settings = Settings {
        lease: Duration::from_secs(2),
        sweep: Duration::from_millis(100),
        ..Settings::default()
    };
    (engine.build(storage, bells, settings), world)
}

/// A worker that can go home or die.
struct Hand(CancellationToken, JoinHandle<()>);

impl Hand {
    fn of(engine: &Engine) -> Self {
        let (engine, stop) = (engine.clone(), CancellationToken::new());
        let token = stop.clone();
        Self(stop, tokio::spawn(async move { engine.work(token).await }))
    }

    async fn go_home(self) {
        self.0.cancel();
        self.1.await.unwrap();
    }
}

async fn start(engine: &Engine, call: &Letter, key: &str) -> RunId {
    let start = Start {
        key: Some(key.into()),
        ..Start::default()
    };
    engine.start(call, start).await.unwrap().run
}

async fn until(engine: &Engine, run: &RunId, state: RunState) -> Run {
    eventually(Duration::from_secs(60), || async {
        let run = engine.storage().run(run).await.unwrap().unwrap();
        (run.state == state).then_some(run)
    })
    .await
}

/// The run waits at the gate, with what it made on the disk.
async fn until_made(engine: &Engine, run: &RunId) -> Vec<Event> {
    eventually(Duration::from_secs(60), || async {
        let events = engine.storage().journal(run).await.unwrap();
        (!events.is_empty()).then_some(events)
    })
    .await
}

async fn count(database: &TestDatabase, from: &str) -> i64 {
    let db = database.connect().await;
    let sql = format!("select count(*) as n from {from}");
    let row = db
        .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
        .await;
    row.unwrap().unwrap().try_get("", "n").unwrap()
}

/// Rows in which `words` can be read by whoever has the database.
async fn readable(database: &TestDatabase, words: &str) -> i64 {
    let tables = [
        "runs where coalesce(input, '') || coalesce(output, '')",
        "journal where coalesce(input, '') || coalesce(data, '')",
        "blobs where data",
        "signals where coalesce(data, '')",
        "run_values where data",
        "activity_progress where data",
    ];
    let mut found = 0;
    for table in tables {
        found += count(database, &format!("{table} like '%{words}%'")).await;
    }
    found
}

async fn execute(database: &TestDatabase, sql: &str) {
    database.connect().await.execute_unprepared(sql).await.unwrap();
}

async fn a_megabyte_survives_a_replay(database: TestDatabase, secret: Option<&str>) {
    let (engine, world) = engine(&database, secret, 0).await;
    let hand = Hand::of(&engine);
    let run = start(&engine, &letter(1 << 20), "large").await;
    until_made(&engine, &run).await;
    // The worker goes home before the end: the result is only in the database now.
    let dying = hand;
    dying.1.abort();
    let (successor, other) = self::engine(&database, secret, 9).await;
    let hand = Hand::of(&successor);
    let done = until(&successor, &run, RunState::Completed).await;
    let output: String = serde_json::from_value(done.output.unwrap()).unwrap();
    assert_eq!(output.len(), MARKER.len() + (1 << 20));
    assert!(output.starts_with(MARKER));
    assert_eq!(
        world.calls.load(Ordering::SeqCst) + other.calls.load(Ordering::SeqCst),
        1
    );
    assert_eq!(
        count(&database, "blobs").await,
        2,
        "one of the journal, one of the run's output"
    );
    assert_eq!(
        count(&database, "journal where length(coalesce(data, '')) > 65536").await,
        0
    );
    hand.go_home().await;
}

on_both! {
    async fn a_result_of_a_megabyte_survives_a_replay(database: TestDatabase) {
        a_megabyte_survives_a_replay(database, None).await;
    }

    async fn a_sealed_result_of_a_megabyte_survives_a_replay(database: TestDatabase) {
        a_megabyte_survives_a_replay(database, Some(SECRET)).await;
    }

    async fn what_fits_a_row_makes_no_blob(database: TestDatabase) {
        let (engine, _) = engine(&database, None, 9).await;
        let hand = Hand::of(&engine);
        let run = start(&engine, &letter(60_000), "small").await;
        until(&engine, &run, RunState::Completed).await;
        assert_eq!(count(&database, "blobs").await, 0);
        hand.go_home().await;
    }

    async fn a_start_of_five_megabytes_is_refused_and_changes_nothing(database: TestDatabase) {
        let (engine, _) = engine(&database, Some(SECRET), 9).await;
        let call = Letter { words: "x".repeat(5 << 20), ..letter(0) };
        let start = Start { key: Some("huge".into()), ..Start::default() };
        let refused = engine.start(&call, start).await.unwrap_err();
        assert!(matches!(refused, StorageError::TooLarge { bytes } if bytes > 5 << 20), "{refused}");
        for table in ["runs", "run_keys", "blobs"] {
            assert_eq!(count(&database, table).await, 0, "{table}");
        }
    }

    async fn a_result_of_five_megabytes_parks_its_run_and_is_not_kept(database: TestDatabase) {
        let (engine, world) = engine(&database, None, 9).await;
        let hand = Hand::of(&engine);
        let run = start(&engine, &letter(5 << 20), "huge").await;
        let parked = until(&engine, &run, RunState::Parked).await;
        assert!(parked.error.as_deref().unwrap().starts_with("too_large"), "{:?}", parked.error);
        assert_eq!((world.calls.load(Ordering::SeqCst), count(&database, "blobs").await), (1, 0));
        hand.go_home().await;
    }

    async fn with_a_codec_nothing_can_be_read_in_the_tables_and_all_of_it_by_us(database: TestDatabase) {
        let (engine, _) = engine(&database, Some(SECRET), 9).await;
        let hand = Hand::of(&engine);
        for (call, key) in [(letter(10), "small"), (letter(100_000), "large"), (letter_of("ana"), "owned")] {
            let run = start(&engine, &call, key).await;
            let done = until(&engine, &run, RunState::Completed).await;
            assert_eq!(done.input["words"], MARKER);
            assert!(done.output.unwrap().as_str().unwrap().starts_with(MARKER));
            let events = engine.storage().journal(&run).await.unwrap();
            assert!(events.iter().any(|event| event.data.as_ref().is_some_and(|data| data.to_string().contains(MARKER))));
        }
        assert_eq!(readable(&database, MARKER).await, 0);
        hand.go_home().await;
    }

    async fn without_a_codec_the_same_look_finds_everything(database: TestDatabase) {
        let (engine, _) = engine(&database, None, 9).await;
        let hand = Hand::of(&engine);
        let run = start(&engine, &letter(100_000), "plain").await;
        until(&engine, &run, RunState::Completed).await;
        assert!(readable(&database, MARKER).await >= 4);
        hand.go_home().await;
    }

    async fn what_a_run_is_told_publishes_and_says_of_its_progress_is_sealed_too(database: TestDatabase) {
        let (engine, _) = engine(&database, Some(SECRET), 0).await;
        let (run, words, hand) = half_a_diary(&engine, &database).await;
        assert_eq!(readable(&database, MARKER).await, 0);
        assert_eq!(engine.storage().values(&run).await.unwrap()[0].data, json!(words));
        assert_eq!(told(&engine, &run).await, [json!(words)]);
        let forked = engine.fork(&run, 0, None).await.unwrap();
        assert_eq!((told(&engine, &forked).await, readable(&database, MARKER).await), (vec![json!(words)], 0));
        hand.1.abort();
        // Another process finds out how far it had come, and what it was told.
        let (successor, _) = self::engine(&database, Some(SECRET), 9).await;
        let hand = Hand::of(&successor);
        let done = until(&successor, &forked, RunState::Completed).await;
        assert!(done.output.unwrap().as_str().unwrap().ends_with(&words));
        assert_eq!(readable(&database, MARKER).await, 0);
        hand.go_home().await;
    }

    async fn without_a_codec_they_are_read_all_the_same_and_stay_readable_after_there_is_one(database: TestDatabase) {
        let (before, _) = engine(&database, None, 0).await;
        let (run, words, hand) = half_a_diary(&before, &database).await;
        assert!(readable(&database, MARKER).await >= 3, "of the signal, the value and the progress");
        hand.1.abort();
        let (engine, _) = engine(&database, Some(SECRET), 9).await;
        assert_eq!((engine.storage().values(&run).await.unwrap()[0].data.clone(), told(&engine, &run).await), (json!(words), vec![json!(words)]));
        let hand = Hand::of(&engine);
        let done = until(&engine, &run, RunState::Completed).await;
        assert_eq!(done.output.unwrap(), json!(format!("{words} {words}")));
        hand.go_home().await;
    }

    async fn what_an_erased_owners_run_was_told_and_published_is_gone_and_purged_with_its_blobs(database: TestDatabase) {
        let (engine, world) = engine(&database, Some(SECRET), 0).await;
        let (run, _, hand) = half_a_diary(&engine, &database).await;
        world.gate.add_permits(1);
        until(&engine, &run, RunState::Completed).await;
        hand.go_home().await;
        assert!(engine.storage().erase_owner_key("ana").await.unwrap());
        let erased = json!({"erased": true});
        assert_eq!((engine.storage().values(&run).await.unwrap()[0].data.clone(), told(&engine, &run).await), (erased.clone(), vec![erased]));
        assert!(count(&database, "blobs").await >= 3);
        engine.storage().set_retention("", Some(1)).await.unwrap();
        assert_eq!(engine.storage().purge(Utc::now() + TimeDelta::days(2), 10).await.unwrap(), 1);
        for table in ["blobs", "signals", "run_values", "activity_progress"] {
            assert_eq!(count(&database, table).await, 0, "{table}");
        }
    }

    async fn what_is_too_large_to_be_told_or_published_is_refused_and_named(database: TestDatabase) {
        let (engine, _) = engine(&database, Some(SECRET), 9).await;
        let huge = "x".repeat(5 << 20);
        let run = start(&engine, &letter(10), "small").await;
        let refused = engine.signal(&run, Word::NAME, &Word(huge.clone()), None).await.unwrap_err();
        assert!(matches!(refused, ControlError::Storage(StorageError::TooLarge { .. })), "{refused}");
        assert_eq!((engine.storage().run(&run).await.unwrap().unwrap().inbox, count(&database, "blobs").await), (0, 0));

        let hand = Hand::of(&engine);
        let swelling = Diary { owner: "ana".into(), words: "x".repeat(1 << 20), times: 5 };
        let run = engine.start(&swelling, Start::default()).await.unwrap().run;
        let parked = until(&engine, &run, RunState::Parked).await;
        assert!(parked.error.as_deref().unwrap().starts_with("too_large: what it publishes as page"), "{:?}", parked.error);
        assert_eq!(count(&database, "run_values").await, 0);
        hand.go_home().await;
    }

    async fn what_was_kept_before_there_was_a_codec_stays_readable_and_goes_on(database: TestDatabase) {
        let (before, _) = engine(&database, None, 0).await;
        let run = start(&before, &letter(10), "old").await;
        let (engine, _) = engine(&database, Some(SECRET), 9).await;
        let hand = Hand::of(&engine);
        let done = until(&engine, &run, RunState::Completed).await;
        assert_eq!(done.input["words"], MARKER);
        assert_eq!(readable(&database, MARKER).await, 1, "the input only, which is older than the codec");
        hand.go_home().await;
    }

    async fn an_erased_owners_data_is_gone_and_anothers_stays(database: TestDatabase) {
        let (engine, _) = engine(&database, Some(SECRET), 9).await;
        let hand = Hand::of(&engine);
        let mut runs = Vec::new();
        for owner in ["ana", "ben"] {
            let run = start(&engine, &letter_of(owner), owner).await;
            until(&engine, &run, RunState::Completed).await;
            runs.push(run);
        }
        assert!(engine.storage().erase_owner_key("ana").await.unwrap());
        assert!(!engine.storage().erase_owner_key("ana").await.unwrap());
        assert!(!engine.storage().erase_owner_key("").await.unwrap(), "nobody's key opens the runs of all");
        let (storage, erased) = (engine.storage(), json!({"erased": true}));
        let gone = storage.run(&runs[0]).await.unwrap().unwrap();
        assert_eq!((&gone.input, gone.output.as_ref()), (&erased, Some(&erased)));
        // Also what was written down before the run's owner was told.
        for event in storage.journal(&runs[0]).await.unwrap() {
            assert!(event.input.iter().chain(&event.data).all(|document| *document == erased), "{event:?}");
        }
        let kept = storage.run(&runs[1]).await.unwrap().unwrap();
        assert_eq!(kept.input["words"], MARKER);
        // Her next run is sealed under a new key.
        let run = start(&engine, &letter_of("ana"), "ana again").await;
        assert_eq!(until(&engine, &run, RunState::Completed).await.input["words"], MARKER);
        hand.go_home().await;
    }

    async fn an_unfinished_run_of_an_erased_owner_is_parked_and_keeps_nobody_up(database: TestDatabase) {
        let (engine, _) = engine(&database, Some(SECRET), 9).await;
        let owned = Start { key: Some("ana".into()), owner: Some("ana".into()), ..Start::default() };
        let run = engine.start(&letter(10), owned).await.unwrap().run;
        engine.storage().erase_owner_key("ana").await.unwrap();
        let other = start(&engine, &letter_of("ben"), "ben").await;
        let hand = Hand::of(&engine);
        let parked = until(&engine, &run, RunState::Parked).await;
        let error = parked.error.unwrap();
        assert!(error.starts_with("unreadable") && error.contains("erased"), "{error}");
        until(&engine, &other, RunState::Completed).await;
        hand.go_home().await;
    }

    async fn another_secret_or_none_is_refused_at_the_start_and_named(database: TestDatabase) {
        let bells = Bells::in_process();
        storage(&database, Some(SECRET), &bells).await.unlock().await.unwrap();
        storage(&database, Some(SECRET), &bells).await.unlock().await.unwrap();
        for other in [Some("another secret of thirty-two characters"), None] {
            let refused = storage(&database, other, &bells).await.unlock().await.unwrap_err();
            assert!(matches!(refused, StorageError::Secret(_)), "{refused}");
            assert!(refused.to_string().starts_with("SECRET_KEY"), "{refused}");
        }
    }

    async fn a_database_without_seals_needs_no_secret(database: TestDatabase) {
        storage(&database, None, &Bells::in_process()).await.unlock().await.unwrap();
    }

    async fn a_purge_takes_rows_and_blobs_and_keeps_keys(database: TestDatabase) {
        let (engine, _) = engine(&database, None, 9).await;
        let hand = Hand::of(&engine);
        let storage = engine.storage();
        let mut runs = Vec::new();
        for n in 0..5 {
            let run = start(&engine, &letter(100_000), &n.to_string()).await;
            until(&engine, &run, RunState::Completed).await;
            runs.push(run);
        }
        let later = Utc::now() + TimeDelta::days(31);
        assert_eq!(storage.purge(later, 2).await.unwrap(), 0, "who says nothing keeps everything");
        storage.set_retention("", Some(30)).await.unwrap();
        assert_eq!(storage.purge(Utc::now() + TimeDelta::days(29), 2).await.unwrap(), 0);
        assert_eq!(storage.purge(later, 2).await.unwrap(), 5);
        for table in ["runs", "journal", "blobs"] {
            assert_eq!(count(&database, table).await, 0, "{table}");
        }
        let again = Start { key: Some("0".into()), ..Start::default() };
        let again = engine.start(&letter(1), again).await.unwrap();
        assert_eq!((again.run, again.new), (runs[0].clone(), false));
        assert_eq!(count(&database, "runs").await, 0);
        hand.go_home().await;
    }

    async fn a_purge_leaves_unfinished_runs_and_those_of_owners_who_keep_theirs(database: TestDatabase) {
        let (engine, world) = engine(&database, Some(SECRET), 3).await;
        let hand = Hand::of(&engine);
        let storage = engine.storage();
        let mut runs = Vec::new();
        for owner in ["ana", "ben", "eva"] {
            let run = start(&engine, &letter_of(owner), owner).await;
            until(&engine, &run, RunState::Completed).await;
            runs.push(run);
        }
        let unfinished = start(&engine, &letter_of("ana"), "unfinished").await;
        until_made(&engine, &unfinished).await;
        storage.set_retention("", Some(30)).await.unwrap();
        storage.set_retention("ben", Some(400)).await.unwrap();
        storage.set_retention("eva", Some(7)).await.unwrap();
        let listed = storage.retention().await.unwrap();
        assert_eq!(listed.len(), 3);
        assert_eq!(listed[1], Retention { owner: "ben".into(), days: 400 });
        assert_eq!(storage.purge(Utc::now() + TimeDelta::days(8), 100).await.unwrap(), 1, "eva's");
        assert_eq!(storage.purge(Utc::now() + TimeDelta::days(100), 100).await.unwrap(), 1, "ana's, not the unfinished");
        assert!(storage.run(&runs[0]).await.unwrap().is_none());
        assert!(storage.run(&runs[1]).await.unwrap().is_some());
        assert!(storage.run(&runs[2]).await.unwrap().is_none());
        world.gate.add_permits(1);
        until(&engine, &unfinished, RunState::Completed).await;
        storage.set_retention("ben", None).await.unwrap();
        assert_eq!(storage.purge(Utc::now() + TimeDelta::days(100), 100).await.unwrap(), 2, "the rule for all again");
        hand.go_home().await;
    }

    async fn a_document_whose_blob_is_gone_is_an_error_and_not_nothing(database: TestDatabase) {
        let (engine, _) = engine(&database, None, 9).await;
        let call = Letter { words: noise(100_000), ..letter(0) };
        let run = start(&engine, &call, "large").await;
        assert_eq!(engine.storage().run(&run).await.unwrap().unwrap().input["words"].as_str().unwrap().len(), 100_000);
        execute(&database, "delete from blobs").await;
        assert!(engine.storage().run(&run).await.is_err());
    }

    async fn runs_that_are_taken_over_together_are_read_each_with_its_own_keys_and_one_that_cannot_be_parks_alone(database: TestDatabase) {
        let (engine, _) = engine(&database, Some(SECRET), 0).await;
        let hand = Hand::of(&engine);
        let long = start(&engine, &letter(1 << 20), "long").await;
        let short = start(&engine, &letter_of("ana"), "short").await;
        let lost = start(&engine, &letter(10), "lost").await;
        for run in [&long, &short, &lost] {
            until_made(&engine, run).await;
        }
        hand.1.abort();
        execute(&database, &format!("update journal set data = '@blob:gone' where run = '{lost}' and data is not null")).await;
        let (successor, other) = self::engine(&database, Some(SECRET), 9).await;
        let hand = Hand::of(&successor);
        for (run, bytes) in [(&long, 1 << 20), (&short, 10)] {
            let done = until(&successor, run, RunState::Completed).await;
            let output: String = serde_json::from_value(done.output.unwrap()).unwrap();
            assert_eq!(output.len(), MARKER.len() + bytes);
        }
        let error = until(&successor, &lost, RunState::Parked).await.error.unwrap();
        assert!(error.starts_with("unreadable") && error.contains("blob"), "{error}");
        assert_eq!(other.calls.load(Ordering::SeqCst), 0, "what was made is in the journals");
        let storage = successor.storage();
        let whole = storage.journal(&long).await.unwrap();
        let parts = [storage.events_after(&long, 0, 2).await.unwrap(), storage.events_after(&long, 2, 500).await.unwrap()];
        assert_eq!(parts[0].len(), 2);
        assert_eq!(format!("{:?}", parts.concat()), format!("{whole:?}"));
        let firsts = storage.first_events(&[short.clone(), long.clone()], 1).await.unwrap();
        let firsts: Vec<_> = firsts.iter().map(|(run, event)| (run, event.seq)).collect();
        assert_eq!(firsts, [(&long, 1), (&short, 1)]);
        let last = storage.last_events(std::slice::from_ref(&long)).await.unwrap();
        assert_eq!(last.into_iter().collect::<Vec<_>>(), [(long.clone(), whole.len() as i64)]);
        hand.go_home().await;
    }
}
