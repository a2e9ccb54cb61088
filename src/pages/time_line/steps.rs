//! The journal as steps with their attempts, and as what befell the run between them.
use chrono::{DateTime, Utc};
use recado_engine::{Event, EventKind, Run, RunState};
use serde_json::Value;

use super::{
    Span,
    attempt::{Attempt, Fate, told},
    bars::Mark,
    scale::Scale,
};
use crate::{
    pages::{
        language::tell,
        moment::{Moment, between},
    },
    t,
};

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
    /// The number of the last event that says something of it.
    pub(crate) seq: i64,
    /// The run that it started or waited for.
    pub(crate) run: Option<String>,
    /// Whether the run would have been faster, had this step been.
    pub(crate) critical: bool,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepState {
    Going,
    Waiting,
    Done,
    TimedOut,
    Skipped,
    GivenUp,
}

impl StepState {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Going => t("at work"),
            Self::Waiting => t("waits"),
            Self::Done => t("done"),
            Self::TimedOut => t("time was up"),
            Self::Skipped => t("skipped"),
            Self::GivenUp => t("given up"),
        }
    }

    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Going => "open",
            Self::Waiting => "waits",
            Self::Done => "ok",
            Self::TimedOut | Self::Skipped => "unknown",
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
            seq: 0,
            run: None,
            critical: false,
        }
    }

    /// From when to when it was under way or waited; what goes on does so until `end`.
    pub(super) fn stretch(&self, end: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let waits = self.waits.iter().map(|(from, to)| (*from, to.unwrap_or(end)));
        let stretches = || self.busy(end).chain(waits.clone());
        let from = stretches().map(|(from, _)| from).min()?;
        Some((from, stretches().map(|(_, to)| to).max()?))
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
        self.seq = event.seq;
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
            EventKind::Skipped => {
                self.output.clone_from(&event.data);
                self.state = StepState::Skipped;
            }
            EventKind::TimerSet | EventKind::SignalAwaited => self.wait(event.at),
            EventKind::TimerFired | EventKind::SignalReceived | EventKind::SignalTimedOut => self.wake(event),
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
            Some(last) if last.fate == Fate::Unknown => last.blame(event.data.as_ref()),
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
                    last.told = Some(fell_silent());
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
                last.told = Some(fell_silent());
                last.ended = event.started_at;
            }
            last.fate = Fate::Unknown;
            last.found = Some((event.at, what));
        }
    }

    fn wait(&mut self, from: DateTime<Utc>) {
        self.waits.push((from, None));
        self.state = StepState::Waiting;
    }

    /// What it waited for has come, or the time was up.
    fn wake(&mut self, event: &Event) {
        match self.waits.last_mut() {
            Some((_, to @ None)) => *to = Some(event.at),
            _ => self.waits.push((event.at, Some(event.at))),
        }
        if event.kind == EventKind::SignalReceived {
            self.output.clone_from(&event.data);
        }
        self.state = match event.kind {
            EventKind::SignalTimedOut => StepState::TimedOut,
            _ => StepState::Done,
        };
    }

    fn is_asleep(&self) -> bool {
        self.state == StepState::Waiting && self.waits.last().is_some_and(|(_, to)| to.is_none())
    }

    /// Between two attempts it waits.
    fn wait_between_attempts(&mut self) {
        let pairs = self.attempts.iter().zip(self.attempts.iter().skip(1));
        let between = pairs.filter_map(|(one, next)| Some((one.ended?, Some(next.started))));
        self.waits.extend(between);
    }
}

fn fell_silent() -> String {
    t("whoever made this attempt fell silent before it wrote down the answer").to_owned()
}

/// Reads the journal of `run`, and what its present state adds to it.
pub(super) fn read(run: &Run, events: &[Event], span: Span) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut last_at = match events.first() {
        Some(first) if !span.begins => first.at,
        _ => run.created_at,
    };
    for (index, event) in events.iter().enumerate() {
        match (event.kind, event.op) {
            (EventKind::LaneEntered, op) => items.push(lane(op, last_at, event)),
            (EventKind::ChildStarted | EventKind::ChildFinished, _) => items.push(child(last_at, event)),
            (EventKind::TakenOver, _) => items.push(taken_over(run, event, &events[index + 1..])),
            (EventKind::Retried | EventKind::Skipped, op) => {
                apply(&mut items, op, event);
                items.extend(befallen(event));
            }
            (EventKind::TimerSet | EventKind::TimerFired, op) => apply(&mut items, op, event),
            (EventKind::SignalAwaited | EventKind::SignalReceived | EventKind::SignalTimedOut, op) => {
                apply(&mut items, op, event);
            }
            (EventKind::ActivityDecided, _) => items.extend(befallen(event)),
            (kind, op) if kind.as_str().starts_with("activity_") => apply(&mut items, op, event),
            _ => items.extend(befallen(event)),
        }
        last_at = event.at;
    }
    if span.ends {
        present(run, &mut items);
    }
    for item in &mut items {
        if let Item::Step(step) = item {
            step.wait_between_attempts();
        }
    }
    items
}

