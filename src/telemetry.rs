//! Logs, metrics and traces.
mod families;
mod logs;
mod redact;
mod resources;
mod traces;

use std::{sync::OnceLock, time::Duration};

use metrics::{Label, Level, Metadata};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use recado_domain::MessageStatus;
use recado_engine::RunId;

use self::families::{CODES, FAMILIES, Family, Kind, Owner, Values};
pub(crate) use self::{logs::log, traces::flush};
use crate::{app::App, http::rejected::Reason};

/// Where traces are shown.
static TRACE_URL: OnceLock<String> = OnceLock::new();
static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Seconds, from a millisecond to a minute.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Seconds that a run may take, which may wait for hours.
pub(crate) const RUN_SECONDS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0,
];
/// How often what was measured is put into its buckets; until then each measurement takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// What a process does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// It takes webhooks, and serves pages and API.
    Serve,
    /// It works on runs.
    Worker,
    /// It does both.
    Both,
}

impl Process {
    fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Worker => "worker",
            Self::Both => "both",
        }
    }

    fn owns(self, family: &Family) -> bool {
        match family.owner {
            Owner::Every => true,
            Owner::Front => self != Self::Worker,
            Owner::Worker => self != Self::Serve,
        }
    }
}

/// Collects metrics from here on.
///
/// # Errors
/// When something collects them already.
pub(crate) fn measure() -> anyhow::Result<()> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Full("recado_run_seconds".to_owned()), RUN_SECONDS)?
        .install_recorder()?;
    let handle = HANDLE.get_or_init(|| recorder);
    drop(tokio::spawn(async {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            handle.run_upkeep();
        }
    }));
    Ok(())
}

/// Where the trace of `run` is shown, if `TRACE_URL` says.
pub(crate) fn trace_url(run: &RunId) -> Option<String> {
    let template = TRACE_URL.get()?;
    Some(template.replace("{trace}", &run.trace_id()))
}

/// Describes all families, and puts those of this process there, at zero.
pub(crate) fn begin(app: &App, process: Process) {
    if let Some(template) = &app.config.trace_url {
        let _ = TRACE_URL.set(template.clone());
    }
    for family in FAMILIES {
        describe(family);
        if process.owns(family) {
            for labels in first_series(family, app, process) {
                register(family, labels);
            }
        }
    }
    metrics::gauge!("recado_up", "build" => env!("CARGO_PKG_VERSION"), "process" => process.as_str())
        .set(1.0);
    metrics::gauge!("process_start_time_seconds").set(chrono::Utc::now().timestamp_millis() as f64 / 1e3);
}

fn describe(family: &Family) {
    let Family { name, meaning, .. } = *family;
    let told = match family.unit {
        "" => meaning.to_owned(),
        unit => format!("{meaning} ({unit})"),
    };
    match family.kind {
        Kind::Counter => metrics::describe_counter!(name, told),
        Kind::Gauge => metrics::describe_gauge!(name, told),
        Kind::Histogram => metrics::describe_histogram!(name, told),
    }
}

fn register(family: &Family, labels: Vec<Label>) {
    let key = metrics::Key::from_parts(family.name, labels);
    let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
    metrics::with_recorder(|recorder| match family.kind {
        Kind::Counter => drop(recorder.register_counter(&key, &metadata)),
        Kind::Gauge => drop(recorder.register_gauge(&key, &metadata)),
        Kind::Histogram => drop(recorder.register_histogram(&key, &metadata)),
    });
}

/// The series of a family that are there before anything has happened: each value of one label with each of the others.
fn first_series(family: &Family, app: &App, process: Process) -> Vec<Vec<Label>> {
    family
        .labels
        .iter()
        .fold(vec![Vec::new()], |series, (name, values)| {
            let values = first_values(*values, app, process);
            let longer = series.iter().flat_map(|labels| {
                values.iter().map(|value| {
                    let mut labels = labels.clone();
                    labels.push(Label::new(*name, value.clone()));
                    labels
                })
            });
            longer.collect()
        })
}

fn first_values(values: Values, app: &App, process: Process) -> Vec<String> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match values {
        Values::Words(words) | Values::Classes(words) => owned(words),
        Values::Activities => owned(&app.engine.activities()),
        Values::Workflows => owned(&app.engine.workflows()),
        Values::Build => owned(&[env!("CARGO_PKG_VERSION")]),
        Values::Process => owned(&[process.as_str()]),
        Values::Codes => owned(CODES),
        Values::Reasons => owned(&Reason::ALL.map(Reason::as_str)),
        Values::Statuses => owned(&MessageStatus::ALL.map(MessageStatus::as_str)),
        Values::Providers if app.environment.models.is_empty() => owned(&["none"]),
        Values::Providers => app.environment.models.names().map(str::to_owned).collect(),
    }
}

/// Reads the numbers that live in the database, and those of this process's memory. What cannot be read keeps what was
/// last known.
pub(crate) async fn observe(app: &App) {
    resources::observe();
    if let Some((runs, places)) = app.engine.load() {
        metrics::gauge!("recado_worker_runs").set(runs as f64);
        metrics::gauge!("recado_worker_places").set(places as f64);
    }
    let storage = app.engine.storage();
    let Ok(open) = storage.open_runs().await else {
        return;
    };
    for state in ["queued", "running", "waiting", "parked"] {
        let count = open
            .iter()
            .find(|(found, _)| found.as_str() == state)
            .map_or(0, |(_, count)| *count);
        metrics::gauge!("recado_runs_open", "state" => state).set(count as f64);
    }
    if let Ok(oldest) = storage.oldest_queued().await {
        metrics::gauge!("recado_runs_oldest_queued_seconds").set(waited(oldest));
    }
    if let Ok((waiting, oldest)) = storage.waiting_in_lanes().await {
        metrics::gauge!("recado_lanes_backlog").set(waiting as f64);
        metrics::gauge!("recado_lanes_oldest_seconds").set(waited(oldest));
    }
    if let Ok(alive) = app.engine.workers_alive().await {
        metrics::gauge!("recado_workers_alive").set(alive as f64);
    }
}

/// The seconds since then; 0 for nobody.
fn waited(since: Option<chrono::DateTime<chrono::Utc>>) -> f64 {
    since.map_or(0.0, |since| {
        (chrono::Utc::now() - since).as_seconds_f64().max(0.0)
    })
}

/// All metrics in Prometheus's text format.
pub(crate) fn render() -> String {
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}
