//! Random workflows and random deaths of their process: the same result and the same effects as without them.
//!
//! `PROPTEST_CASES` says how many. A failure prints the shortest programs that it was found with, and is tried first the
//! next time (`random.found`).
#![expect(clippy::unwrap_used, reason = "tests")]
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::FileFailurePersistence};
use recado_engine::{
    Activity, Attempt, Child, Context, Effect, EngineBuilder, Fault, Outcome, Race, Receive, Reconciled,
    Retry, RunState, Signal, Sleep, Start, StorageError, Workflow,
    testing::{Script, TestEngine, replay_export},
};
use recado_testkit::TestDatabase;
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};

/// How an activity behaves, whenever and however often it is called.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Fate {
    Well,
    /// The first two calls fail.
    Late,
    /// Every call fails, for good.
    Never,
    /// Every call fails, and asks for an hour's patience.
    Busy,
    /// A `Once` call happens, and nobody hears of it.
    Unseen,
    /// The first `Once` call does not happen, and nobody hears of it.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Look,
    Note,
    Order,
    Post,
}

/// One thing that a workflow asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Step {
    Do(Kind, Fate),
    Sleep(u32),
    /// Takes the next word, if there is one, and else waits for five minutes.
    Listen,
    JoinAll(Fate, Fate, Fate, u32),
    JoinListening(Fate, Fate),
    JoinMany(Kind, Vec<Fate>),
    /// Against a timer that it beats.
    RaceWon(Kind, Fate),
    /// Against a timer that beats it.
    RaceLost(Kind),
    RaceTimers(u32, u32),
    RaceListening,
    Child(Vec<Step>, Kind, Fate),
    Lane,
    Version(u8),
    Mark,
}

/// The outside, which lives on when a process dies.
#[derive(Default)]
struct World {
    calls: Mutex<BTreeMap<String, u32>>,
    /// What was posted, in order.
    posted: Mutex<Vec<String>>,
    /// The keys under which something was ordered.
    ordered: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl World {
    /// Counts a call. Fails as its fate will have it.
    fn call(&self, name: &str, fate: Fate) -> Result<u32, Fault> {
        let mut calls = self.calls.lock().unwrap();
        let n = calls.entry(name.to_owned()).or_default();
        *n += 1;
        match fate {
            Fate::Late if *n <= 2 => Err(Fault::retry("late", "not yet")),
            Fate::Never => Err(Fault::fatal("never", "not ever")),
            Fate::Busy => Err(Fault::retry_after(
                "busy",
                "in an hour",
                Some(Duration::from_secs(3600)),
            )),
            _ => Ok(*n),
        }
    }
}

/// More than there are late answers and deaths together: an attempt that a death ended is one too.
const PATIENT: Retry = Retry::exponential(Duration::from_secs(1)).up_to(8);

/// An activity of one effect; the name says which step of which run it is.
macro_rules! activity {
    ($activity:ident, $name:literal, $effect:ident, |$call:ident, $world:ident, $attempt:ident| $run:block $($more:item)*) => {
        #[derive(Serialize, Deserialize)]
        struct $activity { name: String, fate: Fate }

        impl Activity<World> for $activity {
            const NAME: &'static str = $name;
            const EFFECT: Effect = Effect::$effect;
            const RETRY: Retry = PATIENT;
            type Output = String;

            async fn run(&self, $world: &World, $attempt: &Attempt<'_>) -> Result<String, Fault> {
                let $call = self;
                $run
            }
            $($more)*
        }
    };
}

activity!(Look, "look", Pure, |call, world, _attempt| {
    world.call(&call.name, call.fate)?;
    Ok(format!("saw {}", call.name))
});

activity!(Note, "note", Database, |call, world, attempt| {
    let tx = attempt.transaction()?;
    let values = [call.name.as_str().into()];
    let sql = "insert into notes (name) values ($1)";
    tx.execute_raw(Statement::from_sql_and_values(
        tx.get_database_backend(),
        sql,
        values,
    ))
    .await?;
    world.call(&call.name, call.fate)?;
    Ok(format!("noted {}", call.name))
});

activity!(Order, "order", Idempotent, |call, world, attempt| {
    world.call(&call.name, call.fate)?;
    let mut ordered = world.ordered.lock().unwrap();
    ordered
        .entry(call.name.clone())
        .or_default()
        .insert(attempt.key());
    Ok(format!("ordered {}", call.name))
});

activity!(Post, "post", Once, |call, world, _attempt| {
    let n = world.call(&call.name, call.fate)?;
    let unseen = || Err(Fault::unknown("unseen", "the line went dead"));
    if call.fate == Fate::Lost && n == 1 {
        return unseen();
    }
    world.posted.lock().unwrap().push(call.name.clone());
    if call.fate == Fate::Unseen {
        return unseen();
    }
    Ok(format!("posted {}", call.name))
}
async fn reconcile(&self, world: &World, _: &Attempt<'_>) -> Result<Reconciled<String>, Fault> {
    Ok(match world.posted.lock().unwrap().contains(&self.name) {
        true => Reconciled::Happened(format!("posted {}", self.name)),
        false => Reconciled::NoTrace,
    })
});

#[derive(Serialize, Deserialize)]
struct Word(u32);

impl Signal for Word {
    const NAME: &'static str = "word";
}

/// A program, and the workflow that runs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Program {
    name: String,
    steps: Vec<Step>,
}

