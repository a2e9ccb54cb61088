//! `/_simulator/…`: what a person, a page or a script does with the simulator.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use poem::http::{Method, StatusCode};
use poem::web::sse::{Event, SSE};
use poem::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::calls::inbound::Ring;
use crate::config::Account;
use crate::entry::Entry;
use crate::faults::Faults;
use crate::inbound::{Inbound, InboundError};
use crate::request::Raw;
use crate::routes;
use crate::script::{Answer, ModelMode};
use crate::state::State;

/// How often a silent event stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How many messages a conversation shows.
const CONVERSATION: usize = 500;

/// Answers a request below `/_simulator/`.
pub(crate) async fn answer(state: &Arc<State>, raw: &Raw, rest: &[&str]) -> Response {
    let answered = match (&raw.method, rest) {
        (&Method::GET, ["faults"]) => to_json(&state.faults()),
        (&Method::PUT, ["faults"]) => set_faults(state, raw),
        (&Method::GET, ["model"]) => Ok(show_model(state)),
        (&Method::PUT, ["model"]) => set_model(state, raw),
        (&Method::PUT, ["speech"]) => script_speech(state, raw),
        (&Method::GET, ["accounts"]) => Ok(show_accounts(state)),
        (&Method::PUT, ["accounts", sid]) => put_account(state, raw, sid),
        (&Method::POST, ["inbound"]) => send_inbound(state, raw).await,
        (&Method::POST, ["calls"]) => ring(state, raw).await,
        (&Method::GET, ["calls"]) => to_json(&state.book.calls()),
        (&Method::GET, ["messages"]) => Ok(show_messages(state, raw)),
        (&Method::GET, ["requests"]) => to_json(&state.book.requests()),
        (&Method::GET, ["deliveries"]) => to_json(&state.book.deliveries()),
        (&Method::GET, ["events"]) => return events(state),
        _ => Err(Problem::new(StatusCode::NOT_FOUND, "no such page")),
    };
    match answered {
        Ok(body) => routes::json(StatusCode::OK, &body),
        Err(problem) => problem.into_response(),
    }
}

type Answered = Result<Value, Problem>;

/// An error as `application/problem+json`.
struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, detail: impl ToString) -> Self {
        Self {
            status,
            detail: detail.to_string(),
        }
    }

    fn into_response(self) -> Response {
        let body = json!({
            "status": self.status.as_u16(),
            "title": self.status.canonical_reason(),
            "detail": self.detail,
        });
        routes::json(self.status, &body).set_content_type("application/problem+json")
    }
}

fn set_faults(state: &State, raw: &Raw) -> Answered {
    let faults: Faults = parse(raw)?;
    state.set_faults(faults);
    to_json(&state.faults())
}

/// What `PUT …/model` takes: the script is replaced, the mode too.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ModelSettings {
    mode: ModelMode,
    script: Vec<Answer>,
}

fn set_model(state: &State, raw: &Raw) -> Answered {
    let settings: ModelSettings = parse(raw)?;
    {
        let mut script = state.lock_script();
        script.clear();
        script.extend(settings.script);
        script.set_mode(settings.mode);
    }
    Ok(show_model(state))
}

fn show_model(state: &State) -> Value {
    let script = state.lock_script();
    json!({"mode": script.mode(), "answers_left": script.left()})
}

/// What `PUT …/speech` takes: what the next recordings say.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SpeechScript {
    texts: Vec<String>,
}

fn script_speech(state: &State, raw: &Raw) -> Answered {
    let script: SpeechScript = parse(raw)?;
    state.script_speech(script.texts);
    Ok(json!({"texts_left": state.lock_speech().len()}))
}

/// Tokens are not shown.
fn show_accounts(state: &State) -> Value {
    let show = |account: &Arc<Account>| {
        json!({
            "sid": account.sid,
            "numbers": account.numbers,
            "webhook_url": account.webhook_url,
            "voice_url": account.voice_url,
            "call_status_url": account.call_status_url,
        })
    };
    json!({"items": state.accounts().iter().map(show).collect::<Vec<_>>()})
}

