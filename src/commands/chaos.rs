//! `recado chaos`: real processes under load, killed, frozen and cut off at random; then the vendor's book against ours.
mod load;
mod plan;
mod processes;
mod proxy;
mod servers;
mod verdict;
mod world;

use std::{
    collections::{BTreeMap, HashMap},
    io::BufRead as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use recado_engine::{Codec, Filter, RunState, Storage, StorageOptions};
use recado_simulator::{Direction, Entry};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    load::{Load, Told},
    plan::{Chance, Plan},
    verdict::{Facts, Kind, Sent, Verdict},
    world::World,
};
use super::say;
use crate::serve;

const ACCOUNT: &str = "AC0cc00000000000000000000000000001";
const TOKEN: &str = "the-token-of-chaos";
const NUMBER: &str = "+14155238886";
/// Of how many runs the journal is shown.
const SHOWN: usize = 10;

/// What to do to it, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Chaos {
    /// For how many seconds there is load and trouble
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Repeats the plan of an earlier run, which printed it
    #[arg(long)]
    seed: Option<u64>,
    /// How many messages a second
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rate: u64,
    /// How many contacts write
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=5000))]
    contacts: u64,
    /// For how many seconds nothing may get on when the trouble is over, before it is judged
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    settle: u64,
    /// Works in this folder, which must not exist yet, and leaves logs and book there
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Nothing goes wrong: a run to compare with
    #[arg(long)]
    calm: bool,
}

impl Chaos {
    /// Exits with 1 when anything was lost, doubled, reordered or is unexplained.
    ///
    /// # Errors
    /// When something does not come up, or does not come back.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let stop = serve::stop_on_signal()?;
        let folder = Folder::make(self.folder.as_deref())?;
        let seed = self
            .seed
            .unwrap_or_else(|| chrono::Utc::now().timestamp_micros() as u64);
        crate::tell(&format!(
            "seed {seed}; the same again: recado chaos --seconds {} --seed {seed}",
            self.seconds
        ));
        let mut world = tokio::select! {
            () = stop.cancelled() => return Ok(ExitCode::from(130)),
            world = World::start(&folder.path) => world?,
        };
        let judged = tokio::select! {
            () = stop.cancelled() => None,
            judged = self.trouble(&mut world, seed) => Some(judged),
        };
        world.close().await;
        let Some(judged) = judged else {
            return Ok(ExitCode::from(130));
        };
        let (verdict, journals, told) = judged?;
        self.report(seed, &verdict, &journals, &told);
        Ok(ExitCode::from(u8::from(!verdict.findings.is_empty())))
    }

    async fn trouble(&self, world: &mut World, seed: u64) -> anyhow::Result<(Verdict, String, Told)> {
        let (lasts, give_up) = (Duration::from_secs(self.seconds), CancellationToken::new());
        let load = Arc::new(Load {
            fronts: world.front_ports.clone(),
            webhook: format!("{}/api/v1/twilio/webhooks/inbound", world.public),
            http: world.http.clone(),
            told: Default::default(),
        });
        let mut writing = JoinSet::new();
        writing.spawn(
            load.clone()
                .run(seed, self.contacts as usize, self.rate, lasts, give_up.clone()),
        );
        let mut strange = self.act(world, seed, lasts).await?;
        world.whole_again().await?;
        crate::tell("everything is back");
        let (begun, patience) = (Instant::now(), Duration::from_secs(self.settle));
        if tokio::time::timeout(patience, writing.join_next()).await.is_err() {
            give_up.cancel();
            writing.join_next().await;
        }
        let options = StorageOptions {
            codec: Some(Codec::aes(world::SECRET)),
            ..StorageOptions::new(&world.database)
        };
        let storage = Storage::open(&options, || {}).await?;
        settle(&storage, patience).await;
        crate::tell(&format!("settled after {:.1} s", begun.elapsed().as_secs_f64()));
        world.close_book().await;
        let told = std::mem::take(&mut *load.told());
        let facts = facts(&storage, &world.book, &told).await?;
        let mut verdict = Verdict::of(&facts);
        for death in world.deaths.lock().await.iter().filter(|death| death.was_ready) {
            strange.push(format!("{} ended by itself: {}", death.name, death.status));
        }
        for told in strange {
            verdict.unexplained(told, None);
        }
        let journals = journals(&storage, &facts, &verdict).await?;
        Ok((verdict, journals, told))
    }

    /// Carries the plan out. Returns what was strange about it.
    async fn act(&self, world: &World, seed: u64, lasts: Duration) -> anyhow::Result<Vec<String>> {
        let begun = Instant::now();
        let plan = if self.calm {
            Plan(Vec::new())
        } else {
            Plan::new(seed, lasts)
        };
        let acts = plan.0.iter().enumerate().map(async |(index, (at, act))| {
            tokio::time::sleep(at.saturating_sub(begun.elapsed())).await;
            crate::tell(&format!("{:7.1} s  {act}", begun.elapsed().as_secs_f64()));
            let mut chance = Chance::new(seed ^ (index as u64 + 1) << 32);
            world.act(act, &mut chance).await
        });
        let acted = futures::future::join_all(acts).await;
        tokio::time::sleep(lasts.saturating_sub(begun.elapsed())).await;
        let mut strange = Vec::new();
        for told in acted {
            strange.extend(told?);
        }
        Ok(strange)
    }

    fn report(&self, seed: u64, verdict: &Verdict, journals: &str, told: &Told) {
        let acknowledged = told.said.iter().filter(|said| said.acknowledged).count();
        say(format!(
            "{} messages of {} contacts, {acknowledged} acknowledged, {} repeated on purpose; answers to webhooks: {}",
            told.said.len(),
            self.contacts,
            told.repeated,
            statuses(&told.answers),
        ));
        for kind in Kind::ALL {
            say(format!("{kind:12} {:6}", verdict.count(kind)));
        }
        say(format!("{:12} {:6}", "parked", verdict.parked.len()));
        for parked in &verdict.parked {
            say(format!("  waits for a person: {parked}"));
        }
        for finding in &verdict.findings {
            say(format!("{}: {}", finding.kind, finding.told));
        }
        if !verdict.findings.is_empty() {
            say(journals);
            say(format!("seed {seed}"));
        }
    }
}