/// What each step came to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Trace(Vec<String>);

impl Outcome for Trace {
    fn word(&self) -> &'static str {
        "done"
    }
}

impl Workflow for Program {
    const NAME: &'static str = "program";
    type Output = Trace;

    async fn run(self, ctx: &mut Context) -> Result<Trace, Fault> {
        let mut trace = Vec::new();
        let mut lane = "";
        for (number, step) in self.steps.into_iter().enumerate() {
            let name = format!("{}{lane}.{number}", self.name);
            if let Step::Lane = step {
                lane = " in lane";
            }
            let told = play(ctx, &name, step).await;
            trace.push(format!("{name}: {told}"));
        }
        Ok(Trace(trace))
    }
}

fn tell(result: Result<String, Fault>) -> String {
    result.unwrap_or_else(|fault| fault.to_string())
}

fn minutes(n: u32) -> Sleep {
    Sleep(Duration::from_secs(60 * u64::from(n)))
}

fn heard(word: Option<Word>) -> String {
    word.map_or_else(|| "silence".to_owned(), |Word(n)| format!("word {n}"))
}

async fn deed(ctx: &mut Context, kind: Kind, name: String, fate: Fate) -> Result<String, Fault> {
    match kind {
        Kind::Look => ctx.run(Look { name, fate }).await,
        Kind::Note => ctx.run(Note { name, fate }).await,
        Kind::Order => ctx.run(Order { name, fate }).await,
        Kind::Post => ctx.run(Post { name, fate }).await,
    }
}

async fn against(ctx: &mut Context, kind: Kind, name: String, fate: Fate, timer: Sleep) -> String {
    let raced = match kind {
        Kind::Look => ctx.race(Look { name, fate }, timer).await,
        Kind::Note => ctx.race(Note { name, fate }, timer).await,
        Kind::Order => ctx.race(Order { name, fate }, timer).await,
        Kind::Post => ctx.race(Post { name, fate }, timer).await,
    };
    tell(raced.map(|winner| match winner {
        Race::First(told) => told,
        Race::Second(()) => "too late".to_owned(),
    }))
}

async fn many(ctx: &mut Context, kind: Kind, name: &str, fates: Vec<Fate>) -> Vec<Result<String, Fault>> {
    let each = fates
        .into_iter()
        .enumerate()
        .map(|(n, fate)| (format!("{name}.{n}"), fate));
    match kind {
        Kind::Look => {
            ctx.join(each.map(|(name, fate)| Look { name, fate }).collect::<Vec<_>>())
                .await
        }
        Kind::Note => {
            ctx.join(each.map(|(name, fate)| Note { name, fate }).collect::<Vec<_>>())
                .await
        }
        Kind::Order => {
            ctx.join(each.map(|(name, fate)| Order { name, fate }).collect::<Vec<_>>())
                .await
        }
        Kind::Post => {
            ctx.join(each.map(|(name, fate)| Post { name, fate }).collect::<Vec<_>>())
                .await
        }
    }
}

