//! Which runs somebody asks for, in one line: `state:parked error:"twilio_63016:" since:2h some text`.
//!
//! Pages and API read it here and nowhere else. Invariant: every word means something; one that does not is an error
//! and never passed over.
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use recado_engine::{Cause, Filter, Kind, Order, RunState};

/// How many runs are looked through at once where no index leads to those that are asked for.
const DEPTH: u64 = 100_000;

/// What may stand before a colon, and what it means.
pub(crate) const NAMES: [(&str, &str); 14] = [
    (
        "state",
        "queued, running, waiting, parked, completed, failed, cancelled, terminated; open for the first four",
    ),
    ("workflow", "the durable name of the workflow"),
    ("outcome", "how it ended, in the workflow's words"),
    ("owner", "whose run it is"),
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
        let mut read = Self::default();
        for (name, value) in words(line)? {
            match name {
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
                _ => filter.text = text,
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
            let plain =
                !value.contains(|c: char| c.is_whitespace() || c == '"') && !(is_text && value.contains(':'));
            if plain {
                f.write_str(value)?;
            } else {
                write!(f, "\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}

/// The words of a line: what stands before the colon, if there is one, and what stands behind it. Between quotes a
/// space and a colon are like other characters.
fn words(line: &str) -> Result<Vec<(Option<String>, String)>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(words);
        }
        let (mut name, mut value) = (None, String::new());
        let (mut inside, mut quoted) = (false, false);
        while let Some(c) = chars.next_if(|c| inside || !c.is_whitespace()) {
            match c {
                '"' => (inside, quoted) = (!inside, true),
                '\\' if inside => value.extend(chars.next()),
                ':' if !quoted && name.is_none() => name = Some(std::mem::take(&mut value)),
                c => value.push(c),
            }
        }
        if inside {
            return Err("A quote is opened and not closed. Put a second \" behind the text.".to_owned());
        }
        words.push((name, value));
    }
}

fn state(word: &str) -> Result<RunState, String> {
    RunState::parse(word).ok_or_else(|| {
        let known: Vec<_> = RunState::ALL.iter().map(|state| state.as_str()).collect();
        format!(
            "“{word}” is no state; it must be one of {}, or open.",
            known.join(", ")
        )
    })
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("“tag:{text}” must be a name and a value: tag:name=value."))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn attempts(text: &str) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("“attempts:{text}” must be a number from 1 on."))
}

fn order(word: &str) -> Result<Order, String> {
    match word {
        "newest" => Ok(Order::Newest),
        "oldest" => Ok(Order::Oldest),
        _ => Err(format!("“sort:{word}” must be sort:newest or sort:oldest.")),
    }
}

/// `90s`, `30m`, `2h`, `7d`, `2w`.
fn span(name: &str, text: &str) -> Result<TimeDelta, String> {
    let unit = text.char_indices().next_back();
    let parsed = unit.and_then(|(at, unit)| {
        let number = text[..at].parse::<u32>().ok()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return None,
        };
        // No further back than a calendar reaches.
        TimeDelta::try_seconds(i64::from(number) * seconds).filter(|span| *span <= TimeDelta::days(100 * 365))
    });
    parsed.ok_or_else(|| format!("“{name}:{text}” must be a number and s, m, h, d or w, like {name}:2h."))
}

fn time(name: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let told = |_| {
        format!("“{name}:{text}” must be like {name}:2h, {name}:2026-01-31 or {name}:2026-01-31T10:00:00Z.")
    };
    Ok(now - span(name, text).map_err(told)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-02-01T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn a_line_becomes_a_filter() {
        let line = "state:parked workflow:inbound_message owner:x tag:colour=red error:\"twilio 1:\" waits:lane \
            since:2h before:2026-01-31 step:- for:90s attempts:3 sort:oldest \"a:b\" c";
        let filter = Line::parse(line)
            .and_then(|line| line.filter_at(now()))
            .expect("a filter");
        let text = |text: &str| Some(text.to_owned());
        let expected = Filter {
            workflow: text("inbound_message"),
            state: Some(RunState::Parked),
            owner: text("x"),
            created_from: Some(now() - TimeDelta::hours(2)),
            created_before: "2026-01-31T00:00:00Z".parse().ok(),
            error: text("twilio 1:"),
            waiting_for: text("lane"),
            tag: Some(("colour".to_owned(), "red".to_owned())),
            still_since: Some(now() - TimeDelta::seconds(90)),
            attempt_from: Some(3),
            step: text(""),
            text: text("a:b c"),
            order: Order::Oldest,
            depth: Some(DEPTH),
            ..Filter::default()
        };
        assert_eq!(filter, expected);
        assert!(
            Line::parse("state:open")
                .and_then(|line| line.filter())
                .expect("a filter")
                .unfinished
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for line in [
            "",
            "state:parked a b",
            "error:\"a b\" \"x:y\"",
            "owner:\"q\\\"\\\\ z\"",
            "since:2026-01-31T10:00:00Z",
        ] {
            let read = Line::parse(line).expect(line);
            assert_eq!(Line::parse(&read.to_string()), Ok(read), "{line}");
        }
        let line = Line::parse("state:parked x")
            .expect("a line")
            .with("state", "")
            .with("owner", "a b");
        assert_eq!(line.to_string(), "x owner:\"a b\"");
    }

    #[test]
    fn nothing_is_passed_over_in_silence() {
        for (line, told) in [
            ("foo:bar", "There is no “foo:”"),
            ("State:parked", "There is no “State:”"),
            ("state:", "Nothing stands behind"),
            ("state:parked state:failed", "twice"),
            (
                "state:lost",
                "“lost” is no state; it must be one of queued, running",
            ),
            ("tag:colour", "tag:name=value"),
            ("since:yesterday", "since:2h"),
            ("since:2fortnights", "since:2h"),
            ("since:4294967295w", "since:2h"),
            ("since:é", "since:2h"),
            ("for:2026-01-31", "for:2h"),
            ("attempts:0", "from 1 on"),
            ("sort:owner", "sort:oldest"),
            ("error:\"open", "not closed"),
        ] {
            let refused = Line::parse(line)
                .and_then(|line| line.filter_at(now()))
                .expect_err(line);
            assert!(refused.contains(told), "{line}: {refused}");
        }
    }
}