/// What befell the run with this event, if it is worth a line.
fn befallen(event: &Event) -> Option<Item> {
    let name = || event.name.as_deref().unwrap_or_default().to_owned();
    let (class, sentence) = match event.kind {
        EventKind::Parked => ("bad", parked(event)),
        EventKind::Retried => (
            "plain",
            t("a person asked for another try; what had been done is not done again").to_owned(),
        ),
        EventKind::Skipped => (
            "plain",
            tell(
                "a person gave {name} its result instead of another try",
                &[("name", name())],
            ),
        ),
        EventKind::Gathered => ("plain", gathered(event)),
        EventKind::Merged => ("plain", merged(event)),
        EventKind::Superseded => {
            let sentence = "another run of the lane was ready, so {name} is asked again with what it brings";
            ("plain", tell(sentence, &[("name", name())]))
        }
        EventKind::ActivityDecided => ("warn", decided(event)),
        EventKind::Cancelled => ("warn", t("it took notice that it is to stop").to_owned()),
        EventKind::Paused => ("warn", t("a person paused it").to_owned()),
        EventKind::Resumed => ("plain", t("a person let it go on").to_owned()),
        EventKind::Forked => (
            "plain",
            t("up to here its events are those of the run that it was forked from").to_owned(),
        ),
        EventKind::RaceWon => ("plain", won(event)),
        EventKind::ContinuedAsNew => (
            "plain",
            t("it went on as a new run with an empty journal").to_owned(),
        ),
        EventKind::Terminated => ("bad", t("it was ended by force").to_owned()),
        _ => return None,
    };
    Some(note(event, class, sentence))
}

fn apply(items: &mut Vec<Item>, op: Option<i64>, event: &Event) {
    if let Some(step) = items.iter_mut().rev().find_map(|item| match item {
        Item::Step(step) if step.op == op => Some(step),
        _ => None,
    }) {
        return step.apply(event);
    }
    let name = event.name.as_deref().unwrap_or("step");
    let mut step = match event.kind {
        EventKind::SignalAwaited | EventKind::SignalReceived | EventKind::SignalTimedOut => {
            Step::new(op, &format!("signal {name}"))
        }
        _ => Step::new(op, name),
    };
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
        1 => t("it answers for the run behind it in its lane too").to_owned(),
        n => tell(
            "it answers for {n} runs behind it in its lane too",
            &[("n", n.to_string())],
        ),
    }
}

fn merged(event: &Event) -> String {
    let into = event.data.as_ref().and_then(|data| data.get("into")?.as_str());
    tell(
        "{run} answers for it",
        &[("run", into.unwrap_or_default().to_owned())],
    )
}

fn won(event: &Event) -> String {
    let winner = event.data.as_ref().and_then(|data| data.get("winner")?.as_u64());
    let branch = winner.unwrap_or_default() + 1;
    tell(
        "of the things that raced, number {n} came first",
        &[("n", branch.to_string())],
    )
}

/// By whom and for what; not what it returned.
fn decided(event: &Event) -> String {
    let word = event.data.as_ref().and_then(|data| {
        let decision = data.get("decision").unwrap_or(data);
        let first = || decision.as_object()?.keys().next().map(String::as_str);
        decision.as_str().or_else(first)
    });
    t(match word {
        Some("resend") => "of what nobody could tell, it was decided to do it again",
        Some("give_up") => "of what nobody could tell, it was decided to give it up",
        _ => "of what nobody could tell, it was said that it had happened",
    })
    .to_owned()
}

fn parked(event: &Event) -> String {
    let why = event.data.as_ref().and_then(told).unwrap_or_default();
    tell(
        "parked, because it cannot go on without a person: {why}",
        &[("why", why)],
    )
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
        .unwrap_or_else(|| t("another worker").to_owned());
    let dead = from(event).unwrap_or_else(|| t("its worker").to_owned());
    let given = [("dead", dead), ("heir", heir)];
    note(
        event,
        "warn",
        tell("{dead} fell silent; {heir} took over", &given),
    )
}

fn lane(op: Option<i64>, before: DateTime<Utc>, event: &Event) -> Item {
    let mut step = Step::new(op, "enter lane");
    step.seq = event.seq;
    step.waits.push((before, Some(event.at)));
    step.state = StepState::Done;
    Item::Step(Box::new(step))
}

/// A run that was started is not waited for; for one that has ended it was waited since the event before.
fn child(before: DateTime<Utc>, event: &Event) -> Item {
    let name = event.name.as_deref().unwrap_or_default();
    let (what, from) = match event.kind {
        EventKind::ChildStarted => ("start", event.at),
        _ => ("result of", before),
    };
    let mut step = Step::new(event.op, &format!("{what} {name}"));
    step.seq = event.seq;
    step.run = event
        .data
        .as_ref()
        .and_then(|data| Some(data.get("run")?.as_str()?.to_owned()));
    step.output.clone_from(&event.data);
    step.waits.push((from, Some(event.at)));
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
    let asleep = items.iter().filter_map(Item::step).any(Step::is_asleep);
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
        _ if asleep => {}
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
