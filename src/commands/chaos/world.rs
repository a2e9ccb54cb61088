//! Everything that runs: servers, the vendor, front ends, workers, and the links between them.
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use recado_simulator::{Config as Simulated, Faults, Simulator};
use tokio::{sync::Mutex, task::JoinSet};

use super::{
    ACCOUNT, NUMBER, TOKEN,
    plan::{Act, Chance, FRONTS, Link, Victim, WORKERS},
    processes::{Death, Process, Ready, free_port, supervise},
    proxy::Proxy,
    servers,
};

/// What the documents of all processes are sealed with.
pub(super) const SECRET: &str = "recado chaos: everything here is simulated";
/// The longest that anything may take to come up, on a busy machine.
const COMES_UP: Duration = Duration::from_secs(60);
/// How long a process that is asked to go home may take.
const GOES_HOME: Duration = Duration::from_secs(15);

type Shared = Arc<Mutex<Process>>;

/// All of it. Dropping it ends every process.
pub(super) struct World {
    pub(super) http: reqwest::Client,
    pub(super) front_ports: Vec<u16>,
    /// Where Twilio believes that we are.
    pub(super) public: String,
    /// The database, past every proxy.
    pub(super) database: String,
    pub(super) book: PathBuf,
    pub(super) deaths: Arc<Mutex<Vec<Death>>>,
    fronts: Vec<Shared>,
    workers: Vec<Shared>,
    postgres: Shared,
    redis: Shared,
    twilio: Shared,
    redis_port: u16,
    twilio_url: String,
    links: Vec<(Link, Proxy)>,
    _public: Proxy,
    _model: Simulator,
    misbehaving: Mutex<()>,
    supervisors: JoinSet<()>,
}

