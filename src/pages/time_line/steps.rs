//! The journal as steps with their attempts, and as what befell the run between them.
use chrono::{DateTime, Utc};
use recado_engine::{Event, EventKind, Run, RunState};
use serde_json::Value;

use super::{
    attempt::{Attempt, Fate, told},
    bars::Mark,
    scale::Scale,
};
use crate::pages::moment::{Moment, between};

/// A step of the workflow.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) op: Option<i64>,
    pub(crate) name: String,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) input: Option<Value>,
    pub(crate) output: Option<Value>,
    /// The stretches in which it stood still: from, and to where that is known.
    pub(super) waits: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)>,
    pub(crate) state: StepState,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepState {
    Going,
    Waiting,
    Done,
    GivenUp,
}

impl StepState {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Going => "at work",
            Self::Waiting => "waits",
            Self::Done => "done",
            Self::GivenUp => "given up",
        }
    }

    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Going => "open",
            Self::Waiting => "waits",
            Self::Done => "ok",
            Self::GivenUp => "bad",
        }
    }
}

/// What befell the run.
#[derive(Debug)]
pub(crate) struct Note {
    pub(super) when: DateTime<Utc>,
    pub(crate) at: Moment,
    pub(crate) class: &'static str,
    pub(crate) sentence: String,
}

/// A step or a note.
#[derive(Debug)]
pub(crate) enum Item {
    Step(Box<Step>),
    Note(Note),
}

impl Note {
    pub(super) fn mark(&self, scale: &Scale) -> Mark {
        Mark {
            left: scale.at(self.when),
            class: self.class,
        }
    }
}

impl Item {
    pub(super) fn note(&self) -> Option<&Note> {
        match self {
            Self::Note(note) => Some(note),
            Self::Step(_) => None,
        }
    }

    pub(super) fn step(&self) -> Option<&Step> {
        match self {
            Self::Step(step) => Some(step),
            Self::Note(_) => None,
        }
    }
}

impl Step {
    fn new(op: Option<i64>, name: &str) -> Self {
        Self {
            op,
            name: name.to_owned(),
            attempts: Vec::new(),
            input: None,
            output: None,
            waits: Vec::new(),
            state: StepState::Going,
        }
    }

