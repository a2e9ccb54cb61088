//! A new run from the beginning of an old one's journal.
use std::collections::BTreeSet;

use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, Value};
use serde_json::{Value as Json, json};

use super::{ControlError, stop::Family};
use crate::{
    Event, EventKind, NewRun, Run, RunId,
    storage::{Signal, Storage, events, fold, journals, now, signals, statement},
};

impl Storage {
    /// Starts a new run that has done what `id` had done up to its event number `from`, 0 for nothing, and goes on from
    /// there; with `input` in the place of the old one's, if given. It gets a place at the end of the old one's lane,
    /// and the signals that nobody had received by then. An old run that has not ended is terminated in the same
    /// commit. Returns the new run.
    ///
    /// # Errors
    /// When there is no such run or event, or the event lies between a call's intent and what became of the call.
    pub async fn fork(&self, id: &RunId, from: i64, input: Option<Json>) -> Result<RunId, ControlError> {
        let id = id.clone();
        let done = self
            .transaction(move |tx| async move { fork(tx, &id, from, input).await }.boxed())
            .await;
        self.after_act(done)
    }
}

async fn fork(
    tx: &DatabaseTransaction,
    id: &RunId,
    from: i64,
    input: Option<Json>,
) -> Result<RunId, ControlError> {
    let family = Family::lock(tx, id).await?;
    let old = family.root()?;
    let events = journals::of(tx, id).await?;
    check(&events, from)?;
    let kept = &events[..usize::try_from(from).unwrap_or_default()];
    if !old.state.is_final() {
        family.terminate(tx, "forked").await?;
    }
    let new = RunId::fresh();
    insert_run(tx, old, &new, input, kept).await?;
    write_ends(tx, &new, kept, json!({"from": id, "seq": from})).await?;
    copy_signals(tx, id, &new, kept).await?;
    let at: Value = now().into();
    let names = || vec![Value::from(new.as_str()), Value::from(id.as_str())];
    let link = "insert into run_links (run, kind, other, at) values ($1, 'forked_from', $2, $3)";
    tx.execute_raw(statement(tx, link, [names(), vec![at]].concat()))
        .await?;
    let tags = "insert into run_tags (name, value, run) select name, value, $1 from run_tags where run = $2";
    tx.execute_raw(statement(tx, tags, names())).await?;
    metrics::counter!("recado_runs_started_total", "workflow" => old.workflow.clone()).increment(1);
    Ok(new)
}

/// Whether a fork may begin after event number `from`.
fn check(events: &[Event], from: i64) -> Result<(), ControlError> {
    let last = events.len() as i64;
    if !(0..=last).contains(&from) {
        let told = format!("the journal has the events 1 to {last}; fork from one of them, or from 0");
        return Err(ControlError::Unfit(told));
    }
    let closed = closed(events);
    if closed.contains(&from) {
        return Ok(());
    }
    let before = closed.range(..from).next_back();
    let after = closed.range(from..).next();
    let nearest: Vec<_> = before.into_iter().chain(after).map(i64::to_string).collect();
    Err(ControlError::Unfit(format!(
        "after event {from} a call was on its way, and a fork could make it twice; fork from {}",
        nearest.join(" or ")
    )))
}

/// The numbers of events after which no call is on its way; 0 is one of them.
fn closed(events: &[Event]) -> BTreeSet<i64> {
    let mut open = BTreeSet::new();
    let mut closed = BTreeSet::from([0]);
    for event in events {
        match event.kind {
            EventKind::ActivityIntended => drop(open.insert(event.op)),
            EventKind::ActivityAttempted
            | EventKind::ActivityReconciled
            | EventKind::ActivityCompleted
            | EventKind::ActivityFailed
            | EventKind::ActivityDecided
            | EventKind::Skipped => drop(open.remove(&event.op)),
            _ => {}
        }
        if open.is_empty() {
            closed.insert(event.seq);
        }
    }
    closed
}

