//! One attempt at a step.
use chrono::{DateTime, Utc};
use recado_engine::Event;
use serde_json::Value;

use crate::pages::{
    moment::{Moment, between},
    text::masked,
};

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on, or nobody has written down how it ended.
    Open,
    Succeeded,
    Failed,
    /// It may have happened.
    Unknown,
}

impl Fate {
    /// The class of its bar, and of its word.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Succeeded => "ok",
            Self::Failed => "bad",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open => "at work",
            Self::Succeeded => "done",
            Self::Failed => "failed",
            Self::Unknown => "fate unknown",
        }
    }
}

/// An attempt.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) number: i64,
    pub(super) started: DateTime<Utc>,
    pub(super) ended: Option<DateTime<Utc>>,
    pub(crate) fate: Fate,
    /// Why it failed, or why its fate is unknown.
    pub(crate) told: Option<String>,
    /// What was found out later about an unknown fate, and when.
    pub(super) found: Option<(DateTime<Utc>, &'static str)>,
    /// When the next one began, or is due.
    pub(super) next: Option<DateTime<Utc>>,
}

impl Attempt {
    pub(super) fn begun(number: i64, started: DateTime<Utc>) -> Self {
        Self {
            number,
            started,
            ended: None,
            fate: Fate::Open,
            told: None,
            found: None,
            next: None,
        }
    }

    pub(super) fn of(event: &Event) -> Self {
        Self::begun(event.attempt.unwrap_or(1), event.started_at.unwrap_or(event.at))
    }

    pub(super) fn end(&mut self, fate: Fate, event: &Event) {
        self.fate = fate;
        self.ended = Some(event.at);
        self.told = event
            .data
            .as_ref()
            .filter(|_| fate != Fate::Succeeded)
            .and_then(told);
    }

    pub(crate) fn took(&self) -> Option<String> {
        self.ended.map(|ended| between(self.started, ended))
    }

    pub(crate) fn began(&self) -> Moment {
        Moment::relative(self.started)
    }

    pub(crate) fn next(&self) -> Option<Moment> {
        self.next
            .filter(|_| self.fate != Fate::Succeeded)
            .map(Moment::relative)
    }

    pub(crate) fn found(&self) -> Option<&'static str> {
        self.found.map(|(_, what)| what)
    }
}

/// What a recorded fault or failure says.
pub(super) fn told(data: &Value) -> Option<String> {
    let failure = data.get("failure").unwrap_or(data);
    let text = |name: &str| failure.get(name).and_then(Value::as_str);
    Some(masked(&format!("{}: {}", text("class")?, text("message")?)))
}
