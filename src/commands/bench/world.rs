//! The processes that are measured, their database and the simulated Twilio.
use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbBackend};

use super::{
    book::Book,
    cast::{ADMIN, Callbacks, Cast, DEFAULT, environment, start_twilio},
    contacts::{Account, Contacts},
    figures::Figures,
    load::Load,
    process::{Environment, Process, counter, free_port},
    usage::{self, Servers, Usage},
};
use crate::config::Config;

/// What is measured.
pub(super) struct World {
    folder: Folder,
    address: String,
    http: reqwest::Client,
    book: Book,
    processes: Vec<Process>,
    environment: Environment,
    cast: Cast,
    database: DatabaseConnection,
    url: String,
    servers: Servers,
    contacts: u64,
}

/// Where book and database are; gone when this is dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it lies in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Counters before a measurement.
pub(super) struct Reading {
    journal: (f64, f64),
    cpu: Usage,
}

impl World {
    /// Starts the simulated Twilio and the processes. The database is an SQLite file of its own, or the Postgres that is
    /// set; never anybody's `data/recado.db`.
    ///
    /// # Errors
    /// When a process does not come up.
    pub(super) async fn begin(config: &Config, cast: Cast) -> anyhow::Result<Self> {
        anyhow::ensure!(
            cast.workers == 0 || !config.is_sqlite(),
            "workers of their own need Postgres: set DATABASE_URL"
        );
        let folder = Folder(std::env::temp_dir().join(format!("recado-bench-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0)?;
        let http = recado_clients::http(Duration::from_secs(120))?;
        let (twilio, path) = (free_port()?, folder.0.join("twilio.jsonl"));
        let simulator = start_twilio(twilio, &path, cast.callbacks, &http).await?;
        let url = match config.is_sqlite() {
            true => format!("sqlite://{}", folder.0.join("bench.db").display()),
            false => config.database_url.clone(),
        };
        let address = format!("http://127.0.0.1:{}", free_port()?);
        let environment = environment(config, &url, &address, &format!("http://127.0.0.1:{twilio}"));
        for command in [["migrate", "up"].as_slice(), &["seed"]] {
            Process::once(command, &environment).await?;
        }
        let mut options = ConnectOptions::new(&url);
        options.max_connections(4).sqlx_logging(false);
        let mut world = Self {
            book: Book::follow(path),
            folder,
            http,
            database: Database::connect(options).await?,
            url,
            servers: Servers::default(),
            contacts: first_contact(),
            processes: vec![simulator],
            environment,
            cast,
            address,
        };
        world.servers = world.find_servers(config).await?;
        if cast.workers > 0 {
            world.start_front().await?;
        }
        world.start_workers().await?;
        Ok(world)
    }

    async fn start_front(&mut self) -> anyhow::Result<()> {
        let front: &[&str] = match self.cast.workers {
            0 => &["serve", "--worker"],
            _ => &["serve"],
        };
        let front = Process::recado("serve", front, &self.environment, &self.http).await?;
        self.processes.push(front);
        Ok(())
    }

    /// Starts what works on runs: the workers, or where there are none the front end itself.
    ///
    /// # Errors
    /// When one does not come up.
    pub(super) async fn start_workers(&mut self) -> anyhow::Result<()> {
        if self.cast.workers == 0 {
            return self.start_front().await;
        }
        for _ in 0..self.cast.workers {
            let worker = Process::recado("workers", &["worker"], &self.environment, &self.http).await?;
            self.processes.push(worker);
        }
        Ok(())
    }

    /// Kills what works on runs.
    ///
    /// # Errors
    /// When one cannot be killed.
    pub(super) async fn kill_workers(&mut self) -> anyhow::Result<()> {
        let name = if self.cast.workers == 0 {
            "serve"
        } else {
            "workers"
        };
        for process in self.processes.iter_mut().filter(|process| process.name == name) {
            process.child.kill().await?;
        }
        self.processes.retain(|process| process.name != name);
        Ok(())
    }

    async fn find_servers(&self, config: &Config) -> anyhow::Result<Servers> {
        let postmaster = match self.backend() {
            DbBackend::Postgres => {
                let backend: i32 = self
                    .one("select pg_backend_pid() as pid", vec![])
                    .await?
                    .try_get("", "pid")?;
                usage::postmaster_of(u32::try_from(backend)?)
            }
            _ => None,
        };
        let redis = config
            .redis_url
            .as_ref()
            .and_then(|url| url::Url::parse(url).ok());
        let redis = redis.map(|url| url.port().unwrap_or(6379));
        Ok(Servers { postmaster, redis })
    }

    /// Whether Twilio reports what becomes of answers.
    pub(super) fn callbacks(&self) -> Callbacks {
        self.cast.callbacks
    }

    /// Requires that no process has died.
    ///
    /// # Errors
    /// When one has, with its name.
    pub(super) fn require_alive(&mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            let ended = process.child.try_wait()?;
            anyhow::ensure!(ended.is_none(), "a process of `{}` died: {ended:?}", process.name);
        }
        Ok(())
    }

    /// A request to the JSON API.
    pub(super) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}/api/v1{path}", self.address))
            .bearer_auth(ADMIN)
    }

