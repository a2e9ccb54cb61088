//! Histories against workflows that have changed since, and runs that live through such a change.
#![expect(clippy::unwrap_used, reason = "tests")]
use std::{sync::Arc, time::Duration};

use recado_engine::{
    Activity, Attempt, Child, Context, Effect, EngineBuilder, Export, Fault, Outcome, Race, Receive, Retry,
    RunState, Signal, Sleep, Start, Workflow,
    testing::{Replayed, Script, TestEngine, Unreplayable, replay, replay_export},
};
use recado_testkit::TestDatabase;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3600);

struct Nowhere;

/// Declares an activity that only a script can run.
macro_rules! activity {
    ($name:literal, $activity:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* }, $effect:ident, $output:ty) => {
        #[derive(Serialize, Deserialize)]
        pub(crate) struct $activity { $($(#[$attribute])* pub(crate) $field: $type),* }

        impl Activity<Nowhere> for $activity {
            const NAME: &'static str = $name;
            const EFFECT: Effect = Effect::$effect;
            const RETRY: Retry = Retry::exponential(Duration::from_secs(1)).up_to(3);
            type Output = $output;

            async fn run(&self, _: &Nowhere, _: &Attempt<'_>) -> Result<$output, Fault> {
                Err(Fault::fatal("real", "no test runs it"))
            }
        }
    };
}

activity!("draft", Draft { topic: String }, Pure, String);
activity!("file", File { text: String }, Database, ());
activity!("print", Print { text: String }, Idempotent, ());
activity!(
    "post",
    Post {
        text: String,
        to: String
    },
    Once,
    String
);

#[derive(Serialize, Deserialize)]
struct Approve;

impl Signal for Approve {
    const NAME: &'static str = "approve";
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    Posted(String),
    Dropped,
}

impl Outcome for End {
    fn word(&self) -> &'static str {
        match self {
            Self::Posted(_) => "posted",
            Self::Dropped => "dropped",
        }
    }
}

/// A letter as it was first released: drafted, filed, approved, posted.
#[derive(Serialize, Deserialize)]
struct Letter {
    topic: String,
    to: String,
}

impl Workflow for Letter {
    const NAME: &'static str = "letter";
    type Output = End;

    async fn run(self, ctx: &mut Context) -> Result<End, Fault> {
        let text = ctx.run(Draft { topic: self.topic }).await?;
        ctx.run(File { text: text.clone() }).await?;
        if ctx.signal::<Approve>(Some(HOUR)).await?.is_none() {
            return Ok(End::Dropped);
        }
        Ok(End::Posted(ctx.run(Post { text, to: self.to }).await?))
    }
}

fn script() -> Script {
    Script::new()
        .answers(|call: Draft| Ok(format!("about {}", call.topic)))
        .returns::<File, _>(())
        .returns::<Print, _>(())
        .answers(|call: Post| Ok(format!("posted to {}", call.to)))
}

async fn engine<W: Workflow>(database: &TestDatabase) -> TestEngine {
    let engine = EngineBuilder::new(Arc::new(())).workflow::<W>();
    TestEngine::new(engine, script(), database.url()).await
}

fn letter() -> Letter {
    Letter {
        topic: "tea".into(),
        to: "Ana".into(),
    }
}

/// The history of a letter that was posted.
async fn posted() -> Export {
    let database = TestDatabase::in_memory().await;
    let mut engine = engine::<Letter>(&database).await;
    let run = engine.start(&letter(), Start::default()).await;
    engine.signal(&run, &Approve).await;
    engine.settle().await;
    let export = engine.export(&run).await;
    // Through the text that a file would hold.
    serde_json::from_str(&serde_json::to_string_pretty(&export).unwrap()).unwrap()
}

/// A letter of another build: other fields, other steps, the same name.
macro_rules! changed {
    ($module:ident, { $($(#[$attribute:meta])* $field:ident: $type:ty),* }, |$self:ident, $ctx:ident| $body:block) => {
        mod $module {
            use super::*;

            #[derive(Serialize, Deserialize)]
            pub(crate) struct Letter { $($(#[$attribute])* pub(crate) $field: $type),* }

            impl Workflow for Letter {
                const NAME: &'static str = "letter";
                type Output = End;

                async fn run($self, $ctx: &mut Context) -> Result<End, Fault> $body
            }
        }
    };
}

changed!(with_copies, { topic: String, to: String, #[serde(default)] copies: u32 }, |self, ctx| {
    activity!("post", Post { text: String, to: String, #[serde(default)] copies: u32 }, Once, String);
    let text = ctx.run(Draft { topic: self.topic }).await?;
    ctx.run(File { text: text.clone() }).await?;
    if ctx.signal::<Approve>(Some(HOUR)).await?.is_none() {
        return Ok(End::Dropped);
    }
    let post = Post { text, to: self.to, copies: self.copies };
    Ok(End::Posted(ctx.run(post).await?))
});

changed!(to_a_recipient, { topic: String, to: String }, |self, ctx| {
    activity!("post", Post { text: String, recipient: String }, Once, String);
    let text = ctx.run(Draft { topic: self.topic }).await?;
    ctx.run(File { text: text.clone() }).await?;
    if ctx.signal::<Approve>(Some(HOUR)).await?.is_none() {
        return Ok(End::Dropped);
    }
    Ok(End::Posted(ctx.run(Post { text, recipient: self.to }).await?))
});

changed!(with_another_input, { topic: String, #[serde(default)] recipient: String }, |self, ctx| {
    let text = ctx.run(Draft { topic: self.topic }).await?;
    ctx.run(File { text }).await?;
    ctx.signal::<Approve>(Some(HOUR)).await?;
    Ok(End::Posted(self.recipient))
});

changed!(unfiled, { topic: String, to: String }, |self, ctx| {
    let text = ctx.run(Draft { topic: self.topic }).await?;
    ctx.signal::<Approve>(Some(HOUR)).await?;
    Ok(End::Posted(ctx.run(Post { text, to: self.to }).await?))
});

changed!(that_ends_early, { topic: String, to: String }, |self, ctx| {
    let text = ctx.run(Draft { topic: self.topic }).await?;
    ctx.run(File { text }).await?;
    Ok(End::Posted(format!("posted to {}", self.to)))
});

changed!(printed_at_the_end, { topic: String, to: String }, |self, ctx| {
    let text = ctx.run(Draft { topic: self.topic }).await?;
    ctx.run(File { text: text.clone() }).await?;
    ctx.signal::<Approve>(Some(HOUR)).await?;
    let posted = ctx.run(Post { text: text.clone(), to: self.to }).await?;
    ctx.run(Print { text }).await?;
    Ok(End::Posted(posted))
});

changed!(with_another_result, { topic: String, to: String }, |self, ctx| {
    let text = ctx.run(Draft { topic: self.topic }).await?;
    ctx.run(File { text: text.clone() }).await?;
    ctx.signal::<Approve>(Some(HOUR)).await?;
    let posted = ctx.run(Post { text, to: self.to }).await?;
    Ok(End::Posted(posted.to_uppercase()))
});

changed!(printed_with_a_guard, { topic: String, to: String }, |self, ctx| {
    let text = ctx.run(Draft { topic: self.topic }).await?;
    if ctx.version("print").await {
        ctx.run(Print { text: text.clone() }).await?;
    }
    ctx.run(File { text: text.clone() }).await?;
    if ctx.signal::<Approve>(Some(HOUR)).await?.is_none() {
        return Ok(End::Dropped);
    }
    let posted = ctx.run(Post { text: text.clone(), to: self.to }).await?;
    if ctx.version("print again").await {
        ctx.run(Print { text }).await?;
    }
    Ok(End::Posted(posted))
});

fn told<W: Workflow>(export: &Export) -> String {
    replay_export::<W>(export).unwrap_err().to_string()
}

#[tokio::test]
async fn a_history_replays_with_the_workflow_that_made_it() {
    let replayed = replay_export::<Letter>(&posted().await).unwrap();
    let output = json!({ "posted": "posted to Ana" });
    let outcome = "posted".to_owned();
    assert_eq!(replayed, Replayed::Ended { outcome, output });
}

#[tokio::test]
async fn a_field_added_with_a_default_and_a_guarded_change_replay() {
    let export = posted().await;
    replay_export::<with_copies::Letter>(&export).unwrap();
    replay_export::<printed_with_a_guard::Letter>(&export).unwrap();
}

#[tokio::test]
async fn a_renamed_field_is_shown_with_both_sides() {
    let export = posted().await;
    let told = told::<to_a_recipient::Letter>(&export);
    assert!(
        told.contains(r#"recorded: {"text":"about tea","to":"Ana"}"#),
        "{told}"
    );
    assert!(
        told.contains(r#"asked:    {"recipient":"Ana","text":"about tea"}"#),
        "{told}"
    );
    let lost = replay_export::<with_another_input::Letter>(&export);
    assert_eq!(lost, Err(Unreplayable::Input("to".into())));
}

#[tokio::test]
async fn another_step_is_shown_with_both_sides() {
    let told = told::<unfiled::Letter>(&posted().await);
    assert!(
        told.contains("the journal has file") && told.contains("asks for approve"),
        "{told}"
    );
}

#[tokio::test]
async fn a_tail_that_one_side_does_not_have_is_shown() {
    let export = posted().await;
    let told_early = told::<that_ends_early::Letter>(&export);
    assert!(
        told_early.contains("the journal has approve, the workflow of this build ends before it"),
        "{told_early}"
    );
    let told_late = told::<printed_at_the_end::Letter>(&export);
    assert!(
        told_late.contains("step 5") && told_late.contains("print"),
        "{told_late}"
    );
    let mut cut = export;
    cut.events.pop();
    let told_cut = told::<Letter>(&cut);
    assert!(
        told_cut.contains(r#"recorded: posted: {"posted":"posted to Ana"}"#),
        "{told_cut}"
    );
    assert!(told_cut.contains("the journal ends before post"), "{told_cut}");
}

#[tokio::test]
async fn another_result_is_shown_with_both_sides() {
    let told = told::<with_another_result::Letter>(&posted().await);
    assert!(
        told.contains(r#"recorded: posted: {"posted":"posted to Ana"}"#),
        "{told}"
    );
    assert!(
        told.contains(r#"replayed: posted: {"posted":"POSTED TO ANA"}"#),
        "{told}"
    );
}

#[tokio::test]
async fn a_history_in_a_file_replays_in_one_line_and_a_bent_one_fails() {
    let (folder, mut export) = (tempfile::tempdir().unwrap(), posted().await);
    let (file, bent) = (folder.path().join("posted.json"), folder.path().join("bent.json"));
    std::fs::write(&file, serde_json::to_vec_pretty(&export).unwrap()).unwrap();
    replay::<Letter>(&file);
    export.events[0].data = Some(Value::from("about coffee"));
    std::fs::write(&bent, serde_json::to_vec_pretty(&export).unwrap()).unwrap();
    let panic = std::panic::catch_unwind(|| replay::<Letter>(&bent)).unwrap_err();
    let told = panic.downcast_ref::<String>().unwrap();
    assert!(told.contains("bent.json does not replay: step 2"), "{told}");
    assert!(told.contains(r#"recorded: {"text":"about tea"}"#), "{told}");
    assert!(told.contains(r#"asked:    {"text":"about coffee"}"#), "{told}");
}

#[tokio::test]
async fn an_open_run_replays_up_to_where_it_waits() {
    let database = TestDatabase::in_memory().await;
    let mut engine = engine::<Letter>(&database).await;
    let run = engine.start(&letter(), Start::default()).await;
    engine.work().await;
    let export = engine.export(&run).await;
    let replayed = replay_export::<Letter>(&export).unwrap();
    assert!(
        matches!(&replayed, Replayed::Open { told } if told.contains("approve")),
        "{replayed}"
    );
    let told = told::<that_ends_early::Letter>(&export);
    assert!(told.contains("ends before it"), "{told}");
}

/// Asks for everything that a workflow may ask for.
#[derive(Serialize, Deserialize)]
struct Everything;

impl Workflow for Everything {
    const NAME: &'static str = "everything";
    type Output = End;

    async fn run(self, ctx: &mut Context) -> Result<End, Fault> {
        let (now, id) = (ctx.now().await, ctx.id());
        ctx.tag("begun", &now.to_rfc3339()).await;
        let draft = Draft { topic: id.clone() };
        let (drafted, slept, filed) = ctx.join((draft, Sleep(HOUR), File { text: id })).await;
        slept?;
        filed?;
        let text = drafted?;
        let race = ctx.race(Receive::<Approve>::new(), Sleep(HOUR)).await?;
        ctx.enter_lane().await?;
        let child = ctx.start(&letter(), Child::default()).await?;
        ctx.run(Print { text: text.clone() }).await?;
        let child = ctx.ask(child).await?;
        if ctx.version("change").await {
            ctx.publish("child", &child).await;
        }
        let to = if let Race::Second(()) = race {
            "late"
        } else {
            "approved"
        };
        Ok(End::Posted(ctx.run(Post { text, to: to.into() }).await?))
    }
}

#[tokio::test]
async fn the_history_of_a_run_that_used_everything_replays_whatever_befell_it() {
    let database = TestDatabase::in_memory().await;
    let engine = EngineBuilder::new(Arc::new(()))
        .workflow::<Everything>()
        .workflow::<Letter>();
    let script = script()
        .crashes_once::<File, _>(())
        .fails_once::<Print, _>(Fault::retry("paper", "no paper"))
        .crashes_once::<Print, _>(())
        .happens_unseen_once::<Post, _>("found".into());
    let mut engine = TestEngine::new(engine, script.clone(), database.url()).await;
    let start = Start {
        lane: Some("lane".into()),
        ..Start::default()
    };
    let run = engine.start(&Everything, start).await;
    engine.settle().await;
    let export = engine.export(&run).await;
    assert_eq!(export.outcome.as_deref(), Some("posted"), "{:?}", export.error);
    replay_export::<Everything>(&export).unwrap();
}

#[tokio::test]
async fn cancelled_parked_and_retried_runs_replay() {
    let database = TestDatabase::in_memory().await;
    let failing = script().fails_once::<Post, _>(Fault::fatal("torn", "the letter is torn"));
    let builder = EngineBuilder::new(Arc::new(())).workflow::<Letter>();
    let mut engine = TestEngine::new(builder, failing, database.url()).await;
    let run = engine.start(&letter(), Start::default()).await;
    engine.work().await;
    engine.within(engine.engine().cancel(&run)).await.unwrap();
    engine.settle().await;
    let export = engine.export(&run).await;
    assert_eq!(export.state, Some(RunState::Cancelled));
    replay_export::<Letter>(&export).unwrap();

    let run = engine.start(&letter(), Start::default()).await;
    engine.signal(&run, &Approve).await;
    engine.settle().await;
    let parked = engine.export(&run).await;
    assert_eq!(parked.error.as_deref(), Some("torn: the letter is torn"));
    let replayed = replay_export::<Letter>(&parked).unwrap();
    assert!(matches!(replayed, Replayed::Stopped(_)), "{replayed}");
    engine.within(engine.engine().retry(&run)).await.unwrap();
    engine.settle().await;
    let retried = engine.export(&run).await;
    assert_eq!(retried.outcome.as_deref(), Some("posted"));
    replay_export::<Letter>(&retried).unwrap();
}

#[tokio::test]
async fn open_runs_live_through_a_field_with_a_default_and_a_guarded_change() {
    let database = TestDatabase::in_memory().await;
    let mut engine = engine::<Letter>(&database).await;
    let run = engine.start(&letter(), Start::default()).await;
    engine.work().await;
    engine
        .deploy(EngineBuilder::new(Arc::new(())).workflow::<with_copies::Letter>())
        .await;
    engine.work().await;
    engine
        .deploy(EngineBuilder::new(Arc::new(())).workflow::<printed_with_a_guard::Letter>())
        .await;
    engine.signal(&run, &Approve).await;
    engine.settle().await;
    assert_eq!(
        engine.output::<printed_with_a_guard::Letter>(&run).await,
        End::Posted("posted to Ana".into())
    );
    replay_export::<printed_with_a_guard::Letter>(&engine.export(&run).await).unwrap();
}

#[tokio::test]
async fn an_open_run_that_a_changed_workflow_would_lead_astray_is_parked_with_both_sides() {
    let database = TestDatabase::in_memory().await;
    let mut engine = engine::<Letter>(&database).await;
    let run = engine.start(&letter(), Start::default()).await;
    engine.work().await;
    engine
        .deploy(EngineBuilder::new(Arc::new(())).workflow::<unfiled::Letter>())
        .await;
    engine.signal(&run, &Approve).await;
    engine.settle().await;
    let parked = engine.status(&run).await;
    assert_eq!(parked.state, RunState::Parked);
    let told = parked.error.unwrap();
    assert!(
        told.contains("the journal has file") && told.contains("asks for approve"),
        "{told}"
    );
    // Nothing is lost: the build that started it brings it to its end.
    engine
        .deploy(EngineBuilder::new(Arc::new(())).workflow::<Letter>())
        .await;
    engine.within(engine.engine().retry(&run)).await.unwrap();
    engine.settle().await;
    assert_eq!(
        engine.output::<Letter>(&run).await,
        End::Posted("posted to Ana".into())
    );
}
