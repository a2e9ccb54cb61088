//! The processes that are measured, their database and the simulated Twilio.
use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use recado_simulator::{Account, Config as Simulated, Simulator};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement, Value};
use tokio::process::{Child, Command};

use super::{
    cpu::{self, Cpu},
    figures::Figures,
    load::Load,
};
use crate::config::Config;

const ACCOUNT: &str = "AC0be00000000000000000000000000001";
const TOKEN: &str = "the-token-of-the-bench";
const ADMIN: &str = "bench";
/// The number that contacts write to.
pub(super) const NUMBER: &str = "+14155238886";
/// How long the last rows of what was answered may take: a run is closed after its answer.
const SETTLED: Duration = Duration::from_secs(30);

/// What is measured.
pub(super) struct World {
    folder: PathBuf,
    address: String,
    http: reqwest::Client,
    simulator: Simulator,
    processes: Vec<Process>,
    database: DatabaseConnection,
    contacts: u64,
}

struct Process {
    name: &'static str,
    child: Child,
    metrics: String,
}

/// Counters before a measurement.
pub(super) struct Reading {
    journal: (f64, f64),
    cpu: Cpu,
}

impl World {
    /// Starts one `serve` and so many workers; without any, one `serve --worker`. The database is an SQLite file of its
    /// own, or the Postgres that is set; never anybody's `data/recado.db`.
    ///
    /// # Errors
    /// When a process does not come up.
    pub(super) async fn begin(config: &Config, workers: u64) -> anyhow::Result<Self> {
        anyhow::ensure!(
            workers == 0 || !config.is_sqlite(),
            "workers of their own need Postgres: set DATABASE_URL"
        );
        let folder = std::env::temp_dir().join(format!("recado-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let address = format!("http://127.0.0.1:{}", free_port()?);
        let account =
            Account::new(ACCOUNT, TOKEN).webhook(format!("{address}/api/v1/twilio/webhooks/inbound"));
        let simulated = Simulated {
            log_size: 100,
            ..Simulated::new(folder.join("twilio.jsonl"))
        };
        let simulator = Simulator::start(simulated.account(account.number(NUMBER))).await?;
        let url = match config.is_sqlite() {
            true => format!("sqlite://{}", folder.join("bench.db").display()),
            false => config.database_url.clone(),
        };
        let environment = environment(config, &url, &address, simulator.url());
        for command in [["migrate", "up"].as_slice(), &["seed"]] {
            let done = program(command, &environment, "")?.wait().await?;
            anyhow::ensure!(done.success(), "`recado {}` failed", command.join(" "));
        }
        let mut world = Self {
            folder,
            http: recado_clients::http(Duration::from_secs(120))?,
            database: Database::connect(&url).await?,
            contacts: first_contact(),
            processes: Vec::new(),
            simulator,
            address,
        };
        let front: &[&str] = if workers == 0 {
            &["serve", "--worker"]
        } else {
            &["serve"]
        };
        world.spawn("serve", front, &environment).await?;
        for _ in 0..workers {
            world.spawn("workers", &["worker"], &environment).await?;
        }
        Ok(world)
    }

    async fn spawn(
        &mut self,
        name: &'static str,
        arguments: &[&str],
        environment: &Environment,
    ) -> anyhow::Result<()> {
        let metrics = format!("127.0.0.1:{}", free_port()?);
        let child = program(arguments, environment, &metrics)?;
        let mut process = Process {
            name,
            child,
            metrics: format!("http://{metrics}"),
        };
        process
            .is_ready(&self.http)
            .await
            .with_context(|| format!("`recado {}`", arguments.join(" ")))?;
        self.processes.push(process);
        Ok(())
    }

    /// What the database promises of what it was told to keep.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn about(&self) -> anyhow::Result<String> {
        let mut told = Vec::new();
        let settings: &[&str] = match self.database.get_database_backend() {
            sea_orm::DbBackend::Postgres => &["server_version", "fsync", "synchronous_commit"],
            _ => &["journal_mode", "synchronous"],
        };
        for setting in settings {
            let sql = match self.database.get_database_backend() {
                sea_orm::DbBackend::Postgres => format!("select current_setting('{setting}') as value"),
                // The processes' own connections are told so by the program; this one only shows the file's mode.
                _ if *setting == "synchronous" => "select 'FULL' as value".to_owned(),
                _ => "select journal_mode as value from pragma_journal_mode".to_owned(),
            };
            let row = self.database.query_one_raw(self.statement(&sql, vec![])).await?;
            let value: String = row.context("a setting has no value")?.try_get("", "value")?;
            told.push(format!("{setting} {value}"));
        }
        Ok(told.join(", "))
    }

    /// A request to the JSON API.
    pub(super) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}/api/v1{path}", self.address))
            .bearer_auth(ADMIN)
    }

    pub(super) fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// The number of the first of `count` contacts who never wrote before.
    pub(super) fn next_contacts(&mut self, count: u64) -> u64 {
        self.contacts += count;
        self.contacts - count
    }

    /// The account whose messages are of this bench.
    pub(super) fn messages(&self) -> &'static str {
        ACCOUNT
    }

    /// Reads the counters.
    ///
    /// # Errors
    /// When a process does not answer.
    pub(super) async fn reading(&self) -> anyhow::Result<Reading> {
        let mut journal = (0.0, 0.0);
        for process in &self.processes {
            let metrics = self
                .http
                .get(format!("{}/metrics", process.metrics))
                .send()
                .await?
                .text()
                .await?;
            journal.0 += counter(&metrics, "recado_journal_commits_total");
            journal.1 += counter(&metrics, "recado_journal_rows_total");
        }
        let pids = self
            .processes
            .iter()
            .filter_map(|process| Some((process.name, process.child.id()?)));
        Ok(Reading {
            journal,
            cpu: cpu::used(&pids.collect::<Vec<_>>()),
        })
    }

    /// The figures of a measurement that began at `before`.
    ///
    /// # Errors
    /// When a process does not answer.
    pub(super) async fn figures(
        &self,
        mode: &'static str,
        load: &Load,
        before: Reading,
        took: Duration,
        times: Vec<(&'static str, Vec<f64>)>,
    ) -> anyhow::Result<Figures> {
        let after = self.reading().await?;
        Ok(Figures {
            mode,
            in_flight: load.rate.is_none().then_some(load.in_flight),
            rate: load.rate,
            count: load.count,
            seconds: took.as_secs_f64(),
            times,
            journal: (
                after.journal.0 - before.journal.0,
                after.journal.1 - before.journal.1,
            ),
            cpu: cpu::between(&before.cpu, &after.cpu),
        })
    }

    /// Requires that `count` runs of a workflow whose keys begin with `prefix` have ended well, each with at least
    /// `events` completed steps in the journal.
    ///
    /// # Errors
    /// When the database does not answer, or a row is missing.
    pub(super) async fn require_events(
        &self,
        workflow: &str,
        prefix: &str,
        count: u64,
        events: u64,
    ) -> anyhow::Result<()> {
        let sql = "select count(*) as runs, cast(coalesce(sum((select count(*) from journal j
                where j.run = r.id and j.kind = 'activity_completed')), 0) as bigint) as events
            from runs r where r.workflow = $1 and r.key like $2 and r.state = 'completed'";
        let values = vec![workflow.into(), format!("{prefix}%").into()];
        let row = self.database.query_one_raw(self.statement(sql, values)).await?;
        let row = row.context("the journal does not answer")?;
        let runs: i64 = row.try_get("", "runs")?;
        let found: i64 = row.try_get("", "events")?;
        anyhow::ensure!(
            (runs, found) == (count as i64, (count * events) as i64),
            "of {count} runs with {events} steps each the journal holds {runs} with {found} steps in all"
        );
        Ok(())
    }

    /// Requires that every run of a workflow whose key begins with `prefix` has ended well.
    ///
    /// # Errors
    /// When the database does not answer, or one has not ended in time.
    pub(super) async fn require_ended(&self, workflow: &str, prefix: &str) -> anyhow::Result<()> {
        let sql = "select count(*) as open from runs r
            where r.workflow = $1 and r.key like $2 and r.state <> 'completed'";
        let settled = async {
            loop {
                let values = vec![workflow.into(), format!("{prefix}%").into()];
                let row = self.database.query_one_raw(self.statement(sql, values)).await?;
                if row
                    .context("the runs do not answer")?
                    .try_get::<i64>("", "open")?
                    == 0
                {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SETTLED, settled)
            .await
            .context("runs were answered and have not ended")?
    }

    /// The milliseconds from the start of runs to their first attempts.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn until_first_step(&self, workflow: &str, prefix: &str) -> anyhow::Result<Vec<f64>> {
        let sql = "select r.created_at as created_at, min(j.started_at) as started_at
            from runs r join journal j on j.run = r.id and j.started_at is not null
            where r.workflow = $1 and r.key like $2 group by r.id, r.created_at";
        let values = vec![workflow.into(), format!("{prefix}%").into()];
        let rows = self.database.query_all_raw(self.statement(sql, values)).await?;
        let waited = |row: &sea_orm::QueryResult| -> Result<f64, sea_orm::DbErr> {
            let at = |column| row.try_get::<chrono::DateTime<chrono::Utc>>("", column);
            Ok((at("started_at")? - at("created_at")?).as_seconds_f64() * 1e3)
        };
        Ok(rows.iter().map(waited).collect::<Result<_, _>>()?)
    }

    /// Ends everything.
    ///
    /// # Errors
    /// When a process cannot be ended.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            process.child.kill().await?;
        }
        self.database.close().await?;
        self.simulator.shutdown().await;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }

    fn statement(&self, sql: &str, values: Vec<Value>) -> Statement {
        Statement::from_sql_and_values(self.database.get_database_backend(), sql, values)
    }
}

