//! The doorbell between those who commit work and those who claim it; the only file that names apalis.
//!
//! A bell says that there is work and carries none: whoever hears one claims a batch from the database. A bell may
//! therefore be lost, doubled or late without harm to any run, and Redis may vanish. A sweep finds what none announced.
//!
//! Invariant: what Redis holds is bounded by `MOST_PENDING` and the number of workers, never by the backlog.
//! Deliberately absent here: retries, results, priorities, schedules. The engine has its own, in the database.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use apalis::prelude::{
    BackendExt, BoxDynError, BoxedReceiver, Data, Event, EventListenerExt, MemorySink, MemoryStorage,
    MemoryStorageError, PollSnapshot, PollStrategy, Task, TaskBuilder, TaskId, TaskSink, TaskSinkError,
    WorkerBuilder, WorkerContext, WorkerError,
};
use apalis_redis::{Config, RedisStorage};
use chrono::{DateTime, Utc};
use futures::{SinkExt, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisError};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use ulid::Ulid;

/// How many bells may wait in Redis: enough to wake several workers at once, whatever the backlog.
const MOST_PENDING: usize = 8;
/// Bells of one process are at least this far apart, so that a burst of rings becomes few bells.
const BETWEEN_BELLS: Duration = Duration::from_millis(1);
/// How long Redis may take to connect or to answer before it counts as gone.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a side that has nothing to do looks whether Redis is still there.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// The pause before a broken side tries again: doubled from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// After a knock the worker is nudged at once and again after pauses that double from the first to the second.
const NUDGES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(32));
/// A worker that has not been seen for `HEARTBEAT * MISSED` is dead; others ring again what it held.
const HEARTBEAT: Duration = Duration::from_secs(10);
const MISSED: usize = 6;
/// What apalis notes about a worker is read by nobody and removed by nobody.
const METADATA_LIFETIME: Duration = Duration::from_secs(3600);

/// A doorbell: says that there is work, carries none. Clones ring and hear the same bell.
#[derive(Clone)]
pub struct Bells(House);

#[derive(Clone)]
enum House {
    InProcess(Arc<Hallway>),
    Redis {
        line: Arc<Line>,
        /// Stops the ringer with the last clone.
        _ringer: Arc<DropGuard>,
    },
}

/// Whether bells reach the workers at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Ringers and workers share this process; nothing can fail.
    InProcess,
    /// Redis answers.
    Up,
    /// Redis does not answer, or not as it should: work waits for the next sweep. Nothing is lost.
    Degraded {
        /// When this process first noticed.
        since: DateTime<Utc>,
        /// What Redis or the connection to it said. Holds no password.
        error: String,
    },
}

/// Why a doorbell cannot be set up. A Redis that is down is no reason: it is waited for.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The URL is malformed or asks for what is not supported.
    #[error("the Redis URL cannot be used (expected redis://host:port/database or rediss://…): {0}")]
    Url(#[source] RedisError),
    /// The namespace is empty or has other characters than letters, digits, `-` and `_`.
    #[error("the dispatch namespace {0:?} is not made of letters, digits, '-' and '_'")]
    Namespace(String),
}

impl Bells {
    /// Bells for ringers and workers of one process.
    #[must_use]
    pub fn in_process() -> Bells {
        Bells(House::InProcess(Arc::default()))
    }

    /// Bells between processes, through Redis at `url`, under keys that begin with `recado:{namespace}:`. (apalis also
    /// lists each queue in `core:apalis:queues:list`: one member per namespace.)
    ///
    /// Waits `PATIENCE` at most for Redis and then goes on without it: [`Bells::health`] says so, and it is looked
    /// for until the last clone is dropped. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the URL or the namespace is malformed.
    pub async fn redis(url: &str, namespace: &str) -> Result<Bells, DispatchError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if namespace.is_empty() || !namespace.chars().all(allowed) {
            return Err(DispatchError::Namespace(namespace.to_owned()));
        }
        let line = Arc::new(Line {
            client: Client::open(url).map_err(DispatchError::Url)?,
            config: Config::default()
                .queue(format!("recado:{namespace}:bells"))
                .batch_size(1)
                .heartbeat_interval(HEARTBEAT)
                .missed_heartbeats(MISSED)
                .lock_tasks(false)
                .persist_results(false)
                .emit_events(false),
            knocks: format!("recado:{namespace}:knocks"),
            pull: Notify::new(),
            troubles: Mutex::default(),
        });
        if matches!(
            line.client.get_connection_info().addr(),
            redis::ConnectionAddr::TcpTls { .. }
        ) {
            // redis-rs panics without one. An error says that the process chose its own before.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let ringer = line.side("ringer");
        if let Err(error) = line.connect(PATIENCE).await {
            ringer.troubled(&error.into());
        }
        let stop = CancellationToken::new();
        tokio::spawn(Line::carry(line.clone(), ringer, stop.clone()));
        let _ringer = Arc::new(stop.drop_guard());
        Ok(Bells(House::Redis { line, _ringer }))
    }

