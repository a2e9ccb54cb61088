//! What people send from pages: the same as by the API, and waited for a little.
use std::time::Duration;

use chrono::{DateTime, Utc};
use poem_openapi::types::ParseFromJSON;
use recado_domain::{Channel, OwnerId};
use recado_workflows::{BatchRow, RowError};
use serde_json::Value;

use super::{
    Means, NewMessage, Request, SendAnswer,
    batch::{self, BatchAnswer},
    lists, send,
};
use crate::{app::App, http::Problem};

/// How long a page waits for Twilio's answer to what a person sends.
const PATIENCE: Duration = Duration::from_secs(5);

/// A batch that was looked at before it goes.
pub(crate) struct Checked {
    /// Of each row what is wrong with it, in order.
    pub(crate) rows: Vec<Option<RowError>>,
    /// When the owner's quiet hours end, in which nothing goes.
    pub(crate) quiet_until: Option<DateTime<Utc>>,
}

impl Request {
    /// What a person asks for on a page, by the key of its form.
    pub(in crate::http::api) fn of_page(owner: &OwnerId, key: &str) -> Self {
        Self {
            key: Some(lists::key(owner, key)),
            owner: owner.clone(),
            patience: PATIENCE,
        }
    }
}

impl SendAnswer {
    /// The run that sends it.
    pub(in crate::http::api) fn into_run(self) -> String {
        match self {
            Self::Sent(sent) => sent.0.run,
            Self::Started(run) => run.0.id().to_owned(),
        }
    }
}

/// Sends what a page asks for, given as the body of `/messages/sms`, and waits a little for Twilio's answer. Returns the
/// run.
///
/// # Errors
/// As of the API.
pub(crate) async fn send_from_page(
    app: &App,
    owner: &OwnerId,
    key: &str,
    channel: Channel,
    body: Value,
) -> Result<String, Problem> {
    let read = NewMessage::parse_from_json(Some(body));
    let message = read.map_err(|error| Problem::bad_request(error.into_message()))?;
    let sent = send(app, Request::of_page(owner, key), channel, message).await?;
    Ok(sent.into_run())
}

/// Looks at the rows of a batch, given as those of `/messages/batch`; nothing goes.
///
/// # Errors
/// As of the API where none of them could go.
pub(crate) async fn check_batch(app: &App, owner: &OwnerId, rows: Vec<Value>) -> Result<Checked, Problem> {
    batch::check_length(&rows)?;
    let means = Means::of(app, owner).await?;
    let wrong = |row| match batch::row(row, owner, &means) {
        BatchRow::Good(_) => None,
        BatchRow::Bad { error, .. } => Some(error),
    };
    Ok(Checked {
        rows: rows.into_iter().map(wrong).collect(),
        quiet_until: means.quiet_until(None)?,
    })
}

/// Sends a batch, and waits a little for its end. Returns the run.
///
/// # Errors
/// As of the API.
pub(crate) async fn send_batch_from_page(
    app: &App,
    owner: &OwnerId,
    key: &str,
    rows: Vec<Value>,
) -> Result<String, Problem> {
    Ok(
        match batch::send_batch(app, Request::of_page(owner, key), rows).await? {
            BatchAnswer::Ended(batch) => batch.0.run,
            BatchAnswer::Started(run) => run.0.id().to_owned(),
        },
    )
}
