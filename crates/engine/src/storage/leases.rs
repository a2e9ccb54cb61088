//! Who holds which runs: claiming, heartbeats, and taking over from the dead.
use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, RuntimeErr, Statement, Value};

use super::{
    CONTROL, Storage, StorageError, dialect,
    fair::{self, Share, Turn},
    inspect::{self, RUN_COLUMNS},
    journals::{self, Depth, Part},
    now, payload, protocol,
    rows::{Column, Rows, cells},
    statement,
};
use crate::{Event, Run, RunId, RunState, crash, lease::Hold};

/// A run in the hands of the worker that claimed it, with what it did before.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) run: Run,
    /// What it has done, or why that cannot be read.
    pub(crate) events: Result<Vec<Event>, Unreadable>,
    /// The worker that held it and is taken for dead.
    pub(crate) taken_from: Option<String>,
}

/// A journal that this build cannot read.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) told: String,
    pub(crate) last_seq: i64,
}

const IDS: &[Column] = &[("id", "text!")];

impl Storage {
    /// Takes up to `limit` ready runs for `worker`: of each owner in turn by weight, of each the oldest first.
    pub(crate) async fn claim(&self, worker: &str, limit: u64) -> Result<Vec<Claimed>, StorageError> {
        let claim = match self.claim_freely(worker, limit).await? {
            Some(claim) => claim,
            None => {
                let (worker, turn) = (worker.to_owned(), self.turn());
                self.control(move |tx| {
                    async move { Ok::<_, StorageError>(claim(tx, &worker, limit, turn).await?) }.boxed()
                })
                .await?
            }
        };
        self.set_turn(claim.turn);
        if claim.passed_over {
            // Nobody else will say that there are runs left; at once it would be said for as long as a lock lasts.
            let storage = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LOOK_AGAIN).await;
                storage.ready();
            });
        }
        Ok(claim.runs)
    }

    /// The same without a transaction, where one statement can take runs and nobody who has some may have so many and no
    /// more: `None` where that is not so.
    ///
    /// Nobody waits for the disk. Should the database forget the claim, it forgets what came after it too, and nothing is
    /// done before something that came after it is on the disk.
    async fn claim_freely(&self, worker: &str, limit: u64) -> Result<Option<Claim>, StorageError> {
        let db = &self.inner.write;
        // One statement cannot tell of a claim while the rows are locked.
        let told = protocol::is_followed();
        if told || dialect::take_oldest_of_each(db.get_database_backend(), RUN_COLUMNS).is_none() {
            return Ok(None);
        }
        let work = async {
            let plan = fair::plan(db, limit as i64, &self.turn()).await?;
            if plan.capped {
                return Ok(None);
            }
            let at = now();
            let planned: i64 = plan.shares.iter().map(|share| share.runs).sum();
            let runs = match planned {
                0 => Vec::new(),
                _ => {
                    let take = async {
                        crash::note(|| "claim".to_owned());
                        crash::commit(take(db, worker, at, &plan.shares)).await
                    };
                    crash::transaction(take).await?
                }
            };
            let passed_over = (runs.len() as i64) < planned;
            Ok::<_, DbErr>(Some(claimed(db, worker, at, runs, plan.turn, passed_over).await?))
        };
        let late = || DbErr::Conn(RuntimeErr::Internal("no answer in time".to_owned()));
        let claim = tokio::time::timeout(CONTROL, work).await;
        Ok(claim.unwrap_or_else(|_| Err(late()))?)
    }

    /// Says that `worker` is alive.
    pub(crate) async fn heartbeat(&self, worker: &str, build: &str) -> Result<(), StorageError> {
        let (worker, build) = (worker.to_owned(), build.to_owned());
        self.control(move |tx| {
            async move {
                let clock = dialect::clock(tx.get_database_backend());
                let sql = format!(
                    "insert into workers (id, build, started_at, heartbeat_at) values ($1, $2, {clock}, {clock})
                    on conflict (id) do update set heartbeat_at = excluded.heartbeat_at"
                );
                tx.execute_raw(statement(tx, &sql, vec![worker.into(), build.into()])).await?;
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Queues the runs of workers that have been silent for `lease`, and forgets workers long gone. Returns the runs.
    ///
    /// `sole` names the only worker that can be alive, if that is known; then no silence need be waited for.
    pub(crate) async fn take_over(&self, lease: Duration, sole: Option<&str>) -> Result<u64, StorageError> {
        let sole = sole.map(str::to_owned);
        self.control(move |tx| {
            async move {
                let backend = tx.get_database_backend();
                let alive = match &sole {
                    Some(_) => "id = $2".to_owned(),
                    None => format!(
                        "heartbeat_at > {} and $2 = ''",
                        dialect::clock_before(backend, lease)
                    ),
                };
                let skip = dialect::skip_locked(backend);
                let sql = format!(
                    "update runs set state = 'queued', epoch = epoch + 1, waiting_for = 'worker', since = $1,
                        until = null, takeovers = takeovers + 1
                    where id in (select id from runs where state = 'running'
                        and coalesce(worker, '') not in (select id from workers where {alive}){skip})
                    returning id, epoch"
                );
                let values: Vec<Value> = vec![now().into(), sole.unwrap_or_default().into()];
                let taken = told(tx, statement(tx, &sql, values), protocol::taken_over).await?;
                let gone = dialect::clock_before(backend, Duration::from_secs(24 * 3600));
                tx.execute_raw(statement(
                    tx,
                    &format!("delete from workers where heartbeat_at < {gone}"),
                    vec![],
                ))
                .await?;
                Ok(taken)
            }
            .boxed()
        })
        .await
    }

    /// How many workers have shown a sign of life within `lease`, whichever process they are in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn workers_alive(&self, lease: Duration) -> Result<i64, StorageError> {
        let alive = dialect::clock_before(self.reader().get_database_backend(), lease);
        let sql = format!("select count(*) as n from workers where heartbeat_at > {alive}");
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), &sql, vec![]))
            .await?;
        Ok(row
            .map(|row| row.try_get("", "n"))
            .transpose()?
            .unwrap_or_default())
    }

    /// The runs that the database says `worker` holds.
    pub(crate) async fn held_by(&self, worker: &str) -> Result<Vec<Hold>, StorageError> {
        let sql = "select id, epoch from runs where state = 'running' and worker = $1";
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), sql, vec![worker.into()]))
            .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    RunId::from(row.try_get::<String>("", "id")?),
                    row.try_get("", "epoch")?,
                ))
            })
            .collect()
    }

    /// Queues runs that `worker` holds by name and not in fact.
    pub(crate) async fn give_back(&self, worker: &str, runs: Vec<RunId>) -> Result<u64, StorageError> {
        let worker = worker.to_owned();
        self.control(move |tx| {
            async move {
                let mut rows = Rows::new(IDS);
                for run in runs {
                    rows.push(cells![run]);
                }
                let sql =
                    "update runs set state = 'queued', epoch = epoch + 1, waiting_for = 'worker', since = $2,
                    until = null, takeovers = takeovers + 1 where state = 'running' and worker = $3 and id in (select t.id from {rows})
                    returning id, epoch";
                let values: Vec<Value> = vec![now().into(), worker.into()];
                let statement = rows.statement(tx.get_database_backend(), sql, values);
                Ok(told(tx, statement, protocol::given_back).await?)
            }
            .boxed()
        })
        .await
    }

    /// Queues the runs whose time has come. Returns their number.
    pub(crate) async fn wake_due(&self) -> Result<u64, StorageError> {
        self.control(move |tx| {
            async move {
                let sql = "update runs set state = 'queued', waiting_for = 'worker', since = $1, until = null
                    where state = 'waiting' and until is not null and until <= $1";
                let woken = tx
                    .execute_raw(statement(tx, sql, vec![now().into()]))
                    .await?
                    .rows_affected();
                if woken > 0 {
                    crash::note(|| "wake who is due".to_owned());
                }
                Ok(woken)
            }
            .boxed()
        })
        .await
    }

    /// When the next waiting run or the next tick of a schedule is due.
    pub(crate) async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StorageError> {
        let sql =
            "select until from runs where state = 'waiting' and until is not null order by until limit 1";
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), sql, vec![]))
            .await?;
        let timer: Option<DateTime<Utc>> = row.map(|row| row.try_get("", "until")).transpose()?;
        Ok([timer, self.next_tick().await?].into_iter().flatten().min())
    }

    /// Gives back what a worker that goes home still holds, and takes its name off the list.
    pub(crate) async fn release(&self, worker: &str) -> Result<u64, StorageError> {
        let worker = worker.to_owned();
        self.control(move |tx| {
            async move {
                let sql =
                    "update runs set state = 'queued', epoch = epoch + 1, waiting_for = 'worker', since = $2,
                    until = null, worker = null where state = 'running' and worker = $1 returning id, epoch";
                let values: Vec<Value> = vec![worker.clone().into(), now().into()];
                let released = told(tx, statement(tx, sql, values), protocol::given_back).await?;
                tx.execute_raw(statement(
                    tx,
                    "delete from workers where id = $1",
                    vec![worker.into()],
                ))
                .await?;
                Ok(released)
            }
            .boxed()
        })
        .await
    }
}

