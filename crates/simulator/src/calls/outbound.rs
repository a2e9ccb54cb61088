//! Calls that an account makes: created, rung, answered, recorded.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use super::{Call, CallStatus, Recording, twiml};
use crate::entry::Entry;
use crate::faults::Faults;
use crate::state::State;
use crate::twilio::{magic, new_sid};
use crate::webhook::{self, Hook};

/// How long a call is that is answered, in seconds.
const SECONDS: u32 = 15;

/// Writes a new call to the book and lets it ring.
///
/// # Errors
/// If the book cannot be written; then the call does not exist.
pub(crate) fn take(state: &Arc<State>, call: Call, api: String) -> io::Result<()> {
    write(state, &call)?;
    let state = Arc::clone(state);
    state.tasks.clone().spawn(async move {
        let stop = state.stop.clone();
        let faults = state.lock_faults().clone();
        let carrying = async {
            if let Err(error) = carry(&state, call, &faults, &api).await {
                tracing::warn!(%error, "cannot write a call");
            }
        };
        stop.run_until_cancelled(carrying).await;
    });
    Ok(())
}

/// Carries on with the calls that an earlier process left on their way.
pub(crate) fn resume(state: &Arc<State>) {
    let is_open = |call: &&Arc<Call>| {
        call.direction == crate::entry::Direction::Outbound && call.status().event() != "completed"
    };
    let open: Vec<Arc<Call>> = state
        .book
        .read(|index| index.calls().iter().filter(is_open).cloned().collect());
    for call in open {
        let mut call = Call::clone(&call);
        // Whoever spoke has hung up meanwhile.
        call.duration = Some(0);
        call.is(CallStatus::Failed);
        if let Err(error) = write(state, &call) {
            tracing::warn!(%error, "cannot end a call");
        }
    }
}

async fn carry(state: &Arc<State>, mut call: Call, faults: &Faults, api: &str) -> io::Result<()> {
    let end = faults
        .calls
        .ends
        .or_else(|| magic::call_end(&call.to))
        .unwrap_or(CallStatus::Completed);
    let mut steps = vec![CallStatus::Initiated, CallStatus::Ringing];
    if end == CallStatus::Completed {
        steps.push(CallStatus::InProgress);
    }
    steps.push(end);
    // What is told late, when it is told shuffled.
    let mut late = Vec::new();
    for step in steps {
        tokio::time::sleep(Duration::from_millis(faults.callbacks.delay_ms)).await;
        if step == CallStatus::InProgress {
            answer(state, &mut call, faults).await;
        }
        if step.event() == "completed" {
            call.duration = Some(if step == CallStatus::Completed { SECONDS } else { 0 });
        }
        call.is(step);
        write(state, &call)?;
        match faults.callbacks.shuffled {
            true => late.push(call.clone()),
            false => tell(state, &call, faults).await,
        }
    }
    for call in late.iter().rev() {
        tell(state, call, faults).await;
    }
    if end == CallStatus::Completed && call.record {
        let recording = Recording {
            sid: new_sid("RE"),
            seconds: SECONDS,
            said: call.heard.join(" "),
        };
        record(state, &mut call, recording, None, faults, api).await?;
    }
    Ok(())
}

/// Somebody answers, or something: the call's TwiML is followed.
async fn answer(state: &Arc<State>, call: &mut Call, faults: &Faults) {
    if call.machine_detection.is_some() {
        let who = faults.calls.answered_by.clone();
        call.answered_by = Some(who.unwrap_or_else(|| "human".to_owned()));
    }
    let text = match (&call.twiml, &call.url) {
        (Some(twiml), _) => Some(twiml.clone()),
        (None, Some(url)) => fetch(state, call, url).await,
        (None, None) => None,
    };
    let verbs = text.as_deref().and_then(twiml::parse).unwrap_or_default();
    for verb in verbs {
        match verb.name.as_str() {
            "Say" => call.heard.push(verb.text),
            "Hangup" | "Reject" => break,
            _ => {}
        }
    }
}

async fn fetch(state: &Arc<State>, call: &Call, url: &str) -> Option<String> {
    let account = state.account(&call.account)?;
    let hook = Hook {
        url,
        auth_token: &account.auth_token,
        params: call.params(),
        sid: &call.sid,
        status: call.status().as_str(),
    };
    webhook::ask(state, &hook).await.ok()?.1
}

/// A recording is there; it is told of it at `callback`, or where the call says.
pub(super) async fn record(
    state: &Arc<State>,
    call: &mut Call,
    recording: Recording,
    callback: Option<&str>,
    faults: &Faults,
    api: &str,
) -> io::Result<()> {
    call.recordings.push(recording.clone());
    write(state, call)?;
    let callback = callback
        .map(str::to_owned)
        .or_else(|| call.recording_callback.clone());
    let (Some(url), Some(account), false) = (callback, state.account(&call.account), faults.callbacks.none)
    else {
        return Ok(());
    };
    for status in ["in-progress", "completed"] {
        for _ in 0..if faults.callbacks.doubled { 2 } else { 1 } {
            let hook = Hook {
                url: &url,
                auth_token: &account.auth_token,
                params: call.recording_params(&recording, status, api),
                sid: &recording.sid,
                status,
            };
            webhook::post(state, &hook).await?;
        }
    }
    Ok(())
}

/// Posts a status, as often as the faults want, if it was asked for.
pub(super) async fn tell(state: &Arc<State>, call: &Call, faults: &Faults) {
    let (Some(url), Some(account), false) = (
        &call.status_callback,
        state.account(&call.account),
        faults.callbacks.none,
    ) else {
        return;
    };
    let status = call.status();
    if !call.status_events.iter().any(|event| event == status.event()) {
        return;
    }
    let hook = Hook {
        url,
        auth_token: &account.auth_token,
        params: call.status_params(),
        sid: &call.sid,
        status: status.as_str(),
    };
    for _ in 0..if faults.callbacks.doubled { 2 } else { 1 } {
        // The attempts are in the book; a Twilio does not care further.
        let _ = webhook::post(state, &hook).await;
    }
}

/// The call as it stands now.
pub(super) fn write(state: &State, call: &Call) -> io::Result<()> {
    state.book.append(vec![Entry::Call(Arc::new(call.clone()))])
}

/// A new call, in the way that its form asks for.
pub(crate) fn new(
    account: &str,
    (from, to): (&str, &str),
    direction: crate::entry::Direction,
    first: CallStatus,
) -> Call {
    let created = Utc::now();
    Call {
        sid: new_sid("CA"),
        account: account.to_owned(),
        direction,
        from: from.to_owned(),
        to: to.to_owned(),
        twiml: None,
        url: None,
        machine_detection: None,
        record: false,
        status_callback: None,
        status_events: Vec::new(),
        recording_callback: None,
        created,
        statuses: vec![(first, created)],
        heard: Vec::new(),
        duration: None,
        answered_by: None,
        recordings: Vec::new(),
    }
}
