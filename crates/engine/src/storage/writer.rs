//! The journal writer: whatever waits becomes one transaction and one commit.
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Append, Codec, Entering, Entry, StorageError, Work,
    dialect::{self, is_transient},
    entering,
    fold::{self, Folded},
    payload,
    steps::{self, Performed},
    swift,
};
use crate::{Event, Fault, NewRun, Run, Started, context::Joint, crash, surroundings};

/// The most that goes into one commit.
const BATCH: usize = 512;
/// The longest that one transaction may take; then its connection is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// What may wait before those who write are made to wait.
const QUEUE: usize = 4096;

type Done<T> = oneshot::Sender<Result<T, StorageError>>;

/// A start, and who hears whether it is new, and of the run if it begins in the hands of its worker.
type NewStart = (NewRun, Done<(Started, Option<Run>)>);

/// A checkpoint, and who hears that it is on disk.
type NewAppend = (Append, Done<()>);

/// A step, and who hears what came of it.
type NewStep = (Box<Joint>, Done<Result<Event, Fault>>);

/// A run that asks for its turn, and who hears whether it has it.
type NewEntry = (Box<Entering>, Done<Entry>);

/// Something to be committed.
pub(super) enum Job {
    Start(NewRun, Done<(Started, Option<Run>)>),
    Append(Append, Done<()>),
    Step(Box<Joint>, Done<Result<Event, Fault>>),
    Enter(Box<Entering>, Done<Entry>),
    Work(Work, Done<()>),
}

/// A stretch of a batch that is applied by the same statements.
enum Segment {
    Rows(Vec<NewStart>, Vec<NewAppend>),
    Steps(Vec<NewStep>),
    Entries(Vec<NewEntry>),
    Work(Option<Work>, Done<()>),
}

/// Starts a writer, which stores documents by `codec`; it ends when the last sender is gone.
pub(super) fn start(
    db: DatabaseConnection,
    ready: Arc<dyn Fn() + Send + Sync>,
    codec: Option<Codec>,
) -> mpsc::Sender<Job> {
    let (jobs, mut queue) = mpsc::channel(QUEUE);
    let work = async move {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            gather(&mut queue, &mut batch).await;
            if write(&db, segments(batch.drain(..))).await {
                ready();
            }
        }
    };
    tokio::spawn(surroundings::inherited(payload::within(codec, work)));
    jobs
}

/// Lets those go first who were just answered and are about to bring the next, for as long as that brings any: what comes
/// at once shares the commit.
async fn gather(queue: &mut mpsc::Receiver<Job>, batch: &mut Vec<Job>) {
    let mut before = 0;
    while batch.len() > before && batch.len() < BATCH {
        before = batch.len();
        tokio::task::yield_now().await;
        while batch.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            batch.push(job);
        }
    }
}

/// Writes a batch and answers everyone in it. Returns whether runs became ready.
///
/// Rows are written until they are: a checkpoint keeps its number and a start its key, so that repeating one whose
/// commit got lost on the way back does nothing. Work is not repeated here, because only its owner knows how.
async fn write(db: &DatabaseConnection, mut segments: Vec<Segment>) -> bool {
    let mut wait = Duration::from_millis(20);
    while !segments.is_empty() {
        let alone = segments.iter().map(Segment::len).sum::<usize>() == 1;
        let attempted = tokio::time::timeout(PATIENCE, crash::transaction(attempt(db, &mut segments))).await;
        let error = match attempted {
            Ok(Ok(ready)) => return ready,
            Ok(Err(error)) => error,
            Err(_) => DbErr::Conn(RuntimeErr::Internal("no answer in time".to_owned())),
        };
        segments = segments
            .into_iter()
            .filter_map(|segment| segment.after(&error, alone))
            .collect();
        if !is_transient(&error) {
            return if alone {
                refuse(segments, error)
            } else {
                isolate(db, segments).await
            };
        }
        tracing::warn!(%error, "the database is away; the journal waits for it");
        metrics::counter!("recado_journal_errors_total", "why" => "away").increment(1);
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(1));
    }
    false
}

