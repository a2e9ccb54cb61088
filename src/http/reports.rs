//! What Twilio reports of messages, written down together: what comes while a transaction is on its way to the disk
//! shares the next one. No artificial delay.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use recado_domain::MessageStatus;
use recado_engine::{Engine, RunId, Storage, StorageError};
use recado_store::{
    StoreError,
    callbacks::{Applied, Callback, Heard},
};
use tokio::sync::oneshot;

use super::Problem;

/// The most that share a transaction.
const TOGETHER: usize = 128;

/// One report, its signature checked.
pub(crate) struct Report {
    pub(crate) account_sid: String,
    /// Our token, where its URL carried one.
    pub(crate) token: Option<String>,
    pub(crate) sid: String,
    pub(crate) status: MessageStatus,
    pub(crate) error_code: Option<i64>,
    /// What the form says besides, as JSON.
    pub(crate) raw: String,
    pub(crate) at: DateTime<Utc>,
}

/// Reports that wait to be written down.
#[derive(Default)]
pub(crate) struct Reports {
    waiting: Mutex<Vec<Waiting>>,
    /// Held by whoever writes.
    turn: tokio::sync::Mutex<()>,
}

struct Waiting {
    report: Arc<Report>,
    written: oneshot::Sender<Result<(), Problem>>,
}

impl Reports {
    /// Writes a report down. It is on the disk when this returns.
    pub(crate) async fn write(self: &Arc<Self>, engine: &Engine, report: Report) -> Result<(), Problem> {
        let (written, answer) = oneshot::channel();
        let report = Arc::new(report);
        self.waiting().push(Waiting { report, written });
        let (reports, engine) = (self.clone(), engine.clone());
        // By itself, because others wait for it who stay when this one goes away.
        tokio::spawn(async move { reports.take_turn(&engine).await });
        answer.await.unwrap_or_else(|_| Err(Problem::away()))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what waits, if nobody else has: each report brings one turn.
    async fn take_turn(&self, engine: &Engine) {
        let _turn = self.turn.lock().await;
        let mut group: Vec<Waiting> = {
            let mut waiting = self.waiting();
            let most = waiting.len().min(TOGETHER);
            waiting.drain(..most).collect()
        };
        group.retain(|waiting| !waiting.written.is_closed());
        if group.is_empty() {
            return;
        }
        let reports: Vec<_> = group.iter().map(|waiting| waiting.report.clone()).collect();
        let is_one = group.len() == 1;
        match write_down(engine, reports).await {
            Err(problem) if is_one => tell(group, || Err(problem.clone())),
            Err(_) => one_by_one(engine, group).await,
            Ok(()) => tell(group, || Ok(())),
        }
    }
}

fn tell(group: Vec<Waiting>, answer: impl Fn() -> Result<(), Problem>) {
    for waiting in group {
        // Whoever asked may have gone away.
        let _ = waiting.written.send(answer());
    }
}

/// One that the database refuses takes no others with it; where it is away, the others need not find out too.
async fn one_by_one(engine: &Engine, group: Vec<Waiting>) {
    let mut group = group.into_iter();
    for waiting in group.by_ref() {
        let written = write_down(engine, vec![waiting.report]).await;
        let is_away = written.as_ref().is_err_and(Problem::is_away);
        let _ = waiting.written.send(written);
        if is_away {
            break;
        }
    }
    tell(group.collect(), || Err(Problem::away()));
}

async fn write_down(engine: &Engine, reports: Vec<Arc<Report>>) -> Result<(), Problem> {
    let write = engine.storage().transaction(move |tx| {
        Box::pin(async move {
            let callbacks = reports.iter().map(|report| (report.callback(), report.at));
            let heard = Heard::find(tx, callbacks.collect()).await?;
            // Runs are told first: their rows are locked before their messages, here as in their own steps.
            let mut told: Vec<RunId> = Vec::new();
            for token in heard.proofs() {
                told.extend(Storage::prove(tx, token).await?);
            }
            for applied in heard.apply(tx).await? {
                if let Applied::OtherSid(owner, message) = applied {
                    tracing::warn!(%owner, %message, "Twilio reports of a message under another SID: it has it twice");
                }
            }
            Ok::<_, Refused>(told)
        })
    });
    for run in write.await? {
        engine.wake(&run).await;
    }
    Ok(())
}

impl Report {
    fn callback(&self) -> Callback<'_> {
        Callback {
            account_sid: &self.account_sid,
            token: self.token.as_deref(),
            sid: &self.sid,
            status: self.status,
            error_code: self.error_code,
            raw: &self.raw,
        }
    }
}

/// Why reports were not written down.
pub(super) enum Refused {
    Store(StoreError),
    Storage(StorageError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Store(error) => error.into(),
            Refused::Storage(error) => error.into(),
        }
    }
}