    /// Says that there is work. Ring after the commit, or the bell may be heard before the work can be seen.
    ///
    /// Never blocks and never fails. Rings that come while a bell is on its way become one more bell together.
    pub fn ring(&self) {
        match &self.0 {
            House::InProcess(hallway) => hallway.ring(),
            House::Redis { line, .. } => line.pull.notify_one(),
        }
    }

    /// Runs an apalis worker until `stop`: each bell wakes one waiter on `heard`.
    ///
    /// `worker` names it in Redis, with a ULID behind it, as apalis refuses a name that it has seen lately. A worker
    /// that dies, be it for want of Redis, is replaced after a pause; `heard` is told then, as it may have missed one.
    pub async fn listen(&self, worker: &str, heard: Arc<Notify>, stop: CancellationToken) {
        match &self.0 {
            House::InProcess(hallway) => {
                persist(&Quiet, &stop, || hallway.listen(worker, &heard, &stop)).await;
                // A bell that the worker took along rings for whoever else listens.
                hallway.ring();
            }
            House::Redis { line, .. } => {
                let side = line.side("worker");
                persist(&side, &stop, || line.listen(worker, &heard, &stop, &side)).await;
            }
        }
    }

    /// Whether bells reach the workers at once, as far as this process knows: at most a few seconds old.
    #[must_use]
    pub fn health(&self) -> Health {
        match &self.0 {
            House::InProcess(_) => Health::InProcess,
            House::Redis { line, .. } => line.health(),
        }
    }
}

impl fmt::Debug for Bells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bells").field(&self.health()).finish()
    }
}

/// The task that apalis carries. Empty, and to stay so.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Bell {}

impl Bell {
    fn task() -> (TaskId, Task<Bell>) {
        let id = TaskId::from_string(Ulid::generate().to_string());
        (id.clone(), TaskBuilder::new(Bell {}).task_id(id).build())
    }
}

/// What the handler of a bell needs.
#[derive(Clone)]
struct Ear {
    heard: Arc<Notify>,
    /// Where the bell is to be forgotten.
    desk: Option<Desk>,
}

async fn hear(_: Bell, id: TaskId, ear: Data<Ear>) -> Result<(), BoxDynError> {
    ear.heard.notify_one();
    metrics::counter!("recado_bells_heard_total").increment(1);
    if let Some(desk) = &ear.desk {
        desk.doorstep.answer();
        desk.clone().forget(&id.to_string()).await?;
    }
    Ok(())
}

/// The in-process doorbell: one bell hangs there or none does.
#[derive(Default)]
struct Hallway {
    hanging: AtomicBool,
    pull: Notify,
}

impl Hallway {
    fn ring(&self) {
        if !self.hanging.swap(true, Ordering::SeqCst) {
            metrics::counter!("recado_bells_rung_total").increment(1);
            self.pull.notify_one();
        }
    }

    /// The bells, one after the other, to whichever worker asks first.
    fn bells(self: &Arc<Self>) -> BoxedReceiver<Bell> {
        futures::stream::unfold(self.clone(), |hallway| async move {
            hallway.pull.notified().await;
            // Before the bell is heard: a ring from here on is for work that the claim may miss.
            hallway.hanging.store(false, Ordering::SeqCst);
            Some((Bell::task().1, hallway))
        })
        .boxed()
    }

