//! An event of the journal as a line of a table.
use recado_engine::{Event, Run};

use crate::pages::{moment::between, text::pretty};

/// What one line shows.
pub(super) struct Entry {
    pub(super) seq: i64,
    pub(super) op: Option<i64>,
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) attempt: Option<i64>,
    /// Since the start of the run.
    pub(super) after: String,
    /// Input and result, each under its name.
    pub(super) documents: Vec<(&'static str, String)>,
}

impl Entry {
    pub(super) fn of(run: &Run, event: &Event) -> Self {
        let documents = [("input", &event.input), ("data", &event.data)];
        Self {
            seq: event.seq,
            op: event.op,
            kind: event.kind.as_str(),
            name: event.name.clone().unwrap_or_default(),
            attempt: event.attempt,
            after: between(run.created_at, event.at),
            documents: documents
                .into_iter()
                .filter_map(|(name, value)| Some((name, pretty(value.as_ref()?))))
                .collect(),
        }
    }
}
