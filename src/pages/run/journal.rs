//! The journal as lines of a table.
use askama::{Template, filters::HtmlSafe};
use chrono::SecondsFormat;
use recado_engine::{Event, Run};
use serde_json::json;

use super::{
    asked::{Asked, View},
    window::Window,
};
use crate::pages::{moment::between, sight::Sight, text::pretty};

/// What one line shows.
pub(super) struct Entry {
    pub(super) seq: i64,
    pub(super) op: Option<i64>,
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) attempt: Option<i64>,
    /// Since the start of the run.
    pub(super) after: String,
    /// Input and result, each under its name; the whole event, where that is asked for.
    pub(super) documents: Vec<(&'static str, String)>,
}

/// Some lines, and where those behind them are.
#[derive(Template)]
#[template(path = "events.html")]
pub(super) struct Events<'a> {
    run: &'a str,
    entries: Vec<Entry>,
    asked: &'a Asked,
    /// The page that begins with what comes behind these, and its lines alone.
    later: Option<(String, String)>,
}

impl HtmlSafe for Events<'_> {}

impl<'a> Events<'a> {
    pub(super) fn of(run: &'a Run, window: &Window, asked: &'a Asked, sight: &Sight) -> Self {
        let entry = |event| Entry::of(run, event, asked.view, sight);
        Self {
            run: run.id.as_str(),
            entries: window.events.iter().map(entry).collect(),
            asked,
            later: window.later().map(|later| {
                let query = asked.at(later).query();
                let run = &run.id;
                (
                    format!("/runs/{run}{query}#journal"),
                    format!("/runs/{run}/events{query}"),
                )
            }),
        }
    }

    fn is_json(&self) -> bool {
        self.asked.view == View::Json
    }
}

impl Entry {
    fn of(run: &Run, event: &Event, view: View, sight: &Sight) -> Self {
        let documents = match view {
            View::Compact => Vec::new(),
            View::Full => [("input", &event.input), ("data", &event.data)]
                .into_iter()
                .filter_map(|(name, value)| Some((name, sight.document(value.as_ref()?))))
                .collect(),
            View::Json => vec![("event", whole(event, sight))],
        };
        Self {
            seq: event.seq,
            op: event.op,
            kind: event.kind.as_str(),
            name: event.name.clone().unwrap_or_default(),
            attempt: event.attempt,
            after: between(run.created_at, event.at),
            documents,
        }
    }
}

/// An event as the API tells it.
fn whole(event: &Event, sight: &Sight) -> String {
    let time = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    pretty(&json!({
        "seq": event.seq,
        "op": event.op,
        "kind": event.kind,
        "name": event.name,
        "hash": event.hash,
        "attempt": event.attempt,
        "started_at": event.started_at.map(time),
        "at": time(event.at),
        "input": event.input.as_ref().map(|input| sight.value(input)),
        "data": event.data.as_ref().map(|data| sight.value(data)),
    }))
}