fn put_account(state: &State, raw: &Raw, sid: &str) -> Answered {
    let account: Account = parse(raw)?;
    state.put_account(Account {
        sid: sid.to_owned(),
        ..account
    });
    Ok(show_accounts(state))
}

async fn send_inbound(state: &Arc<State>, raw: &Raw) -> Answered {
    let inbound: Inbound = parse(raw)?;
    let sender = Arc::clone(state);
    // On its own task: a page that is closed does not take the message back.
    let sending = state
        .tasks
        .spawn(async move { sender.send_inbound(inbound).await });
    match sending.await {
        Ok(Ok(received)) => to_json(&received),
        Ok(Err(error)) => Err(of_inbound(&error)),
        Err(_) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the sending broke off",
        )),
    }
}

/// Somebody calls; the answer is the call once it has ended.
async fn ring(state: &Arc<State>, raw: &Raw) -> Answered {
    let ring: Ring = parse(raw)?;
    let caller = Arc::clone(state);
    match state.tasks.spawn(async move { caller.ring(ring).await }).await {
        Ok(Ok(call)) => to_json(&call),
        Ok(Err(error)) => Err(of_inbound(&error)),
        Err(_) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the call broke off",
        )),
    }
}

fn of_inbound(error: &InboundError) -> Problem {
    let status = match error {
        InboundError::Account(_) | InboundError::Address { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        InboundError::NoWebhook(_) => StatusCode::CONFLICT,
        InboundError::Book(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Problem::new(status, error)
}

/// Both directions, oldest first; of one contact if it is named.
fn show_messages(state: &State, raw: &Raw) -> Value {
    let given = |name| raw.query(name).filter(|value: &&str| !value.is_empty());
    let messages = match given("contact") {
        Some(contact) => state.book.conversation(contact, CONVERSATION),
        None => state.book.read(|index| {
            let all = index.messages();
            all[all.len().saturating_sub(CONVERSATION)..].to_vec()
        }),
    };
    let account = given("account");
    let items: Vec<_> = messages
        .iter()
        .filter(|message| account.is_none_or(|account| account == message.account))
        .collect();
    json!({"items": items})
}

/// One event for every entry of the book from now on, named after its kind. A listener that is
/// too slow gets one event `lagged` with the number that it missed.
fn events(state: &Arc<State>) -> Response {
    let receiver = state.book.follow();
    let stop = state.stop.clone();
    let stream = stream::unfold((receiver, stop), |(mut receiver, stop)| async move {
        let event = match stop.run_until_cancelled(receiver.recv()).await? {
            Ok((change, entry)) => to_event(change, &entry),
            Err(RecvError::Lagged(missed)) => Event::message(missed.to_string()).event_type("lagged"),
            Err(RecvError::Closed) => return None,
        };
        Some((event, (receiver, stop)))
    });
    // Sent at once, so that a listener knows from when on it misses nothing.
    let stream = stream::iter([Event::retry(1000)]).chain(stream);
    SSE::new(stream).keep_alive(HEARTBEAT).into_response()
}

fn to_event(change: u64, entry: &Entry) -> Event {
    let kind = match entry {
        Entry::Message(_) => "message",
        Entry::Status { .. } => "status",
        Entry::Call(_) => "call",
        Entry::Request(_) => "request",
        Entry::Delivery(_) => "delivery",
    };
    let data = serde_json::to_string(entry).unwrap_or_default();
    Event::message(data).event_type(kind).id(change.to_string())
}

/// The JSON body. The content type is insisted on: no foreign web page may send it unasked.
fn parse<T: DeserializeOwned>(raw: &Raw) -> Result<T, Problem> {
    if !raw.is_json() {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send application/json",
        ));
    }
    serde_json::from_slice(&raw.body).map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error))
}

fn to_json(value: &impl serde::Serialize) -> Answered {
    serde_json::to_value(value).map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))
}
