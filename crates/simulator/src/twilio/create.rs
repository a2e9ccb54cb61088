//! `POST …/Messages.json`.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use poem::Response;
use poem::http::StatusCode;

use super::error::ApiError;
use super::{magic, new_sid, resource};
use crate::config::Account;
use crate::entry::{Direction, Message, Status, StatusChange};
use crate::faults::CreateFault;
use crate::request::Raw;
use crate::state::State;
use crate::{address, carrier, connection, routes};

/// Twilio's limit for one message, in characters (error 21617).
const BODY_LIMIT: usize = 1600;

/// Creates a message, unless the request or the present faults are against it.
pub(crate) async fn create(state: &Arc<State>, raw: &Raw, account: &Account) -> Response {
    let (fault, latency, late) = {
        let faults = &mut state.lock_faults().twilio;
        let fault = match faults.late_ms {
            0 => faults.take(raw.field("To").unwrap_or_default()),
            _ => CreateFault::None,
        };
        (fault, faults.latency_ms, faults.late_ms)
    };
    if late > 0 {
        return take_late(state, raw, account, Duration::from_millis(late)).await;
    }
    let response = act(state, raw, account, fault).await;
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    response
}

/// Creates a message in a while, whether or not its sender still waits then.
async fn take_late(state: &Arc<State>, raw: &Raw, account: &Account, late: Duration) -> Response {
    let message = match accept(raw, account) {
        Ok(message) => message,
        Err(error) => return error.into_response(),
    };
    let (book, body) = (state.clone(), resource::message(state, &message));
    let taking = tokio::spawn(async move {
        tokio::time::sleep(late).await;
        let created = Utc::now();
        let statuses = vec![StatusChange {
            at: created,
            ..message.statuses[0].clone()
        }];
        carrier::take(
            &book,
            &Arc::new(Message {
                created,
                statuses,
                ..message
            }),
        )
    });
    match taking.await {
        Ok(Ok(())) => routes::json(StatusCode::CREATED, &body),
        _ => ApiError::status(500).into_response(),
    }
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
    let message = match accept(raw, account) {
        Ok(message) => Arc::new(message),
        Err(error) => return error.into_response(),
    };
    if let Err(error) = carrier::take(state, &message) {
        tracing::error!(%error, "cannot write the book");
        return ApiError::status(500).into_response();
    }
    match fault {
        CreateFault::AcceptAndNeverAnswer => connection::silent(state).await,
        CreateFault::AcceptAndDrop => connection::dropped(),
        CreateFault::AcceptAndStatus(status) => ApiError::status(status).into_response(),
        _ => routes::json(StatusCode::CREATED, &resource::message(state, &message)),
    }
}

/// Checks the form the way Twilio does, and in its order.
fn accept(raw: &Raw, account: &Account) -> Result<Message, ApiError> {
    let to = recipient(raw)?;
    if let Some(code) = magic::refusal(to) {
        return Err(refused(code));
    }
    let service = raw.field("MessagingServiceSid");
    let from = sender(raw, account, to, service)?;
    let body = raw.field("Body").unwrap_or_default();
    let media: Vec<String> = raw.fields("MediaUrl");
    let content = raw.field("ContentSid");
    if body.is_empty() && media.is_empty() && content.is_none() {
        return Err(ApiError::bad(21602, "Message body is required."));
    }
    if body.chars().count() > BODY_LIMIT {
        let text = "The concatenated message body exceeds the 1600 character limit";
        return Err(ApiError::bad(21617, text));
    }
    let (prefix, first) = match (media.is_empty(), service) {
        (true, None) => ("SM", Status::Queued),
        (true, Some(_)) => ("SM", Status::Accepted),
        (false, None) => ("MM", Status::Queued),
        (false, Some(_)) => ("MM", Status::Accepted),
    };
    let created = Utc::now();
    Ok(Message {
        sid: new_sid(prefix),
        account: account.sid.clone(),
        direction: Direction::Outbound,
        from,
        to: to.to_owned(),
        body: body.to_owned(),
        media,
        messaging_service: service.map(str::to_owned),
        content: content.map(str::to_owned),
        status_callback: raw.field("StatusCallback").map(str::to_owned),
        created,
        statuses: vec![StatusChange {
            status: first,
            at: created,
            error_code: None,
        }],
    })
}

/// What Twilio answers with one of its codes.
pub(super) fn refused(code: u32) -> ApiError {
    match code {
        20003 => ApiError::unauthorised(),
        20429 => ApiError::rate_limited(1),
        _ => ApiError::bad(code, "Refused because of the magic number it goes to"),
    }
}

fn recipient(raw: &Raw) -> Result<&str, ApiError> {
    let to = raw
        .field("To")
        .ok_or_else(|| ApiError::bad(21604, "A 'To' phone number is required."))?;
    if address::is_valid(to) {
        Ok(to)
    } else {
        Err(ApiError::bad(
            21211,
            format!("The 'To' number {to} is not a valid phone number."),
        ))
    }
}

/// The sender: the one that was asked for, or one of the account's for a messaging service.
fn sender(raw: &Raw, account: &Account, to: &str, service: Option<&str>) -> Result<String, ApiError> {
    let Some(from) = raw.field("From") else {
        if service.is_none() {
            return Err(ApiError::bad(21603, "A 'From' phone number is required."));
        }
        let number = account.numbers.first().map_or("+15005550006", String::as_str);
        let prefix = if address::is_whatsapp(to) { "whatsapp:" } else { "" };
        return Ok(format!("{prefix}{}", address::without_channel(number)));
    };
    if !account.owns(from) {
        let text = format!(
            "The 'From' phone number provided ({from}) is not a valid message-capable Twilio \
             phone number for this destination."
        );
        return Err(ApiError::bad(21606, text));
    }
    if address::is_whatsapp(from) != address::is_whatsapp(to) {
        let text = "Invalid From and To pair. From and To should be of the same channel";
        return Err(ApiError::bad(21910, text));
    }
    if from == to {
        return Err(ApiError::bad(21266, "'To' and 'From' number cannot be the same"));
    }
    Ok(from.to_owned())
}
