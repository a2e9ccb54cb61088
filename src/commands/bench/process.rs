//! A process that is measured.
use std::{
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use tokio::process::{Child, Command};

/// How long a process may take to come up.
const COMES_UP: Duration = Duration::from_secs(60);

/// What processes are told by their environment.
pub(super) type Environment = Vec<(&'static str, String)>;

/// A process, and where it says that it is ready.
pub(super) struct Process {
    pub(super) name: &'static str,
    pub(super) child: Child,
    ready: String,
    /// Where its counters are, if it has any.
    pub(super) metrics: Option<String>,
}

impl Process {
    /// Starts `recado` and waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or does not come up.
    pub(super) async fn recado(
        name: &'static str,
        arguments: &[&str],
        environment: &Environment,
        http: &reqwest::Client,
    ) -> anyhow::Result<Self> {
        let metrics = format!("127.0.0.1:{}", free_port()?);
        let mut process = Self {
            name,
            child: program(arguments, environment, &metrics)?,
            ready: format!("http://{metrics}/health/ready"),
            metrics: Some(format!("http://{metrics}/metrics")),
        };
        process.is_ready(arguments, http).await?;
        Ok(process)
    }

    /// Starts the simulated Twilio and waits until it listens at `url`.
    ///
    /// # Errors
    /// When it ends, or does not come up.
    pub(super) async fn twilio(
        arguments: &[&str],
        url: &str,
        http: &reqwest::Client,
    ) -> anyhow::Result<Self> {
        let mut process = Self {
            name: "simulator",
            child: program(arguments, &vec![("LOG", "warn".to_owned())], "")?,
            ready: format!("{url}/_simulator/faults"),
            metrics: None,
        };
        process.is_ready(arguments, http).await?;
        Ok(process)
    }

    /// A process that does one thing and ends.
    ///
    /// # Errors
    /// When it does not end well.
    pub(super) async fn once(arguments: &[&str], environment: &Environment) -> anyhow::Result<()> {
        let done = program(arguments, environment, "")?.wait().await?;
        anyhow::ensure!(done.success(), "`recado {}` failed", arguments.join(" "));
        Ok(())
    }

    async fn is_ready(&mut self, arguments: &[&str], http: &reqwest::Client) -> anyhow::Result<()> {
        let answers = async {
            while !http
                .get(&self.ready)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ready = tokio::select! {
            ended = self.child.wait() => Err(anyhow::anyhow!("it ended: {}", ended?)),
            answered = tokio::time::timeout(COMES_UP, answers) => answered.context("it does not come up"),
        };
        ready.with_context(|| format!("`recado {}`", arguments.join(" ")))
    }

    /// Its id, and its name, while it lives.
    pub(super) fn id(&self) -> Option<(&'static str, u32)> {
        Some((self.name, self.child.id()?))
    }
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

/// A port of 127.0.0.1 on which nothing listens.
///
/// # Errors
/// When there is none.
pub(super) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The sum of a counter or gauge over its labels.
pub(super) fn counter(metrics: &str, name: &str) -> f64 {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let values = lines
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit_once(' '));
    values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}