    async fn listen(
        self: &Arc<Self>,
        worker: &str,
        heard: &Arc<Notify>,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let context = WorkerContext::new(&format!("{worker}-{}", Ulid::generate()));
        // Bells come from the hallway; nobody pushes through apalis.
        let nobody = futures::sink::drain().sink_map_err(|never: Infallible| match never {});
        let nobody: Box<dyn futures::Sink<Task<Bell>, Error = MemoryStorageError> + Send + Sync + Unpin> =
            Box::new(nobody);
        let sink = MemorySink::new(Arc::new(futures::lock::Mutex::new(nobody)));
        let worker = WorkerBuilder::new(context.clone())
            .backend(MemoryStorage::new_with(sink, self.bells()))
            .data(Ear {
                heard: heard.clone(),
                desk: None,
            })
            .build(hear);
        attend(worker.run(), std::future::pending(), &context, stop).await
    }
}

/// The doorbell through Redis.
struct Line {
    client: Client,
    config: Config,
    /// A list whose elements wake one blocked worker each. apalis-redis 1.0 never tells its workers of a new task: it
    /// schedules each for the present second, and its own signal list is only touched when a worker looks anyway.
    knocks: String,
    pull: Notify,
    /// The sides that do not reach Redis at present, since when and why.
    troubles: Mutex<BTreeMap<Ulid, (DateTime<Utc>, String)>>,
}

impl Line {
    fn side(self: &Arc<Self>, role: &'static str) -> Side {
        Side {
            line: self.clone(),
            role,
            id: Ulid::generate(),
        }
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<Ulid, (DateTime<Utc>, String)>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> Health {
        match self.troubles().values().min_by_key(|(since, _)| *since) {
            None => Health::Up,
            Some((since, error)) => Health::Degraded {
                since: *since,
                error: error.clone(),
            },
        }
    }

    /// A connection whose commands fail after `patience`.
    async fn connect(&self, patience: Duration) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(patience));
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        connection.ping::<()>().await?;
        Ok(connection)
    }

    /// The ringer's task: turns pulls at the rope into bells until `stop`.
    async fn carry(line: Arc<Line>, side: Side, stop: CancellationToken) {
        let carried = persist(&side, &stop, || async {
            line.carry_until_it_fails(&side).await.map(|never| match never {})
        });
        tokio::select! {
            () = carried => (),
            () = stop.cancelled() => (),
        }
    }

    async fn carry_until_it_fails(&self, side: &Side) -> Result<Infallible, Failure> {
        let mut connection = self.connect(PATIENCE).await?;
        let mut storage = RedisStorage::new(connection.clone()).with_config(self.config.clone());
        // Whoever rang while Redis was away was not heard: one bell makes up for all of them.
        let mut pulled = side.is_troubled();
        let mut pending = MOST_PENDING;
        loop {
            let next = Instant::now() + BETWEEN_BELLS;
            if pulled {
                pending = self.push(&mut storage, &mut connection, pending).await?;
            } else {
                connection.ping::<()>().await?;
            }
            side.well();
            sleep_until(next).await;
            pulled = timeout(LOOK_AROUND, self.pull.notified()).await.is_ok();
        }
    }

    /// Hangs up one bell, unless enough are pending, and knocks. Takes and returns how many that were at last.
    async fn push(
        &self,
        storage: &mut RedisStorage<Bell, MultiplexedConnection>,
        connection: &mut MultiplexedConnection,
        mut pending: usize,
    ) -> Result<usize, Failure> {
        let (queue, scheduled) = (self.config.active_jobs_list(), self.config.scheduled_jobs_set());
        let (first, last) = (0, MOST_PENDING.cast_signed() - 1);
        let mut knock = redis::pipe();
        knock
            .lpush(&self.knocks, 1)
            .ignore()
            .ltrim(&self.knocks, first, last)
            .ignore();
        knock.llen(queue).zcard(&scheduled);
        if pending >= MOST_PENDING {
            let (waiting, due): (usize, usize) = knock.query_async(connection).await?;
            pending = waiting + due;
        }
        if pending >= MOST_PENDING {
            return Ok(pending);
        }
        let (id, bell) = Bell::task();
        // apalis-redis schedules for the present second by the ringer's clock; a worker whose clock is behind
        // would wait for it. Due since 1970 is due for everybody.
        knock
            .cmd("ZADD")
            .arg(scheduled)
            .arg("XX")
            .arg(1)
            .arg(id.to_string())
            .ignore();
        // Both leave before either is answered, in this order: the bell hangs when the worker comes.
        let (pushed, counted) = futures::join!(
            storage.push_task(bell),
            knock.query_async::<(usize, usize)>(connection)
        );
        pushed?;
        metrics::counter!("recado_bells_rung_total").increment(1);
        let (waiting, due) = counted?;
        Ok(waiting + due)
    }

    async fn listen(
        self: &Arc<Self>,
        worker: &str,
        heard: &Arc<Notify>,
        stop: &CancellationToken,
        side: &Side,
    ) -> Result<(), Failure> {
        let connection = self.connect(PATIENCE).await?;
        let context = WorkerContext::new(&format!("{worker}-{}", Ulid::generate()));
        let (doorstep, registered) = (Doorstep::default(), Arc::new(Notify::new()));
        let desk = Desk {
            connection: connection.clone(),
            config: self.config.clone(),
            context: context.clone(),
            doorstep: doorstep.clone(),
        };
        let heartbeat = registered.clone();
        let worker = WorkerBuilder::new(context.clone())
            .backend(
                RedisStorage::<Bell, _>::new(connection)
                    .with_config(self.config.clone())
                    .poll_with_strategy(doorstep.clone()),
            )
            .data(Ear {
                heard: heard.clone(),
                desk: Some(desk.clone()),
            })
            .on_event(move |_, event| {
                if matches!(event, Event::HeartBeat) {
                    heartbeat.notify_one();
                }
            })
            .build(hear);
        let door = async {
            registered.notified().await;
            desk.clone().expire_metadata().await?;
            if side.well() {
                heard.notify_one();
            }
            self.mind_the_door(&doorstep).await
        };
        let ended = attend(worker.run(), door, &context, stop).await;
        // Without Redis there is nothing to be done here: other workers find what it held after HEARTBEAT * MISSED.
        if let Ok(held) = desk.clear().await
            && held > 0
        {
            self.pull.notify_one();
        }
        ended
    }

    /// Nudges the worker after every knock, and now and then without one, for knocks that died with another worker.
    async fn mind_the_door(&self, doorstep: &Doorstep) -> Result<Infallible, Failure> {
        // A connection of its own: whatever else ran on it would wait for the knock.
        let mut connection = self.connect(LOOK_AROUND + PATIENCE).await?;
        let mut pause = NUDGES.0;
        loop {
            let mut knock =
                connection.blpop::<_, Option<(String, String)>>(&self.knocks, LOOK_AROUND.as_secs_f64());
            let knocked = loop {
                tokio::select! {
                    knocked = &mut knock => break knocked?,
                    // A nudge that finds apalis fetching is lost on it, and that fetch may have been too early to see
                    // the bell. So there are several, until a bell is heard: apalis fetches again after each.
                    () = sleep(pause), if pause <= NUDGES.1 => {
                        if doorstep.is_answered() {
                            pause = Duration::MAX;
                        } else {
                            doorstep.nudge();
                            pause *= 2;
                        }
                    }
                }
            };
            if knocked.is_some() {
                pause = NUDGES.0;
                doorstep.knock();
            }
            doorstep.nudge();
        }
    }
}

