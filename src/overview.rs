//! What the overview shows: counts by the minute, each taken once when its minute is over.
//!
//! The looks of any number of readers then cost rows of minutes and no runs. The counts are those of Prometheus's
//! families, read from the database instead of from each process's memory (docs/METRICS.md), and so outlive restarts.
pub(crate) mod histogram;
pub(crate) mod spent;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use recado_engine::Workflow;
use recado_store::minutes::{self, ALL, Count};
use recado_workflows::InboundMessage;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// What is counted: runs that were started, by workflow.
pub(crate) const STARTED: &str = "started";
/// Runs that ended, by workflow and outcome: `inbound_message/answered`.
pub(crate) const ENDED: &str = "ended";
/// How long contacts waited for their answer, by the number of the bucket.
pub(crate) const WAITED: &str = "waited";
/// Status reports of messages, by status.
pub(crate) const REPORTED: &str = "reported";
/// Those with an error code, by code.
pub(crate) const REFUSED: &str = "refused";
/// What messages cost, roughly, in millionths of a dollar, by channel; and tokens of models, by kind. Both are written down
/// as they are spent, by whoever spends.
pub(crate) const COST: &str = "cost";
/// Tokens of models: `prompt` for those they read, `completion` for those they wrote.
pub(crate) const TOKENS: &str = "tokens";
/// The outcome of a message that was answered.
pub(crate) const ANSWERED: &str = "answered";

/// How long minutes are kept.
pub(crate) const KEPT: TimeDelta = TimeDelta::hours(49);
/// How far back a first look goes.
const FIRST: TimeDelta = TimeDelta::hours(1);
/// How long after its end a minute is counted: what ended in it is on the disk then, unless the database was away.
const SETTLED: TimeDelta = TimeDelta::seconds(5);
/// How often it is looked for a minute that is over.
const LOOK: Duration = Duration::from_secs(2);
/// The most minutes that are caught up on at a time.
const CATCH_UP: usize = 60;

/// Counts each minute once it is over, whichever process does it first.
pub(crate) async fn count_until(app: &App, stop: CancellationToken) {
    let mut counted = 0_u64;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        match count(app, Utc::now()).await {
            Ok(minutes) => counted += minutes,
            Err(error) => tracing::warn!(%error, "the overview waits for the database"),
        }
        if counted >= CATCH_UP as u64 {
            counted = 0;
            if let Err(error) = forget(app).await {
                tracing::warn!(%error, "old minutes wait for the database");
            }
        }
    }
}

async fn forget(app: &App) -> anyhow::Result<()> {
    let until = Utc::now() - KEPT;
    let gone = app.engine.storage().transaction(move |tx| {
        Box::pin(async move { Ok::<_, anyhow::Error>(minutes::forget(tx, until).await?) })
    });
    gone.await.map(drop)
}

/// Counts the minutes that are over and not counted. Returns how many they were.
async fn count(app: &App, now: DateTime<Utc>) -> anyhow::Result<u64> {
    let minute = TimeDelta::minutes(1);
    let storage = app.engine.storage();
    let last = minutes::last(storage.reader()).await?;
    let earliest = (now - KEPT).duration_trunc(minute)?;
    let mut at = match last {
        Some(last) => (last + minute).max(earliest),
        None => (now - FIRST).duration_trunc(minute)?,
    };
    let mut counted = 0;
    while at + minute + SETTLED <= now && counted < CATCH_UP as u64 {
        let counts = counts(app, at, at + minute).await?;
        let closed = storage.transaction(move |tx| {
            Box::pin(async move { Ok::<_, anyhow::Error>(minutes::close(tx, at, &counts).await?) })
        });
        closed.await?;
        at += minute;
        counted += 1;
    }
    Ok(counted)
}

async fn counts(app: &App, from: DateTime<Utc>, to: DateTime<Utc>) -> anyhow::Result<Vec<Count>> {
    let storage = app.engine.storage();
    let mut counts = Counts::default();
    for began in storage.began(from, to).await? {
        counts.add(&began.owner, STARTED, began.workflow, began.runs);
    }
    for ended in storage
        .finished(from, to, (InboundMessage::NAME, ANSWERED))
        .await?
    {
        if let Some(seconds) = ended.seconds {
            let bucket = histogram::bucket(seconds);
            counts.add(&ended.owner, WAITED, format!("{bucket:02}"), ended.runs);
        }
        counts.add(
            &ended.owner,
            ENDED,
            format!("{}/{}", ended.workflow, ended.how),
            ended.runs,
        );
    }
    for reports in minutes::reports(storage.reader(), from, to).await? {
        if reports.code != 0 {
            counts.add(&reports.owner, REFUSED, reports.code.to_string(), reports.n);
        }
        counts.add(&reports.owner, REPORTED, reports.status, reports.n);
    }
    Ok(counts.rows(from))
}

/// Counts by owner, measure and label.
#[derive(Default)]
struct Counts(BTreeMap<(String, &'static str, String), i64>);

impl Counts {
    /// Adds to what the owner has, and to what all have.
    fn add(&mut self, owner: &str, measure: &'static str, label: String, n: i64) {
        for owner in [owner, ALL] {
            *self
                .0
                .entry((owner.to_owned(), measure, label.clone()))
                .or_default() += n;
        }
    }

    fn rows(self, at: DateTime<Utc>) -> Vec<Count> {
        let rows = self.0.into_iter().map(|((owner, measure, label), n)| Count {
            owner,
            at,
            measure: measure.to_owned(),
            label,
            n,
        });
        rows.collect()
    }
}
