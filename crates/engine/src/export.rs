//! A run and its journal as one document, which a replay test takes.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{Event, EventKind, RunId, RunState, Storage, StorageError};

/// The format that this build writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// What a run was and did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Export {
    /// The version of this format: 1.
    pub format: u32,
    /// The run's id.
    pub run: RunId,
    /// The durable name of its workflow.
    pub workflow: String,
    /// The workflow's input.
    pub input: Value,
    /// The build that started it.
    pub build: String,
    /// The lane that it was started in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Where it stood when it was written out. Early documents do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// How it ended, in the workflow's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The workflow's result.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub output: Option<Value>,
    /// Why it was parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its journal, in order.
    pub events: Vec<ExportedEvent>,
    /// What it was told, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<ExportedSignal>,
}

/// An [`Event`] in a document; what it has not is left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportedEvent {
    /// [`Event::seq`].
    pub seq: i64,
    /// [`Event::op`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<i64>,
    /// [`Event::kind`].
    pub kind: EventKind,
    /// [`Event::name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// [`Event::hash`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// [`Event::attempt`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// [`Event::started_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// [`Event::at`].
    pub at: DateTime<Utc>,
    /// [`Event::input`].
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub input: Option<Value>,
    /// [`Event::data`].
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub data: Option<Value>,
}

/// Something that the run was told, in a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportedSignal {
    /// Its number in the run, from 1.
    pub n: i64,
    /// `signal`, `cancel`, `pause` and so on.
    pub kind: String,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it says.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub data: Option<Value>,
    /// When it came.
    pub at: DateTime<Utc>,
}

/// What is there and null is not the same as what is not there: an activity may return nothing.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

impl From<Event> for ExportedEvent {
    fn from(event: Event) -> Self {
        Self {
            seq: event.seq,
            op: event.op,
            kind: event.kind,
            name: event.name,
            hash: event.hash,
            attempt: event.attempt,
            started_at: event.started_at,
            at: event.at,
            input: event.input,
            data: event.data,
        }
    }
}

impl From<ExportedEvent> for Event {
    fn from(event: ExportedEvent) -> Self {
        Self {
            seq: event.seq,
            op: event.op,
            kind: event.kind,
            name: event.name,
            hash: event.hash,
            attempt: event.attempt,
            started_at: event.started_at,
            at: event.at,
            input: event.input,
            data: event.data,
        }
    }
}

impl Storage {
    /// A run with its journal and its signals, as a document; `None` where there is no such run.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn export(&self, id: &RunId) -> Result<Option<Export>, StorageError> {
        let Some(run) = self.run(id).await? else {
            return Ok(None);
        };
        let events = self.journal(id).await?;
        let signals = self.signals_after(id, 0).await?.into_iter();
        Ok(Some(Export {
            format: FORMAT,
            run: run.id,
            workflow: run.workflow,
            input: run.input,
            build: run.build,
            lane: run.lane,
            state: Some(run.state),
            outcome: run.outcome,
            output: run.output,
            error: run.error,
            events: events.into_iter().map(ExportedEvent::from).collect(),
            signals: signals
                .map(|signal| ExportedSignal {
                    n: signal.n,
                    kind: signal.kind,
                    name: signal.name,
                    data: signal.data,
                    at: signal.at,
                })
                .collect(),
        }))
    }
}