/// What was tried by itself and refused gets the answer.
fn refuse(rows: Vec<Segment>, error: DbErr) -> bool {
    tracing::error!(%error, "the database refused a write of the journal");
    metrics::counter!("recado_journal_errors_total", "why" => "refused").increment(1);
    for job in rows.into_iter().flat_map(Segment::into_jobs) {
        match job {
            Job::Start(_, done) => drop(done.send(Err(StorageError::Database(error.clone())))),
            Job::Append(_, done) | Job::Work(_, done) => {
                drop(done.send(Err(StorageError::Database(error.clone()))));
            }
            Job::Step(_, done) => drop(done.send(Err(StorageError::Database(error.clone())))),
            Job::Enter(_, done) => drop(done.send(Err(StorageError::Database(error.clone())))),
        }
    }
    false
}

/// One row that the database refuses must not take the others with it: each is written by itself.
async fn isolate(db: &DatabaseConnection, rows: Vec<Segment>) -> bool {
    let mut ready = false;
    for job in rows.into_iter().flat_map(Segment::into_jobs) {
        ready |= Box::pin(write(db, segments([job]))).await;
    }
    ready
}

/// What may be applied by the same statements, put together; nothing passes work that brings its own. A run has nothing
/// else on its way while it waits for a step.
fn segments(jobs: impl IntoIterator<Item = Job>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut first = 0;
    for job in jobs {
        let recent = &mut segments[first..];
        let rows = recent.iter_mut().find_map(Segment::rows);
        match job {
            Job::Work(work, done) => {
                segments.push(Segment::Work(Some(work), done));
                first = segments.len();
            }
            Job::Start(run, done) => match rows {
                Some((starts, _)) => starts.push((run, done)),
                None => segments.push(Segment::Rows(vec![(run, done)], Vec::new())),
            },
            Job::Append(append, done) => match rows {
                Some((_, appends)) => appends.push((append, done)),
                None => segments.push(Segment::Rows(Vec::new(), vec![(append, done)])),
            },
            Job::Step(step, done) => match recent.iter_mut().find_map(Segment::steps) {
                Some(steps) => steps.push((step, done)),
                None => segments.push(Segment::Steps(vec![(step, done)])),
            },
            Job::Enter(entering, done) => match recent.iter_mut().find_map(Segment::entries) {
                Some(entries) => entries.push((entering, done)),
                None => segments.push(Segment::Entries(vec![(entering, done)])),
            },
        }
    }
    segments
}

/// Everything, in one commit as a rule; on success everyone has been answered. Returns whether runs became ready.
async fn attempt(db: &DatabaseConnection, segments: &mut Vec<Segment>) -> Result<bool, DbErr> {
    let swift = match swift::is_possible(db.get_database_backend()) {
        true => swiftly(db, segments).await?,
        false => false,
    };
    Ok(match segments.is_empty() {
        true => swift,
        false => in_transaction(db, segments).await? || swift,
    })
}

/// Writes what one statement can write. What is left in `segments` needs a transaction.
async fn swiftly(db: &DatabaseConnection, segments: &mut Vec<Segment>) -> Result<bool, DbErr> {
    let [Segment::Rows(starts, appends)] = segments.as_mut_slice() else {
        return Ok(false);
    };
    let mut ready = false;
    if starts.iter().all(|(run, _)| swift::is_plain_start(run)) {
        let runs: Vec<_> = starts.iter().map(|(run, _)| run).collect();
        let begun = Instant::now();
        if let Some(folded) = swift::start(db, &runs).await? {
            ready |= folded.ready;
            count([&folded], begun);
            Segment::Rows(std::mem::take(starts), Vec::new()).answer(folded.into());
        }
    }
    let plain = plain(appends);
    let chosen: Vec<_> = (appends.iter().zip(&plain))
        .filter(|(_, plain)| **plain)
        .map(|((append, _), _)| append)
        .collect();
    if !chosen.is_empty() {
        let begun = Instant::now();
        if let Some(folded) = swift::append(db, &chosen).await? {
            ready |= folded.ready;
            count([&folded], begun);
            let (written, left): (Vec<_>, Vec<_>) = std::mem::take(appends)
                .into_iter()
                .zip(plain)
                .partition(|(_, plain)| *plain);
            *appends = left.into_iter().map(|(append, _)| append).collect();
            let written = written.into_iter().map(|(append, _)| append).collect();
            Segment::Rows(Vec::new(), written).answer(folded.into());
        }
    }
    if starts.is_empty() && appends.is_empty() {
        segments.clear();
    }
    Ok(ready)
}