/// A folder that goes when this is dropped, unless somebody asked for it.
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    fn make(wanted: Option<&Path>) -> anyhow::Result<Self> {
        let path = match wanted {
            Some(path) => std::path::absolute(path)?,
            None => std::env::temp_dir().join(format!("recado-chaos-{}", std::process::id())),
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::create_dir(&path)?;
        Ok(Self {
            path,
            kept: wanted.is_some(),
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A process that was just killed may still be writing its last.
        for _ in 0..10 {
            let path = match self.kept {
                true => self.path.join("postgres"),
                false => self.path.clone(),
            };
            if std::fs::remove_dir_all(&path).is_ok() || !path.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Waits until every run has ended or waits for a person, as long as fewer are left than `patience` ago: a busy machine
/// takes its time. What does not settle is found by the verdict.
async fn settle(storage: &Storage, patience: Duration) {
    let (mut least, mut since) = (i64::MAX, Instant::now());
    while since.elapsed() < patience {
        if let Ok(open) = storage.open_runs().await {
            let going = open.iter().filter(|(state, _)| *state != RunState::Parked);
            let left = going.map(|(_, count)| count).sum();
            if left == 0 {
                return;
            }
            if left < least {
                (least, since) = (left, Instant::now());
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// All that both books hold.
async fn facts(storage: &Storage, book: &Path, told: &Told) -> anyhow::Result<Facts> {
    let mut sent = Vec::new();
    for line in std::io::BufReader::new(std::fs::File::open(book)?).lines() {
        // Only its last line can be broken, when it was killed for good.
        if let Ok(Entry::Message(message)) = serde_json::from_str(&line?)
            && message.direction == Direction::Outbound
        {
            sent.push(Sent {
                sid: message.sid.clone(),
                to: message.to.clone(),
                body: message.body.clone(),
            });
        }
    }
    let (mut runs, mut cursor) = (HashMap::new(), None);
    loop {
        let page = storage.runs(&Filter::default(), 500, cursor.as_deref()).await?;
        for run in page.items {
            let sid = run.key.as_str();
            let sid = sid.rsplit(':').next().unwrap_or_default().to_owned();
            runs.insert(sid, run);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let sql = "select twilio_sid from messages where direction = 'outbound' and twilio_sid is not null";
    let db = storage.reader();
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await?;
    let ours = rows
        .iter()
        .map(|row| row.try_get("", "twilio_sid"))
        .collect::<Result<_, _>>()?;
    Ok(Facts {
        said: told.said.clone(),
        sent,
        runs,
        ours,
    })
}

/// The journals of the first runs that something is wrong with.
async fn journals(storage: &Storage, facts: &Facts, verdict: &Verdict) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut sids: Vec<_> = verdict
        .findings
        .iter()
        .filter_map(|finding| finding.sid.as_deref())
        .collect();
    sids.dedup();
    for run in sids.iter().filter_map(|sid| facts.runs.get(*sid)).take(SHOWN) {
        text.push_str(&format!(
            "\nrun {} ({}), place {:?} of its lane\n",
            run.id,
            run.state.as_str(),
            run.place
        ));
        for event in storage.journal(&run.id).await? {
            let data = event.data.map(|data| data.to_string()).unwrap_or_default();
            text.push_str(&format!(
                "{:>4}  {}  {:16}  {:16}  {}  {}\n",
                event.seq,
                event.at.format("%H:%M:%S%.3f"),
                event.kind.as_str(),
                event.name.unwrap_or_default(),
                event
                    .attempt
                    .map(|attempt| format!("attempt {attempt}"))
                    .unwrap_or_default(),
                data.chars().take(200).collect::<String>()
            ));
        }
    }
    Ok(text)
}

fn statuses(answers: &BTreeMap<u16, u64>) -> String {
    let told: Vec<_> = answers
        .iter()
        .map(|(status, times)| match status {
            0 => format!("none {times}"),
            status => format!("{status} {times}"),
        })
        .collect();
    told.join(", ")
}
