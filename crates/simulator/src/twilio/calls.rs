//! `…/Calls.json`, `…/Calls/{sid}.json` and `…/Recordings/{sid}`.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use poem::Response;
use poem::http::{StatusCode, header};
use serde_json::{Value, json};

use super::error::ApiError;
use super::{magic, resource};
use crate::calls::{Call, CallStatus, outbound};
use crate::config::Account;
use crate::entry::Direction;
use crate::faults::CreateFault;
use crate::media::oversized;
use crate::request::Raw;
use crate::state::State;
use crate::{address, connection, routes};

/// Twilio's limit for the parameter Twiml, in characters.
const TWIML_LIMIT: usize = 4000;
/// Every parameter of a call that is to be made. Source: Twilio, "Create a Call resource".
const PARAMETERS: &[&str] = &[
    "To",
    "From",
    "Url",
    "Twiml",
    "ApplicationSid",
    "Method",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StatusCallbackEvent",
    "StatusCallbackMethod",
    "SendDigits",
    "Timeout",
    "Record",
    "RecordingChannels",
    "RecordingStatusCallback",
    "RecordingStatusCallbackMethod",
    "RecordingStatusCallbackEvent",
    "RecordingTrack",
    "SipAuthUsername",
    "SipAuthPassword",
    "MachineDetection",
    "MachineDetectionTimeout",
    "MachineDetectionSpeechThreshold",
    "MachineDetectionSpeechEndThreshold",
    "MachineDetectionSilenceTimeout",
    "AsyncAmd",
    "AsyncAmdStatusCallback",
    "AsyncAmdStatusCallbackMethod",
    "Trim",
    "CallerId",
    "Byoc",
    "CallReason",
    "CallToken",
    "TimeLimit",
];

/// Makes a call, unless the request or the present faults are against it.
pub(super) async fn create(state: &Arc<State>, raw: &Raw, account: &Account) -> Response {
    let (fault, latency) = {
        let faults = &mut state.lock_faults().twilio;
        (
            faults.take(raw.field("To").unwrap_or_default()),
            faults.latency_ms,
        )
    };
    let response = act(state, raw, account, fault).await;
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    response
}

async fn act(state: &Arc<State>, raw: &Raw, account: &Account, fault: CreateFault) -> Response {
    match fault {
        CreateFault::Status(status) => return ApiError::status(status).into_response(),
        CreateFault::RateLimited { retry_after } => {
            return ApiError::rate_limited(retry_after).into_response();
        }
        CreateFault::Refuse(code) => {
            return ApiError::bad(code, "Refused by the simulator").into_response();
        }
        CreateFault::Drop => return connection::dropped(),
        CreateFault::None
        | CreateFault::AcceptAndNeverAnswer
        | CreateFault::AcceptAndDrop
        | CreateFault::AcceptAndStatus(_) => {}
    }
    let call = match accept(raw, account) {
        Ok(call) => call,
        Err(error) => return error.into_response(),
    };
    let body = resource::call(state, &call);
    if let Err(error) = outbound::take(state, call, state.base().to_owned()) {
        tracing::error!(%error, "cannot write the book");
        return ApiError::status(500).into_response();
    }
    match fault {
        CreateFault::AcceptAndNeverAnswer => connection::silent(state).await,
        CreateFault::AcceptAndDrop => connection::dropped(),
        CreateFault::AcceptAndStatus(status) => ApiError::status(status).into_response(),
        _ => routes::json(StatusCode::CREATED, &body),
    }
}

