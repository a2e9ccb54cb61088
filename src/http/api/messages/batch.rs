//! Up to a hundred messages at once, as JSON.
use std::collections::BTreeMap;

use poem_openapi::{ApiResponse, Object, payload::Json, types::ParseFromJSON};
use recado_domain::OwnerId;
use recado_engine::Workflow;
use recado_store::accounts;
use recado_workflows::{BatchReport, BatchRow, Limited, RowError, RowReport, SendBatch};
use serde_json::Value;

use super::{
    super::{runs::RunItem, send_error::SendErrorItem, starts::begin},
    Means, Request, admit, json, limited,
    new_message::{NewMessage, Times},
    output, seconds, times,
};
use crate::{app::App, http::Problem};

/// The most rows of a batch.
const MOST_ROWS: usize = 100;

/// Messages to be sent.
#[derive(Object)]
pub(in crate::http::api) struct NewMessages {
    /// From 1 to 100, each as the body of `/messages/sms`, and with `channel` for whatsapp.
    pub(super) messages: Vec<Value>,
}

/// What became of a row of a batch.
#[derive(Object)]
pub(in crate::http::api) struct SentRow {
    /// The how-manieth row, from 0.
    index: u32,
    /// To whom.
    to: String,
    /// Twilio's word on it, such as `queued`; `failed` if it was not sent, `unknown` where nobody can tell.
    status: String,
    /// The run that sent it.
    run: Option<String>,
    /// Twilio's id of it.
    sid: Option<String>,
    /// Why it was not sent.
    error: Option<SendErrorItem>,
}

/// What became of a batch.
#[derive(Object)]
pub(in crate::http::api) struct SentBatch {
    /// The run of the batch.
    run: String,
    /// How many rows there are.
    total: u32,
    /// How many of them Twilio took.
    success: u32,
    /// How many it did not.
    failed: u32,
    /// One for each row, in the order of the request.
    details: Vec<SentRow>,
}

/// A batch that was asked for.
#[derive(ApiResponse)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of it, and it is about to be written out"
)]
pub(in crate::http::api) enum BatchAnswer {
    /// Each row was sent, or failed, in the time that the caller would wait.
    #[oai(status = 200)]
    Ended(Json<SentBatch>),
    /// Its run is on the disk, and sends it; its result has the same form.
    #[oai(status = 202)]
    Started(Json<RunItem>),
}

/// Sends a batch, or finds the one that its key has sent.
///
/// # Errors
/// A problem that says what is wrong with the batch; what is wrong with a row is in its report.
pub(super) async fn send_batch(
    app: &App,
    request: Request,
    messages: Vec<Value>,
) -> Result<BatchAnswer, Problem> {
    if !(1..=MOST_ROWS).contains(&messages.len()) {
        let told = format!(
            "messages has {} rows, from 1 to {MOST_ROWS} are allowed",
            messages.len()
        );
        return Err(Problem::unprocessable("messages", told));
    }
    let Means { senders, per_minute } = request.means(app).await?;
    let is_repeated = request.is_repeated(app, SendBatch::NAME).await?;
    let rows = messages
        .into_iter()
        .map(|message| row(message, &request.owner, &senders, times(is_repeated)))
        .collect();
    let mut batch = SendBatch {
        owner: request.owner.clone(),
        rows,
        limited: Vec::new(),
    };
    if !is_repeated {
        let (limited, soonest) = limit(app, &batch, per_minute).await?;
        let good = batch.rows.iter().filter(|row| matches!(row, BatchRow::Good(_)));
        // A run that sends nothing would stand for its key for ever.
        if let Some(seconds) = soonest
            && limited.len() == good.count()
        {
            let told = format!("no row may go now; the first may in {seconds} s");
            return Err(Problem::too_many(told, seconds));
        }
        batch.limited = limited;
    }
    let start = request.start(None);
    let begun = begin(app, SendBatch::NAME, json(&batch)?, start, request.patience).await?;
    // What was kept back the first time is no part of what is asked for.
    let rows = json(&batch.rows)?;
    let run = begun.unless_other(|known| known["rows"] == rows)?;
    if !run.state.is_final() {
        return Ok(BatchAnswer::Started(Json(run.into())));
    }
    let report: BatchReport = output(&run)?;
    Ok(BatchAnswer::Ended(Json(SentBatch {
        run: run.id.to_string(),
        total: report.total,
        success: report.success,
        failed: report.failed,
        details: report.details.into_iter().map(SentRow::from).collect(),
    })))
}

/// A row as it will be sent, or why it will not.
fn row(message: Value, owner: &OwnerId, senders: &[accounts::Sender], times: Times) -> BatchRow {
    let written = message
        .get("to")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let read = NewMessage::parse_from_json(Some(message))
        .map_err(|error| Problem::bad_request(error.into_message()))
        .and_then(|message| {
            let channel = message.channel()?;
            message.read(channel, owner, senders, times)
        });
    match read {
        Ok(message) => BatchRow::Good(message),
        Err(problem) => BatchRow::Bad {
            to: written,
            error: RowError {
                field: problem.field().map(str::to_owned),
                code: None,
                message: problem.to_string(),
            },
        },
    }
}

/// The rows that the limit of their prospects keeps back, which are the last ones to each, and after how many seconds the
/// first of them may go.
async fn limit(
    app: &App,
    batch: &SendBatch,
    per_minute: u32,
) -> Result<(Vec<Limited>, Option<u64>), Problem> {
    let prospects = || {
        let rows = (0..).zip(&batch.rows);
        rows.filter_map(|(index, row): (u32, _)| match row {
            BatchRow::Good(message) => Some((index, message.prospect.as_str())),
            BatchRow::Bad { .. } => None,
        })
    };
    let mut wanted = BTreeMap::new();
    for (_, prospect) in prospects() {
        *wanted.entry(prospect.to_owned()).or_default() += 1;
    }
    let mut admitted = admit(app, &batch.owner, wanted, per_minute).await?;
    let (mut kept_back, mut soonest) = (Vec::new(), None::<u64>);
    for (row, prospect) in prospects() {
        let Some(left) = admitted.get_mut(prospect) else {
            continue;
        };
        match left.count.checked_sub(1) {
            Some(fewer) => left.count = fewer,
            None => {
                let seconds = seconds(left).unwrap_or(1);
                soonest = Some(soonest.map_or(seconds, |soonest| soonest.min(seconds)));
                kept_back.push(Limited {
                    row,
                    message: limited(per_minute, seconds),
                });
            }
        }
    }
    Ok((kept_back, soonest))
}

impl From<RowReport> for SentRow {
    fn from(row: RowReport) -> Self {
        Self {
            index: row.index,
            to: row.to,
            status: row.status,
            run: row.run,
            sid: row.sid,
            error: row.error.map(SendErrorItem::from),
        }
    }
}