async fn play(ctx: &mut Context, name: &str, step: Step) -> String {
    let part = |part: &str| format!("{name}.{part}");
    let done = |result: Result<(), Fault>| tell(result.map(|()| "done".to_owned()));
    match step {
        Step::Do(kind, fate) => tell(deed(ctx, kind, name.to_owned(), fate).await),
        Step::Sleep(n) => done(ctx.ask(minutes(n)).await),
        Step::Listen => tell(ctx.signal(Some(Duration::from_secs(300))).await.map(heard)),
        Step::JoinAll(look, note, post, sleep) => {
            let look = Look {
                name: part("look"),
                fate: look,
            };
            let note = Note {
                name: part("note"),
                fate: note,
            };
            let post = Post {
                name: part("post"),
                fate: post,
            };
            let (look, slept, note, post) = ctx.join((look, minutes(sleep), note, post)).await;
            [tell(look), done(slept), tell(note), tell(post)].join(", ")
        }
        Step::JoinListening(order, note) => {
            let order = Order {
                name: part("order"),
                fate: order,
            };
            let note = Note {
                name: part("note"),
                fate: note,
            };
            let listen = Receive::<Word>::within(Duration::from_secs(300));
            let (order, word, note) = ctx.join((order, listen, note)).await;
            [tell(order), tell(word.map(heard)), tell(note)].join(", ")
        }
        Step::JoinMany(kind, fates) => {
            let told = many(ctx, kind, name, fates).await;
            told.into_iter().map(tell).collect::<Vec<_>>().join(", ")
        }
        Step::RaceWon(kind, fate) => against(ctx, kind, name.to_owned(), fate, minutes(10)).await,
        Step::RaceLost(kind) => against(ctx, kind, name.to_owned(), Fate::Busy, minutes(10)).await,
        Step::RaceTimers(one, other) => {
            tell(ctx.race(minutes(one), minutes(other)).await.map(|won| match won {
                Race::First(()) => format!("{one}"),
                Race::Second(()) => format!("{other}"),
            }))
        }
        Step::RaceListening => {
            let raced = ctx.race(Receive::<Word>::new(), minutes(3)).await;
            tell(raced.map(|won| match won {
                Race::First(word) => heard(word),
                Race::Second(()) => "too late".to_owned(),
            }))
        }
        Step::Child(steps, kind, fate) => {
            let program = Program {
                name: part("child"),
                steps,
            };
            let child = match ctx.start(&program, Child::default()).await {
                Ok(child) => child,
                Err(fault) => return fault.to_string(),
            };
            let meanwhile = tell(deed(ctx, kind, part("meanwhile"), fate).await);
            let ended = tell(ctx.ask(child).await.map(|Trace(trace)| format!("{trace:?}")));
            format!("{meanwhile}, {ended}")
        }
        Step::Lane => done(ctx.enter_lane().await),
        Step::Version(n) => format!("{}", ctx.version(&format!("change {n}")).await),
        Step::Mark => {
            let (before, id) = (ctx.now().await, ctx.id());
            ctx.tag("mark", &id).await;
            ctx.publish("mark", &id).await;
            match ctx.now().await >= before && ctx.id() != id {
                true => "marked".to_owned(),
                false => "the clock ran back, or two ids are the same".to_owned(),
            }
        }
    }
}

/// What is left of a world when all has come to rest.
#[derive(Debug, PartialEq)]
struct Left {
    traces: Vec<Trace>,
    notes: Vec<String>,
    posted: Vec<String>,
    ordered: Vec<String>,
}

/// Where a process dies: before or after which of its commits.
type Death = (bool, u32);

/// Two programs in one lane, told some words, through these deaths. Returns how many commits there were, too.
async fn live(programs: &[Program; 2], words: u32, deaths: &[Death]) -> (Left, u32) {
    let (database, world) = (TestDatabase::in_memory().await, Arc::<World>::default());
    let builder = EngineBuilder::new(world.clone())
        .workflow::<Program>()
        .activity::<Look>()
        .activity::<Note>()
        .activity::<Order>()
        .activity::<Post>();
    let mut engine = TestEngine::new(builder, Script::new(), database.url()).await;
    let create = engine.engine().storage().transaction(|tx| {
        Box::pin(async move {
            let create = "create table notes (name text not null)";
            tx.execute_unprepared(create)
                .await
                .map(drop)
                .map_err(StorageError::from)
        })
    });
    engine.within(create).await.unwrap();
    let begun = engine.commits();
    for (before, commit) in deaths {
        match before {
            true => engine.crash_before_commit(*commit),
            false => engine.crash_after_commit(*commit),
        }
    }
    let mut runs = Vec::new();
    for program in programs {
        let start = Start {
            lane: Some("lane".into()),
            ..Start::default()
        };
        let run = engine.start(program, start).await;
        for word in 1..=words {
            engine.signal(&run, &Word(word)).await;
        }
        runs.push(run);
    }
    engine.settle().await;
    let mut traces = Vec::new();
    for run in &runs {
        traces.push(engine.output::<Program>(run).await);
        replay_export::<Program>(&engine.export(run).await).unwrap();
    }
    let all = engine
        .engine()
        .storage()
        .runs(&Default::default(), 500, None)
        .await;
    assert!(
        all.unwrap()
            .items
            .iter()
            .all(|run| run.state == RunState::Completed)
    );
    let db = database.connect().await;
    let select = Statement::from_string(db.get_database_backend(), "select name from notes order by name");
    let notes = db.query_all_raw(select).await.unwrap();
    let notes = notes.iter().map(|row| row.try_get("", "name").unwrap()).collect();
    let ordered = world.ordered.lock().unwrap().clone();
    assert!(
        ordered.values().all(|keys| keys.len() == 1),
        "one key a step: {ordered:?}"
    );
    let mut posted = world.posted.lock().unwrap().clone();
    let in_lane = posted
        .iter()
        .filter(|name| name.contains("in lane") && !name.contains("child"));
    assert!(
        in_lane.map(|name| &name[..1]).is_sorted(),
        "in the order of the lane: {posted:?}"
    );
    posted.sort();
    let left = Left {
        traces,
        notes,
        posted,
        ordered: ordered.into_keys().collect(),
    };
    (left, engine.commits() - begun)
}

