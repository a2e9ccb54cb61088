//! Twilio's REST API, as much of it as a messaging platform needs.

mod calls;
mod create;
mod error;
mod list;
pub(crate) mod magic;
mod params;
mod resource;

use std::sync::Arc;

use poem::Response;
use poem::http::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::json;

pub(crate) use params::{callback_params, inbound_params};

use crate::config::Account;
use crate::request::Raw;
use crate::routes;
use crate::state::State;
use error::ApiError;

/// A new SID: the prefix and 32 hexadecimal digits.
pub(crate) fn new_sid(prefix: &str) -> String {
    format!("{prefix}{:032x}", rand::random::<u128>())
}

/// Answers a request below `/2010-04-01/Accounts/`.
pub(crate) async fn answer(state: &Arc<State>, raw: &Raw, rest: &[&str]) -> Response {
    let sid = rest.first().map_or("", |first| first.trim_end_matches(".json"));
    let account = match authorise(state, raw, sid) {
        Ok(account) => account,
        Err(error) => return error.into_response(),
    };
    let reads = state.lock_faults().twilio.reads;
    if let (&Method::GET, Some(status)) = (&raw.method, reads) {
        return ApiError::status(status).into_response();
    }
    match (&raw.method, &rest[1..]) {
        (&Method::GET, []) => ok(resource::account(&account)),
        (&Method::POST, ["Messages.json"]) => create::create(state, raw, &account).await,
        (&Method::GET, ["Messages.json"]) => match list::list(state, raw, &account) {
            Ok(page) => ok(page),
            Err(error) => error.into_response(),
        },
        (&Method::POST, ["Calls.json"]) => calls::create(state, raw, &account).await,
        (&Method::GET, ["Calls.json"]) => ok(calls::list(state, raw, &account)),
        (&Method::GET, ["Calls", file]) => {
            let call = state.book.call(file.trim_end_matches(".json"));
            match call.filter(|call| call.account == account.sid) {
                Some(call) => ok(resource::call(state, &call)),
                None => not_found(&raw.path),
            }
        }
        (&Method::GET, ["Recordings", file]) => calls::recording(state, raw, &account, file),
        (&Method::GET, ["Messages", file]) => {
            let message = state.book.message(file.trim_end_matches(".json"));
            match message.filter(|message| message.account == account.sid) {
                Some(message) => ok(resource::message(state, &message)),
                None => not_found(&raw.path),
            }
        }
        (&Method::GET, ["Messages", message, "Media.json"]) => match state.book.message(message) {
            Some(message) if message.account == account.sid => ok(resource::media_list(state, &message)),
            _ => not_found(&raw.path),
        },
        (&Method::GET, ["Messages", message, "Media", sid]) => {
            crate::media::redirect(state, raw, message, sid).await
        }
        _ => not_found(&raw.path),
    }
}

/// Answers `POST /v2/Indicators/Typing.json`; the request log shows that it was asked for.
pub(crate) fn type_to(state: &State, raw: &Raw) -> Response {
    let user = raw.basic.as_ref().map_or("", |(user, _)| user);
    if let Err(error) = authorise(state, raw, user) {
        return error.into_response();
    }
    match (raw.field("messageId"), raw.field("channel")) {
        (Some(_), Some("whatsapp")) => ok(json!({"success": true})),
        _ => ApiError::bad(20001, "Parameters messageId and channel are required").into_response(),
    }
}

/// Twilio's 404.
pub(crate) fn not_found(path: &str) -> Response {
    ApiError::not_found(path).into_response()
}

/// Twilio's answer of this status, on request.
pub(crate) fn failed(status: u16) -> Response {
    ApiError::status(status).into_response()
}

fn ok(body: serde_json::Value) -> Response {
    routes::json(StatusCode::OK, &body)
}

/// The account of the path, if the credentials are its own.
fn authorise(state: &State, raw: &Raw, sid: &str) -> Result<Arc<Account>, ApiError> {
    let Some((user, password)) = &raw.basic else {
        return Err(ApiError::unauthorised());
    };
    let account = state.account(sid).ok_or_else(|| ApiError::not_found(&raw.path))?;
    if *user == account.sid && password.expose_secret() == account.auth_token.expose_secret() {
        Ok(account)
    } else {
        Err(ApiError::unauthorised())
    }
}
