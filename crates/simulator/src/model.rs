//! `POST /v1/chat/completions` in OpenAI's format.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use poem::Response;
use poem::http::{StatusCode, header};
use serde_json::{Value, json};

use crate::request::Raw;
use crate::script::{Answer, ModelMode};
use crate::state::State;
use crate::{knowledge, routes, routing};

/// Answers a chat completion by the script, the mode and the faults.
pub(crate) async fn complete(state: &Arc<State>, raw: &Raw) -> Response {
    let faults = state.lock_faults().model.take();
    tokio::time::sleep(Duration::from_millis(faults.slow_ms)).await;
    if faults.down {
        return error(
            500,
            "server_error",
            "The server had an error processing your request",
        );
    }
    if let Some(seconds) = faults.rate_limited {
        let mut response = error(429, "rate_limit_exceeded", "Rate limit reached for requests");
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        return response;
    }
    let request = match check(raw) {
        Ok(request) => request,
        Err(text) => return error(400, "invalid_request_error", text),
    };
    let answer = if faults.garbage {
        Answer::Text("}{ <|im_end|> \u{fffd}\u{fffd} null, {\"specialist\": [".to_owned())
    } else if faults.refusal {
        Answer::Refusal("I'm sorry, but I can't help with that.".to_owned())
    } else {
        let next = state.lock_script().next();
        next.unwrap_or_else(|mode| by_itself(request, mode))
    };
    routes::json(StatusCode::OK, &completion(request, &answer))
}

/// Answers `GET /v1/models`.
pub(crate) fn list() -> Response {
    let model = json!({"id": "simulated", "object": "model", "created": 0, "owned_by": "simulator"});
    routes::json(StatusCode::OK, &json!({"object": "list", "data": [model]}))
}

/// The request, or what is wrong with it.
fn check(raw: &Raw) -> Result<&Value, &'static str> {
    let request = raw.json.as_ref().ok_or("The body is not JSON")?;
    if !request["model"].is_string() {
        return Err("You must provide a model parameter");
    }
    if request["messages"].as_array().is_none_or(Vec::is_empty) {
        return Err("Invalid 'messages': empty array");
    }
    if request["stream"] == true {
        return Err("The simulator does not stream");
    }
    Ok(request)
}

fn by_itself(request: &Value, mode: ModelMode) -> Answer {
    let said = last_user_text(request);
    let routed = match mode {
        ModelMode::Auto => routing::route(request, &said).or_else(|| knowledge::answer(request, &said)),
        ModelMode::Echo => None,
    };
    Answer::Text(routed.unwrap_or_else(|| format!("you said: {said}")))
}

/// The text of a message, whose content is a string or an array of parts.
pub(crate) fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

fn last_user_text(request: &Value) -> String {
    let messages = request["messages"].as_array().into_iter().flatten();
    messages
        .rev()
        .find(|message| message["role"] == "user")
        .map(text_of)
        .unwrap_or_default()
}

fn completion(request: &Value, answer: &Answer) -> Value {
    let (message, finish, written) = match answer {
        Answer::Text(text) => {
            let message = json!({"role": "assistant", "content": text, "refusal": null});
            (message, "stop", text.len())
        }
        Answer::Refusal(text) => {
            let message = json!({"role": "assistant", "content": null, "refusal": text});
            (message, "stop", text.len())
        }
        Answer::Tools(calls) => {
            let calls: Vec<_> = calls.iter().map(tool_call).collect();
            let written = calls.iter().map(|call| call.to_string().len()).sum();
            let message = json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": calls});
            (message, "tool_calls", written)
        }
    };
    let read = request["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|m| text_of(m).len())
        .sum();
    let (prompt, completion) = (tokens(read), tokens(written));
    json!({
        "id": format!("chatcmpl-{:032x}", rand::random::<u128>()),
        "object": "chat.completion",
        "created": Utc::now().timestamp(),
        "model": request["model"],
        "choices": [
            {"index": 0, "message": message, "logprobs": null, "finish_reason": finish}
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    })
}

fn tool_call((name, arguments): &(String, Value)) -> Value {
    json!({
        "id": format!("call_{:024x}", rand::random::<u128>() >> 32),
        "type": "function",
        // A string with JSON in it, as OpenAI has it.
        "function": {"name": name, "arguments": arguments.to_string()},
    })
}

/// A token is taken for four bytes.
fn tokens(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let body = json!({"error": {"message": message, "type": code, "param": null, "code": code}});
    routes::json(
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        &body,
    )
}