impl Process {
    async fn is_ready(&mut self, http: &reqwest::Client) -> anyhow::Result<()> {
        let url = format!("{}/health/ready", self.metrics);
        let answers = async {
            while !http
                .get(&url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            ended = self.child.wait() => anyhow::bail!("it ended: {}", ended?),
            answered = tokio::time::timeout(Duration::from_secs(20), answers) => answered.context("it does not come up"),
        }
    }
}

type Environment = Vec<(&'static str, String)>;

fn environment(config: &Config, database: &str, address: &str, twilio: &str) -> Environment {
    vec![
        ("DATABASE_URL", database.to_owned()),
        ("REDIS_URL", config.redis_url.clone().unwrap_or_default()),
        ("HTTP_ADDR", address.trim_start_matches("http://").to_owned()),
        ("PUBLIC_URL", address.to_owned()),
        (
            "SECRET_KEY",
            "recado bench: everything here is simulated".to_owned(),
        ),
        ("ADMIN_TOKEN", ADMIN.to_owned()),
        ("TWILIO_ACCOUNT_SID", ACCOUNT.to_owned()),
        ("TWILIO_AUTH_TOKEN", TOKEN.to_owned()),
        ("TWILIO_PHONE_NUMBER", NUMBER.to_owned()),
        ("TWILIO_WHATSAPP_NUMBER", NUMBER.to_owned()),
        ("TWILIO_API_URL", twilio.to_owned()),
        ("OPENAI_API_KEY", String::new()),
        ("GROQ_API_KEY", String::new()),
        ("GEMINI_API_KEY", String::new()),
        ("OLLAMA_URL", String::new()),
        ("LOG", "warn".to_owned()),
    ]
}

fn program(arguments: &[&str], environment: &Environment, metrics: &str) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .envs(environment.iter().cloned())
        .env("METRICS_ADDR", metrics)
        .stdout(Stdio::null())
        .kill_on_drop(true);
    Ok(command.spawn()?)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Contacts of one bench are not those of another on the same database.
fn first_contact() -> u64 {
    u64::from(std::process::id()) % 100 * 1_000_000
}

/// The sum of a counter over its labels.
fn counter(metrics: &str, name: &str) -> f64 {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let values = lines
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit_once(' '));
    values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}
