//! The journal writer: whatever waits becomes one transaction and one commit.
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::mpsc;

use super::{
    Codec, StorageError,
    dialect::{self, is_transient},
    fold::Folded,
    payload,
    segment::{Job, NewAppend, Segment, segments},
    swift,
};
use crate::{crash, surroundings};

/// The most that goes into one commit.
const BATCH: usize = 512;
/// The longest that one transaction may take; then its connection is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// What may wait before those who write are made to wait.
const QUEUE: usize = 4096;

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
        while !starts.is_empty() {
            let some = starts.len().min(swift::STARTS);
            let runs: Vec<_> = starts.iter().take(some).map(|(run, _)| run).collect();
            let begun = Instant::now();
            let Some(folded) = swift::start(db, &runs).await? else {
                break;
            };
            ready |= folded.ready;
            count([&folded], begun);
            Segment::Rows(starts.drain(..some).collect(), Vec::new()).answer(folded.into());
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