/// Which of `appends` one statement can write. What a run brings after something that it cannot comes after it.
fn plain(appends: &[NewAppend]) -> Vec<bool> {
    let mut held_up = HashSet::new();
    let plain = appends.iter().map(|(append, _)| {
        let plain = swift::is_plain(append) && !held_up.contains(&append.run);
        if !plain {
            held_up.insert(&append.run);
        }
        plain
    });
    plain.collect()
}

/// Counts a commit.
fn count<'a>(written: impl IntoIterator<Item = &'a Folded>, begun: Instant) {
    let rows = written.into_iter().map(|folded| folded.rows).sum();
    metrics::counter!("recado_journal_commits_total").increment(1);
    metrics::counter!("recado_journal_rows_total").increment(rows);
    metrics::histogram!("recado_journal_commit_seconds").record(begun.elapsed().as_secs_f64());
}

/// Everything in one transaction and one commit.
async fn in_transaction(db: &DatabaseConnection, segments: &mut Vec<Segment>) -> Result<bool, DbErr> {
    let begun = Instant::now();
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let tx = match db.get_database_backend() {
        DbBackend::Sqlite => db.begin_with_options(immediate).await?,
        _ => db.begin().await?,
    };
    // Lanes are locked until this is committed, and all of a busy lane ask. Should the database forget that a run waits,
    // then it runs, in nobody's hands, and is found as such; whoever wakes it or acts in it commits after this.
    if segments
        .iter()
        .all(|segment| matches!(segment, Segment::Entries(_)))
        && let Some(lazily) = dialect::commit_lazily(db.get_database_backend())
    {
        tx.execute_unprepared(lazily).await?;
    }
    let mut written = Vec::with_capacity(segments.len());
    for segment in segments.iter_mut() {
        written.push(segment.write(&tx).await?);
    }
    crash::commit(tx.commit()).await?;
    let ready = written.iter().any(|written| written.folded.ready);
    count(written.iter().map(|written| &written.folded), begun);
    for (segment, written) in segments.drain(..).zip(written) {
        segment.answer(written);
    }
    Ok(ready)
}

/// What came of a segment.
#[derive(Default)]
struct Written {
    folded: Folded,
    /// Of each step.
    performed: Vec<Performed>,
    /// Of each run that asked for its turn; `None` if it has changed hands.
    entered: Vec<Option<Entry>>,
}

impl From<Folded> for Written {
    fn from(folded: Folded) -> Self {
        Self {
            folded,
            ..Self::default()
        }
    }
}

impl Segment {
    fn rows(&mut self) -> Option<(&mut Vec<NewStart>, &mut Vec<NewAppend>)> {
        match self {
            Self::Rows(starts, appends) => Some((starts, appends)),
            Self::Steps(_) | Self::Entries(_) | Self::Work(..) => None,
        }
    }

    fn entries(&mut self) -> Option<&mut Vec<NewEntry>> {
        match self {
            Self::Entries(entries) => Some(entries),
            Self::Rows(..) | Self::Steps(_) | Self::Work(..) => None,
        }
    }

    fn steps(&mut self) -> Option<&mut Vec<NewStep>> {
        match self {
            Self::Steps(steps) => Some(steps),
            Self::Rows(..) | Self::Entries(_) | Self::Work(..) => None,
        }
    }