/// The ringer, or one worker, as the line knows it.
struct Side {
    line: Arc<Line>,
    role: &'static str,
    id: Ulid,
}

impl Side {
    fn is_troubled(&self) -> bool {
        self.line.troubles().contains_key(&self.id)
    }

    /// Notes that this side reaches Redis. True when it did not before.
    fn well(&self) -> bool {
        let Some((since, _)) = self.line.troubles().remove(&self.id) else {
            return false;
        };
        tracing::info!(side = self.role, %since, "bells ring again");
        true
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.line.troubles().remove(&self.id);
    }
}

/// Who is told that bells do not ring.
trait Troubled {
    fn troubled(&self, failure: &Failure);
}

impl Troubled for Side {
    fn troubled(&self, failure: &Failure) {
        let mut troubles = self.line.troubles();
        let (_, error) = troubles.entry(self.id).or_insert_with(|| {
            tracing::warn!(side = self.role, error = %failure, "bells do not ring: work waits for the sweep");
            (Utc::now(), String::new())
        });
        *error = failure.to_string();
    }
}

/// In one process there is no health to keep: a worker that died is replaced.
struct Quiet;

impl Troubled for Quiet {
    fn troubled(&self, failure: &Failure) {
        tracing::error!(error = %failure, "the in-process doorbell was restarted");
    }
}

