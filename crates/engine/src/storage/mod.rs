//! Where the engine keeps its rows. This folder alone knows that two databases exist.
//!
//! Every write of a run goes through a [`writer`]: it folds whatever waits into one transaction and one commit while the
//! previous one is on its way to the disk. SQLite has one writer and one connection that writes, so that work which
//! brings its own statements ([`Storage::transaction`]) joins the same commit in a savepoint; on Postgres it has a
//! transaction of its own.
mod append;
mod asked;
mod control;
mod dialect;
mod entering;
mod error;
mod events;
mod excerpts;
mod fair;
mod family;
mod filter;
mod firing;
mod fold;
mod gather;
mod held;
mod inspect;
mod journals;
mod lanes;
mod leases;
mod minutes;
mod payload;
mod policies;
mod progress;
mod protocol;
mod published;
mod queues;
mod retention;
mod room;
mod rows;
mod schedules;
mod segment;
mod signals;
mod starting;
mod steps;
mod stuck;
mod swift;
mod transaction;
mod updates;
mod workers;
mod writer;
mod writers;

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement, Value,
};
use tokio::sync::{mpsc, oneshot};

pub(crate) use append::{Append, NewValue, Update};
pub use control::{Act, ControlError, Decision, Mode, Touched};
pub use dialect::is_transient;
pub(crate) use entering::Entering;
pub use error::StorageError;
#[cfg(feature = "testing")]
pub(crate) use events::encoded;
pub(crate) use events::recorded;
pub use excerpts::{Before, Offspring};
pub use filter::{Filter, Order};
pub(crate) use fold::{start_in, write_one};
pub(crate) use gather::{Ending, Head, Taken, count_gathered, gather, lock_behind};
pub(crate) use held::guard;
pub use inspect::Page;
pub(crate) use lanes::{Entry, lock as lock_lane};
pub(crate) use leases::Claimed;
pub use minutes::{Began, Finished};
pub use payload::Codec;
pub(crate) use payload::{LARGEST, refuse_too_large, size};
pub use policies::Policy;
pub use published::{Link, Published};
pub use queues::{Backlog, HeldLane};
pub use retention::Retention;
pub(crate) use signals::Signal;
pub(crate) use starting::continue_in;
pub use stuck::{Cause, Kind, LONG, Stuck};
pub use workers::Worker;

use self::{
    asked::Asked,
    segment::Job,
    transaction::{CONTROL, Work},
    writers::Writers,
};
pub(crate) use crate::surroundings::now;
use crate::{Event, Fault, NewRun, Run, Started, context::Joint};

/// Connections to Postgres for what is not to wait for the transactions of runs: the four writers, heartbeats and claims.
const WRITING: u32 = 6;

/// The engine's tables on SQLite or on Postgres.
#[derive(Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

struct Inner {
    /// On Postgres a pool of its own, so that heartbeats and claims never queue behind the transactions of runs.
    write: DatabaseConnection,
    read: DatabaseConnection,
    writers: Writers,
    /// Who asks whether a place, told by its lane and number, is a head.
    heads: Asked<(String, i64), bool>,
    /// Who asks whether a head is followed.
    followed: Asked<Head, bool>,
    ready: Arc<dyn Fn() + Send + Sync>,
    url: String,
    codec: Option<Codec>,
    /// Held for as long as this process is the only one that works on this SQLite file.
    lock: OnceLock<std::fs::File>,
    /// Whose runs this process claims next.
    turn: Mutex<fair::Turn>,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage")
            .field("backend", &self.backend())
            .finish_non_exhaustive()
    }
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// `sqlite://path` or `postgres://…`.
    pub url: String,
    /// Connections for reading, and on Postgres for transactions of their own.
    pub connections: u32,
    /// What seals inputs, results and journals at rest; without one they are plain JSON. See [`Storage::unlock`].
    pub codec: Option<Codec>,
}

impl StorageOptions {
    /// The usual numbers for `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections: 16,
            codec: None,
        }
    }
}

