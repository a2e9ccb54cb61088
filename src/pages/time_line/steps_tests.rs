//! How a journal reads on the page.
use chrono::{DateTime, Duration, Utc};
use recado_engine::{Event, EventKind, Run, RunState};
use serde_json::{Value, json};

use super::{
    Span,
    attempt::Fate,
    critical::Chain,
    steps::{Item, Step, StepState, read},
};

const WHOLE: Span = Span {
    begins: true,
    ends: true,
};

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::milliseconds(millis)
}

fn run(state: RunState, waiting_for: Option<&str>) -> Run {
    Run {
        id: "01RUN".into(),
        workflow: "inbound_message".to_owned(),
        key: "AC1:SM1".to_owned(),
        owner: None,
        state,
        outcome: None,
        waiting_for: waiting_for.map(str::to_owned),
        since: at(900),
        until: Some(at(5000)),
        lane: None,
        place: None,
        worker: Some("worker-2".to_owned()),
        epoch: 1,
        takeovers: 0,
        attempt: 2,
        build: "0".to_owned(),
        input: Value::Null,
        output: None,
        error: None,
        created_at: at(0),
        finished_at: None,
        inbox: 0,
        parent: None,
        parent_op: None,
        on_close: None,
    }
}

/// An event of attempt `attempt` at `reply`, which began at `started` and was written down at `written`.
fn event(kind: EventKind, attempt: i64, started: i64, written: i64, data: Value) -> Event {
    Event {
        seq: written,
        op: Some(7),
        kind,
        name: Some("reply".to_owned()),
        hash: None,
        attempt: Some(attempt),
        started_at: Some(at(started)),
        at: at(written),
        input: None,
        data: Some(data),
    }
}

fn fault(kind: &str) -> Value {
    json!({"fault": kind, "failure": {"class": "timeout", "message": "no answer from +5511987654321"}})
}

fn steps(items: &[Item]) -> Vec<&Step> {
    items.iter().filter_map(Item::step).collect()
}

fn sentences(items: &[Item]) -> Vec<&str> {
    let notes = items.iter().filter_map(|item| match item {
        Item::Note(note) => Some(note.sentence.as_str()),
        Item::Step(_) => None,
    });
    notes.collect()
}

#[test]
fn a_step_that_failed_twice_is_one_line_with_three_attempts() {
    let events = [
        event(EventKind::ActivityAttempted, 1, 10, 20, fault("retry")),
        event(EventKind::ActivityAttempted, 2, 120, 130, fault("retry")),
        event(EventKind::ActivityCompleted, 3, 330, 340, json!("sent")),
    ];
    let items = read(&run(RunState::Completed, None), &events, WHOLE);
    let steps = steps(&items);
    let fates: Vec<_> = steps[0].attempts.iter().map(|attempt| attempt.fate).collect();
    assert_eq!(
        (steps.len(), fates.as_slice()),
        (1, [Fate::Failed, Fate::Failed, Fate::Succeeded].as_slice())
    );
    assert_eq!(
        steps[0].waits,
        [(at(20), Some(at(120))), (at(130), Some(at(330)))]
    );
    assert_eq!(steps[0].attempts[0].next, Some(at(120)));
    assert_eq!(
        steps[0].attempts[0].told.as_deref(),
        Some("timeout: no answer from +55 •••• 4321")
    );
    assert_eq!(steps[0].output, Some(json!("sent")));
}

#[test]
fn a_send_whose_sender_died_is_shown_as_unknown_and_then_found() {
    let taken_over = Event {
        op: None,
        name: None,
        attempt: None,
        ..event(EventKind::TakenOver, 1, 0, 600, json!("worker-1"))
    };
    let events = [
        event(EventKind::ActivityIntended, 1, 10, 12, Value::Null),
        taken_over,
        event(EventKind::ActivityCompleted, 1, 610, 700, json!("SM9")),
    ];
    let items = read(&run(RunState::Running, None), &events, WHOLE);
    let attempt = &steps(&items)[0].attempts[0];
    assert_eq!((attempt.fate, attempt.ended), (Fate::Unknown, Some(at(610))));
    assert_eq!(attempt.found(), Some("it had happened, so it was not repeated"));
    assert_eq!(steps(&items)[0].state, StepState::Done);
    assert_eq!(sentences(&items), ["worker-1 fell silent; worker-2 took over"]);
}