    /// When something was done for it; an attempt that goes on is at it until `end`.
    pub(super) fn busy(&self, end: DateTime<Utc>) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
        let attempts = self.attempts.iter();
        let found = attempts
            .clone()
            .filter_map(|attempt| attempt.found)
            .map(|(at, _)| (at, at));
        attempts
            .map(move |attempt| (attempt.started, attempt.ended.unwrap_or(end.max(attempt.started))))
            .chain(found)
    }

    /// From its first attempt to its last.
    pub(crate) fn took(&self) -> Option<String> {
        let (first, last) = (self.attempts.first()?, self.attempts.last()?);
        let end = last.found.map(|(at, _)| at).or(last.ended)?;
        Some(between(first.started, end))
    }

    fn apply(&mut self, event: &Event) {
        if self.input.is_none() {
            self.input.clone_from(&event.input);
        }
        match event.kind {
            EventKind::ActivityIntended => self.begin(event),
            EventKind::ActivityAttempted => self.end(Fate::Failed, event),
            EventKind::ActivityUnknown => self.end(Fate::Unknown, event),
            EventKind::ActivityReconciled => self.find(event, "it had not happened, so it may be repeated"),
            EventKind::ActivityFailed => self.give_up(event),
            EventKind::ActivityCompleted => self.complete(event),
            EventKind::Retried => self.state = StepState::Going,
            _ => {}
        }
    }

    fn begin(&mut self, event: &Event) {
        if let Some(last) = self.attempts.last_mut() {
            last.next = event.started_at;
        }
        self.state = StepState::Going;
        self.attempts.push(Attempt::of(event));
    }

    /// The attempt that `event` ends: the open one of its number, or one of which this is the first news.
    fn ending(&mut self, event: &Event) -> &mut Attempt {
        let open = self
            .attempts
            .last()
            .is_some_and(|last| last.fate == Fate::Open && Some(last.number) == event.attempt);
        if !open {
            self.begin(event);
        }
        let last = self.attempts.len() - 1;
        &mut self.attempts[last]
    }

    fn end(&mut self, fate: Fate, event: &Event) {
        self.ending(event).end(fate, event);
    }

    fn give_up(&mut self, event: &Event) {
        match self.attempts.last_mut() {
            // What was looked for and not found out.
            Some(last) if last.fate == Fate::Unknown => last.told = event.data.as_ref().and_then(told),
            Some(last) if last.fate == Fate::Open && Some(last.number) == event.attempt => {
                let unknown =
                    event.data.as_ref().and_then(|data| data.get("fault")?.as_str()) == Some("unknown");
                last.end(if unknown { Fate::Unknown } else { Fate::Failed }, event);
            }
            _ => self.end(Fate::Failed, event),
        }
        self.state = StepState::GivenUp;
    }

    fn complete(&mut self, event: &Event) {
        self.output.clone_from(&event.data);
        match self.attempts.last_mut() {
            Some(last) if Some(last.number) == event.attempt && last.fate == Fate::Open => {
                if event.started_at.is_none_or(|started| started == last.started) {
                    last.end(Fate::Succeeded, event);
                } else {
                    last.told = Some(
                        "whoever made this attempt fell silent before it wrote down the answer".to_owned(),
                    );
                    last.fate = Fate::Unknown;
                    last.ended = event.started_at;
                    last.found = Some((event.at, "it had happened, so it was not repeated"));
                }
            }
            Some(last) if Some(last.number) == event.attempt && last.fate == Fate::Unknown => {
                last.found = Some((event.at, "it had happened, so it was not repeated"));
            }
            _ => self.end(Fate::Succeeded, event),
        }
        self.state = StepState::Done;
    }

    fn find(&mut self, event: &Event, what: &'static str) {
        if let Some(last) = self.attempts.last_mut() {
            if last.fate == Fate::Open {
                last.told =
                    Some("whoever made this attempt fell silent before it wrote down the answer".to_owned());
                last.ended = event.started_at;
            }
            last.fate = Fate::Unknown;
            last.found = Some((event.at, what));
        }
    }

    /// Between two attempts it waits.
    fn wait_between_attempts(&mut self) {
        let pairs = self.attempts.iter().zip(self.attempts.iter().skip(1));
        let between = pairs.filter_map(|(one, next)| Some((one.ended?, Some(next.started))));
        self.waits.extend(between);
    }
}

/// Reads the journal of `run`, and what its present state adds to it.
pub(super) fn read(run: &Run, events: &[Event]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut last_at = run.created_at;
    for (index, event) in events.iter().enumerate() {
        match (event.kind, event.op) {
            (EventKind::LaneEntered, op) => items.push(lane(op, last_at, event)),
            (EventKind::TakenOver, _) => items.push(taken_over(run, event, &events[index + 1..])),
            (EventKind::Parked, _) => items.push(note(event, "bad", parked(event))),
            (EventKind::Retried, op) => {
                apply(&mut items, op, event);
                let sentence =
                    "a person asked for another try; what had been done is not done again".to_owned();
                items.push(note(event, "plain", sentence));
            }
            (EventKind::Gathered, _) => items.push(note(event, "plain", gathered(event))),
            (EventKind::Merged, _) => items.push(note(event, "plain", merged(event))),
            (EventKind::Superseded, _) => {
                let name = event.name.as_deref().unwrap_or("a call");
                let sentence = format!(
                    "another run of the lane was ready, so {name} is asked again with what it brings"
                );
                items.push(note(event, "plain", sentence));
            }
            (kind, op) if kind.as_str().starts_with("activity_") => apply(&mut items, op, event),
            _ => {}
        }
        last_at = event.at;
    }
    present(run, &mut items);
    for item in &mut items {
        if let Item::Step(step) = item {
            step.wait_between_attempts();
        }
    }
    items
}

