//! A recording's way through its workflow, in virtual time: no database of the domain, no vendor, no waiting.
#![expect(clippy::unwrap_used, reason = "tests")]
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use recado_activities::{FetchRecording, Fetched, FindRecording, KeepAudio, ResolveOwner};
use recado_engine::{
    EngineBuilder, Fault, RunState, Start,
    testing::{Script, TestEngine},
};
use recado_testkit::TestDatabase;
use recado_workflows::{InboundMessage, KeepRecording, Keeping};
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3600);

fn recording() -> KeepRecording {
    KeepRecording {
        account: "AC1".to_owned(),
        sid: "RE1".to_owned(),
    }
}

/// What somebody said after the tone.
fn script(fetch: impl Fn() -> Result<(), Fault> + Send + Sync + 'static) -> Script {
    let found = json!({
        "owner": "default", "call": "CA1", "direction": "inbound", "ours": "+14155238886", "theirs": "+14155550101",
        "duration": 9, "url": "https://api.twilio.com/RE1.mp3",
    });
    let fetched = json!({"content_type": "audio/mpeg", "bytes": 9, "sha256": "ab"});
    Script::new()
        .returns::<FindRecording, _>(serde_json::from_value(found).unwrap())
        .answers(move |_: FetchRecording| {
            fetch()?;
            Ok(serde_json::from_value::<Fetched>(fetched.clone()).unwrap())
        })
        .returns::<KeepAudio, _>(())
        // How a message is answered has tests of its own.
        .fails::<ResolveOwner, _>(Fault::fatal("nobody", "no owner"))
}

async fn engine(database: &TestDatabase, script: &Script) -> TestEngine {
    let engine = EngineBuilder::new(Arc::new(()))
        .workflow::<KeepRecording>()
        .workflow::<InboundMessage>();
    TestEngine::new(engine, script.clone(), database.url()).await
}

#[tokio::test]
async fn p1_a_recording_waits_for_hours_while_twilio_is_away_and_what_was_said_is_answered_at_once() {
    let (database, is_back) = (TestDatabase::in_memory().await, Arc::new(AtomicBool::new(false)));
    let seen = is_back.clone();
    let script = script(move || match seen.load(Ordering::SeqCst) {
        true => Ok(()),
        false => Err(Fault::retry("media_away", "the server answered 503")),
    });
    let mut engine = engine(&database, &script).await;
    let run = engine.start(&recording(), Start::default()).await;
    engine.advance(HOUR).await;
    assert_eq!(
        script.calls::<ResolveOwner, _>().len(),
        1,
        "it is answered meanwhile"
    );
    let asked = script.calls::<FetchRecording, _>().len();
    engine.advance(6 * HOUR).await;
    // Whoever dies in the middle of the wait goes on waiting.
    engine.crash().await;
    engine.work().await;
    let waiting = engine.status(&run).await;
    assert_eq!(waiting.state, RunState::Waiting, "{:?}", waiting.error);
    assert!(
        script.calls::<FetchRecording, _>().len() > asked,
        "it is asked again"
    );
    is_back.store(true, Ordering::SeqCst);
    engine.settle().await;
    let kept = engine.output::<KeepRecording>(&run).await;
    assert!(matches!(kept, Keeping::Voicemail { .. }), "{kept:?}");
    assert_eq!(script.calls::<KeepAudio, _>().len(), 1);
    assert_eq!(script.calls::<ResolveOwner, _>().len(), 1);
}

#[tokio::test]
async fn a_recording_that_never_comes_is_told_as_lost_and_one_that_cannot_be_taken_at_once() {
    for (fault, waits) in [
        (Fault::retry("media_away", "the server answered 503"), true),
        (Fault::fatal("media_not_there", "it is not there (404)"), true),
        (Fault::fatal("media_too_large", "it is larger than 536 MB"), false),
    ] {
        let database = TestDatabase::in_memory().await;
        let told = fault.failure().message.clone();
        let mut engine = engine(&database, &script(move || Err(fault.clone()))).await;
        let begun = engine.now();
        let run = engine.start(&recording(), Start::default()).await;
        engine.settle().await;
        assert_eq!(
            engine.output::<KeepRecording>(&run).await,
            Keeping::Lost { error: told }
        );
        assert_eq!((engine.now() - begun).to_std().unwrap() > 7 * HOUR, waits);
    }
}