/// Runs an update that returns id and epoch, and tells of each run. Returns their number.
async fn told(tx: &DatabaseTransaction, update: Statement, tell: impl Fn(&str, i64)) -> Result<u64, DbErr> {
    let rows = tx.query_all_raw(update).await?;
    for row in &rows {
        tell(&row.try_get::<String>("", "id")?, row.try_get("", "epoch")?);
        crash::note(|| "take from a worker".to_owned());
    }
    Ok(rows.len() as u64)
}

/// How often a claim looks again, when others took what it was about to take.
const ROUNDS: usize = 4;
/// How long a claim stays away from what another one has under lock.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a claim came to.
struct Claim {
    runs: Vec<Claimed>,
    turn: Turn,
    /// Whether there are ready runs that another claim kept from this one.
    passed_over: bool,
}

async fn claim(tx: &DatabaseTransaction, worker: &str, limit: u64, mut turn: Turn) -> Result<Claim, DbErr> {
    let (limit, at) = (limit as i64, now());
    let (mut runs, mut passed_over) = (Vec::new(), false);
    for _ in 0..ROUNDS {
        let plan = fair::plan(tx, limit - runs.len() as i64, &turn).await?;
        turn = plan.turn;
        let planned: i64 = plan.shares.iter().map(|share| share.runs).sum();
        let taken = match planned {
            0 => Vec::new(),
            _ => take(tx, worker, at, &plan.shares).await?,
        };
        let missed = (taken.len() as i64) < planned;
        runs.extend(taken);
        passed_over = missed || (plan.passed_over && (runs.len() as i64) < limit);
        if !missed {
            break;
        }
    }
    runs.iter()
        .for_each(|run| crash::note(|| format!("claim {}", run.workflow)));
    claimed(tx, worker, at, runs, turn, passed_over).await
}

