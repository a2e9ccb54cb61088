//! One attempt at a step.
use chrono::{DateTime, Utc};
use recado_engine::Event;
use serde_json::Value;

use super::advice;
use crate::{
    pages::{
        moment::{Moment, between},
        text::masked,
    },
    t,
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
            Self::Open => t("at work"),
            Self::Succeeded => t("done"),
            Self::Failed => t("failed"),
            Self::Unknown => t("fate unknown"),
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
    /// What that means, and what helps.
    pub(crate) advice: Option<String>,
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
            advice: None,
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
        self.blame(event.data.as_ref().filter(|_| fate != Fate::Succeeded));
    }

    /// Takes over what a recorded fault says.
    pub(super) fn blame(&mut self, fault: Option<&Value>) {
        self.told = fault.and_then(told);
        self.advice = fault.and_then(class).and_then(advice::of);
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
        self.found.map(|(_, what)| t(what))
    }
}

/// What a recorded fault or failure says.
pub(super) fn told(data: &Value) -> Option<String> {
    let message = failure(data).get("message")?.as_str()?;
    Some(masked(&format!("{}: {message}", class(data)?)))
}

fn class(data: &Value) -> Option<&str> {
    failure(data).get("class")?.as_str()
}

fn failure(data: &Value) -> &Value {
    data.get("failure").unwrap_or(data)
}
