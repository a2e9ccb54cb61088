//! Twilio's resources as JSON.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::address;
use crate::calls::{Call, CallStatus};
use crate::config::Account;
use crate::entry::{Direction, Message, Status};
use crate::state::State;

/// How long after its end something has no price yet.
const PRICE_LAG_MS: u64 = 60_000;

/// A message resource. Dates are RFC 2822, counts are strings, and the price comes late.
pub(crate) fn message(state: &State, message: &Message) -> Value {
    let uri = format!(
        "/2010-04-01/Accounts/{}/Messages/{}",
        message.account, message.sid
    );
    // A service chooses its sender later than it answers.
    let chosen_later = message.messaging_service.is_some() && message.sent().is_none();
    let from = (!chosen_later).then_some(&message.from);
    let updated = message.statuses.last().map_or(message.created, |last| last.at);
    let error = message.error_code();
    let is_over = !matches!(message.status(), Status::Queued | Status::Accepted | Status::Sent);
    let each = match (address::is_whatsapp(&message.to), message.direction) {
        (true, _) => 5_000,
        (false, Direction::Inbound) => 7_500,
        (false, Direction::Outbound) => 8_300,
    };
    let price = priced(state, is_over.then_some(updated), each * segments(message) as u64);
    json!({
        "account_sid": message.account,
        "api_version": "2010-04-01",
        "body": message.body,
        "date_created": rfc2822(message.created),
        "date_sent": message.sent().map(rfc2822),
        "date_updated": rfc2822(updated),
        "direction": match message.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound-api",
        },
        "error_code": error,
        "error_message": error.map(|code| format!("Error {code}")),
        "from": from,
        "messaging_service_sid": message.messaging_service,
        "num_media": message.media.len().to_string(),
        "num_segments": segments(message).to_string(),
        "price_unit": price.is_some().then_some("USD"),
        "price": price,
        "sid": message.sid,
        "status": message.status().as_str(),
        "subresource_uris": { "media": format!("{uri}/Media.json") },
        "to": message.to,
        "uri": format!("{uri}.json"),
    })
}

/// What is attached to a message.
pub(crate) fn media_list(state: &State, message: &Message) -> Value {
    let uri = format!(
        "/2010-04-01/Accounts/{}/Messages/{}/Media",
        message.account, message.sid
    );
    let one = |sid: &String| {
        json!({
            "account_sid": message.account,
            "content_type": state.media(sid).map(|media| media.content_type),
            "date_created": rfc2822(message.created),
            "parent_sid": message.sid,
            "sid": sid,
            "uri": format!("{uri}/{sid}.json"),
        })
    };
    let media: Vec<_> = message.media.iter().map(one).collect();
    json!({
        "end": media.len().saturating_sub(1),
        "media_list": media,
        "next_page_uri": null,
        "page": 0,
        "page_size": 50,
        "start": 0,
        "uri": format!("{uri}.json"),
    })
}

/// A call resource. Dates are RFC 2822, the duration is a string, and the price comes late.
pub(crate) fn call(state: &State, call: &Call) -> Value {
    let uri = format!("/2010-04-01/Accounts/{}/Calls/{}", call.account, call.sid);
    let at = |wanted: &[CallStatus]| {
        let found = call.statuses.iter().find(|(status, _)| wanted.contains(status));
        found.map(|(_, at)| rfc2822(*at))
    };
    let updated = call.statuses.last().map_or(call.created, |(_, at)| *at);
    let minutes = call.duration.map(|seconds| u64::from(seconds.div_ceil(60)));
    json!({
        "account_sid": call.account,
        "answered_by": call.answered_by,
        "api_version": "2010-04-01",
        "caller_name": null,
        "date_created": rfc2822(call.created),
        "date_updated": rfc2822(updated),
        "direction": match call.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound-api",
        },
        "duration": call.duration.map(|seconds| seconds.to_string()),
        "end_time": call.duration.map(|_| rfc2822(updated)),
        "from": call.from,
        "from_formatted": call.from,
        "price": priced(state, minutes.map(|_| updated), 14_000 * minutes.unwrap_or_default()),
        "price_unit": "USD",
        "queue_time": "0",
        "sid": call.sid,
        "start_time": at(&[CallStatus::InProgress]),
        // The REST API knows no such status: it is told in callbacks only.
        "status": match call.status() {
            CallStatus::Initiated => "queued",
            status => status.as_str(),
        },
        "subresource_uris": { "recordings": format!("{uri}/Recordings.json") },
        "to": call.to,
        "to_formatted": call.to,
        "uri": format!("{uri}.json"),
    })
}

/// An account resource. The auth token, which Twilio does show, is left out.
pub(crate) fn account(account: &Account) -> Value {
    let uri = format!("/2010-04-01/Accounts/{}", account.sid);
    let created = rfc2822(DateTime::UNIX_EPOCH);
    json!({
        "date_created": created,
        "date_updated": created,
        "friendly_name": "Simulated account",
        "owner_account_sid": account.sid,
        "sid": account.sid,
        "status": "active",
        "subresource_uris": { "messages": format!("{uri}/Messages.json") },
        "type": "Full",
        "uri": format!("{uri}.json"),
    })
}

/// How many SMS a text needs: 160 characters in one, 153 in each of several, or 70 and 67 UTF-16
/// units when it is not plain. ASCII stands for the GSM alphabet here. WhatsApp: always 1.
pub(crate) fn segments(message: &Message) -> usize {
    if address::is_whatsapp(&message.to) {
        return 1;
    }
    let (length, one, each) = if message.body.is_ascii() {
        (message.body.len(), 160, 153)
    } else {
        (message.body.encode_utf16().count(), 70, 67)
    };
    if length <= one { 1 } else { length.div_ceil(each) }
}

/// A price in millionths as Twilio writes it, once something has been over for long enough.
fn priced(state: &State, over: Option<DateTime<Utc>>, millionths: u64) -> Option<String> {
    let lag = state.lock_faults().price_lag_ms.unwrap_or(PRICE_LAG_MS);
    let lag = TimeDelta::milliseconds(i64::try_from(lag).unwrap_or(i64::MAX / 2));
    let is_known = over.is_some_and(|at| at + lag <= Utc::now());
    is_known.then(|| format!("-{}.{:05}", millionths / 1_000_000, millionths % 1_000_000 / 10))
}

fn rfc2822(at: DateTime<Utc>) -> String {
    at.to_rfc2822()
}