    /// A question to the JSON API.
    pub(super) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.page(&format!("/api/v1{path}"))
    }

    /// A page, as the operator's browser asks for it.
    pub(super) fn page(&self, path: &str) -> reqwest::RequestBuilder {
        let address = format!("{}{path}", self.address);
        self.http.get(address).bearer_auth(ADMIN)
    }

    /// The database, for what no process does.
    pub(super) fn database(&self) -> &DatabaseConnection {
        &self.database
    }

    /// Where the database is.
    pub(super) fn database_url(&self) -> &str {
        &self.url
    }

    /// Which of the two it is.
    pub(super) fn backend(&self) -> DbBackend {
        self.database.get_database_backend()
    }

    /// What contacts were sent.
    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    /// So many contacts who never wrote before, of the owner `default`.
    pub(super) fn contacts(&mut self, count: u64) -> Contacts {
        self.contacts_of(DEFAULT, count)
    }

    /// So many contacts who never wrote before.
    pub(super) fn contacts_of(&mut self, account: Account, count: u64) -> Contacts {
        let first = self.contacts;
        self.contacts += count;
        Contacts::new(account, &self.address, self.http.clone(), first)
    }

    /// The sum of a metric over all processes.
    ///
    /// # Errors
    /// When a process does not answer.
    pub(super) async fn metric(&self, names: &[&str]) -> anyhow::Result<Vec<f64>> {
        let mut sums = vec![0.0; names.len()];
        for url in self
            .processes
            .iter()
            .filter_map(|process| process.metrics.as_ref())
        {
            let metrics = self.http.get(url).send().await?.text().await?;
            for (sum, name) in sums.iter_mut().zip(names) {
                *sum += counter(&metrics, name);
            }
        }
        Ok(sums)
    }

    /// Metrics that every process reads from the database, as one tells them.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn gauges(&self, names: &[&str]) -> anyhow::Result<Vec<f64>> {
        let url = self.processes.iter().find_map(|process| process.metrics.as_ref());
        let url = url.context("no process tells metrics")?;
        let metrics = self.http.get(url).send().await?.text().await?;
        Ok(names.iter().map(|name| counter(&metrics, name)).collect())
    }

    /// Reads the counters.
    ///
    /// # Errors
    /// When a process does not answer.
    pub(super) async fn reading(&self) -> anyhow::Result<Reading> {
        let counters = ["recado_journal_commits_total", "recado_journal_rows_total"];
        let journal = self.metric(&counters).await?;
        Ok(Reading {
            journal: (journal[0], journal[1]),
            cpu: self.cpu(),
        })
    }

    /// The processor seconds used so far.
    pub(super) fn cpu(&self) -> Usage {
        usage::cpu(&self.ids(), self.servers)
    }

    /// The resident memory now, in MiB.
    pub(super) fn resident(&self) -> Usage {
        usage::resident(&self.ids())
    }

    fn ids(&self) -> Vec<(&'static str, u32)> {
        self.processes.iter().filter_map(Process::id).collect()
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
            cpu: usage::between(&before.cpu, &after.cpu),
            resident: self.resident(),
            ..Figures::default()
        })
    }

    /// Ends everything.
    ///
    /// # Errors
    /// When a process cannot be ended.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        // The simulated Twilio last: nobody is to find it gone.
        for process in self.processes.iter_mut().rev() {
            process.child.kill().await?;
        }
        self.database.close().await?;
        drop(self.folder);
        Ok(())
    }
}

/// Contacts of one bench are not those of another on the same database.
fn first_contact() -> u64 {
    u64::from(std::process::id()) % 100 * 1_000_000
}
