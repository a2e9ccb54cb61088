//! A message's way through its workflow: no database of the domain, no vendor, no waiting.
#![expect(clippy::unwrap_used, reason = "tests")]
use std::sync::Arc;

use recado_activities::{
    Answer, AskSpecialist, CheckBilling, FetchMedia, Grant, KeepMedia, KeepWords, Persist, Reply,
    ResolveOwner, RouteAgent, Sent, Transcribe, TranscribeVoice, Way,
};
use recado_engine::{
    EngineBuilder, Fault, Start,
    testing::{Script, TestEngine},
};
use recado_testkit::TestDatabase;
use recado_workflows::{InboundMessage, Reception};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What an activity returns, with whatever has a default left out.
fn given<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A message of an owner whose plan holds, on its way to a specialist. Who answers is left to the test.
fn script() -> Script {
    Script::new()
        .returns::<ResolveOwner, _>(given(
            json!({"id": "default", "notice_over_quota": "Até amanhã."}),
        ))
        .returns::<CheckBilling, _>(Grant::Granted)
        .returns::<Persist, _>(given(json!({
            "contact": "ct", "conversation": "cv", "message": "ms", "state": "progress", "opt_out": null
        })))
        .answers(|call: Transcribe| Ok(call.body))
        .answers(|call: RouteAgent| {
            let offline = (call.way == Way::Offline).then(|| Answer::Text("Abrimos às nove.".into()));
            let routed = json!({"specialist": "sales", "confidence": 0.9, "reason": "", "answer": offline});
            Ok(given(routed))
        })
        .answers(|call: Reply| {
            let sid = format!("SM{}", call.part);
            Ok(Sent::Accepted {
                sid,
                status: "queued".into(),
            })
        })
}

fn message() -> InboundMessage {
    given(json!({
        "account": "AC1", "sid": "SM1", "from": "whatsapp:+14155550101", "to": "whatsapp:+14155238886",
        "body": "que horas abre?", "form": []
    }))
}

fn in_its_lane() -> Start {
    Start {
        lane: Some(message().lane()),
        ..Start::default()
    }
}

async fn engine(database: &TestDatabase, script: &Script) -> TestEngine {
    let engine = EngineBuilder::new(Arc::new(())).workflow::<InboundMessage>();
    TestEngine::new(engine, script.clone(), database.url()).await
}

fn said(script: &Script) -> Vec<String> {
    script
        .calls::<Reply, _>()
        .into_iter()
        .map(|reply| reply.body)
        .collect()
}

#[tokio::test]
async fn where_the_specialist_fails_the_offline_agent_answers() {
    let database = TestDatabase::in_memory().await;
    let script = script().fails::<AskSpecialist, _>(Fault::retry("model_down", "no answer"));
    let mut engine = engine(&database, &script).await;
    let run = engine.start(&message(), in_its_lane()).await;
    engine.settle().await;
    assert_eq!(engine.output::<InboundMessage>(&run).await, Reception::Answered);
    assert_eq!(script.calls::<AskSpecialist, _>().len(), 2);
    assert_eq!(said(&script), ["Abrimos às nove."]);
}

#[tokio::test]
async fn a_used_up_plan_is_told_once() {
    let database = TestDatabase::in_memory().await;
    let script = script()
        .returns_once::<CheckBilling, _>(Grant::Refused { notice: true })
        .returns_once::<CheckBilling, _>(Grant::Refused { notice: false });
    let mut engine = engine(&database, &script).await;
    for _ in 0..2 {
        let run = engine.start(&message(), in_its_lane()).await;
        engine.settle().await;
        assert_eq!(engine.output::<InboundMessage>(&run).await, Reception::Refused);
    }
    assert_eq!(said(&script), ["Até amanhã."]);
}

#[tokio::test]
async fn a_long_answer_is_sent_part_by_part_once_whichever_commit_the_process_dies_at() {
    let long = ["Uma frase. ", "Outra frase. ", "Mais uma. "]
        .map(|text| text.repeat(100))
        .concat();
    let answer = || script().returns::<AskSpecialist, _>(Answer::Text(long.clone()));
    let (database, calm) = (TestDatabase::in_memory().await, answer());
    let mut engine_without = engine(&database, &calm).await;
    let begun = engine_without.commits();
    engine_without.start(&message(), in_its_lane()).await;
    engine_without.settle().await;
    let parts = said(&calm);
    assert!(parts.len() > 1, "{} parts", parts.len());
    for commit in 1..=engine_without.commits() - begun {
        let (database, script) = (TestDatabase::in_memory().await, answer());
        let mut engine = engine(&database, &script).await;
        engine.crash_after_commit(commit);
        let run = engine.start(&message(), in_its_lane()).await;
        engine.settle().await;
        assert_eq!(engine.output::<InboundMessage>(&run).await, Reception::Answered);
        assert_eq!(said(&script), parts, "after commit {commit}");
        assert_eq!(engine.processes(), 2, "after commit {commit}");
    }
}