fn apply(items: &mut Vec<Item>, op: Option<i64>, event: &Event) {
    if let Some(step) = items.iter_mut().rev().find_map(|item| match item {
        Item::Step(step) if step.op == op => Some(step),
        _ => None,
    }) {
        return step.apply(event);
    }
    let mut step = Step::new(op, event.name.as_deref().unwrap_or("step"));
    step.apply(event);
    items.push(Item::Step(Box::new(step)));
}

fn note(event: &Event, class: &'static str, sentence: String) -> Item {
    Item::Note(Note {
        when: event.at,
        at: Moment::relative(event.at),
        class,
        sentence,
    })
}

fn gathered(event: &Event) -> String {
    let runs = event.data.as_ref().and_then(|data| data.get("runs")?.as_array());
    match runs.map_or(0, Vec::len) {
        1 => "it answers for the run behind it in its lane too".to_owned(),
        n => format!("it answers for {n} runs behind it in its lane too"),
    }
}

fn merged(event: &Event) -> String {
    let into = event.data.as_ref().and_then(|data| data.get("into")?.as_str());
    format!("{} answers for it", into.unwrap_or("an earlier run"))
}

fn parked(event: &Event) -> String {
    let why = event.data.as_ref().and_then(told).unwrap_or_default();
    format!("parked, because it cannot go on without a person: {why}")
}

/// Who fell silent is in the event; who took over is whom the next such event names, or who holds the run now.
fn taken_over(run: &Run, event: &Event, later: &[Event]) -> Item {
    let from = |event: &Event| event.data.as_ref().and_then(Value::as_str).map(str::to_owned);
    let heir = later
        .iter()
        .find(|event| event.kind == EventKind::TakenOver)
        .and_then(from);
    let heir = heir
        .or_else(|| run.worker.clone())
        .unwrap_or_else(|| "another worker".to_owned());
    let dead = from(event).unwrap_or_else(|| "its worker".to_owned());
    note(event, "warn", format!("{dead} fell silent; {heir} took over"))
}

fn lane(op: Option<i64>, before: DateTime<Utc>, event: &Event) -> Item {
    let mut step = Step::new(op, "enter lane");
    step.waits.push((before, Some(event.at)));
    step.state = StepState::Done;
    Item::Step(Box::new(step))
}

/// What the run does now, of which the journal knows nothing yet.
fn present(run: &Run, items: &mut Vec<Item>) {
    if run.state.is_final() || run.state == RunState::Parked {
        return;
    }
    let Some(waiting_for) = run.waiting_for.as_deref() else {
        return;
    };
    let (what, name) = waiting_for.split_once(':').unwrap_or((waiting_for, ""));
    let last = items.iter_mut().rev().find_map(|item| match item {
        Item::Step(step) => Some(step),
        Item::Note(_) => None,
    });
    let last = last.filter(|step| step.name == name && step.state != StepState::Done);
    match (what, last) {
        ("activity", Some(step)) => {
            let open = step.attempts.last().is_some_and(|last| last.fate == Fate::Open);
            if !open {
                step.attempts.push(Attempt::begun(run.attempt.max(1), run.since));
            }
        }
        ("activity", None) if !name.is_empty() => {
            let mut step = Step::new(None, name);
            step.attempts.push(Attempt::begun(run.attempt.max(1), run.since));
            items.push(Item::Step(Box::new(step)));
        }
        ("retry" | "reconcile", Some(step)) => {
            step.state = StepState::Waiting;
            step.waits.push((run.since, None));
            if let Some(last) = step.attempts.last_mut().filter(|_| what == "retry") {
                last.next = run.until;
            }
        }
        _ => {
            let name = match what {
                "lane" => "enter lane",
                "quiet" => "quiet moment",
                _ => waiting_for,
            };
            let mut step = Step::new(None, name);
            step.state = StepState::Waiting;
            step.waits.push((run.since, None));
            items.push(Item::Step(Box::new(step)));
        }
    }
}
