//! Completions from providers that misbehave.

mod server;

use std::time::Duration;

use recado_clients::models::{
    Completion, ModelError, ModelErrorClass, Provider, Providers, Reply, Role, Turn, Vendor,
};
use serde_json::{Value, json};
use server::{Server, Step, nobody};

const SECRET: &str = "o-segredo-do-contato";
const KEY: &str = "sk-c0ffee";

fn completion() -> Completion {
    let turn = |role, text: &str| Turn {
        role,
        text: text.to_owned(),
    };
    Completion {
        system: "Be brief.".to_owned(),
        turns: vec![
            turn(Role::User, "oi"),
            turn(Role::Assistant, "olá"),
            turn(Role::User, SECRET),
        ],
        json: false,
        max_tokens: 200,
    }
}

fn provider(name: &str, url: &str) -> Provider {
    Provider {
        name: name.to_owned(),
        base_url: url.to_owned(),
        ..Vendor::OpenAi.provider(Some(KEY.into()))
    }
}

fn providers(all: Vec<Provider>) -> Providers {
    Providers::new(all, Duration::from_secs(10)).expect("providers")
}

fn says(text: &str) -> Step {
    Step::answer(
        200,
        json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-x",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22},
        }),
    )
}

async fn asked_once(step: Step) -> Result<Reply, ModelError> {
    let server = Server::follow([step]).await;
    let result = providers(vec![provider("first", &server.url)])
        .complete(&completion())
        .await;
    assert_eq!(server.seen().len(), 1, "the client must not repeat a request");
    result
}

#[tokio::test]
async fn a_conversation_is_sent_and_the_answer_read() {
    let server = Server::follow([says("tudo bem?")]).await;
    let reply = providers(vec![provider("first", &format!("{}/v1/", server.url))])
        .complete(&completion())
        .await
        .expect("a reply");
    assert_eq!(
        (reply.text.as_str(), reply.model.as_str(), reply.provider.as_str()),
        ("tudo bem?", "gpt-x", "first")
    );
    assert_eq!((reply.prompt_tokens, reply.completion_tokens), (20, 2));
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "POST /v1/chat/completions");
    assert_eq!(seen.header("authorization"), Some("Bearer sk-c0ffee"));
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    assert_eq!(body["max_completion_tokens"], 200);
    assert_eq!(
        body["messages"],
        json!([
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "oi"},
            {"role": "assistant", "content": "olá"}, {"role": "user", "content": SECRET},
        ])
    );
    assert_eq!(
        (body.get("response_format"), body.get("max_tokens")),
        (None, None)
    );
}

#[tokio::test]
async fn a_server_without_a_key_is_sent_none_and_gets_the_old_limit() {
    let server = Server::follow([says("oi")]).await;
    let ollama = Provider {
        base_url: server.url.clone(),
        ..Vendor::Ollama.provider(None)
    };
    providers(vec![ollama])
        .complete(&completion())
        .await
        .expect("a reply");
    let seen = &server.seen()[0];
    assert_eq!(seen.header("authorization"), None);
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    assert_eq!(
        (&body["max_tokens"], body.get("max_completion_tokens")),
        (&json!(200), None)
    );
}

#[tokio::test]
async fn json_is_asked_for_by_name_and_checked() {
    let server = Server::follow([
        says("```json\n{\"agent\":\"sales\"}\n```"),
        says("sales, I think"),
    ])
    .await;
    let providers = providers(vec![provider("first", &server.url)]);
    let wanted = Completion {
        json: true,
        ..completion()
    };
    assert_eq!(
        providers.complete(&wanted).await.expect("a reply").text,
        "{\"agent\":\"sales\"}"
    );
    assert_eq!(
        providers.complete(&wanted).await.expect_err("prose").class(),
        ModelErrorClass::Garbage
    );
    let body: Value = serde_json::from_str(&server.seen()[0].body).expect("JSON");
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert!(
        body["messages"][0]["content"]
            .as_str()
            .is_some_and(|system| system.contains("JSON"))
    );
}

