//! The log, on the standard error: for people or as JSON, with the run on each line of a run.
use std::io::{self, Write};

use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::{redact::redact, traces};
use crate::config::LogFormat;

const LEVELS: &str = "info,sqlx=warn,sea_orm=warn,apalis=warn";

/// Sends the log to the standard error, and spans to where `OTEL_EXPORTER_OTLP_ENDPOINT` says. `LOG` sets the level,
/// `LOG_FORMAT` the form; without it, it is for people on a terminal and JSON elsewhere.
pub(crate) fn log() {
    tracing_subscriber::registry().with(layers()).init();
}

/// Each with a filter of its own, and no other: one without makes everybody's spans and events at every level, if only
/// to throw them away.
fn layers() -> Vec<Box<dyn Layer<Registry> + Send + Sync>> {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    let filter = EnvFilter::new(set("LOG").unwrap_or_else(|| LEVELS.to_owned()));
    let spans_of_traces = filter_fn(|metadata| !(metadata.is_span() && metadata.target() == traces::TARGET));
    let format = set("LOG_FORMAT").and_then(|text| text.trim().parse().ok());
    // A child of `recado dev` has its parent's, and so both tell in one form.
    let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
    let format = format.unwrap_or(match is_terminal {
        true => LogFormat::Text,
        false => LogFormat::Json,
    });
    let lines = fmt::layer::<Registry>().with_writer(|| Redacted(io::stderr()));
    let lines = match format {
        LogFormat::Text => lines.with_ansi(is_terminal).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .boxed(),
    };
    let lines = lines.with_filter(filter.and(spans_of_traces)).boxed();
    let traces = traces::layer().map(|layer| layer.boxed());
    [lines].into_iter().chain(traces).collect()
}

/// Writes lines without addresses and numbers of people. The subscriber hands it whole lines.
struct Redacted<W>(W);

impl<W: Write> Write for Redacted<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0
            .write_all(redact(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn what_nobody_asked_to_hear_is_not_even_made() {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layers()), || {
            assert!(tracing::enabled!(Level::INFO));
            assert!(!tracing::enabled!(Level::TRACE));
            assert!(!tracing::enabled!(target: "recado_engine::protocol", Level::TRACE));
            assert!(tracing::debug_span!("of a library").is_disabled());
        });
    }
}
