//! `POST /v1/audio/transcriptions` in OpenAI's format.

use std::sync::Arc;
use std::time::Duration;

use poem::Response;
use poem::http::StatusCode;
use serde_json::json;

use crate::request::Raw;
use crate::state::State;
use crate::{routes, voice};

/// Answers by the script; then with what a voice note of ours says; then with how long the recording is.
pub(crate) async fn transcribe(state: &Arc<State>, raw: &Raw) -> Response {
    let faults = state.lock_faults().speech.take();
    tokio::time::sleep(Duration::from_millis(faults.slow_ms)).await;
    if let Some(status) = faults.status {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return error(status, "The server had an error processing your request");
    }
    if faults.garbage {
        return Response::builder()
            .content_type("application/json")
            .body("<html>");
    }
    let file = raw
        .parts
        .iter()
        .find(|part| part.name == "file" && part.file_name.is_some());
    let (Some(file), Some(_)) = (file, raw.field("model")) else {
        return error(
            StatusCode::BAD_REQUEST,
            "you must provide a file and a model parameter",
        );
    };
    let scripted = state.lock_speech().pop_front();
    let text = scripted
        .or_else(|| voice::words(&file.bytes))
        .unwrap_or_else(|| format!("a recording of {} bytes", file.bytes.len()));
    routes::json(StatusCode::OK, &json!({"text": text}))
}

fn error(status: StatusCode, message: &str) -> Response {
    let body =
        json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}});
    routes::json(status, &body)
}
