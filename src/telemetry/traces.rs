//! Traces: the spans that engine and clients tell, as OpenTelemetry's, one trace per run.
//!
//! The id of a run's trace is the run's id, and that of its topmost span the id's last half, so that every process that
//! has to do with a run knows them without asking anybody. A span belongs to the run that it names in `run.id`, or to
//! that of the span around it; one of no run is not exported.
mod export;

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanLinks};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use self::export::Queue;
pub(crate) use self::export::flush;

/// The target of the spans that exist for traces alone; the engine and the clients name it.
pub(crate) const TARGET: &str = "recado::trace";
/// The span around all that a worker does for a run, which is there for the log too.
const RUN: &str = "recado::run";

/// Exports spans where `OTEL_EXPORTER_OTLP_ENDPOINT` is set; nothing, and at no cost, where it is not.
pub(super) fn layer<S>() -> Option<impl Layer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let queue = export::begin()?;
    let ours = filter_fn(|metadata| metadata.is_span() && matches!(metadata.target(), TARGET | RUN));
    Some(Traces { queue }.with_filter(ours))
}

struct Traces {
    queue: Queue,
}

/// A span that has not ended.
struct Open {
    trace: TraceId,
    id: SpanId,
    parent: SpanId,
    began: SystemTime,
    told: Told,
}

/// What the fields of a span say.
#[derive(Default)]
struct Told {
    run: Option<TraceId>,
    name: Option<String>,
    kind: Option<SpanKind>,
    root: bool,
    failed: bool,
    began: Option<SystemTime>,
    link: Option<SpanContext>,
    attributes: Vec<KeyValue>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else {
            return;
        };
        let mut told = Told::default();
        attributes.record(&mut told);
        let around = span.parent().and_then(|parent| above(&parent));
        let (trace, parent) = match (told.run, around) {
            (Some(run), Some((trace, parent))) if run == trace => (trace, parent),
            (Some(run), _) if told.root => (run, SpanId::INVALID),
            (Some(run), _) => (run, root(run)),
            (None, Some(around)) => around,
            (None, None) => return,
        };
        if !self.queue.wants(trace) {
            return;
        }
        let id = if told.root { root(trace) } else { fresh() };
        let began = match told.root {
            true => born(trace),
            false => told.began.unwrap_or_else(SystemTime::now),
        };
        span.extensions_mut().insert(Open {
            trace,
            id,
            parent,
            began,
            told,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.told);
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else {
            return;
        };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(open) = open {
            self.queue.push(open.end(span.name()));
        }
    }
}

/// The trace of the innermost span that is exported, and its id.
fn above<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<(TraceId, SpanId)> {
    span.scope()
        .find_map(|span| span.extensions().get::<Open>().map(|open| (open.trace, open.id)))
}

impl Open {
    fn end(self, name: &'static str) -> SpanData {
        let told = self.told;
        let mut links = SpanLinks::default();
        links
            .links
            .extend(told.link.map(|other| Link::new(other, Vec::new(), 0)));
        SpanData {
            span_context: context(self.trace, self.id),
            parent_span_id: self.parent,
            parent_span_is_remote: false,
            span_kind: told.kind.unwrap_or(SpanKind::Internal),
            name: told.name.map_or(Cow::Borrowed(name), Cow::Owned),
            start_time: self.began,
            end_time: SystemTime::now().max(self.began),
            attributes: told.attributes,
            dropped_attributes_count: 0,
            events: opentelemetry_sdk::trace::SpanEvents::default(),
            links,
            status: match told.failed {
                true => Status::error(""),
                false => Status::Unset,
            },
            instrumentation_scope: InstrumentationScope::builder("recado").build(),
        }
    }
}

impl Told {
    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "run.id" => {
                self.run = ulid::Ulid::from_string(text)
                    .ok()
                    .map(|id| TraceId::from(u128::from(id)));
                self.attribute(field, text.to_owned());
            }
            "trace_id" => {}
            "otel.name" => self.name = Some(text.to_owned()),
            "otel.kind" => {
                self.kind = match text {
                    "server" => Some(SpanKind::Server),
                    "client" => Some(SpanKind::Client),
                    "consumer" => Some(SpanKind::Consumer),
                    _ => None,
                }
            }
            "link" => self.link = traceparent(text),
            _ => self.attribute(field, text.to_owned()),
        }
    }

    fn attribute(&mut self, field: &Field, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, text: &str) {
        self.text(field, text);
    }

    fn record_i64(&mut self, field: &Field, number: i64) {
        match field.name() {
            "begun" => {
                let since = Duration::from_micros(u64::try_from(number).unwrap_or_default());
                self.began = SystemTime::UNIX_EPOCH.checked_add(since);
            }
            _ => self.attribute(field, number),
        }
    }

    fn record_u64(&mut self, field: &Field, number: u64) {
        self.attribute(field, i64::try_from(number).unwrap_or(i64::MAX));
    }

    fn record_bool(&mut self, field: &Field, yes: bool) {
        match field.name() {
            "root" => self.root = yes,
            "error" => self.failed = yes,
            _ => self.attribute(field, yes),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

/// The id of the topmost span of a run's trace.
fn root(trace: TraceId) -> SpanId {
    let bits = u128::from_be_bytes(trace.to_bytes());
    SpanId::from(u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(1))
}

/// When the run of a trace was started: its id begins with the time, in milliseconds.
fn born(trace: TraceId) -> SystemTime {
    let millis = u128::from_be_bytes(trace.to_bytes()) >> 80;
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// An id for a span, never the invalid one.
fn fresh() -> SpanId {
    let bits = u128::from(ulid::Ulid::generate());
    SpanId::from(
        u64::try_from(bits & u128::from(u64::MAX))
            .unwrap_or_default()
            .max(1),
    )
}

fn context(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

/// What the caller of a webhook says of its own trace (<https://www.w3.org/TR/trace-context/>). It is linked and never
/// followed: whoever calls does not choose the trace of a run.
fn traceparent(text: &str) -> Option<SpanContext> {
    let mut parts = text.trim().splitn(4, '-');
    let (_, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    if trace.len() != 32 || span.len() != 16 {
        return None;
    }
    let other = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::default(),
        true,
        TraceState::NONE,
    );
    other.is_valid().then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_knows_its_trace_by_its_id() {
        let id = ulid::Ulid::from_string("01KAH2T7ZC8M5T9G4W6J3Y1Q0R").expect("a ULID");
        let trace = TraceId::from(u128::from(id));
        let run = recado_engine::RunId::from("01KAH2T7ZC8M5T9G4W6J3Y1Q0R");
        assert_eq!(trace.to_string(), run.trace_id());
        assert!(trace.to_string().ends_with(&root(trace).to_string()));
        let since = born(trace)
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970");
        assert_eq!(since.as_millis(), u128::from(id.timestamp_ms()));
    }

    #[test]
    fn a_hostile_traceparent_is_no_link() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(traceparent(good).is_some());
        for bad in [
            "",
            "00",
            "00-x-y-z",
            "00-00000000000000000000000000000000-0000000000000000-01",
            "00-4bf9-00f0-01",
        ] {
            assert!(traceparent(bad).is_none(), "{bad}");
        }
    }
}