#[test]
fn what_was_shown_not_to_have_happened_may_be_repeated() {
    let events = [
        event(EventKind::ActivityIntended, 1, 10, 12, Value::Null),
        event(
            EventKind::ActivityUnknown,
            1,
            10,
            50,
            json!({"class": "timeout", "message": "no answer"}),
        ),
        event(EventKind::ActivityReconciled, 1, 60, 400, Value::Null),
        event(EventKind::ActivityIntended, 2, 410, 412, Value::Null),
        event(EventKind::ActivityCompleted, 2, 410, 450, json!("SM9")),
    ];
    let items = read(&run(RunState::Completed, None), &events, WHOLE);
    let attempts = &steps(&items)[0].attempts;
    assert_eq!(attempts[0].told.as_deref(), Some("timeout: no answer"));
    assert_eq!(
        attempts[0].found(),
        Some("it had not happened, so it may be repeated")
    );
    assert_eq!(attempts[1].fate, Fate::Succeeded);
}

#[test]
fn a_parked_run_that_is_retried_goes_on_in_the_same_line() {
    let note = |kind, written| Event {
        name: None,
        attempt: None,
        ..event(kind, 1, 0, written, fault("fatal"))
    };
    let events = [
        event(EventKind::ActivityFailed, 1, 10, 20, fault("fatal")),
        note(EventKind::Parked, 21),
        note(EventKind::Retried, 500),
    ];
    let items = read(&run(RunState::Running, Some("activity:reply")), &events, WHOLE);
    let steps = steps(&items);
    let fates: Vec<_> = steps[0].attempts.iter().map(|attempt| attempt.fate).collect();
    assert_eq!(
        (steps.len(), fates.as_slice()),
        (1, [Fate::Failed, Fate::Open].as_slice())
    );
    assert_eq!(sentences(&items).len(), 2);
}

#[test]
fn a_run_that_waits_says_so_even_if_its_journal_does_not() {
    let items = read(&run(RunState::Waiting, Some("lane")), &[], WHOLE);
    let steps = steps(&items);
    assert_eq!(
        (steps[0].name.as_str(), steps[0].state),
        ("enter lane", StepState::Waiting)
    );
    let failed = [event(EventKind::ActivityAttempted, 1, 10, 20, fault("retry"))];
    let items = read(&run(RunState::Waiting, Some("retry:reply")), &failed, WHOLE);
    assert_eq!(self::steps(&items)[0].attempts[0].next, Some(at(5000)));
}

/// An event of step `op`, without an attempt.
fn of_step(op: i64, kind: EventKind, name: &str, written: i64, data: Value) -> Event {
    Event {
        op: Some(op),
        name: Some(name.to_owned()),
        attempt: None,
        started_at: None,
        ..event(kind, 1, 0, written, data)
    }
}

#[test]
fn a_timer_a_signal_and_a_child_are_lines_of_their_own() {
    let events = [
        of_step(1, EventKind::TimerSet, "sleep", 10, json!({"until": at(50)})),
        of_step(1, EventKind::TimerFired, "sleep", 50, Value::Null),
        of_step(2, EventKind::SignalAwaited, "approval", 60, Value::Null),
        of_step(2, EventKind::SignalTimedOut, "approval", 90, Value::Null),
        of_step(
            3,
            EventKind::ChildStarted,
            "send_message",
            100,
            json!({"run": "01CHILD"}),
        ),
        of_step(4, EventKind::SignalAwaited, "later", 110, Value::Null),
    ];
    let items = read(&run(RunState::Waiting, Some("signal:later")), &events, WHOLE);
    let steps = steps(&items);
    let seen: Vec<_> = steps
        .iter()
        .map(|step| (step.name.as_str(), step.state))
        .collect();
    assert_eq!(
        seen,
        [
            ("sleep", StepState::Done),
            ("signal approval", StepState::TimedOut),
            ("start send_message", StepState::Done),
            ("signal later", StepState::Waiting),
        ],
        "what it waits for now is there once"
    );
    assert_eq!(steps[0].waits, [(at(10), Some(at(50)))]);
    assert_eq!(steps[2].run.as_deref(), Some("01CHILD"));
}

#[test]
fn of_two_steps_side_by_side_the_slower_one_is_on_the_critical_path() {
    let done = |op, name: &str, from, to| Event {
        attempt: Some(1),
        started_at: Some(at(from)),
        ..of_step(op, EventKind::ActivityCompleted, name, to, Value::Null)
    };
    let events = [
        done(1, "quick", 0, 100),
        done(2, "slow", 0, 300),
        done(3, "last", 300, 400),
    ];
    let mut items = read(&run(RunState::Completed, None), &events, WHOLE);
    let chain = Chain::mark(&mut items, at(0), at(400));
    let critical: Vec<_> = steps(&items)
        .into_iter()
        .map(|step| (step.name.as_str(), step.critical))
        .collect();
    assert_eq!(critical, [("quick", false), ("slow", true), ("last", true)]);
    assert_eq!(chain.told(), "slow 300 ms (75 %), last 100 ms (25 %)");
}
