//! One cell: the scenario is played, a process dies or freezes on the way, and what came of it is counted.
use std::{
    cell::Cell,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
};

use recado_testkit::{Process, eventually};
use tokio_util::sync::CancellationToken;

use crate::{
    everything,
    plan::{Fate, Mutant, Row, Scenario},
    slot::{LONGEST, Slot},
    verdict::Counts,
    world::{PATIENCE, World, contact},
};

const KILL: i32 = 9;
/// How often a process may die in one cell.
const MOST_DEATHS: usize = 5;
/// How long a worker of a cell is silent before it is taken for dead, in milliseconds.
const LEASE: &str = "1500";

/// What the processes are to do at their points.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Tell of each that they pass.
    Record,
    /// Die or freeze, as the row says, at this one.
    At(String),
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Whether the point was passed.
    pub(crate) reached: bool,
    pub(crate) counts: Counts,
    /// What was wrong.
    pub(crate) told: Vec<String>,
    /// The points that were passed, where they were to be recorded.
    pub(crate) points: Vec<String>,
}

/// A cell that is being tried out.
pub(crate) struct Attempt<'a> {
    pub(crate) slot: &'a mut Slot,
    pub(crate) row: Row,
    environment: Vec<(String, String)>,
    list: PathBuf,
    mark: PathBuf,
    pub(crate) vendor: PathBuf,
    pub(crate) contact: String,
    /// Whether a process was seen to die or freeze at the point.
    reached: Cell<bool>,
}

impl Slot {
    /// Plays the scenario once, on a fresh database.
    pub(crate) async fn attempt(&mut self, row: Row, order: &Order, without: Option<Mutant>) -> Outcome {
        self.clean().await;
        let (folder, cell) = (self.folder.path(), self.cells);
        let (list, mark) = (
            folder.join(format!("list-{cell}")),
            folder.join(format!("mark-{cell}")),
        );
        let mut environment = vec![("RECADO_CRASH_LEASE", LEASE.to_owned())];
        if let Some(mutant) = without {
            environment.push(("RECADO_CRASH_WITHOUT", mutant.name().to_owned()));
        }
        match order {
            Order::Record => environment.push(("RECADO_CRASH_LIST", list.display().to_string())),
            Order::At(point) => {
                environment.push(("RECADO_CRASH_AT", point.clone()));
                environment.push(("RECADO_CRASH_MARK", mark.display().to_string()));
            }
        }
        if row.fate == Fate::Freezes {
            environment.push(("RECADO_CRASH_HOW", "STOP".to_owned()));
        }
        if let Some(redis) = &self.redis {
            let port = redis.url().rsplit(':').next().unwrap_or_default().to_owned();
            let lose = format!("redis-cli -p {port} shutdown nosave >/dev/null 2>&1");
            environment.push(("RECADO_CRASH_ALSO", lose));
        }
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        let attempt = Attempt {
            environment: environment.into_iter().map(owned).collect(),
            vendor: everything::vendor(folder, cell),
            contact: contact(cell),
            list,
            mark,
            row,
            slot: self,
            reached: Cell::default(),
        };
        attempt.play().await
    }
}

