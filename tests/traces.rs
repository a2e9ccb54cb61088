//! Traces and the log: one trace a run, whoever worked on it, and no person in either.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Any,
};
use poem::{EndpointExt, Route, Server, handler, http::StatusCode, listener::TcpAcceptor, post, web::Data};
use prost::Message;
use recado_simulator::CreateFault;
use recado_testkit::{Backend, eventually, free_port};
use world::{PATIENCE, World, completions, contact, echo};

/// A span as the collector got it.
#[derive(Clone, Debug)]
struct Span {
    process: String,
    trace: String,
    id: String,
    parent: String,
    name: String,
    failed: bool,
    links: Vec<String>,
    attributes: Vec<(String, String)>,
}

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[handler]
fn take(Data(collector): Data<&Collector>, body: Vec<u8>) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body.as_slice()) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut spans = collector.0.lock().unwrap();
    for resource in request.resource_spans {
        let process = attributes(&resource.resource.unwrap().attributes);
        let process = process
            .into_iter()
            .find(|(name, _)| name == "process.pid")
            .unwrap()
            .1;
        let told = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(told.map(|span| Span {
            process: process.clone(),
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: span.name,
            failed: span.status.is_some_and(|status| status.code == 2),
            links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
            attributes: attributes(&span.attributes),
        }));
    }
    StatusCode::OK
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(all: &[opentelemetry_proto::tonic::common::v1::KeyValue]) -> Vec<(String, String)> {
    let text = |value: &Any| match value {
        Any::StringValue(text) => text.clone(),
        other => format!("{other:?}"),
    };
    let told = all.iter().map(|one| {
        let value = one.value.as_ref().and_then(|value| value.value.as_ref());
        (one.key.clone(), value.map(text).unwrap_or_default())
    });
    told.collect()
}

