//! What was spent is written down by the process that spent it, a few seconds after.
use std::time::Duration;

use chrono::{DurationRound, TimeDelta, Utc};
use recado_activities::Spending;
use recado_store::minutes::{self, Count};
use tokio_util::sync::CancellationToken;

use super::{COST, TOKENS};
use crate::app::App;

/// How often.
const EVERY: Duration = Duration::from_secs(5);

/// Writes down what was spent until `stop`; what the last runs spend is for [`write_down`].
pub(crate) async fn write_down_until(app: &App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => write_down(app).await,
        }
    }
}

/// Writes down what was spent, as of now; what the database does not take is tried again with what comes after it.
pub(crate) async fn write_down(app: &App) {
    let spent = app.environment.spent.take();
    let Ok(at) = Utc::now().duration_trunc(TimeDelta::minutes(1)) else {
        return;
    };
    if spent.is_empty() {
        return;
    }
    let mut counts = super::Counts::default();
    for ((owner, spending), n) in &spent {
        let (measure, label) = named(*spending);
        counts.add(owner.as_str(), measure, label.to_owned(), *n);
    }
    let counts: Vec<Count> = counts.rows(at);
    let written = app.engine.storage().transaction(move |tx| {
        Box::pin(async move { Ok::<_, anyhow::Error>(minutes::add(tx, &counts).await?) })
    });
    if let Err(error) = written.await {
        tracing::warn!(%error, "what was spent waits for the database");
        for ((owner, spending), n) in spent {
            app.environment.spent.add(&owner, spending, n);
        }
    }
}

fn named(spending: Spending) -> (&'static str, &'static str) {
    match spending {
        Spending::Prompt => (TOKENS, "prompt"),
        Spending::Completion => (TOKENS, "completion"),
        Spending::Sms => (COST, "sms"),
        Spending::Whatsapp => (COST, "whatsapp"),
    }
}
