//! All routes; mountable anywhere.

use std::sync::Arc;

use poem::http::{Method, StatusCode, header};
use poem::{Endpoint, Request, Response};
use serde_json::Value;

use crate::request::Raw;
use crate::state::State;
use crate::{media, model, speech, telephone, twilio};

/// The simulated Twilio, the simulated model, and what controls them:
///
/// - `/2010-04-01/Accounts/…`: Twilio's REST API
/// - `/v2/Indicators/Typing.json`: Twilio's typing indicator
/// - `/cdn/{ME…}`: where Twilio's API redirects who asks for a file
/// - `/v1/chat/completions`, `/v1/models`: the model
/// - `/v1/audio/transcriptions`: speech to text
/// - `/_simulator/…`: faults, script, accounts, and the telephone; not part of the request log
///
/// `next_page_uri` and the like are relative to the mount point.
pub fn routes(state: Arc<State>) -> impl Endpoint<Output = Response> + 'static {
    poem::endpoint::make(move |request: Request| {
        let state = Arc::clone(&state);
        async move { answer(&state, request).await }
    })
}

async fn answer(state: &Arc<State>, request: Request) -> poem::Result<Response> {
    let raw = Raw::read(request).await?;
    let path = raw.path.trim_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    if let ["_simulator", "media", rest @ ..] = segments.as_slice() {
        let answered = media::shelve(state, &raw, rest.first().copied());
        return Ok(answered.unwrap_or_else(|| twilio::not_found(&raw.path)));
    }
    if let ["_simulator", rest @ ..] = segments.as_slice() {
        return Ok(telephone::answer(state, &raw, rest).await);
    }
    if let Err(error) = raw.record(state) {
        tracing::error!(%error, "cannot write the book");
        return Ok(json(StatusCode::INTERNAL_SERVER_ERROR, &Value::Null));
    }
    Ok(match (&raw.method, segments.as_slice()) {
        (&Method::POST, ["v1", "chat", "completions"]) => model::complete(state, &raw).await,
        (&Method::GET, ["v1", "models"]) => model::list(),
        (&Method::POST, ["v1", "audio", "transcriptions"]) => speech::transcribe(state, &raw).await,
        (&Method::GET, ["cdn", sid]) => media::hand_out(state, &raw, sid),
        (_, ["2010-04-01", "Accounts", rest @ ..]) => twilio::answer(state, &raw, rest).await,
        (&Method::POST, ["v2", "Indicators", "Typing.json"]) => twilio::type_to(state, &raw),
        _ => twilio::not_found(&raw.path),
    })
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_string())
}
