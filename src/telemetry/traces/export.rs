//! Spans on their way to the collector: a queue of bounded length, and a task that empties it.
//!
//! Invariant: nobody waits for the collector. What the queue has no room for, and what the collector does not take, is
//! gone, and counted.
use std::{sync::OnceLock, time::Duration};

use opentelemetry::{KeyValue, TraceId};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

/// Spans that may wait for the collector, some 500 bytes each.
const ROOM: usize = 8192;
/// The most spans of one request.
const BATCH: usize = 512;
/// How long a request waits for company.
const LINGER: Duration = Duration::from_millis(500);
/// How long the collector may take for a request.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a process that goes home waits for its last spans.
const FAREWELL: Duration = Duration::from_secs(2);

static QUEUE: OnceLock<Queue> = OnceLock::new();

enum Message {
    Span(Box<SpanData>),
    Flush(oneshot::Sender<()>),
}

/// Where spans go that have ended.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Message>,
    /// Of 2^56 runs, how many are traced.
    share: u64,
}

impl Queue {
    /// Whether the trace is one of those that are exported. Every process gives the same answer.
    pub(super) fn wants(&self, trace: TraceId) -> bool {
        let bits = u128::from_be_bytes(trace.to_bytes()) & ((1 << 56) - 1);
        u64::try_from(bits).is_ok_and(|bits| bits < self.share)
    }

    pub(super) fn push(&self, span: SpanData) {
        if self.sender.try_send(Message::Span(Box::new(span))).is_err() {
            count("dropped", 1);
        }
    }
}

/// Begins to export, if the environment says where to. A malformed setting is told by whoever reads the others.
pub(super) fn begin() -> Option<Queue> {
    let config = crate::config::TracesConfig::from_env()?;
    let http = recado_clients::http(PATIENCE).ok()?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(http)
        .with_endpoint(format!("{}/v1/traces", config.endpoint.trim_end_matches('/')))
        .with_timeout(PATIENCE)
        .build()
        .ok()?;
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", "recado"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", ulid::Ulid::generate().to_string()),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ]);
    exporter.set_resource(&resource.build());
    let (sender, spans) = mpsc::channel(ROOM);
    drop(tokio::spawn(export(exporter, spans)));
    let queue = Queue {
        sender,
        share: (config.share * (1_u64 << 56) as f64) as u64,
    };
    Some(QUEUE.get_or_init(|| queue).clone())
}

/// Lets the last spans go, for a process that is about to end. Without traces it does nothing.
pub(crate) async fn flush() {
    let Some(queue) = QUEUE.get() else {
        return;
    };
    let (done, heard) = oneshot::channel();
    let farewell = async {
        if queue.sender.send(Message::Flush(done)).await.is_ok() {
            let _ = heard.await;
        }
    };
    let _ = time::timeout(FAREWELL, farewell).await;
}

async fn export(exporter: SpanExporter, mut spans: mpsc::Receiver<Message>) {
    let mut messages = Vec::with_capacity(BATCH);
    while spans.recv_many(&mut messages, BATCH).await > 0 {
        if messages.len() < BATCH
            && !messages
                .iter()
                .any(|message| matches!(message, Message::Flush(_)))
        {
            let more = async {
                while messages.len() < BATCH {
                    match spans.recv().await {
                        Some(message @ Message::Flush(_)) => return messages.push(message),
                        Some(message) => messages.push(message),
                        None => return,
                    }
                }
            };
            let _ = time::timeout(LINGER, more).await;
        }
        let (mut batch, mut flushed) = (Vec::with_capacity(messages.len()), Vec::new());
        for message in messages.drain(..) {
            match message {
                Message::Span(span) => batch.push(*span),
                Message::Flush(done) => flushed.push(done),
            }
        }
        let size = batch.len();
        if size > 0 {
            let sent = time::timeout(PATIENCE, exporter.export(batch)).await;
            match sent {
                Ok(Ok(())) => count("exported", size),
                Ok(Err(_)) | Err(_) => count("failed", size),
            }
        }
        for done in flushed {
            let _ = done.send(());
        }
    }
}

fn count(result: &'static str, spans: usize) {
    metrics::counter!("recado_spans_total", "result" => result).increment(spans as u64);
}