impl Attempt<'_> {
    async fn play(mut self) -> Outcome {
        self.misbehave();
        let played = match (self.row.scenario, self.row.fate) {
            (Scenario::Everything, Fate::Dies) => self.everything_dies().await,
            (Scenario::Everything, Fate::Freezes) => self.everything_freezes().await,
            (_, Fate::Dies) => self.message_dies().await,
            (_, Fate::Freezes) => self.message_freezes().await,
        };
        let mut outcome = Outcome {
            reached: self.reached.get(),
            ..Outcome::default()
        };
        if let Err(stuck) = played {
            outcome.counts.stuck += 1;
            outcome.told.push(stuck);
        }
        self.judge(&mut outcome).await;
        let list = std::fs::read_to_string(&self.list).unwrap_or_default();
        outcome.points = list.lines().map(str::to_owned).collect();
        outcome
    }

    pub(crate) fn world(&self) -> &World {
        &self.slot.world
    }

    fn spawn(&self, words: &[&str]) -> Process {
        let own: Vec<_> = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.world().spawn_with(words, &own)
    }

    /// The program is there until the scenario is over: whenever it dies it is started again, and so is Redis.
    async fn message_dies(&mut self) -> Result<(), String> {
        let over = CancellationToken::new();
        let (spare, this) = (self.slot.redis.take(), &*self);
        let keep = async {
            let mut redis = spare;
            for _ in 0..MOST_DEATHS {
                let mut process = this.spawn(&["serve", "--worker"]);
                let status = tokio::select! {
                    status = process.wait(LONGEST * 2) => status,
                    () = over.cancelled() => this.goes_home(&mut process).await,
                };
                if let Some(redis) = &mut redis {
                    redis.kill9();
                    redis.again().await;
                }
                if this.died_at_its_point(status) {
                    continue;
                }
                return match over.is_cancelled() && status.success() {
                    true => (redis, Ok(())),
                    false => (redis, Err(format!("it died by itself: {}", process.output()))),
                };
            }
            (redis, Err("it dies again and again".to_owned()))
        };
        let play = async {
            let played = this.in_time(this.converse()).await;
            over.cancel();
            played
        };
        let ((redis, kept), played) = tokio::join!(keep, play);
        self.slot.redis = redis;
        played.and(kept)
    }

    /// A front end and two workers, one of which freezes until the other has done the work.
    async fn message_freezes(&mut self) -> Result<(), String> {
        let mut front = self
            .world()
            .spawn_with(&["serve"], &[("RECADO_CRASH_LEASE", LEASE)]);
        let mut workers = [self.spawn(&["worker"]), self.spawn(&["worker"])];
        let played = self.in_time(self.converse()).await;
        for process in workers.iter_mut().chain([&mut front]) {
            ask_to_end(process);
        }
        for process in workers.iter_mut().chain([&mut front]) {
            self.thawed(process).await;
        }
        played
    }

    async fn everything_dies(&mut self) -> Result<(), String> {
        for _ in 0..MOST_DEATHS {
            let mut process = self.spawn_everything();
            let status = self
                .in_time(async { Ok(process.wait(LONGEST * 2).await) })
                .await?;
            if status.success() {
                return Ok(());
            }
            if !self.died_at_its_point(status) {
                return Err(format!("it died by itself: {}", process.output()));
            }
            self.slot.redis_again().await;
        }
        Err("it dies again and again".to_owned())
    }

    async fn everything_freezes(&mut self) -> Result<(), String> {
        let mut processes = [self.spawn_everything(), self.spawn_everything()];
        let [one, other] = &mut processes;
        let played = self
            .in_time(async {
                tokio::select! {
                    status = one.wait(LONGEST * 2) => Ok(status),
                    status = other.wait(LONGEST * 2) => Ok(status),
                }
            })
            .await;
        for process in &mut processes {
            let status = self.thawed(process).await;
            if !status.success() {
                return Err(format!("it did not end well: {}", process.output()));
            }
        }
        played.map(drop)
    }

    fn spawn_everything(&self) -> Process {
        let program = std::env::current_exe().unwrap();
        let (url, vendor) = (self.world().database.url(), self.vendor.display().to_string());
        let redis = self.slot.redis.as_ref().map(|redis| redis.url());
        let environment = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let environment: Vec<_> = environment
            .chain(redis.as_deref().map(|url| ("REDIS_URL", url)))
            .collect();
        Process::spawn(program, &["--everything", url, &vendor], &environment)
    }

    /// Whether a process ended as it was told to by its point, and nothing else.
    fn died_at_its_point(&self, status: ExitStatus) -> bool {
        let died = self.mark.exists() && status.signal() == Some(KILL);
        self.reached.set(self.reached.get() || died);
        died
    }

    /// Asks a process to end: what it has in hand it brings to its end, so that nothing can come after the counting.
    async fn goes_home(&self, process: &mut Process) -> ExitStatus {
        let ready = format!("{}/health/ready", self.world().url);
        let answers = eventually(PATIENCE, async || {
            self.world().client.get(&ready).send().await.ok()
        });
        // Its point may be the last thing that it comes to.
        tokio::select! {
            status = process.wait(LONGEST * 2) => return status,
            _answer = answers => {}
        }
        ask_to_end(process);
        process.wait(PATIENCE).await
    }

    /// Waits for the end of a process. If it is the one that froze, or does so only now, it is let go on.
    async fn thawed(&self, process: &mut Process) -> ExitStatus {
        let id = process.id();
        let is_frozen = || {
            let marked = std::fs::read_to_string(&self.mark).unwrap_or_default() == id.to_string();
            let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            marked && state.contains(") T ")
        };
        tokio::select! {
            biased;
            () = eventually(LONGEST * 2, async || is_frozen().then_some(())) => {
                self.reached.set(true);
                process.thaw();
                process.wait(PATIENCE).await
            }
            status = process.wait(PATIENCE) => status,
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        match tokio::time::timeout(LONGEST, work).await {
            Ok(done) => done,
            Err(_) => Err(format!(
                "it was not over within {LONGEST:?}: {}",
                self.runs().await
            )),
        }
    }
}

/// SIGTERM. It may have died already; its id is still its own, because nobody has asked for its end.
fn ask_to_end(process: &Process) {
    let _dead_already = Command::new("kill")
        .args(["-TERM", &process.id().to_string()])
        .stderr(Stdio::null())
        .status();
}