impl World {
    /// Starts everything in `folder`, and returns when it is ready.
    ///
    /// # Errors
    /// When something does not come up.
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let http = recado_clients::http(Duration::from_secs(30))?;
        let mut taken = Vec::new();
        let mut port = || free_port(&mut taken);
        let (postgres_port, redis_port, twilio_port) = (port()?, port()?, port()?);
        let front_ports = (0..FRONTS).map(|_| port()).collect::<anyhow::Result<Vec<_>>>()?;
        let worker_ports = (0..WORKERS).map(|_| port()).collect::<anyhow::Result<Vec<_>>>()?;
        let mut postgres = servers::postgres(folder, postgres_port).await?;
        let mut redis = servers::redis(folder, redis_port).await;
        // The model stays: without one the offline agent hands over to people, and nothing is sent any more.
        let model = Simulator::start(Simulated {
            log_size: 100,
            ..Simulated::new(folder.join("model.jsonl"))
        })
        .await?;
        let links = vec![
            (Link::Postgres, Proxy::start(vec![postgres_port]).await?),
            (Link::Redis, Proxy::start(vec![redis_port]).await?),
            (Link::Twilio, Proxy::start(vec![twilio_port]).await?),
        ];
        let public_proxy = Proxy::start(front_ports.clone()).await?;
        let public = format!("http://127.0.0.1:{}", public_proxy.port);
        let book = folder.join("twilio.jsonl");
        let through = |index: usize| links[index].1.port;
        let environment: Vec<(String, String)> = [
            (
                "DATABASE_URL",
                format!("postgres://postgres@127.0.0.1:{}/postgres", through(0)),
            ),
            ("REDIS_URL", format!("redis://127.0.0.1:{}", through(1))),
            ("TWILIO_API_URL", format!("http://127.0.0.1:{}", through(2))),
            ("PUBLIC_URL", public.clone()),
            ("SECRET_KEY", SECRET.to_owned()),
            ("ADMIN_TOKEN", "chaos".to_owned()),
            ("TWILIO_ACCOUNT_SID", ACCOUNT.to_owned()),
            ("TWILIO_AUTH_TOKEN", TOKEN.to_owned()),
            ("TWILIO_PHONE_NUMBER", NUMBER.to_owned()),
            ("TWILIO_WHATSAPP_NUMBER", NUMBER.to_owned()),
            // What the simulator takes it lists within a second: a definite no comes soon.
            ("TWILIO_TIMEOUT", "2".to_owned()),
            ("TWILIO_LISTING_DELAY", "2".to_owned()),
            ("OPENAI_API_KEY", "simulated".to_owned()),
            ("OPENAI_BASE_URL", format!("{}/v1", model.url())),
            ("LOG", "warn".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        let prefix = servers::bound_to_us("KILL", None).await;
        let program = std::env::current_exe()?.display().to_string();
        let recado = |name: String, words: &[&str], own: Option<(&str, u16)>, ready: Ready| {
            let mut environment = environment.clone();
            environment.extend(own.map(|(name, port)| (name.to_owned(), format!("127.0.0.1:{port}"))));
            let words = words.iter().map(|word| (*word).to_owned());
            Process {
                words: prefix
                    .iter()
                    .cloned()
                    .chain([program.clone()])
                    .chain(words)
                    .collect(),
                environment,
                folder: folder.to_owned(),
                log: folder.join(format!("{name}.log")),
                ready,
                child: None,
                was_ready: false,
                name,
            }
        };
        let health = |port: u16| Ready::Http(format!("http://127.0.0.1:{port}/health/ready"));
        let twilio_url = format!("http://127.0.0.1:{twilio_port}");
        let (port_text, book_text) = (twilio_port.to_string(), book.display().to_string());
        let mut twilio = recado(
            "twilio".to_owned(),
            &[
                "simulated-twilio",
                "--port",
                &port_text,
                "--book",
                &book_text,
                "--account",
                &format!("{ACCOUNT}:{TOKEN}:{NUMBER}"),
            ],
            None,
            Ready::Http(format!("{twilio_url}/_simulator/faults")),
        );
        for server in [&mut postgres, &mut redis, &mut twilio] {
            server.launch()?;
            server.until_ready(&http, COMES_UP).await?;
        }
        let mut migrate = recado("migrate".to_owned(), &["migrate", "up"], None, Ready::Port(0));
        migrate.launch()?;
        let migrated = migrate.child.as_mut().context("just launched")?.wait();
        let migrated = tokio::time::timeout(COMES_UP, migrated)
            .await
            .context("`recado migrate up` hangs")??;
        anyhow::ensure!(
            migrated.success(),
            "`recado migrate up` failed: {}",
            migrate.told()
        );
        let mut fronts = Vec::new();
        for (index, port) in front_ports.iter().enumerate() {
            let name = format!("front-{}", index + 1);
            fronts.push(recado(
                name,
                &["serve"],
                Some(("HTTP_ADDR", *port)),
                health(*port),
            ));
        }
        let mut workers = Vec::new();
        for (index, port) in worker_ports.iter().enumerate() {
            let name = format!("worker-{}", index + 1);
            workers.push(recado(
                name,
                &["worker"],
                Some(("METRICS_ADDR", *port)),
                health(*port),
            ));
        }
        for process in fronts.iter_mut().chain(&mut workers) {
            process.launch()?;
        }
        for process in fronts.iter_mut().chain(&mut workers) {
            process.until_ready(&http, COMES_UP).await?;
        }
        let shared = |process| Arc::new(Mutex::new(process));
        let mut world = Self {
            front_ports,
            public,
            database: format!("postgres://postgres@127.0.0.1:{postgres_port}/postgres"),
            book,
            deaths: Arc::default(),
            fronts: fronts.into_iter().map(shared).collect(),
            workers: workers.into_iter().map(shared).collect(),
            postgres: shared(postgres),
            redis: shared(redis),
            twilio: shared(twilio),
            redis_port,
            twilio_url,
            links,
            _public: public_proxy,
            _model: model,
            misbehaving: Mutex::new(()),
            supervisors: JoinSet::new(),
            http,
        };
        for process in world.all() {
            let supervisor = supervise(process, world.http.clone(), world.deaths.clone());
            world.supervisors.spawn(supervisor);
        }
        Ok(world)
    }

    /// Does what is planned, and undoes it where that belongs to it. Returns what was strange about it.
    pub(super) async fn act(&self, act: &Act, chance: &mut Chance) -> anyhow::Result<Option<String>> {
        match act {
            Act::Kill { victim, away } => {
                let mut process = self.of(*victim).lock_owned().await;
                if *victim == Victim::Postgres {
                    process.ask_to_end("QUIT", GOES_HOME).await;
                } else {
                    process.kill().await;
                }
                tokio::time::sleep(*away).await;
                process.launch()?;
            }
            Act::Replace { victim } => {
                let mut process = self.of(*victim).lock_owned().await;
                let went = process.ask_to_end("TERM", GOES_HOME).await;
                process.launch()?;
                return Ok((!went).then(|| format!("{victim} did not go home within {GOES_HOME:?}")));
            }
            Act::Freeze { worker, lasts } => {
                let mut process = self.of(Victim::Worker(*worker)).lock_owned().await;
                process.signal("STOP").await;
                tokio::time::sleep(*lasts).await;
                process.signal("CONT").await;
            }
            Act::Flush => {
                let _process = self.redis.lock().await;
                // Away already, it has nothing to forget.
                let _ = servers::flush(self.redis_port).await;
            }
            Act::Cut { link, percent } => {
                let cut = self
                    .links
                    .iter()
                    .filter(|(of, _)| of == link)
                    .map(|(_, proxy)| proxy.cut(*percent, chance));
                crate::tell(&format!(
                    "           {} connections to {link:?} were cut",
                    cut.sum::<usize>()
                ));
            }
            Act::Misbehave { faults, lasts } => {
                let _alone = self.misbehaving.lock().await;
                self.set_faults(faults).await;
                tokio::time::sleep(*lasts).await;
                self.set_faults(&Faults::default()).await;
            }
        }
        Ok(None)
    }

    /// Waits until everything is back, and the vendor behaves.
    ///
    /// # Errors
    /// When something does not come back.
    pub(super) async fn whole_again(&self) -> anyhow::Result<()> {
        // Servers first: without them the others only end again.
        for process in [&self.postgres, &self.redis, &self.twilio]
            .into_iter()
            .chain(&self.fronts)
            .chain(&self.workers)
        {
            let begun = std::time::Instant::now();
            // Not under the lock all the time: who starts at a bad moment ends, and must be started again.
            while !process.lock().await.is_ready(&self.http).await {
                let process = process.lock().await;
                anyhow::ensure!(
                    begun.elapsed() < COMES_UP,
                    "{} does not come back; it wrote:\n{}",
                    process.name,
                    process.told()
                );
                drop(process);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        self.set_faults(&Faults::default()).await;
        Ok(())
    }

    /// Ends the vendor, so that its book is complete.
    pub(super) async fn close_book(&mut self) {
        self.supervisors.abort_all();
        while self.supervisors.join_next().await.is_some() {}
        for process in self.fronts.iter().chain(&self.workers).chain([&self.twilio]) {
            process.lock().await.kill().await;
        }
    }

    /// Ends everything.
    pub(super) async fn close(mut self) {
        self.close_book().await;
        self.redis.lock().await.kill().await;
        self.postgres.lock().await.ask_to_end("QUIT", GOES_HOME).await;
    }

    fn all(&self) -> Vec<Shared> {
        let servers = [&self.postgres, &self.redis, &self.twilio];
        self.fronts
            .iter()
            .chain(&self.workers)
            .chain(servers)
            .cloned()
            .collect()
    }

    fn of(&self, victim: Victim) -> Shared {
        match victim {
            Victim::Front(which) => &self.fronts[which],
            Victim::Worker(which) => &self.workers[which],
            Victim::Postgres => &self.postgres,
            Victim::Redis => &self.redis,
            Victim::Twilio => &self.twilio,
        }
        .clone()
    }

    /// A vendor that is away right now comes back without faults.
    async fn set_faults(&self, faults: &Faults) {
        let put = self
            .http
            .put(format!("{}/_simulator/faults", self.twilio_url))
            .json(faults);
        let _away = put.send().await;
    }
}
