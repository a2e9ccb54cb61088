//! `recado bench`: the pipeline, measured with the ordinary `serve --worker` and a simulated Twilio.
use std::{
    collections::HashMap,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use futures::{StreamExt, stream};
use recado_simulator::{Account, Config as Simulated, Inbound, Simulator};
use serde_json::json;
use tokio::process::{Child, Command};

use super::say;
use crate::config::Config;

const ACCOUNT: &str = "AC0be00000000000000000000000000001";
const TOKEN: &str = "the-token-of-the-bench";
const NUMBER: &str = "+14155238886";
/// A question that the seed answers, so that the whole pipeline is gone through.
const QUESTION: &str = "Vocês fazem entrega?";
/// Nothing in a run of the bench may take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// How many messages
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,
    /// How many are on their way at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    in_flight: u64,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Sends signed messages from as many contacts and waits until each is answered.
    ///
    /// # Errors
    /// When a process does not come up, or a message is not answered exactly once.
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = std::env::temp_dir().join(format!("recado-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let measured = self.measure(config, &folder).await;
        std::fs::remove_dir_all(&folder)?;
        measured
    }

    async fn measure(&self, config: &Config, folder: &Path) -> anyhow::Result<()> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = format!("http://127.0.0.1:{port}");
        let account =
            Account::new(ACCOUNT, TOKEN).webhook(format!("{address}/api/v1/twilio/webhooks/inbound"));
        let simulated = Simulated {
            log_size: 100,
            ..Simulated::new(folder.join("twilio.jsonl"))
        };
        let simulator = Simulator::start(simulated.account(account.number(NUMBER))).await?;
        let environment = environment(config, folder, &address, simulator.url());
        for command in [["migrate", "up"].as_slice(), &["seed"]] {
            let done = program(command, &environment)?.wait().await?;
            anyhow::ensure!(done.success(), "`recado {}` failed", command.join(" "));
        }
        let mut server = program(&["serve", "--worker"], &environment)?;
        ready(&mut server, &address).await?;
        // Connections are made and plans are cached before anything is counted.
        self.send(&simulator, 0, 50).await?;
        let begun = Instant::now();
        let (acknowledged, answered) = self.send(&simulator, 50, self.count).await?;
        let seconds = begun.elapsed().as_secs_f64();
        server.kill().await?;
        self.report(config, seconds, acknowledged, answered);
        simulator.shutdown().await;
        Ok(())
    }

    /// Sends `count` messages. Returns the sorted times until they were acknowledged and answered, in milliseconds.
    async fn send(
        &self,
        simulator: &Simulator,
        first: u64,
        count: u64,
    ) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
        let mut changes = simulator.book().changes();
        let sent: Vec<(String, chrono::DateTime<chrono::Utc>, f64)> = stream::iter(first..first + count)
            .map(|n| async move {
                let from = format!("whatsapp:+55119{n:08}");
                let (at, begun) = (chrono::Utc::now(), Instant::now());
                let inbound = Inbound {
                    from: from.clone(),
                    body: QUESTION.to_owned(),
                    ..Inbound::default()
                };
                let to = format!("whatsapp:{NUMBER}");
                let received = simulator.send_inbound(Inbound { to, ..inbound }).await?;
                anyhow::ensure!(
                    received.is_accepted(),
                    "a webhook was answered {:?}",
                    received.status()
                );
                Ok((from, at, begun.elapsed().as_secs_f64() * 1e3))
            })
            .buffer_unordered(self.in_flight as usize)
            .collect::<Vec<anyhow::Result<_>>>()
            .await
            .into_iter()
            .collect::<anyhow::Result<_>>()?;
        let wanted: HashMap<&str, _> = sent.iter().map(|(from, at, _)| (from.as_str(), *at)).collect();
        let mut answers: HashMap<String, f64> = HashMap::new();
        let collect = async {
            loop {
                // The book knows what came before anybody looked, and what a slow reader missed.
                for (contact, at) in &wanted {
                    if let (false, Some(message)) = (
                        answers.contains_key(*contact),
                        simulator.book().outbound_to(contact).first(),
                    ) {
                        answers.insert(
                            (*contact).to_owned(),
                            (message.created - *at).as_seconds_f64() * 1e3,
                        );
                    }
                }
                if answers.len() == wanted.len() || changes.changed().await.is_err() {
                    return;
                }
                // A look at every change would cost more than what is measured.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, collect)
            .await
            .context("not every message was answered within two minutes")?;
        let twice = wanted
            .keys()
            .filter(|contact| simulator.book().outbound_to(contact).len() != 1)
            .count();
        anyhow::ensure!(twice == 0, "{twice} messages were not answered exactly once");
        let sorted = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times
        };
        let acknowledged = sorted(sent.iter().map(|(_, _, took)| *took).collect());
        Ok((acknowledged, sorted(answers.into_values().collect())))
    }

    fn report(&self, config: &Config, seconds: f64, acknowledged: Vec<f64>, answered: Vec<f64>) {
        let database = if config.is_sqlite() { "sqlite" } else { "postgres" };
        let per_second = self.count as f64 / seconds;
        if self.json {
            say(json!({
                "mode": "inbound", "database": database, "in_flight": self.in_flight, "count": self.count,
                "per_second": per_second,
                "ack_p50_ms": at(&acknowledged, 0.5), "ack_p99_ms": at(&acknowledged, 0.99),
                "answered_p50_ms": at(&answered, 0.5), "answered_p99_ms": at(&answered, 0.99),
            }));
            return;
        }
        say(format!(
            "{} messages, {} at once, on {database}: {per_second:.0} answered a second",
            self.count, self.in_flight
        ));
        for (what, times) in [("acknowledged", &acknowledged), ("answered", &answered)] {
            say(format!(
                "{what:14}  p50 {:8.2} ms   p99 {:8.2} ms",
                at(times, 0.5),
                at(times, 0.99)
            ));
        }
    }
}

fn at(sorted: &[f64], part: f64) -> f64 {
    let index = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// An SQLite file of its own, or the Postgres that is set; never anybody's `data/recado.db`.
fn environment(config: &Config, folder: &Path, address: &str, twilio: &str) -> Vec<(&'static str, String)> {
    let database = match config.is_sqlite() {
        true => format!("sqlite://{}", folder.join("bench.db").display()),
        false => config.database_url.clone(),
    };
    vec![
        ("DATABASE_URL", database),
        ("REDIS_URL", config.redis_url.clone().unwrap_or_default()),
        ("HTTP_ADDR", address.trim_start_matches("http://").to_owned()),
        ("METRICS_ADDR", String::new()),
        ("PUBLIC_URL", address.to_owned()),
        (
            "SECRET_KEY",
            "recado bench: everything here is simulated".to_owned(),
        ),
        ("ADMIN_TOKEN", "bench".to_owned()),
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

fn program(arguments: &[&str], environment: &[(&'static str, String)]) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .envs(environment.iter().cloned())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    Ok(command.spawn()?)
}

async fn ready(server: &mut Child, address: &str) -> anyhow::Result<()> {
    let http = recado_clients::http(Duration::from_secs(1))?;
    let answers = async {
        while !http
            .get(format!("{address}/health/ready"))
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = server.wait() => anyhow::bail!("`recado serve --worker` ended: {}", ended?),
        answered = tokio::time::timeout(Duration::from_secs(20), answers) => answered.context("`recado serve --worker` does not come up"),
    }
}