    async fn write(&mut self, tx: &DatabaseTransaction) -> Result<Written, DbErr> {
        Ok(match self {
            Self::Rows(starts, appends) => {
                let starts: Vec<_> = starts.iter().map(|(run, _)| run).collect();
                let appends: Vec<_> = appends.iter().map(|(append, _)| append).collect();
                fold::apply(tx, &starts, &appends).await?.into()
            }
            Self::Steps(due) => {
                let due: Vec<&Joint> = due.iter().map(|(step, _)| &**step).collect();
                let (performed, folded) = steps::write(tx, &due).await?;
                Written {
                    folded,
                    performed,
                    ..Written::default()
                }
            }
            Self::Entries(entries) => {
                let entering: Vec<&Entering> = entries.iter().map(|(entering, _)| &**entering).collect();
                let (entered, folded) = entering::write(tx, &entering).await?;
                Written {
                    folded,
                    entered,
                    ..Written::default()
                }
            }
            Self::Work(work, _) => {
                if let Some(work) = work.take() {
                    let savepoint = tx.begin().await?;
                    match work(&savepoint).await {
                        true => savepoint.commit().await?,
                        false => savepoint.rollback().await?,
                    }
                }
                Written::default()
            }
        })
    }

    fn answer(self, written: Written) {
        let Written {
            folded,
            performed,
            entered,
        } = written;
        match self {
            Self::Rows(starts, appends) => {
                for ((run, done), begun) in starts.into_iter().zip(folded.started) {
                    let held = begun.held_at.map(|at| run.into_run(begun.place, at));
                    let _ = done.send(Ok((begun.started, held)));
                }
                for ((_, done), fresh) in appends.into_iter().zip(folded.fresh) {
                    let _ = done.send(if fresh { Ok(()) } else { Err(StorageError::Stale) });
                }
            }
            Self::Steps(steps) => {
                for ((_, done), performed) in steps.into_iter().zip(performed) {
                    let _ = done.send(performed.ok_or(StorageError::Stale));
                }
            }
            Self::Entries(entries) => {
                for ((_, done), entry) in entries.into_iter().zip(entered) {
                    let _ = done.send(entry.ok_or(StorageError::Stale));
                }
            }
            Self::Work(_, done) => drop(done.send(Ok(()))),
        }
    }

    /// What is left to write after `error`: not work, and not a start whose caller has given up meanwhile.
    fn after(self, error: &DbErr, alone: bool) -> Option<Self> {
        match self {
            Self::Work(_, done) => {
                let told = match alone || is_transient(error) {
                    true => StorageError::Database(error.clone()),
                    // Somebody's in this commit; whoever tries again will find out whether it was its own.
                    false => StorageError::Interrupted,
                };
                let _ = done.send(Err(told));
                None
            }
            Self::Rows(mut starts, appends) => {
                starts.retain(|(_, done)| !done.is_closed());
                (!starts.is_empty() || !appends.is_empty()).then_some(Self::Rows(starts, appends))
            }
            Self::Steps(mut steps) => {
                steps.retain(|(_, done)| !done.is_closed());
                (!steps.is_empty()).then_some(Self::Steps(steps))
            }
            Self::Entries(mut entries) => {
                entries.retain(|(_, done)| !done.is_closed());
                (!entries.is_empty()).then_some(Self::Entries(entries))
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Rows(starts, appends) => starts.len() + appends.len(),
            Self::Steps(steps) => steps.len(),
            Self::Entries(entries) => entries.len(),
            Self::Work(..) => 1,
        }
    }

    fn into_jobs(self) -> Vec<Job> {
        match self {
            Self::Rows(starts, appends) => {
                let starts = starts.into_iter().map(|(run, done)| Job::Start(run, done));
                starts
                    .chain(
                        appends
                            .into_iter()
                            .map(|(append, done)| Job::Append(append, done)),
                    )
                    .collect()
            }
            Self::Steps(steps) => {
                let steps = steps.into_iter();
                steps.map(|(step, done)| Job::Step(step, done)).collect()
            }
            Self::Entries(entries) => {
                let entries = entries.into_iter();
                entries
                    .map(|(entering, done)| Job::Enter(entering, done))
                    .collect()
            }
            Self::Work(..) => Vec::new(),
        }
    }
}