#[tokio::test]
async fn each_failure_has_its_class_and_is_not_repeated() {
    let limited = Step::Answer(
        429,
        vec![("retry-after", "1.5".to_owned())],
        json!({"error": {"message": "m"}}).to_string(),
    );
    let error = asked_once(limited).await.expect_err("busy");
    assert_eq!(
        (error.class(), error.retry_after()),
        (ModelErrorClass::Busy, Some(Duration::from_millis(1500)))
    );
    let error = |code: &str| json!({"error": {"message": SECRET, "type": "t", "code": code}});
    for (step, class) in [
        (
            Step::answer(429, error("insufficient_quota")),
            ModelErrorClass::Refused,
        ),
        (
            Step::answer(401, error("invalid_api_key")),
            ModelErrorClass::Refused,
        ),
        (
            Step::answer(400, error("context_length_exceeded")),
            ModelErrorClass::Refused,
        ),
        (Step::answer(404, "no such page"), ModelErrorClass::Refused),
        (Step::answer(500, SECRET), ModelErrorClass::Down),
        (Step::answer(503, ""), ModelErrorClass::Down),
        (Step::HangUp, ModelErrorClass::Down),
        (Step::Cut, ModelErrorClass::Down),
        (Step::answer(200, SECRET), ModelErrorClass::Garbage),
        (
            Step::answer(200, json!({"choices": SECRET})),
            ModelErrorClass::Garbage,
        ),
        (says("   "), ModelErrorClass::Garbage),
    ] {
        let error = asked_once(step).await.expect_err("no reply");
        assert_eq!(error.class(), class, "{error}");
    }
}

#[tokio::test]
async fn a_refusal_names_its_code() {
    let body = json!([{"error": {"code": "invalid_api_key", "message": KEY}}]);
    let error = asked_once(Step::answer(401, body)).await.expect_err("refused");
    assert_eq!(error.to_string(), "first refused (401, invalid_api_key)");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_in_time_is_down() {
    let server = Server::follow([Step::Silence]).await;
    let hasty =
        Providers::new(vec![provider("slow", &server.url)], Duration::from_millis(300)).expect("providers");
    let error = hasty.complete(&completion()).await.expect_err("no answer");
    assert_eq!(error.class(), ModelErrorClass::Down);
    assert!(error.to_string().contains("in time"), "{error}");
}

#[tokio::test]
async fn the_next_provider_answers_when_the_first_cannot() {
    let second = Server::follow((0..4).map(|_| says("eu respondo"))).await;
    for step in [
        Step::answer(500, ""),
        Step::answer(401, ""),
        Step::answer(200, "?"),
        Step::HangUp,
    ] {
        let first = Server::follow([step]).await;
        let both = providers(vec![
            provider("first", &first.url),
            provider("second", &second.url),
        ]);
        assert_eq!(
            both.complete(&completion()).await.expect("a reply").provider,
            "second"
        );
        assert_eq!(first.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_provider_that_failed_three_times_is_passed_over() {
    let first = Server::follow((0..9).map(|_| Step::answer(500, ""))).await;
    let second = Server::follow((0..9).map(|_| says("eu respondo"))).await;
    let both = providers(vec![
        provider("first", &first.url),
        provider("second", &second.url),
    ]);
    for _ in 0..5 {
        both.complete(&completion()).await.expect("a reply");
    }
    assert_eq!((first.seen().len(), second.seen().len()), (3, 5));
    let alone = Server::follow((0..9).map(|_| Step::answer(500, ""))).await;
    let alone_asked = providers(vec![provider("alone", &alone.url)]);
    for _ in 0..3 {
        alone_asked
            .clone()
            .complete(&completion())
            .await
            .expect_err("down");
    }
    let resting = alone_asked.complete(&completion()).await.expect_err("resting");
    assert_eq!(alone.seen().len(), 3);
    assert!(
        resting
            .retry_after()
            .is_some_and(|wait| wait > Duration::from_secs(20)),
        "{resting}"
    );
}

#[tokio::test]
async fn requests_that_are_wrong_themselves_do_not_close_the_provider_to_others() {
    let server = Server::follow((0..5).map(|_| Step::answer(400, "")).chain([says("oi")])).await;
    let providers = providers(vec![provider("first", &server.url)]);
    for _ in 0..5 {
        providers.complete(&completion()).await.expect_err("refused");
    }
    providers.complete(&completion()).await.expect("a reply");
}

#[tokio::test]
async fn without_providers_there_is_a_clear_error() {
    let none = providers(Vec::new());
    assert!(none.is_empty());
    assert_eq!(
        none.complete(&completion()).await.expect_err("nobody"),
        ModelError::NoProvider
    );
}

#[tokio::test]
async fn nobody_listening_is_down() {
    let url = nobody().await;
    let error = providers(vec![provider("gone", &url)])
        .complete(&completion())
        .await
        .expect_err("nobody");
    assert_eq!(error.class(), ModelErrorClass::Down);
}