/// A voice note and a picture, without a word.
fn voice_and_picture() -> InboundMessage {
    given(json!({
        "account": "AC1", "sid": "SM1", "from": "whatsapp:+14155550101", "to": "whatsapp:+14155238886", "media": 2,
        "form": [
            ["NumMedia", "2"], ["MediaUrl0", "https://a/voice"], ["MediaContentType0", "audio/ogg"],
            ["MediaUrl1", "https://a/picture"],
        ]
    }))
}

fn fetched(call: &FetchMedia) -> Value {
    let content_type = call.declared.as_deref().unwrap_or("image/jpeg");
    json!({"content_type": content_type, "bytes": 7, "sha256": call.url})
}

#[tokio::test]
async fn a_voice_note_is_heard_and_answered_once_whichever_commit_the_process_dies_at() {
    let listening = || {
        script()
            .answers(|call: FetchMedia| Ok(given(fetched(&call))))
            .returns::<KeepMedia, _>(true)
            .answers(|_: TranscribeVoice| Ok("que horas abre?".to_owned()))
            .returns::<KeepWords, _>(())
            .answers(|call: AskSpecialist| Ok(Answer::Text(format!("sobre “{}”: às nove", call.text))))
    };
    let (database, calm) = (TestDatabase::in_memory().await, listening());
    let mut engine_without = engine(&database, &calm).await;
    let begun = engine_without.commits();
    engine_without.start(&voice_and_picture(), in_its_lane()).await;
    engine_without.settle().await;
    assert_eq!(said(&calm), ["sobre “que horas abre?”: às nove"]);
    assert_eq!(calm.calls::<KeepWords, _>()[0].text, "que horas abre?");
    let commits = engine_without.commits() - begun;
    for commit in 1..=commits {
        let (database, script) = (TestDatabase::in_memory().await, listening());
        let mut engine = engine(&database, &script).await;
        engine.crash_after_commit(commit);
        let run = engine.start(&voice_and_picture(), in_its_lane()).await;
        engine.settle().await;
        assert_eq!(engine.output::<InboundMessage>(&run).await, Reception::Answered);
        assert_eq!(said(&script), said(&calm), "after commit {commit}");
    }
}

#[tokio::test]
async fn what_cannot_be_fetched_or_heard_never_parks_a_message_and_is_never_met_with_silence() {
    let gone = || Fault::fatal("media_too_large", "it is larger than 16 MB");
    let database = TestDatabase::in_memory().await;
    let deaf = script()
        .answers(|call: FetchMedia| Ok(given(fetched(&call))))
        .returns::<KeepMedia, _>(true)
        .fails::<TranscribeVoice, _>(Fault::retry("transcription_away", "it does not answer"))
        .returns::<KeepWords, _>(());
    let mut engine_deaf = engine(&database, &deaf).await;
    let run = engine_deaf.start(&voice_and_picture(), in_its_lane()).await;
    engine_deaf.settle().await;
    assert_eq!(
        engine_deaf.output::<InboundMessage>(&run).await,
        Reception::Unread
    );
    assert_eq!(deaf.calls::<TranscribeVoice, _>().len(), 4);
    assert!(
        !deaf.calls::<KeepWords, _>()[0].heard,
        "the minutes are given back"
    );
    assert!(said(&deaf)[0].contains("áudio"), "{:?}", said(&deaf));

    let database = TestDatabase::in_memory().await;
    let lost = script()
        .fails::<FetchMedia, _>(gone())
        .returns::<KeepMedia, _>(false);
    let mut engine_lost = engine(&database, &lost).await;
    let run = engine_lost.start(&voice_and_picture(), in_its_lane()).await;
    engine_lost.settle().await;
    assert_eq!(
        engine_lost.output::<InboundMessage>(&run).await,
        Reception::Unread
    );
    assert_eq!(lost.calls::<TranscribeVoice, _>().len(), 0);
    assert!(said(&lost)[0].contains("16 MB"), "{:?}", said(&lost));
}

#[tokio::test]
async fn who_is_over_the_plan_is_not_listened_to() {
    let database = TestDatabase::in_memory().await;
    let script = script()
        .returns_once::<CheckBilling, _>(Grant::Refused { notice: false })
        .answers(|call: FetchMedia| Ok(given(fetched(&call))))
        .returns::<KeepMedia, _>(false);
    let mut engine = engine(&database, &script).await;
    let run = engine.start(&voice_and_picture(), in_its_lane()).await;
    engine.settle().await;
    assert_eq!(engine.output::<InboundMessage>(&run).await, Reception::Refused);
    assert!(!script.calls::<KeepMedia, _>()[0].listen);
    assert!(said(&script).is_empty());
}