/// The runs that were taken, with what they have done.
async fn claimed(
    conn: &(impl ConnectionTrait + sea_orm::StreamTrait),
    worker: &str,
    at: DateTime<Utc>,
    mut runs: Vec<Run>,
    turn: Turn,
    passed_over: bool,
) -> Result<Claim, DbErr> {
    runs.sort_by(|one, other| one.id.cmp(&other.id));
    let mut journals = journals(conn, &runs).await?;
    let claimed = runs.into_iter().map(|mut run| {
        let taken_from = run.worker.replace(worker.to_owned());
        metrics::histogram!("recado_wakeup_seconds").record((at - run.since).as_seconds_f64().max(0.0));
        run.state = RunState::Running;
        run.epoch += 1;
        crate::spans::claimed(&run, worker);
        run.since = at;
        protocol::claimed(&run.id, run.epoch, worker);
        let events = journals.remove(&run.id).unwrap_or_else(|| Ok(Vec::new()));
        let events = events.and_then(|events| match run.input == payload::erased() {
            true => Err(Unreadable {
                told: "the key of its owner has been erased".to_owned(),
                last_seq: events.last().map_or(0, |event| event.seq),
            }),
            false => Ok(events),
        });
        Claimed {
            run,
            events,
            taken_from,
        }
    });
    Ok(Claim {
        runs: claimed.collect(),
        turn,
        passed_over,
    })
}

const SHARES: &[Column] = &[("owner", "text"), ("runs", "bigint")];

/// Takes what was shared out, or less where others were faster. Returns the runs as they were before.
async fn take(
    conn: &impl ConnectionTrait,
    worker: &str,
    at: DateTime<Utc>,
    shares: &[Share],
) -> Result<Vec<Run>, DbErr> {
    let backend = conn.get_database_backend();
    let shared = || {
        let mut rows = Rows::new(SHARES);
        for share in shares {
            rows.push(cells![share.owner, share.runs]);
        }
        rows
    };
    let taking: Vec<Value> = vec![worker.into(), at.into()];
    if let Some(sql) = dialect::take_oldest_of_each(backend, RUN_COLUMNS) {
        let take = shared().statement(backend, &sql, taking);
        let found = conn.query_all_raw(take).await?;
        return found.iter().map(inspect::run).collect();
    }
    let sql = dialect::oldest_of_each(backend, RUN_COLUMNS, shares.len());
    let found = conn
        .query_all_raw(shared().statement(backend, &sql, vec![]))
        .await?;
    let runs = found.iter().map(inspect::run).collect::<Result<Vec<_>, _>>()?;
    if runs.is_empty() {
        return Ok(runs);
    }
    let mut rows = Rows::new(IDS);
    for run in &runs {
        rows.push(cells![run.id]);
    }
    let sql = format!("update runs set {TAKEN} where id in (select t.id from {{rows}})");
    conn.execute_raw(rows.statement(backend, &sql, taking)).await?;
    Ok(runs)
}

/// What taking a run changes.
pub(super) const TAKEN: &str =
    "state = 'running', worker = $2, epoch = runs.epoch + 1, waiting_for = 'activity', since = $3,
    until = null";

/// The journals of those of `runs` that have been in somebody's hands before. A run that this build cannot read must not
/// keep it from the others.
async fn journals(
    conn: &(impl ConnectionTrait + sea_orm::StreamTrait),
    runs: &[Run],
) -> Result<HashMap<RunId, Result<Vec<Event>, Unreadable>>, DbErr> {
    let before = runs.iter().filter(|run| run.epoch > 0).map(|run| &run.id);
    let read = journals::read(conn, before, Part::all(Depth::Replay))
        .await?
        .into_iter();
    Ok(read.map(|(run, events)| (run, readable(events))).collect())
}

fn readable(events: Vec<journals::Read>) -> Result<Vec<Event>, Unreadable> {
    let last_seq = events.last().map_or(0, |event| match event {
        Ok(event) => event.seq,
        Err((seq, _)) => *seq,
    });
    let unreadable = |(_, error): (i64, DbErr)| Unreadable {
        told: error.to_string(),
        last_seq,
    };
    events
        .into_iter()
        .map(|event| event.map_err(unreadable))
        .collect()
}
