//! Logs and metrics.
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::app::App;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Seconds, from a millisecond to a minute.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Every family: its kind, name and meaning.
const COUNTERS: &[(&str, &str)] = &[
    ("recado_webhooks_accepted_total", "Webhooks taken, by webhook"),
    (
        "recado_webhooks_rejected_total",
        "Webhooks turned away, by reason",
    ),
    ("recado_runs_started_total", "Runs started, by workflow"),
    (
        "recado_runs_finished_total",
        "Runs ended, by workflow and outcome",
    ),
    (
        "recado_runs_parked_total",
        "Runs that cannot go on without a person, by workflow and class of error",
    ),
    (
        "recado_runs_taken_over_total",
        "Runs taken over from workers that fell silent",
    ),
    (
        "recado_activity_attempts_total",
        "Attempts, by activity and result",
    ),
    (
        "recado_runs_purged_total",
        "Finished runs deleted because they are no longer kept",
    ),
    (
        "recado_schedule_ticks_passed_total",
        "Ticks of schedules that started nothing, by why",
    ),
    ("recado_journal_commits_total", "Commits of the journal writer"),
    ("recado_journal_rows_total", "Rows written by the journal writer"),
    (
        "recado_journal_errors_total",
        "Commits that had to be repeated because the database was away",
    ),
    (
        "recado_leases_lost_total",
        "Writes refused because the run had changed hands",
    ),
    (
        "recado_reconciles_total",
        "Sends of unknown fate that were looked for, by outcome",
    ),
    (
        "recado_sends_total",
        "Requests to Twilio to send a message, by outcome and error code",
    ),
    ("recado_model_tokens_total", "Tokens, by provider and kind"),
    (
        "recado_model_fallbacks_total",
        "Times the offline agent stood in for a model, by step",
    ),
    ("recado_bells_rung_total", "Bells rung"),
    ("recado_bells_heard_total", "Bells heard"),
];

/// Sends the log to the standard error: for people on a terminal, as JSON elsewhere. `LOG` sets the level.
pub(crate) fn log() {
    let filter = std::env::var("LOG").ok().filter(|text| !text.is_empty());
    let filter =
        EnvFilter::new(filter.unwrap_or_else(|| "info,sqlx=warn,sea_orm=warn,apalis=warn".to_owned()));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) || std::env::var_os("RECADO_DEV").is_some() {
        subscriber.init();
    } else {
        subscriber.json().flatten_event(true).init();
    }
}

/// Collects metrics from here on.
///
/// # Errors
/// When something collects them already.
pub(crate) fn measure() -> anyhow::Result<()> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .install_recorder()?;
    for (name, meaning) in COUNTERS {
        metrics::describe_counter!(*name, *meaning);
    }
    metrics::describe_gauge!("recado_runs_open", "Unfinished runs, by state");
    metrics::describe_gauge!(
        "recado_runs_oldest_queued_seconds",
        "How long the oldest queued run has waited for a worker, 0 without one"
    );
    metrics::describe_gauge!("recado_up", "1 while the process lives, by build");
    metrics::describe_histogram!(
        "recado_webhook_ack_seconds",
        "Time until a webhook was acknowledged"
    );
    metrics::describe_histogram!(
        "recado_journal_commit_seconds",
        "Time of a commit of the journal writer"
    );
    metrics::gauge!("recado_up", "build" => env!("CARGO_PKG_VERSION")).set(1.0);
    let _ = HANDLE.set(recorder);
    Ok(())
}

/// Reads the numbers that live in the database.
pub(crate) async fn observe(app: &App) {
    let Ok(open) = app.engine.storage().open_runs().await else {
        return;
    };
    for state in ["queued", "running", "waiting", "parked"] {
        let count = open
            .iter()
            .find(|(found, _)| found.as_str() == state)
            .map_or(0, |(_, count)| *count);
        metrics::gauge!("recado_runs_open", "state" => state).set(count as f64);
    }
    if let Ok(oldest) = app.engine.storage().oldest_queued().await {
        let waited = oldest.map_or(chrono::TimeDelta::zero(), |since| chrono::Utc::now() - since);
        metrics::gauge!("recado_runs_oldest_queued_seconds").set(waited.as_seconds_f64().max(0.0));
    }
}

/// All metrics in Prometheus's text format.
pub(crate) fn render() -> String {
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}