impl Collector {
    async fn start(&self) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Route::new().at("/v1/traces", post(take)).data(self.clone());
        let acceptor = TcpAcceptor::from_std(listener).unwrap();
        drop(tokio::spawn(Server::new_with_acceptor(acceptor).run(routes)));
        url
    }

    /// The spans of a trace, once `enough` of them are there.
    async fn trace(&self, trace: &str, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let found = tokio::time::timeout(
            PATIENCE,
            eventually(std::time::Duration::MAX, async || {
                let mut spans = self.0.lock().unwrap().clone();
                spans.retain(|span| span.trace == trace);
                enough(&spans).then_some(spans)
            }),
        );
        match found.await {
            Ok(spans) => spans,
            Err(_) => panic!("not enough of {trace}: {:#?}", self.0.lock().unwrap()),
        }
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// The names of the spans around `span`, innermost first.
fn around(spans: &[Span], span: &Span) -> Vec<String> {
    let mut names = Vec::new();
    let mut parent = &span.parent;
    while let Some(found) = spans.iter().find(|other| other.id == *parent) {
        names.push(found.name.clone());
        parent = &found.parent;
    }
    names
}

/// The id of a run's trace: its own 128 bits.
fn trace_of(run: &serde_json::Value) -> String {
    let id = ulid::Ulid::from_string(run["id"].as_str().unwrap()).unwrap();
    format!("{:032x}", u128::from(id))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_one_trace_from_the_webhook_to_twilio_across_the_death_of_its_worker() {
    let collector = Collector::default();
    let world = World::new(Backend::Postgres).await;
    let world = world
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.start().await)
        .set("TRACE_URL", "http://localhost:9411/zipkin/traces/{trace}")
        .set("LOG", "info,recado=debug");
    world.misbehave(|faults| {
        faults.model.slow_ms = 60_000;
        faults.model.slow_times = Some(1);
        faults.twilio.create = CreateFault::Refuse(20429);
        faults.twilio.times = Some(1);
    });
    let front = world.serve().await;
    let mut first = world.worker().await;
    let (from, body) = (contact(7), "my secret question is 4111111111111111");
    let sid = world.say(&from, body).await;
    world.seen(|book| completions(book) == 1).await;
    let run = world.runs().await.remove(0);
    let trace = trace_of(&run);
    collector
        .trace(&trace, |spans| !named(spans, "persist").is_empty())
        .await;
    first.process.kill9();
    let second = world.worker().await;
    assert_eq!(world.answers(&from, 1).await, [echo(body)]);
    world.until(&sid, "completed").await;

    let done =
        |spans: &[Span]| named(spans, "inbound_message").len() == 1 && !named(spans, "work").is_empty();
    let spans = collector.trace(&trace, done).await;
    let root = named(&spans, "inbound_message")[0];
    assert_eq!((root.parent.as_str(), &root.id[..]), ("", &trace[16..]));
    let processes: BTreeSet<_> = spans.iter().map(|span| span.process.as_str()).collect();
    let expected = [front.id(), first.process.id(), second.process.id()].map(|id| format!("IntValue({id})"));
    assert_eq!(processes, expected.iter().map(String::as_str).collect());
    for (name, above) in [
        ("webhook inbound", "inbound_message"),
        ("claim", "inbound_message"),
        ("work", "inbound_message"),
        ("route_agent", "work"),
        ("intent reply", "work"),
        ("reply", "work"),
        ("twilio POST", "reply"),
    ] {
        let found = named(&spans, name);
        let second = format!("IntValue({})", second.process.id());
        let told = found
            .iter()
            .filter(|span| span.process == second || name == "webhook inbound");
        let above: Vec<_> = told
            .filter(|span| around(&spans, span).first().map(String::as_str) == Some(above))
            .collect();
        assert!(!above.is_empty(), "{name}: {found:#?} of {spans:#?}");
    }
    // What the dead worker was in the middle of is not told; all else stands below the run.
    let dead = format!("IntValue({})", first.process.id());
    for span in spans
        .iter()
        .filter(|span| span.process != dead && span.id != root.id)
    {
        assert_eq!(
            around(&spans, span).last().map(String::as_str),
            Some("inbound_message"),
            "{span:?}"
        );
    }
    let attempts = named(&spans, "reply");
    assert_eq!(
        attempts.iter().filter(|span| span.failed).count(),
        1,
        "{attempts:#?}"
    );
    assert!(
        spans
            .iter()
            .any(|span| span.name.starts_with("model ") && around(&spans, span).len() > 2)
    );
    assert!(!named(&spans, "commit").is_empty());
    assert!(
        root.attributes
            .contains(&("outcome".to_owned(), "answered".to_owned()))
    );

    // Neither trace nor log tells of people.
    let told = format!("{:#?}", collector.0.lock().unwrap());
    let logs = [front.output(), first.process.output(), second.process.output()].concat();
    for (what, told) in [("traces", &told), ("logs", &logs)] {
        for secret in [
            "551198765",
            "14155238886",
            "secret question",
            "4111111111111111",
            "you said",
        ] {
            assert!(!told.contains(secret), "{secret} is in the {what}:\n{told}");
        }
    }
    // Each line of the run has its id and its trace's, the failed attempt's for one.
    let line = logs
        .lines()
        .find(|line| line.contains("reply failed"))
        .expect(&logs);
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["spans"][0]["run.id"], run["id"]);
    assert_eq!(line["spans"][0]["trace_id"], trace.as_str());
    let page = world
        .client
        .get(format!("{}/runs/{}", world.url, run["id"].as_str().unwrap()));
    let page = page
        .bearer_auth(world::ADMIN)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        page.contains(&format!("href=\"http://localhost:9411/zipkin/traces/{trace}\"")),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_traceparent_is_linked_and_not_joined() {
    let collector = Collector::default();
    let world = World::without_model(Backend::Sqlite).await;
    let world = world.set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.start().await);
    let _process = world.serve_and_work().await;
    let other = "4bf92f3577b34da6a3ce929d0e0e4736";
    let webhook = world::webhook::Webhook::new(&world, 1, "hello");
    let sent = webhook
        .request(&world)
        .header("traceparent", format!("00-{other}-00f067aa0ba902b7-01"));
    assert_eq!(sent.send().await.unwrap().status(), 200);
    let run = eventually(PATIENCE, async || world.runs().await.pop()).await;
    let spans = collector
        .trace(&trace_of(&run), |spans| {
            !named(spans, "webhook inbound").is_empty()
        })
        .await;
    assert_eq!(named(&spans, "webhook inbound")[0].links, [other]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_collector_holds_nobody_up_and_is_counted() {
    let world = World::without_model(Backend::Sqlite).await;
    let world = world.set(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        &format!("http://127.0.0.1:{}", free_port()),
    );
    let process = world.serve_and_work().await;
    world.say(&contact(1), "hello").await;
    world.answers(&contact(1), 1).await;
    eventually(PATIENCE, async || {
        let metrics = world
            .client
            .get(format!("{}/metrics", world.url))
            .bearer_auth(world::ADMIN);
        let metrics = metrics.send().await.ok()?.text().await.ok()?;
        let failed = metrics
            .lines()
            .find(|line| line.contains("recado_spans_total{result=\"failed\"}"))?;
        (!failed.ends_with(" 0")).then_some(())
    })
    .await;
    drop(process);
}