fn program(name: &str, steps: Vec<Step>) -> Program {
    Program {
        name: name.to_owned(),
        steps,
    }
}

/// Races whose losers put the run to sleep, found by chance.
#[tokio::test]
async fn races_end_the_same_whichever_commit_their_process_dies_at() {
    let well = Fate::Well;
    let first = [
        Step::RaceWon(Kind::Note, well),
        Step::JoinAll(well, well, well, 4),
        Step::RaceListening,
        Step::RaceListening,
        Step::RaceLost(Kind::Order),
    ];
    let programs = [
        program("a", first.to_vec()),
        program("b", vec![Step::Lane, Step::RaceListening]),
    ];
    let (calm, commits) = live(&programs, 1, &[]).await;
    for commit in 1..=commits {
        let (stormy, _) = live(&programs, 1, &[(false, commit)]).await;
        assert_eq!(calm, stormy, "after commit {commit}");
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Look),
        Just(Kind::Note),
        Just(Kind::Order),
        Just(Kind::Post)
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Well),
        1 => Just(Fate::Late),
        1 => Just(Fate::Never),
        1 => Just(Fate::Unseen),
        1 => Just(Fate::Lost),
    ]
}

fn leaf() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (kind(), fate()).prop_map(|(kind, fate)| Step::Do(kind, fate)),
        1 => (1..90u32).prop_map(Step::Sleep),
        1 => Just(Step::Listen),
        1 => (fate(), fate(), fate(), 1..5u32).prop_map(|(a, b, c, d)| Step::JoinAll(a, b, c, d)),
        1 => (fate(), fate()).prop_map(|(a, b)| Step::JoinListening(a, b)),
        1 => (kind(), vec(fate(), 1..4)).prop_map(|(kind, fates)| Step::JoinMany(kind, fates)),
        1 => (kind(), fate()).prop_map(|(kind, fate)| Step::RaceWon(kind, fate)),
        1 => kind().prop_map(Step::RaceLost),
        1 => (1..9u32, 10..19u32, any::<bool>()).prop_map(|(a, b, turned)| match turned {
            true => Step::RaceTimers(b, a),
            false => Step::RaceTimers(a, b),
        }),
        1 => Just(Step::RaceListening),
        1 => Just(Step::Lane),
        1 => (0..3u8).prop_map(Step::Version),
        1 => Just(Step::Mark),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let child = (vec(leaf(), 0..3), kind(), fate());
    let step = prop_oneof![
        6 => leaf(),
        1 => child.prop_map(|(steps, kind, fate)| Step::Child(steps, kind, fate)),
    ];
    vec(step, 0..6).prop_map(|mut steps| {
        // A lane is entered once.
        let mut entered = false;
        steps.retain(|step| !matches!(step, Step::Lane) || !std::mem::replace(&mut entered, true));
        steps
    })
}

fn config() -> ProptestConfig {
    let found = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/random.found");
    let default = ProptestConfig {
        // A minute of looking for a shorter program is worth its while, an hour is not.
        max_shrink_time: 60_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(found))),
        ..ProptestConfig::default()
    };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => ProptestConfig {
            cases: 100,
            ..default
        },
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_workflows_end_the_same_wherever_their_process_dies(
        first in steps(),
        second in steps(),
        words in 0..3u32,
        deaths in vec((any::<bool>(), any::<Index>()), 1..4),
    ) {
        let programs = [program("a", first), program("b", second)];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (calm, stormy) = runtime.block_on(async {
            let (calm, commits) = live(&programs, words, &[]).await;
            let at = |index: Index| 1 + index.index(commits as usize) as u32;
            let deaths: Vec<_> = deaths.into_iter().map(|(before, index)| (before, at(index))).collect();
            let (stormy, _) = live(&programs, words, &deaths).await;
            (calm, stormy)
        });
        prop_assert_eq!(calm, stormy);
    }
}