/// What a worker has in Redis, to be removed when it is done.
#[derive(Clone)]
struct Desk {
    connection: MultiplexedConnection,
    config: Config,
    context: WorkerContext,
    doorstep: Doorstep,
}

impl Desk {
    /// Removes a bell that was heard. apalis would keep it, with its result, until vacuumed, and its id even then; when
    /// told to keep no results it would keep it as held by this worker for ever.
    async fn forget(&mut self, id: &str) -> Result<(), RedisError> {
        redis::pipe()
            .srem(self.config.inflight_set_for(&self.context), id)
            .hdel(self.config.job_data_hash(), id)
            .del(format!("{}:{id}", self.config.job_meta_hash()))
            .exec_async(&mut self.connection)
            .await
    }

    async fn expire_metadata(&mut self) -> Result<(), RedisError> {
        let key = self.config.worker_metadata_key(&self.context);
        self.connection
            .expire::<_, ()>(key, METADATA_LIFETIME.as_secs().cast_signed())
            .await
    }

    /// Removes the worker and the bells that it took but did not hear; returns how many those were.
    async fn clear(mut self) -> Result<usize, RedisError> {
        let held: Vec<String> = self
            .connection
            .smembers(self.config.inflight_set_for(&self.context))
            .await?;
        for id in &held {
            self.forget(id).await?;
        }
        redis::pipe()
            .zrem(self.config.workers_set(), self.context.name())
            .del(self.config.worker_metadata_key(&self.context))
            .exec_async(&mut self.connection)
            .await?;
        Ok(held.len())
    }
}

/// A poll strategy that loses no wake-up: it keeps the worker's last waker and is nudged from outside. Those of apalis
/// hand the waker to a timer that they poll only when they were woken already.
#[derive(Clone, Default)]
struct Doorstep(Arc<Threshold>);

#[derive(Default)]
struct Threshold {
    waker: Mutex<Option<Waker>>,
    /// Whether a bell was heard since the last knock.
    answered: AtomicBool,
}

impl Doorstep {
    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knock(&self) {
        self.0.answered.store(false, Ordering::SeqCst);
    }

    fn answer(&self) {
        self.0.answered.store(true, Ordering::SeqCst);
    }

    fn is_answered(&self) -> bool {
        self.0.answered.load(Ordering::SeqCst)
    }

    fn nudge(&self) {
        if let Some(waker) = self.waker().as_ref() {
            waker.wake_by_ref();
        }
    }
}

impl PollStrategy for Doorstep {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        *self.waker() = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Why a side stopped working; another attempt follows.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("{0}")]
    Push(#[from] TaskSinkError<apalis_redis::Error>),
    #[error("{0}")]
    Worker(#[from] WorkerError),
    #[error("the worker ended by itself")]
    Ended,
    #[error("the worker panicked")]
    Panicked,
}

/// Attempts until one ends well or `stop`, with pauses that grow while attempts are short-lived.
async fn persist<F>(who: &impl Troubled, stop: &CancellationToken, attempt: impl Fn() -> F)
where
    F: Future<Output = Result<(), Failure>>,
{
    let mut pause = PAUSES.0;
    while !stop.is_cancelled() {
        let began = Instant::now();
        let Err(failure) = attempt().await else { return };
        who.troubled(&failure);
        if began.elapsed() > PAUSES.1 * 2 {
            pause = PAUSES.0;
        }
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(PAUSES.1),
            () = stop.cancelled() => (),
        }
    }
}

/// Runs an apalis worker until it fails, `beside` fails, or `stop`; a panic in apalis counts as a failure.
async fn attend(
    run: impl Future<Output = Result<(), WorkerError>> + Send + 'static,
    beside: impl Future<Output = Result<Infallible, Failure>>,
    context: &WorkerContext,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut worker = JoinSet::new();
    worker.spawn(run);
    tokio::select! {
        ended = worker.join_next() => match ended {
            Some(Ok(Ok(()))) | None => Err(Failure::Ended),
            Some(Ok(Err(error))) => Err(error.into()),
            Some(Err(_)) => Err(Failure::Panicked),
        },
        Err(failure) = beside => Err(failure),
        () = stop.cancelled() => {
            // It refuses when it has not started; then it is dropped with the set, as it is when it dawdles.
            if context.stop().is_ok() {
                let _ = timeout(PATIENCE, worker.join_next()).await;
            }
            Ok(())
        }
    }
}