impl Storage {
    /// Opens the database and starts its writers. `ready` is called, and must not block, when runs became ready.
    ///
    /// # Errors
    /// When the address is malformed, the file cannot be created, or the server does not answer.
    pub async fn open(
        options: &StorageOptions,
        ready: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, StorageError> {
        let sqlite = options.url.starts_with("sqlite:");
        let (write, read) = if sqlite {
            dialect::create_parent_folder(&options.url)?;
            let write = dialect::sqlite(&options.url, 1).await?;
            (
                write,
                dialect::sqlite(&options.url, options.connections.min(8)).await?,
            )
        } else {
            let pool = dialect::postgres(&options.url, options.connections).await?;
            (dialect::postgres(&options.url, WRITING).await?, pool)
        };
        let codec = options.codec.as_ref().map(Codec::for_one);
        codec.iter().for_each(payload::admit);
        let ready: Arc<dyn Fn() + Send + Sync> = Arc::new(ready);
        let writer = || writer::start(write.clone(), ready.clone(), codec.clone());
        let writers = match sqlite {
            true => Writers::one(writer()),
            false => Writers {
                starts: writer(),
                checkpoints: writer(),
                steps: writer(),
                entries: writer(),
            },
        };
        Ok(Self {
            inner: Arc::new(Inner {
                write,
                read,
                writers,
                heads: Asked::default(),
                followed: Asked::default(),
                ready,
                url: options.url.clone(),
                codec,
                lock: OnceLock::new(),
                turn: Mutex::default(),
            }),
        })
    }

    /// No database at all, for a run that is only replayed.
    #[cfg(feature = "testing")]
    pub(crate) fn absent() -> Self {
        let (nobody, _) = mpsc::channel(1);
        Self {
            inner: Arc::new(Inner {
                write: DatabaseConnection::default(),
                read: DatabaseConnection::default(),
                writers: Writers::one(nobody),
                heads: Asked::default(),
                followed: Asked::default(),
                ready: Arc::new(|| {}),
                url: String::new(),
                codec: None,
                lock: OnceLock::new(),
                turn: Mutex::default(),
            }),
        }
    }

    /// Connects as [`Storage::open`] does, for tools that only migrate or look.
    ///
    /// # Errors
    /// As [`Storage::open`].
    pub async fn connect(url: &str) -> Result<DatabaseConnection, StorageError> {
        if url.starts_with("sqlite:") {
            dialect::create_parent_folder(url)?;
            return Ok(dialect::sqlite(url, 1).await?);
        }
        Ok(Database::connect(ConnectOptions::new(url)).await?)
    }

    /// Which database this is.
    pub fn backend(&self) -> DbBackend {
        self.inner.read.get_database_backend()
    }

    /// A pool for reading. On SQLite it sees what is committed, and must not be written through.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.inner.read
    }

    /// Makes this process the only one that works on this SQLite file; its death undoes it. Returns whether it is, which
    /// on Postgres it never needs to be.
    pub fn lock_alone(&self) -> bool {
        if let (None, Some(lock)) = (self.inner.lock.get(), dialect::sole_user(&self.inner.url)) {
            let _ = self.inner.lock.set(lock);
        }
        self.is_sole()
    }

    /// Whether no other process can hold runs of this database, so that runs in dead hands need not be waited for.
    pub(crate) fn is_sole(&self) -> bool {
        self.inner.lock.get().is_some()
    }

    /// Starts a run, once per key, in one commit with whatever else waits. Returns the run too where it begins in the
    /// hands of the worker that it names.
    pub(crate) async fn start(&self, run: NewRun) -> Result<(Started, Option<Run>), StorageError> {
        payload::refuse_too_large(&run.input)?;
        let (done, started) = oneshot::channel();
        send(&self.inner.writers.starts, Job::Start(run, done)).await?;
        started.await.map_err(|_| StorageError::Stopped)?
    }

    /// Queues a checkpoint; the receiver hears when it is on disk, or refused.
    pub(crate) async fn append(
        &self,
        append: Append,
    ) -> Result<oneshot::Receiver<Result<(), StorageError>>, StorageError> {
        let (done, committed) = oneshot::channel();
        send(&self.inner.writers.checkpoints, Job::Append(append, done)).await?;
        Ok(committed)
    }

    /// Performs a step in a transaction with others, and waits until it is on disk.
    pub(crate) async fn step(&self, step: Joint) -> Result<Result<Event, Fault>, StorageError> {
        let (done, performed) = oneshot::channel();
        send(&self.inner.writers.steps, Job::Step(Box::new(step), done)).await?;
        performed.await.map_err(|_| StorageError::Stopped)?
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn ping(&self) -> Result<(), StorageError> {
        let select = statement(self.reader(), "select 1", vec![]);
        let answer = tokio::time::timeout(Duration::from_secs(2), self.reader().query_one_raw(select)).await;
        let late = || DbErr::Custom("the database gave no answer within 2 s".to_owned());
        answer
            .unwrap_or_else(|_| Err(late()))
            .map(drop)
            .map_err(StorageError::from)
    }

    /// Waits until the database answers. Returns whether there was anything to wait for.
    pub(crate) async fn wait_until_back(&self) -> bool {
        let mut wait = Duration::from_millis(50);
        let mut was_away = false;
        while self.ping().await.is_err() {
            was_away = true;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(1));
        }
        was_away
    }

    /// Says that runs became ready by a transaction of one's own.
    pub(crate) fn ready(&self) {
        (self.inner.ready)();
    }

    fn turn(&self) -> fair::Turn {
        self.inner
            .turn
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_turn(&self, turn: fair::Turn) {
        *self.inner.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }
}

async fn send(writer: &mpsc::Sender<Job>, job: Job) -> Result<(), StorageError> {
    writer.send(job).await.map_err(|_| StorageError::Stopped)
}

/// `at` plus `duration`, for ever bounded.
pub(crate) fn after(at: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    at + chrono::Duration::from_std(duration).unwrap_or(chrono::Duration::days(36_500))
}

pub(crate) fn statement(conn: &impl ConnectionTrait, sql: &str, mut values: Vec<Value>) -> Statement {
    // Postgres keeps U+0000 in no text; so there is nothing to find with it either.
    for value in &mut values {
        if let Value::String(Some(text)) = value
            && text.contains('\0')
        {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    Statement::from_sql_and_values(conn.get_database_backend(), sql, values)
}