/// Starts the new run as any other is started, and writes the events that it keeps into its journal: what is sealed is
/// sealed anew, under its own key.
async fn insert_run(
    tx: &DatabaseTransaction,
    old: &Run,
    new: &RunId,
    input: Option<Json>,
    kept: &[Event],
) -> Result<(), ControlError> {
    let run = NewRun {
        worker: None,
        id: new.clone(),
        workflow: old.workflow.clone(),
        key: format!("{}/fork/{new}", old.key),
        owner: old.owner.clone(),
        lane: old.lane.clone(),
        width: None,
        input: input.unwrap_or_else(|| old.input.clone()),
        build: old.build.clone(),
        parent: None,
    };
    fold::start_in(tx, &run).await?;
    let events: Vec<_> = kept.iter().map(|event| (new, event)).collect();
    events::write_events(tx, &events).await?;
    // An epoch above 0 says that there is a journal to be read.
    let sql = "update runs set epoch = 1 where id = $1";
    tx.execute_raw(statement(tx, sql, vec![new.as_str().into()]))
        .await?;
    Ok(())
}

/// Says in the new journal where it comes from, and that the place in the lane is not the one that the old run held.
async fn write_ends(
    tx: &DatabaseTransaction,
    new: &RunId,
    kept: &[Event],
    from: Json,
) -> Result<(), ControlError> {
    let seq = kept.len() as i64;
    let forked = Event {
        data: Some(from),
        ..Event::new(seq + 1, None, EventKind::Forked, now())
    };
    let left = Event::new(seq + 2, None, EventKind::LaneLeft, now());
    let lane = kept
        .iter()
        .rev()
        .map(|event| event.kind)
        .find(|kind| matches!(kind, EventKind::LaneEntered | EventKind::LaneLeft));
    let mut events = vec![(new, &forked)];
    if lane == Some(EventKind::LaneEntered) {
        events.push((new, &left));
    }
    Ok(events::write_events(tx, &events).await?)
}

/// Copies the signals of `old` that none of the events in `kept` received, numbered anew from 1.
async fn copy_signals(
    tx: &DatabaseTransaction,
    old: &RunId,
    new: &RunId,
    kept: &[Event],
) -> Result<(), ControlError> {
    let received: BTreeSet<i64> = kept
        .iter()
        .filter(|event| event.kind == EventKind::SignalReceived)
        .filter_map(|event| event.data.as_ref()?["n"].as_i64())
        .collect();
    let mut inbox = 0i64;
    for signal in signals::after(tx, old, 0).await? {
        if signal.kind != "signal" || received.contains(&signal.n) {
            continue;
        }
        inbox += 1;
        signals::insert(tx, new, &Signal { n: inbox, ..signal }).await?;
    }
    let sql = "update runs set inbox = $2 where id = $1";
    tx.execute_raw(statement(tx, sql, vec![new.as_str().into(), inbox.into()]))
        .await?;
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn journal(kinds: &[(EventKind, i64)]) -> Vec<Event> {
        (1..)
            .zip(kinds)
            .map(|(seq, (kind, op))| Event::new(seq, Some(*op), *kind, now()))
            .collect()
    }

    #[test]
    fn a_fork_never_begins_while_a_call_is_on_its_way() {
        use EventKind::*;
        let events = journal(&[
            (ActivityCompleted, 1),
            (ActivityIntended, 2),
            (ActivityIntended, 3),
            (ActivityUnknown, 2),
            (ActivityCompleted, 3),
            (ActivityReconciled, 2),
            (ActivityIntended, 2),
            (ActivityCompleted, 2),
        ]);
        let allowed: Vec<_> = (0..=8).filter(|from| check(&events, *from).is_ok()).collect();
        assert_eq!(allowed, [0, 1, 6, 8]);
        let told = check(&events, 4).unwrap_err().to_string();
        assert!(told.contains("fork from 1 or 6"), "{told}");
        let told = check(&events[..5], 5).unwrap_err().to_string();
        assert!(told.ends_with("fork from 1"), "{told}");
        assert!(check(&events, 9).is_err() && check(&events, -1).is_err());
    }
}
