//! A stretch of a batch that is applied by the same statements, and who hears what came of it.
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait};
use tokio::sync::oneshot;

use super::{
    Append, Entering, Entry, StorageError, Work,
    dialect::is_transient,
    entering,
    fold::{self, Folded},
    steps::{self, Performed},
};
use crate::{Event, Fault, NewRun, Run, Started, context::Joint};

pub(super) type Done<T> = oneshot::Sender<Result<T, StorageError>>;

/// A start, and who hears whether it is new, and of the run if it begins in the hands of its worker.
type NewStart = (NewRun, Done<(Started, Option<Run>)>);

/// A checkpoint, and who hears that it is on disk.
pub(super) type NewAppend = (Append, Done<()>);

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

/// Jobs that share their statements.
pub(super) enum Segment {
    Rows(Vec<NewStart>, Vec<NewAppend>),
    Steps(Vec<NewStep>),
    Entries(Vec<NewEntry>),
    Work(Option<Work>, Done<()>),
}

/// What may be applied by the same statements, put together; nothing passes work that brings its own. A run has nothing
/// else on its way while it waits for a step.
pub(super) fn segments(jobs: impl IntoIterator<Item = Job>) -> Vec<Segment> {
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

/// What came of a segment.
#[derive(Default)]
pub(super) struct Written {
    pub(super) folded: Folded,
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

    pub(super) async fn write(&mut self, tx: &DatabaseTransaction) -> Result<Written, DbErr> {
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

    pub(super) fn answer(self, written: Written) {
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
    pub(super) fn after(self, error: &DbErr, alone: bool) -> Option<Self> {
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

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Rows(starts, appends) => starts.len() + appends.len(),
            Self::Steps(steps) => steps.len(),
            Self::Entries(entries) => entries.len(),
            Self::Work(..) => 1,
        }
    }

    pub(super) fn into_jobs(self) -> Vec<Job> {
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