/// Checks the form the way Twilio does.
fn accept(raw: &Raw, account: &Account) -> Result<Call, ApiError> {
    if let Some((name, _)) = raw
        .form
        .iter()
        .find(|(name, _)| !PARAMETERS.contains(&name.as_str()))
    {
        return Err(ApiError::bad(20001, format!("Unknown parameter: {name}")));
    }
    let to = raw
        .field("To")
        .ok_or_else(|| ApiError::bad(21201, "No 'To' number is specified"))?;
    if let Some(code) = magic::call_refusal(to) {
        return Err(super::create::refused(code));
    }
    if !address::is_valid(to) || address::is_whatsapp(to) {
        return Err(ApiError::bad(21211, format!("Invalid 'To' Phone Number: {to}")));
    }
    let from = raw
        .field("From")
        .ok_or_else(|| ApiError::bad(21213, "'From' phone number is required"))?;
    if !account.owns(from) || address::is_whatsapp(from) {
        let text = format!("The source phone number provided, {from}, is not yet verified for your account");
        return Err(ApiError::bad(21210, text));
    }
    let (twiml, url) = (raw.field("Twiml"), raw.field("Url"));
    match (twiml, url) {
        (None, None) => return Err(ApiError::bad(21205, "Url parameter is required.")),
        (_, Some(url)) if !url.starts_with("http://") && !url.starts_with("https://") => {
            return Err(ApiError::bad(21205, format!("Url is not a valid URL: {url}")));
        }
        (Some(twiml), None) if twiml.chars().count() > TWIML_LIMIT => {
            return Err(ApiError::bad(21219, "Twiml is longer than 4000 characters"));
        }
        _ => {}
    }
    let is_bad = |seconds: &str| !seconds.parse().is_ok_and(|seconds| (1..=600).contains(&seconds));
    if raw.field("Timeout").is_some_and(is_bad) {
        return Err(ApiError::bad(20001, "Invalid parameter: Timeout"));
    }
    let mut call = outbound::new(&account.sid, (from, to), Direction::Outbound, CallStatus::Queued);
    call.twiml = twiml.map(str::to_owned);
    call.url = url.filter(|_| twiml.is_none()).map(str::to_owned);
    call.machine_detection = raw.field("MachineDetection").map(str::to_owned);
    call.record = raw.field("Record") == Some("true");
    call.status_callback = raw.field("StatusCallback").map(str::to_owned);
    call.status_events = raw.fields("StatusCallbackEvent");
    if call.status_events.is_empty() {
        call.status_events = vec!["completed".to_owned()];
    }
    call.recording_callback = raw.field("RecordingStatusCallback").map(str::to_owned);
    Ok(call)
}

/// A page of calls of both directions, newest first.
pub(super) fn list(state: &State, raw: &Raw, account: &Account) -> Value {
    let given = |name| raw.query(name).filter(|value| !value.is_empty());
    let number = |name, default: usize| given(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (page, size) = (number("Page", 0), number("PageSize", 50).clamp(1, 1000));
    let lag = state.lock_faults().listing_lag_ms;
    let newest = Utc::now() - TimeDelta::milliseconds(i64::try_from(lag).unwrap_or(i64::MAX / 2));
    let started = given("StartTime>").and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let takes = |call: &&Arc<Call>| {
        call.account == account.sid
            && started.is_none_or(|from| call.created >= from)
            && call.created <= newest
            && given("To").is_none_or(|to| to == call.to)
            && given("From").is_none_or(|from| from == call.from)
            && given("Status").is_none_or(|status| status == call.status().as_str())
    };
    let after = given("PageToken").and_then(|token| token.strip_prefix("PA"));
    let mut found: Vec<Arc<Call>> = state.book.read(|index| {
        let newest_first = index.calls().iter().rev().filter(takes).cloned();
        match after {
            Some(sid) => newest_first
                .skip_while(|call| call.sid != sid)
                .skip(1)
                .take(size + 1)
                .collect(),
            None => newest_first.skip(page * size).take(size + 1).collect(),
        }
    });
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more).map(|call| call.sid.as_str());
    json!({
        "calls": found.iter().map(|call| resource::call(state, call)).collect::<Vec<_>>(),
        "end": (page * size + found.len()).saturating_sub(1),
        "first_page_uri": super::list::page_uri(raw, 0, size, None),
        "next_page_uri": last.map(|sid| super::list::page_uri(raw, page + 1, size, Some(sid))),
        "page": page,
        "page_size": size,
        "previous_page_uri": (page > 0).then(|| super::list::page_uri(raw, page - 1, size, None)),
        "start": page * size,
        "uri": super::list::page_uri(raw, page, size, after),
    })
}

/// The audio of a recording.
pub(super) fn recording(state: &State, raw: &Raw, account: &Account, file: &str) -> Response {
    let sid = file.trim_end_matches(".mp3");
    let found = state.book.read(|index| {
        let calls = index.calls().iter().filter(|call| call.account == account.sid);
        calls
            .flat_map(|call| &call.recordings)
            .find(|recording| recording.sid == sid)
            .cloned()
    });
    let faults = state.lock_faults().media.take();
    if let Some(status) = faults.status {
        return super::failed(status);
    }
    let answer = Response::builder().header(header::CONTENT_TYPE, "audio/mpeg");
    match found {
        Some(recording) if faults.oversize => answer.body(oversized(recording.audio())),
        Some(recording) => answer.body(recording.audio()),
        None => super::not_found(&raw.path),
    }
}
