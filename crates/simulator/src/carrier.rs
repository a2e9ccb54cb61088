//! What becomes of an outbound message after Twilio took it: its statuses and their callbacks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::address;
use crate::entry::{Direction, Entry, Message, Status, StatusChange};
use crate::faults::CallbackFaults;
use crate::state::State;
use crate::twilio::{callback_params, magic};
use crate::webhook;

type Step = (Status, Option<u32>);

/// Writes a new message to the book and lets it go its way. Without a delay and without anybody
/// to tell, it arrives at once.
///
/// # Errors
/// If the book cannot be written; then the message does not exist.
pub(crate) fn take(state: &Arc<State>, message: &Arc<Message>) -> io::Result<()> {
    send(state, message, vec![Entry::Message(Arc::clone(message))])
}

fn send(state: &Arc<State>, message: &Arc<Message>, mut entries: Vec<Entry>) -> io::Result<()> {
    let faults = state.lock_faults().callbacks.clone();
    let steps = steps_after(message, &faults);
    let told = message.status_callback.is_some() && !faults.none;
    if !told && faults.delay_ms == 0 {
        entries.extend(steps.iter().map(|step| change(message, *step)));
        return state.book.append(entries);
    }
    state.book.append(entries)?;
    let (state, message) = (Arc::clone(state), Arc::clone(message));
    state.tasks.clone().spawn(async move {
        let stop = state.stop.clone();
        stop.run_until_cancelled(carry(&state, &message, &faults, &steps))
            .await;
    });
    Ok(())
}

/// Carries on with what an earlier process left on its way. A callback that it had not posted for
/// a status already in the book stays unposted.
pub(crate) fn resume(state: &Arc<State>) {
    let unfinished = state.book.read(|index| {
        let outbound = index
            .messages()
            .iter()
            .filter(|m| m.direction == Direction::Outbound);
        outbound
            .filter(|m| !is_final(m.status()))
            .cloned()
            .collect::<Vec<_>>()
    });
    for message in unfinished {
        if let Err(error) = send(state, &message, Vec::new()) {
            tracing::warn!(%error, sid = message.sid, "cannot carry on with a message");
        }
    }
}

async fn carry(state: &Arc<State>, message: &Message, faults: &CallbackFaults, steps: &[Step]) {
    for step in steps {
        tokio::time::sleep(Duration::from_millis(faults.delay_ms)).await;
        if let Err(error) = state.book.append(vec![change(message, *step)]) {
            tracing::warn!(%error, sid = message.sid, "cannot write a status");
            return;
        }
        if !faults.shuffled {
            tell(state, message, faults, *step).await;
        }
    }
    if faults.shuffled {
        for step in steps.iter().rev() {
            tell(state, message, faults, *step).await;
        }
    }
}

/// Posts a status, as often as the faults want.
async fn tell(state: &Arc<State>, message: &Message, faults: &CallbackFaults, step: Step) {
    let (Some(url), false) = (&message.status_callback, faults.none) else {
        return;
    };
    let Some(account) = state.account(&message.account) else {
        return;
    };
    let hook = webhook::Hook {
        url,
        auth_token: &account.auth_token,
        params: callback_params(message, step.0, step.1),
        sid: &message.sid,
        status: step.0.as_str(),
    };
    for _ in 0..if faults.doubled { 2 } else { 1 } {
        let Ok(_permit) = state.posting.acquire().await else {
            return;
        };
        // The attempts are in the book; a Twilio does not care further.
        let _ = webhook::post(state, &hook).await;
    }
}

fn change(message: &Message, (status, error_code): Step) -> Entry {
    Entry::Status {
        sid: message.sid.clone(),
        change: StatusChange::now(status, error_code),
    }
}

/// The statuses that a message still has to go through.
fn steps_after(message: &Message, faults: &CallbackFaults) -> Vec<Step> {
    let undelivered = faults.undelivered.or_else(|| magic::loss(&message.to));
    let path = if faults.failed.is_some() {
        vec![(Status::Failed, faults.failed)]
    } else if undelivered.is_some() {
        vec![(Status::Sent, None), (Status::Undelivered, undelivered)]
    } else if address::is_whatsapp(&message.to) {
        vec![
            (Status::Sent, None),
            (Status::Delivered, None),
            (Status::Read, None),
        ]
    } else {
        vec![(Status::Sent, None), (Status::Delivered, None)]
    };
    let present = message.status();
    match path.iter().position(|step| step.0 == present) {
        Some(done) => path[done + 1..].to_vec(),
        None => path,
    }
}

fn is_final(status: Status) -> bool {
    // A delivered WhatsApp message may still be read, but nobody has to read it.
    !matches!(status, Status::Queued | Status::Accepted | Status::Sent)
}
