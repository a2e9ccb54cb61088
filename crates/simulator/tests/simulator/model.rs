//! The language model.

use recado_simulator::{Answer, Faults, ModelFaults};
use serde_json::{Value, json};

use crate::world::World;

async fn ask(world: &World, request: &Value) -> reqwest::Result<reqwest::Response> {
    world
        .http
        .post(world.url("/v1/chat/completions"))
        .json(request)
        .send()
        .await
}

fn chat(said: &str) -> Value {
    json!({"model": "m", "messages": [
        {"role": "user", "content": "earlier"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "text", "text": said}]},
    ]})
}

fn set(world: &World, model: ModelFaults) {
    world.simulator.set_faults(Faults {
        model,
        ..Faults::default()
    });
}

#[tokio::test]
async fn the_last_user_message_is_echoed_in_openais_format() -> anyhow::Result<()> {
    let world = World::start().await?;
    let answer: Value = ask(&world, &chat("message 17")).await?.json().await?;
    assert_eq!(answer["choices"][0]["message"]["content"], "you said: message 17");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "m");
    let usage = &answer["usage"];
    let sum = usage["prompt_tokens"].as_u64().unwrap_or(0) + usage["completion_tokens"].as_u64().unwrap_or(0);
    assert!(sum > 2 && usage["total_tokens"] == sum, "{usage}");
    Ok(())
}

#[tokio::test]
async fn the_script_comes_first_then_routing_unless_only_echo_is_wanted() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut question = chat("quero pagar o boleto");
    question["response_format"] = json!({"type": "json_object"});
    let system = json!({"role": "system", "content": "Choose the route. Answer in JSON."});
    question["messages"]
        .as_array_mut()
        .expect("a list")
        .insert(0, system);
    world.simulator.script([
        Answer::Text("first".to_owned()),
        Answer::Tools(vec![("check_balance".to_owned(), json!({"month": 3}))]),
    ]);

    let text: Value = ask(&world, &question).await?.json().await?;
    assert_eq!(text["choices"][0]["message"]["content"], "first");
    let tools: Value = ask(&world, &question).await?.json().await?;
    assert_eq!(tools["choices"][0]["finish_reason"], "tool_calls");
    let call = &tools["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "check_balance");
    assert_eq!(call["function"]["arguments"], r#"{"month":3}"#);
    let routed: Value = ask(&world, &question).await?.json().await?;
    let content = routed["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default();
    let choice: Value = serde_json::from_str(content)?;
    assert_eq!(
        (&choice["specialist"], &choice["confidence"]),
        (&json!("finance"), &json!(0.9))
    );

    let settings = json!({"mode": "echo", "script": [{"text": "over HTTP"}]});
    assert_eq!(world.put("/_simulator/model", &settings).await?.status(), 200);
    for expected in ["over HTTP", "you said: quero pagar o boleto"] {
        let answer: Value = ask(&world, &question).await?.json().await?;
        assert_eq!(answer["choices"][0]["message"]["content"], expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_model_is_down_limited_garbled_or_unwilling_as_often_as_told() -> anyhow::Result<()> {
    let world = World::start().await?;
    set(
        &world,
        ModelFaults {
            down: true,
            times: Some(1),
            ..ModelFaults::default()
        },
    );
    assert_eq!(ask(&world, &chat("x")).await?.status(), 500);
    assert_eq!(ask(&world, &chat("x")).await?.status(), 200);

    set(
        &world,
        ModelFaults {
            rate_limited: Some(9),
            ..ModelFaults::default()
        },
    );
    let limited = ask(&world, &chat("x")).await?;
    assert_eq!(limited.status(), 429);
    assert_eq!(limited.headers()["retry-after"], "9");
    assert!(limited.json::<Value>().await?["error"]["message"].is_string());

    set(
        &world,
        ModelFaults {
            garbage: true,
            ..ModelFaults::default()
        },
    );
    let garbled: Value = ask(&world, &chat("x")).await?.json().await?;
    let content = garbled["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default();
    assert!(!content.is_empty() && serde_json::from_str::<Value>(content).is_err());

    set(
        &world,
        ModelFaults {
            refusal: true,
            ..ModelFaults::default()
        },
    );
    let refused: Value = ask(&world, &chat("x")).await?.json().await?;
    assert_eq!(refused["choices"][0]["message"]["content"], Value::Null);
    assert!(refused["choices"][0]["message"]["refusal"].is_string());
    Ok(())
}

#[tokio::test]
async fn a_slow_model_has_heard_the_question_before_it_answers() -> anyhow::Result<()> {
    let world = World::start().await?;
    set(
        &world,
        ModelFaults {
            slow_ms: 3_600_000,
            ..ModelFaults::default()
        },
    );
    let question = chat("x");
    tokio::select! {
        answer = ask(&world, &question) => panic!("answered {answer:?}"),
        heard = world.see(|book| book.requests().len() == 1) => heard?,
    }
    assert_eq!(world.simulator.book().requests()[0].params["model"], "m");
    Ok(())
}

#[tokio::test]
async fn malformed_questions_are_refused() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut streamed = chat("x");
    streamed["stream"] = json!(true);
    for bad in [json!([]), json!({"model": "m", "messages": []}), streamed] {
        let answer = ask(&world, &bad).await?;
        assert_eq!(answer.status(), 400, "{bad}");
        assert_eq!(
            answer.json::<Value>().await?["error"]["type"],
            "invalid_request_error"
        );
    }
    Ok(())
}
