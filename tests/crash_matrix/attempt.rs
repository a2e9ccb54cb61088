//! One cell: the scenario is played, a process dies or freezes on the way, and what came of it is counted.
use std::{
    cell::Cell,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
};

use recado_simulator::{CreateFault, Inbound};
use recado_testkit::{Process, eventually};
use sea_orm::DatabaseConnection;
use tokio_util::sync::CancellationToken;

use crate::{
    everything,
    plan::{Fate, Mutant, Row, Scenario},
    slot::{LONGEST, Slot, texts},
    verdict::{Counts, numbers},
    world::{PATIENCE, World, contact, creates},
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
struct Attempt<'a> {
    slot: &'a mut Slot,
    row: Row,
    environment: Vec<(String, String)>,
    list: PathBuf,
    mark: PathBuf,
    vendor: PathBuf,
    contact: String,
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

    fn world(&self) -> &World {
        &self.slot.world
    }

    fn misbehave(&self) {
        self.world().misbehave(|faults| match self.row.scenario {
            // Long enough for the others to come to the lane meanwhile.
            Scenario::Burst => faults.model.slow_ms = 500,
            Scenario::FailingSend => {
                faults.twilio.create = CreateFault::Status(500);
                faults.twilio.times = Some(2);
            }
            Scenario::AcceptedThenDropped => {
                faults.twilio.create = CreateFault::AcceptAndDrop;
                faults.twilio.times = Some(1);
                // Only the list can prove it, and it is late.
                faults.callbacks.none = true;
                faults.listing_lag_ms = 200;
            }
            // The cancel comes before its answer.
            Scenario::Cancelled => faults.model.slow_ms = 25_000,
            Scenario::Text | Scenario::Everything => {}
        });
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
        self.thaw(&mut workers);
        for process in workers.iter_mut().chain([&mut front]) {
            process.terminate();
            process.wait(PATIENCE).await;
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
        self.thaw(&mut processes);
        for process in &mut processes {
            let status = process.wait(PATIENCE).await;
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
        let _dead_already = Command::new("kill")
            .args(["-TERM", &process.id().to_string()])
            .stderr(Stdio::null())
            .status();
        process.wait(PATIENCE).await
    }

    /// Lets the process go on that froze.
    fn thaw(&self, processes: &mut [Process]) {
        let frozen = std::fs::read_to_string(&self.mark).unwrap_or_default();
        let frozen = processes
            .iter_mut()
            .find(|process| process.id().to_string() == frozen);
        if let Some(process) = frozen {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap_or_default();
            self.reached.set(state.contains(") T "));
            process.thaw();
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

    /// The contact writes, whatever else the scenario has happens, and all runs come to their end.
    async fn converse(&self) -> Result<(), String> {
        for number in 1..=self.row.scenario.messages() {
            let inbound = Inbound {
                from: self.contact.clone(),
                body: format!("pedido #{number}"),
                sid: Some(format!("SM{:016x}{number:016x}", self.slot.cells)),
                ..Inbound::default()
            };
            // Twilio tries again, as it can be told to, until it is heard.
            eventually(LONGEST * 2, async || {
                let received = self.world().simulator.send_inbound(inbound.clone()).await;
                received
                    .is_ok_and(|received| received.is_accepted())
                    .then_some(())
            })
            .await;
        }
        match self.row.scenario {
            Scenario::FailingSend => {
                self.world()
                    .simulator
                    .wait_for(|book| creates(book, &self.contact).len() >= 2, LONGEST * 2)
                    .await
                    .ok();
                self.world().misbehave(|faults| {
                    faults.twilio.create = CreateFault::RateLimited { retry_after: 1 };
                    faults.twilio.times = Some(1);
                });
            }
            Scenario::Cancelled => self.cancel().await?,
            _ => {}
        }
        self.until_all_have_ended(self.row.scenario.messages() as usize)
            .await
    }

    /// Cancels the run while the model thinks, until somebody says that it is.
    async fn cancel(&self) -> Result<(), String> {
        let asked = |book: &recado_simulator::Book| {
            let requests = book.requests();
            let mut asked = requests
                .iter()
                .filter(|request| request.path.ends_with("/chat/completions"));
            asked.any(|request| request.at >= self.begun())
        };
        self.world().simulator.wait_for(asked, LONGEST * 2).await.ok();
        let db = self.world().database.connect().await;
        let runs = texts(&db, "select id from runs")
            .await
            .map_err(|error| error.to_string())?;
        let run = runs
            .first()
            .map(|row| row[0].clone())
            .ok_or("there is no run to cancel")?;
        let path = format!("/runs/{run}/cancel");
        eventually(LONGEST * 2, async || {
            let request = self.world().api(reqwest::Method::POST, &path);
            let status = request.send().await.ok()?.status().as_u16();
            // 409: the answer to an earlier try got lost, and it has ended since.
            matches!(status, 200..300 | 409).then_some(())
        })
        .await;
        Ok(())
    }

    async fn until_all_have_ended(&self, least: usize) -> Result<(), String> {
        let db = self.world().database.connect().await;
        let parked = eventually(LONGEST * 2, async || {
            let states = texts(&db, "select state from runs").await.ok()?;
            let ended = |row: &Vec<String>| matches!(row[0].as_str(), "completed" | "cancelled" | "failed");
            let parked = states.iter().any(|row| row[0] == "parked");
            (parked || (states.len() >= least && states.iter().all(ended))).then_some(parked)
        });
        match parked.await {
            true => Err(format!("parked: {}", self.runs().await)),
            false => Ok(()),
        }
    }

    async fn runs(&self) -> String {
        let db = self.world().database.connect().await;
        let sql = "select state, outcome, waiting_for, error from runs order by id";
        texts(&db, sql)
            .await
            .map_or_else(|error| error.to_string(), |runs| format!("{runs:?}"))
    }

    /// When the cell began: its first entry in the vendor's book.
    fn begun(&self) -> chrono::DateTime<chrono::Utc> {
        let messages = self.world().simulator.book().messages();
        let first = messages.iter().find(|message| message.contact() == self.contact);
        first.map_or(chrono::DateTime::<chrono::Utc>::MAX_UTC, |message| {
            message.created
        })
    }

    async fn judge(&self, outcome: &mut Outcome) {
        let db = self.world().database.connect().await;
        match self.row.scenario {
            Scenario::Everything => self.judge_effects(&db, outcome).await,
            _ => self.judge_answers(&db, outcome).await,
        }
        // What holds at the end of whatever happened.
        let wrong = [
            (
                "a run did not end",
                "select id, state, waiting_for, error from runs where state not in ('completed', 'cancelled')",
            ),
            (
                "a journal has a gap",
                "select run from journal group by run having max(seq) <> count(*)",
            ),
            ("a place in a lane was left behind", "select run from lane_places"),
        ];
        for (what, sql) in wrong {
            match texts(&db, sql).await {
                Ok(rows) if rows.is_empty() => {}
                found => {
                    outcome.counts.other += usize::from(outcome.counts.stuck == 0);
                    outcome.told.push(format!("{what}: {found:?}"));
                }
            }
        }
    }

    /// Every message answered once, in order; a cancelled one not at all. The vendor's book agrees with ours.
    async fn judge_answers(&self, db: &DatabaseConnection, outcome: &mut Outcome) {
        let expected: Vec<_> = (1..=self.row.scenario.messages())
            .map(|number| number.to_string())
            .collect();
        let sent = self.world().simulator.book().outbound_to(&self.contact);
        let done: Vec<_> = sent.iter().flat_map(|message| numbers(&message.body)).collect();
        if self.row.scenario == Scenario::Cancelled {
            let states = texts(db, "select state from runs").await.unwrap_or_default();
            outcome.counts.lost += usize::from(states != [["cancelled"]]);
            outcome.counts.doubled += sent.len();
        } else {
            outcome.counts.add(&Counts::of(&expected, &done));
        }
        let mut theirs: Vec<_> = sent.iter().map(|message| vec![message.sid.clone()]).collect();
        theirs.sort();
        let ours = "select twilio_sid from messages where direction = 'outbound' and twilio_sid is not null order by 1";
        let ours = texts(db, ours).await.unwrap_or_default();
        if ours != theirs {
            outcome.counts.other += 1;
            outcome
                .told
                .push(format!("the vendor has {theirs:?}, we have {ours:?}"));
        }
        if !outcome.counts.is_zero() {
            let bodies: Vec<_> = sent.iter().map(|message| &message.body).collect();
            outcome
                .told
                .push(format!("answers: {bodies:?}, runs: {}", self.runs().await));
        }
    }

    async fn judge_effects(&self, db: &DatabaseConnection, outcome: &mut Outcome) {
        let noted = texts(db, "select what from effects order by id")
            .await
            .unwrap_or_default();
        let noted: Vec<_> = noted.into_iter().flatten().collect();
        let letters = everything::book(&self.vendor, "letters");
        // Repeating a call under its key is harmless; another key is another call.
        let mut keys = everything::book(&self.vendor, "posts");
        keys.sort();
        keys.dedup();
        let posted: Vec<_> = keys
            .iter()
            .filter_map(|line| Some(line.split('\t').next()?.to_owned()))
            .collect();
        let of_notes = Counts {
            // Runs of different lanes note in no particular order.
            reordered: 0,
            ..Counts::of(&everything::effects(), &noted)
        };
        outcome.counts.add(&of_notes);
        outcome.counts.add(&Counts::of(&everything::posts(), &posted));
        outcome.counts.add(&Counts::of(&everything::letters(), &letters));
        if !outcome.counts.is_zero() {
            outcome.told.push(format!(
                "noted {noted:?}, posted {posted:?}, letters {letters:?}, runs: {}",
                self.runs().await
            ));
        }
    }
}
