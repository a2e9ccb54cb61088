//! Up to a hundred messages at once: each goes by itself, and a bad one keeps no other back.
use std::time::Duration;

use recado_domain::OwnerId;
use recado_engine::{Child, Context, Fault, OnClose, Outcome, Race, Sleep, Workflow};
use serde::{Deserialize, Serialize};

use crate::{Delivery, SendMessage};

/// How long the rows that go now are waited for; who hangs longer, as a run does that waits for a person, is told as
/// unknown.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long the others are waited for after that.
const HURRY: Duration = Duration::from_millis(500);

/// Messages to be sent, each by a run of its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendBatch {
    /// Who sends them.
    pub owner: OwnerId,
    /// In the order of the request.
    pub rows: Vec<BatchRow>,
    /// Those among them that go too soon after others to the same prospect, in order: they are not sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limited: Vec<Limited>,
    /// A hash of the request, by which a repeated one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
}

/// A row that is not sent, because too many went to its prospect.
#[derive(Debug, Serialize, Deserialize)]
pub struct Limited {
    /// The how-manieth row, from 0.
    pub row: u32,
    /// Says so.
    pub message: String,
}

/// One row of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchRow {
    /// It can be sent.
    Good(Box<SendMessage>),
    /// It cannot.
    Bad {
        /// To whom, as it was written.
        to: String,
        /// What is wrong with it.
        error: RowError,
    },
}

/// Why a row is not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowError {
    /// The field whose value cannot be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Twilio's error code, or the one that Twilio would have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// What happened.
    pub message: String,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchReport {
    /// How many rows there are.
    pub total: u32,
    /// How many Twilio took.
    pub success: u32,
    /// How many it did not.
    pub failed: u32,
    /// One for each row, in the order of the request.
    pub details: Vec<RowReport>,
}

/// What became of a row.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowReport {
    /// The how-manieth row, from 0.
    pub index: u32,
    /// To whom, as Twilio writes it; as it was written where it cannot be read.
    pub to: String,
    /// As of a message that is sent by itself.
    pub status: String,
    /// The run that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Twilio's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Why it was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RowError>,
}

impl Outcome for BatchReport {
    fn word(&self) -> &'static str {
        match (self.success, self.failed) {
            (_, 0) => "sent",
            (0, _) => "not_sent",
            _ => "partly_sent",
        }
    }

    fn failed(&self) -> bool {
        self.success == 0
    }
}

impl Workflow for SendBatch {
    const NAME: &'static str = "send_batch";
    type Output = BatchReport;

    async fn run(self, ctx: &mut Context) -> Result<BatchReport, Fault> {
        ctx.tag_owner(self.owner.as_str());
        let mut rows = Vec::with_capacity(self.rows.len());
        let hurries = ctx.version("rows_are_not_waited_for_ever").await;
        let mut patience = PATIENCE;
        let mut limited = self.limited.into_iter().peekable();
        for (index, row) in (0..).zip(self.rows) {
            let limited = limited.next_if(|limited| limited.row == index);
            rows.push(match row {
                BatchRow::Good(message) if let Some(limited) = limited => {
                    Err(RowReport::failed(message.to.to_twilio(), told(limited.message)))
                }
                BatchRow::Good(message) => {
                    let child = Child {
                        // One that waits for its time takes its place when that has come.
                        lane: message.send_at.is_none().then(|| message.lane()),
                        // What goes now goes on without the batch; what waits for its time goes with it.
                        on_close: match message.send_at {
                            None if hurries => OnClose::Abandon,
                            _ => OnClose::Cancel,
                        },
                        ..Child::default()
                    };
                    let sending = ctx.start(&*message, child).await?;
                    let is_now = message.send_at.is_none();
                    Ok((sending, message.to, is_now))
                }
                BatchRow::Bad { to, error } => Err(RowReport::failed(to, error)),
            });
        }
        let mut details = Vec::with_capacity(rows.len());
        for (index, row) in (0..).zip(rows) {
            let report = match row {
                Ok((sending, to, is_now)) => {
                    let run = Some(sending.run_id().to_string());
                    let asked = match is_now && hurries {
                        true => ctx.race(sending, Sleep(patience)).await,
                        false => ctx.ask(sending).await.map(Race::First),
                    };
                    let report = match asked {
                        Ok(Race::First(delivery)) => RowReport::of(delivery),
                        Ok(Race::Second(())) => {
                            patience = HURRY;
                            RowReport::held(to.to_twilio())
                        }
                        Err(fault @ Fault::Cancelled { .. }) => return Err(fault),
                        Err(fault) => {
                            RowReport::failed(to.to_twilio(), told(fault.failure().message.clone()))
                        }
                    };
                    RowReport { run, ..report }
                }
                Err(report) => report,
            };
            details.push(RowReport { index, ..report });
        }
        Ok(BatchReport::of(details))
    }
}

impl BatchReport {
    fn of(details: Vec<RowReport>) -> Self {
        let failed = details.iter().filter(|row| row.error.is_some()).count() as u32;
        let total = details.len() as u32;
        Self {
            total,
            success: total - failed,
            failed,
            details,
        }
    }
}

impl RowReport {
    fn of(delivery: Delivery) -> Self {
        Self {
            index: 0,
            to: delivery.to.to_twilio(),
            status: delivery.status,
            run: None,
            sid: delivery.sid,
            error: delivery.error.map(|error| RowError {
                field: None,
                code: error.code,
                message: error.message,
            }),
        }
    }

    /// It may still be sent, or has been: its run knows.
    fn held(to: String) -> Self {
        Self {
            status: "unknown".to_owned(),
            ..Self::failed(
                to,
                told("the run that sends it has not ended; look at it".to_owned()),
            )
        }
    }

    fn failed(to: String, error: RowError) -> Self {
        Self {
            index: 0,
            to,
            status: "failed".to_owned(),
            run: None,
            sid: None,
            error: Some(error),
        }
    }
}

fn told(message: String) -> RowError {
    RowError {
        field: None,
        code: None,
        message,
    }
}
