//! What an activity is: one retried step with an effect.
use std::{fmt, future::Future, time::Duration};

use sea_orm::DatabaseTransaction;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Fault, Retry, RunId, context::Pulse};

/// What a crash may repeat of an activity, and so what its checkpoint must wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads, a model call, a transcription: a crash may repeat the call, harmlessly.
    Pure,
    /// Writes SQL through the transaction it is handed; they and the event commit together, or neither does.
    Database,
    /// A call to a vendor that takes [`Attempt::key`] and so repeats harmlessly.
    Idempotent,
    /// A call that must not happen twice and that nobody else protects: intended first, reconciled before it is repeated.
    Once,
}

/// One retried step. The struct is the call: its fields are the input.
pub trait Activity<E>: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The durable name; it never changes its meaning.
    const NAME: &'static str;
    /// What a crash may repeat.
    const EFFECT: Effect;
    /// When a failed attempt is repeated.
    const RETRY: Retry = Retry::exponential(Duration::from_secs(1));
    /// The longest that one attempt may take.
    const TIMEOUT: Duration = Duration::from_secs(30);
    /// The longest from the first attempt's beginning to the last one's; then the retries are exhausted.
    const DEADLINE: Option<Duration> = None;
    /// The longest silence of an attempt that tells of its progress by [`Attempt::heartbeat`]; then it is taken for
    /// dead and tried again.
    const HEARTBEAT: Option<Duration> = None;
    /// Whether calls of different runs that come at the same time share a transaction: `run_together`,
    /// `prepare_together` and `record_together` then serve them all, with statements for many rows at once. For what is
    /// short and waits for nobody, as all of them wait for the slowest; else each has a transaction of its own.
    const TOGETHER: bool = false;
    /// What the workflow receives.
    type Output: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Performs one attempt.
    fn run(&self, env: &E, attempt: &Attempt<'_>)
    -> impl Future<Output = Result<Self::Output, Fault>> + Send;

    /// `Database` and [`TOGETHER`](Activity::TOGETHER) only: runs calls of different runs in one transaction. Returns what
    /// each would get by itself, one after the other, in their order. If one of them fails nothing is kept, and each is
    /// run by itself.
    fn run_together(
        env: &E,
        calls: &[Joint<'_, Self>],
    ) -> impl Future<Output = Result<Vec<Self::Output>, Fault>> + Send
    where
        E: Sync,
    {
        async move {
            let mut outputs = Vec::with_capacity(calls.len());
            for Joint { call, attempt } in calls {
                outputs.push(call.run(env, attempt).await?);
            }
            Ok(outputs)
        }
    }

    /// `Once` only: runs in the transaction that commits the intent, at the moment of acting. May settle the step
    /// without any call. What it writes is there if and only if the intent is.
    fn prepare(
        &self,
        _env: &E,
        _attempt: &Attempt<'_>,
    ) -> impl Future<Output = Result<Prepared<Self::Output>, Fault>> + Send {
        async { Ok(Prepared::Go) }
    }

    /// `Once` only: [`Activity::prepare`] for calls of different runs that share a transaction, as
    /// [`Activity::run_together`].
    fn prepare_together(
        env: &E,
        calls: &[Joint<'_, Self>],
    ) -> impl Future<Output = Result<Vec<Prepared<Self::Output>>, Fault>> + Send
    where
        E: Sync,
    {
        async move {
            let mut prepared = Vec::with_capacity(calls.len());
            for Joint { call, attempt } in calls {
                prepared.push(call.prepare(env, attempt).await?);
            }
            Ok(prepared)
        }
    }

    /// `Once` only: writes what the call brought, in the transaction that commits its checkpoint.
    fn record(
        &self,
        _env: &E,
        _attempt: &Attempt<'_>,
        _output: &Self::Output,
    ) -> impl Future<Output = Result<(), Fault>> + Send {
        async { Ok(()) }
    }

    /// `Once` only: [`Activity::record`] for calls of different runs that share a transaction, as
    /// [`Activity::run_together`]; `outputs` stand in the order of `calls`.
    fn record_together(
        env: &E,
        calls: &[Joint<'_, Self>],
        outputs: &[Self::Output],
    ) -> impl Future<Output = Result<(), Fault>> + Send
    where
        E: Sync,
    {
        async move {
            for (Joint { call, attempt }, output) in calls.iter().zip(outputs) {
                call.record(env, attempt, output).await?;
            }
            Ok(())
        }
    }

    /// `Once` only: looks outside for what became of an intent whose answer nobody saw.
    fn reconcile(
        &self,
        _env: &E,
        _attempt: &Attempt<'_>,
    ) -> impl Future<Output = Result<Reconciled<Self::Output>, Fault>> + Send {
        async { Ok(Reconciled::CannotTell) }
    }

    /// `Once` only: writes what it means that the step failed for good with `fault`, in the transaction that commits
    /// that: the call was refused, its attempts are exhausted, or it was given up ([`Fault::is_given_up`]). Where it
    /// still may have happened, and a person is asked, this is not called.
    fn failed(
        &self,
        _env: &E,
        _attempt: &Attempt<'_>,
        _fault: &Fault,
    ) -> impl Future<Output = Result<(), Fault>> + Send {
        async { Ok(()) }
    }

    /// `Once` only: what is to be done with an intent of which it still cannot be told, after the time in which a trace
    /// must have appeared, whether it happened.
    fn undecided(
        &self,
        _env: &E,
        _attempt: &Attempt<'_>,
    ) -> impl Future<Output = Result<Undecided, Fault>> + Send {
        async { Ok(Undecided::Hold) }
    }
}

/// One of several calls that share a transaction.
#[derive(Debug)]
pub struct Joint<'a, A> {
    /// The call.
    pub call: A,
    /// The attempt at it; all of a group see the same [`Attempt::transaction`].
    pub attempt: &'a Attempt<'a>,
}

/// What is to be done with a call of which nobody can tell whether it happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undecided {
    /// It is looked for again until the time to hold it is over; then a person is asked.
    #[default]
    Hold,
    /// It is repeated, and may so happen twice.
    Resend,
    /// It is not repeated, and may so never have happened: the workflow receives a fault that
    /// [`is_given_up`](Fault::is_given_up).
    GiveUp,
}

/// What [`Activity::prepare`] found at the moment of acting.
#[derive(Debug)]
pub enum Prepared<T> {
    /// The call may be made.
    Go,
    /// There is nothing to call for; this is the result.
    Settled(T),
}

/// What [`Activity::reconcile`] found.
#[derive(Debug)]
pub enum Reconciled<T> {
    /// It happened, and this is its result.
    Happened(T),
    /// There is no trace of it, yet. The engine believes this only after the time in which a trace must have appeared.
    NoTrace,
    /// The other side cannot tell, ever.
    CannotTell,
}

/// One attempt at an activity: who makes it, which one it is, and what it may use.
pub struct Attempt<'a> {
    pub(crate) run: &'a RunId,
    pub(crate) owner: Option<&'a str>,
    pub(crate) op: i64,
    pub(crate) number: u32,
    pub(crate) intended_at: Option<chrono::DateTime<chrono::Utc>>,
    pub(crate) now: chrono::DateTime<chrono::Utc>,
    pub(crate) transaction: Option<&'a DatabaseTransaction>,
    pub(crate) pulse: &'a Pulse,
}

