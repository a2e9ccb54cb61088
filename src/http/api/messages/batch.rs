//! Up to a hundred messages at once, as JSON.
use std::time::Duration;

use chrono::{DateTime, Utc};
use poem_openapi::{ApiResponse, Object, payload::Json, types::ParseFromJSON};
use recado_domain::OwnerId;
use recado_engine::{Run, Workflow};
use recado_store::limits::{self, Wish};
use recado_workflows::{BatchReport, BatchRow, Limited, RowError, RowReport, SendBatch};
use sea_orm::DatabaseTransaction;
use serde_json::Value;

use super::{
    super::{runs::RunItem, send_error::SendErrorItem},
    Kept, Means, NewMessage, Request, found, hash, json, output, same, written,
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
    pub(super) run: String,
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
    check_length(&messages)?;
    let asked = hash("batch", &messages)?;
    let run = match request.before(app, SendBatch::NAME, &asked).await? {
        Some(run) => run,
        None => start(app, &request, messages, asked).await?,
    };
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

/// # Errors
/// A batch of no rows, or of too many.
pub(super) fn check_length(messages: &[Value]) -> Result<(), Problem> {
    match messages.len() {
        1..=MOST_ROWS => Ok(()),
        rows => Err(Problem::unprocessable(
            "messages",
            format!("messages has {rows} rows, from 1 to {MOST_ROWS} are allowed"),
        )),
    }
}

async fn start(app: &App, request: &Request, messages: Vec<Value>, asked: String) -> Result<Run, Problem> {
    let means = Means::of(app, &request.owner).await?;
    let mut batch = SendBatch {
        owner: request.owner.clone(),
        rows: messages
            .into_iter()
            .map(|message| row(message, &request.owner, &means))
            .collect(),
        limited: Vec::new(),
        asked: Some(asked.clone()),
    };
    let quiet = means.quiet_until(None)?;
    let begun = app.engine.run_named_after::<Problem, _>(
        SendBatch::NAME,
        request.start(None),
        request.patience,
        move |tx| {
            Box::pin(async move {
                let (limited, soonest) = limit(tx, &batch, &means, quiet).await?;
                let good = batch.rows.iter().filter(|row| matches!(row, BatchRow::Good(_)));
                // A run that sends nothing would stand for its key for ever.
                if let Some(seconds) = soonest
                    && limited.len() == good.count()
                {
                    let told = format!("no row may go now; the first may in {seconds} s");
                    return Err(Problem::too_many(told, seconds).with("retry_at", quiet.map(written)));
                }
                batch.limited = limited;
                json(&batch)
            })
        },
    );
    let (started, ended) = begun.await?;
    let run = match ended {
        Some(run) => run,
        None => found(app, &started.run, Duration::ZERO).await?,
    };
    same(run, &asked)
}

/// A row as it will be sent, or why it will not.
pub(super) fn row(message: Value, owner: &OwnerId, means: &Means) -> BatchRow {
    let to = message
        .get("to")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let read = NewMessage::parse_from_json(Some(message))
        .map_err(|error| Problem::bad_request(error.into_message()))
        .and_then(|message| {
            let channel = message.channel()?;
            let message = message.read(channel, owner, &means.senders, means.now)?;
            means.check_time(message.send_at)?;
            Ok(message)
        });
    match read {
        Ok(message) => BatchRow::Good(Box::new(message)),
        Err(problem) => BatchRow::Bad {
            to,
            error: RowError {
                field: problem.field().map(str::to_owned),
                code: None,
                message: problem.to_string(),
            },
        },
    }
}

/// The rows that limits or quiet hours keep back, and after how many seconds the first of them may go.
async fn limit(
    tx: &DatabaseTransaction,
    batch: &SendBatch,
    means: &Means,
    quiet: Option<DateTime<Utc>>,
) -> Result<(Vec<Limited>, Option<u64>), Problem> {
    let (mut going, mut kept_back, mut soonest) = (Vec::new(), Vec::new(), None::<u64>);
    let mut keep_back = |row, message, seconds: u64| {
        soonest = Some(soonest.map_or(seconds, |soonest| soonest.min(seconds)));
        kept_back.push(Limited { row, message });
    };
    for (index, row) in (0..).zip(&batch.rows) {
        match (row, quiet) {
            (BatchRow::Bad { .. }, _) => {}
            (BatchRow::Good(message), Some(end)) if message.send_at.is_none() => {
                let seconds = (end - means.now).num_seconds().max(0).unsigned_abs() + 1;
                let told = format!("the owner's quiet hours last until {}", written(end));
                keep_back(index, told, seconds);
            }
            (BatchRow::Good(message), _) => going.push((index, message)),
        }
    }
    let wishes: Vec<_> = going
        .iter()
        .map(|(_, message)| Wish {
            prospect: &message.prospect,
            sender: &message.from,
        })
        .collect();
    let admitted = limits::admit(tx, &batch.owner, means.limits, &wishes, means.now).await?;
    for ((index, _), admission) in going.iter().zip(&admitted) {
        if let Some(kept) = Kept::by(admission) {
            keep_back(*index, kept.told(), kept.seconds);
        }
    }
    kept_back.sort_by_key(|limited| limited.row);
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
