//! Which runs somebody asks for, in one line: `state:parked error:"twilio_63016:" since:2h some text`.
//!
//! Pages and API read it here and nowhere else. Invariant: every word means something; one that does not is an error
//! and never passed over.
#[cfg(test)]
mod tests;
mod values;

use std::fmt;

use chrono::{DateTime, Utc};
use recado_engine::{Cause, Filter, Kind};

pub(crate) use self::values::addresses;
use self::values::{attempts, contact, order, run, span, state, tag, time, words};

/// How many runs are looked through at once where no index leads to those that are asked for.
const DEPTH: u64 = 50_000;
/// The same where a text is looked for in each of them, which takes several times as long.
const DEPTH_OF_TEXT: u64 = 15_000;

/// What may stand before a colon, and what it means.
pub(crate) const NAMES: [(&str, &str); 16] = [
    (
        "state",
        "queued, running, waiting, parked, completed, failed, cancelled, terminated; open for the first four",
    ),
    ("workflow", "the durable name of the workflow"),
    ("outcome", "how it ended, in the workflow's words"),
    ("owner", "whose run it is"),
    (
        "contact",
        "who wrote, or is written to or called: +5511987654321, in any spelling and on any channel",
    ),
    ("parent", "the id of the run that started it as its child"),
    ("tag", "name=value"),
    ("error", "what its error begins with, e.g. a class"),
    (
        "waits",
        "what it waits for begins with: worker, lane, signal:, retry:, reconcile:, child:, resume",
    ),
    ("step", "the step at which it was parked; - for none"),
    ("worker", "the worker that has it in hand"),
    ("for", "has stood as it stands for so long: 10m, 2h"),
    ("attempts", "is at this attempt or a later one"),
    (
        "since",
        "started so long ago at most, or at this time or later: 30m, 2h, 7d, 2026-01-31",
    ),
    ("before", "started longer ago, or before this time"),
    ("sort", "newest or oldest first"),
];

/// The name of what stands without one.
pub(crate) const TEXT: &str = "text";

/// The words of a line, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line(Vec<(&'static str, String)>);

impl Line {
    /// Finds the runs of a cause, of `owner` or of everybody.
    pub(crate) fn of_cause(cause: &Cause, owner: Option<&str>) -> Self {
        let waits = cause.waiting_for.as_deref().unwrap_or_default();
        let line = Self::default()
            .with(
                "state",
                if cause.kind == Kind::Parked {
                    "parked"
                } else {
                    "open"
                },
            )
            .with("workflow", &cause.workflow)
            .with("waits", waits)
            .with("owner", owner.unwrap_or_default());
        let line = match cause.class.as_str() {
            "" => line,
            class => line.with("error", &format!("{class}:")),
        };
        match cause.kind {
            Kind::Parked => line.with("step", cause.step.as_deref().unwrap_or("-")),
            Kind::Failing => line.with("attempts", "3"),
            Kind::Slow if matches!(waits, "lane" | "resume") => line.with("for", "10m"),
            Kind::Slow => line.with("for", "1m"),
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// A sentence that says which word cannot be read, and what could stand there.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        if line.contains('\0') {
            return Err("There is a character in it that no text has (U+0000). Type it anew.".to_owned());
        }
        let mut read = Self::default();
        for (name, value) in words(line)? {
            match name {
                None if value.trim().is_empty() => {
                    return Err(
                        "Nothing stands between the quotes. Write text there, or take them away.".to_owned(),
                    );
                }
                None => read.say(value),
                Some(name) => read.name(&name, value)?,
            }
        }
        Ok(read)
    }

    /// More text to be found.
    fn say(&mut self, word: String) {
        match self.0.iter_mut().find(|(name, _)| *name == TEXT) {
            Some((_, text)) => {
                text.push(' ');
                text.push_str(&word);
            }
            None => self.0.push((TEXT, word)),
        }
    }

    fn name(&mut self, given: &str, value: String) -> Result<(), String> {
        let Some((name, _)) = NAMES.iter().find(|(name, _)| *name == given) else {
            let known: Vec<_> = NAMES.iter().map(|(name, _)| format!("{name}:")).collect();
            return Err(format!(
                "There is no “{given}:”. There are {}. To find text with a colon in it, put it between quotes.",
                known.join(" ")
            ));
        };
        if value.is_empty() {
            return Err(format!(
                "Nothing stands behind “{name}:”. Give it a value, or take it away."
            ));
        }
        if !self.get(name).is_empty() {
            return Err(format!(
                "“{name}:” stands there twice; a run has one. Take one away."
            ));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// What stands behind `name:`; nothing, if it does not stand there.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The same with `value` behind `name:`; without it, if `value` is empty.
    pub(crate) fn with(&self, name: &'static str, value: &str) -> Self {
        let mut changed = self.clone();
        let value = value.trim();
        match changed.0.iter().position(|(known, _)| *known == name) {
            Some(at) if value.is_empty() => drop(changed.0.remove(at)),
            Some(at) => changed.0[at].1 = value.to_owned(),
            None if value.is_empty() => {}
            None => changed.0.push((name, value.to_owned())),
        }
        changed
    }

    /// Whether it leaves no run out.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|(name, _)| *name == "sort")
    }

    /// The same for the database, as of now.
    ///
    /// # Errors
    /// A sentence that names the word whose value cannot be taken, and what could stand there.
    pub(crate) fn filter(&self) -> Result<Filter, String> {
        self.filter_at(Utc::now())
    }

    fn filter_at(&self, now: DateTime<Utc>) -> Result<Filter, String> {
        let mut filter = Filter {
            depth: Some(DEPTH),
            ..Filter::default()
        };
        for (name, value) in &self.0 {
            let text = Some(value.clone());
            match *name {
                "state" if value == "open" => filter.unfinished = true,
                "state" => filter.state = Some(state(value)?),
                "workflow" => filter.workflow = text,
                "outcome" => filter.outcome = text,
                "owner" => filter.owner = text,
                "contact" => filter.lane_ends = contact(value)?,
                "parent" => filter.parent = Some(run("parent", value)?),
                "tag" => filter.tag = Some(tag(value)?),
                "error" => filter.error = text,
                "waits" => filter.waiting_for = text,
                "step" => filter.step = text.map(|step| if step == "-" { String::new() } else { step }),
                "worker" => filter.worker = text,
                "for" => filter.still_since = Some(now - span("for", value)?),
                "attempts" => filter.attempt_from = Some(attempts(value)?),
                "since" => filter.created_from = Some(time("since", value, now)?),
                "before" => filter.created_before = Some(time("before", value, now)?),
                "sort" => filter.order = order(value)?,
                _ => {
                    filter.text = text;
                    filter.depth = Some(DEPTH_OF_TEXT);
                }
            }
        }
        Ok(filter)
    }
}

/// As [`Line::parse`] reads it.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, value)) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            let is_text = *name == TEXT;
            if !is_text {
                write!(f, "{name}:")?;
            }
            let looks_named = is_text && value.contains(':');
            let odd = value.contains(|c: char| c.is_whitespace() || c == '"') || looks_named;
            if odd {
                write!(f, "\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            } else {
                f.write_str(value)?;
            }
        }
        Ok(())
    }
}