impl Attempt<'_> {
    /// The run that makes this attempt.
    pub fn run(&self) -> &RunId {
        self.run
    }

    /// The owner that the run is tagged with, if it is known yet.
    pub fn owner(&self) -> Option<&str> {
        self.owner
    }

    /// 1 for the first attempt.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The wall clock when this attempt began.
    pub fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.now
    }

    /// When the first intent of this step was committed (`Once`).
    pub fn intended_at(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        self.intended_at
    }

    /// A key that is the same for every attempt at this step and different for every other step of any run.
    pub fn key(&self) -> String {
        format!("{}-{}", self.run, self.op)
    }

    /// Says that this attempt is alive, and how far it has come. What was said last is there for the next attempt.
    pub fn heartbeat(&self, details: &impl Serialize) {
        self.pulse.beat(serde_json::to_value(details).unwrap_or_default());
    }

    /// How far the attempts before this one have come, by what they said ([`Activity::HEARTBEAT`] must be set).
    pub fn details<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.pulse.details()?).ok()
    }

    /// The transaction that also commits this step's checkpoint.
    ///
    /// # Errors
    /// A fatal fault where there is none: in a `Pure` or `Idempotent` activity, or in the call of a `Once` one.
    pub fn transaction(&self) -> Result<&DatabaseTransaction, Fault> {
        self.transaction.ok_or_else(|| {
            Fault::fatal(
                "no_transaction",
                "only a Database activity, prepare and record have a transaction",
            )
        })
    }
}

impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("run", self.run)
            .field("op", &self.op)
            .field("number", &self.number)
            .finish()
    }
}
