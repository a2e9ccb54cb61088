//! The child of `recado dev`: front end and worker, started again whenever it dies.
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::{process::Command, sync::Notify, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{ACCOUNT, CHILD, NUMBER, TOKEN};
use crate::config::Config;

/// How long the child may take to go home.
const GOES_HOME: Duration = Duration::from_secs(15);
/// Seals what is secret in a world in which nothing is.
const SECRET_KEY: &str = "recado dev: everything here is simulated";

/// The child, and how it fares.
pub(crate) struct Child {
    state: watch::Sender<ChildState>,
    kill: Notify,
    ended: CancellationToken,
    addr: SocketAddr,
}

/// How the child fares.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChildState {
    /// Its process id; 0 before the first start.
    pid: u32,
    /// How often it was started again.
    restarts: u32,
    /// Whether it answers.
    pub(crate) up: bool,
    /// When it was started.
    started_at: DateTime<Utc>,
}

impl Child {
    /// Starts the child and watches over it until `stop`.
    ///
    /// # Errors
    /// When there is no free port.
    pub(crate) fn start(
        config: &Config,
        public_url: &str,
        twilio_url: &str,
        stop: CancellationToken,
    ) -> anyhow::Result<Arc<Self>> {
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let first = ChildState {
            pid: 0,
            restarts: 0,
            up: false,
            started_at: Utc::now(),
        };
        let child = Arc::new(Self {
            state: watch::Sender::new(first),
            kill: Notify::new(),
            ended: CancellationToken::new(),
            addr,
        });
        let mut environment = vec![
            ("RECADO_DEV", "1".to_owned()),
            (CHILD, "1".to_owned()),
            ("DATABASE_URL", config.database_url.clone()),
            ("REDIS_URL", String::new()),
            ("HTTP_ADDR", addr.to_string()),
            ("METRICS_ADDR", String::new()),
            ("PUBLIC_URL", public_url.to_owned()),
            ("SECRET_KEY", SECRET_KEY.to_owned()),
            ("ADMIN_TOKEN", "dev".to_owned()),
            ("TWILIO_ACCOUNT_SID", ACCOUNT.to_owned()),
            ("TWILIO_AUTH_TOKEN", TOKEN.to_owned()),
            ("TWILIO_PHONE_NUMBER", NUMBER.to_owned()),
            ("TWILIO_WHATSAPP_NUMBER", NUMBER.to_owned()),
            ("TWILIO_API_URL", twilio_url.to_owned()),
            // The simulated Twilio lists what it has at once, so a definite no comes soon.
            ("TWILIO_LISTING_DELAY", "2".to_owned()),
            ("TWILIO_TIMEOUT", "5".to_owned()),
        ];
        if config.models.providers.is_empty() {
            // The simulated model answers from what it is told about the business, so that its faults can be watched.
            environment.push(("OPENAI_API_KEY", "simulated".to_owned()));
            environment.push(("OPENAI_BASE_URL", format!("{twilio_url}/v1")));
            environment.push(("MODEL_TIMEOUT", "8".to_owned()));
        }
        if config.speech.is_none() {
            // So that a voice note is heard without any account.
            environment.push(("TRANSCRIBE_URL", format!("{twilio_url}/v1")));
        }
        tokio::spawn(child.clone().watch_over(environment, stop));
        Ok(child)
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn state(&self) -> ChildState {
        self.state.borrow().clone()
    }

    /// Waits until the child answers, `patience` at most. Returns whether it does.
    pub(crate) async fn answers(&self, patience: Duration) -> bool {
        let mut state = self.state.subscribe();
        tokio::time::timeout(patience, state.wait_for(|state| state.up))
            .await
            .is_ok_and(|up| up.is_ok())
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(&self) {
        self.kill.notify_one();
    }

    /// Waits until the child is gone for good.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    async fn watch_over(self: Arc<Self>, environment: Vec<(&'static str, String)>, stop: CancellationToken) {
        let mut pause = Duration::from_millis(100);
        while !stop.is_cancelled() {
            let begun = std::time::Instant::now();
            if let Err(error) = self.live(&environment, &stop).await {
                tracing::error!(%error, "the child cannot be started");
            }
            self.state.send_modify(|state| {
                state.up = false;
                state.restarts += 1;
            });
            // One that dies at once would otherwise be started again and again as fast as the machine can.
            pause = if begun.elapsed() > Duration::from_secs(5) {
                Duration::from_millis(100)
            } else {
                (pause * 2).min(Duration::from_secs(5))
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.ended.cancel();
    }

    /// One life of the child.
    async fn live(
        &self,
        environment: &[(&'static str, String)],
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["serve", "--worker"])
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn()?;
        // Held here: waiting for the process would close it, which tells the child that its parent died.
        let alive = process.stdin.take();
        let pid = process.id().unwrap_or_default();
        self.state.send_modify(|state| {
            state.pid = pid;
            state.started_at = Utc::now();
        });
        tokio::select! {
            () = self.wait_until_up() => self.state.send_modify(|state| state.up = true),
            ended = process.wait() => {
                tracing::warn!(pid, status = %ended?, "the child ended before it answered");
                return Ok(());
            }
            () = stop.cancelled() => {}
        }
        tokio::select! {
            ended = process.wait() => tracing::warn!(pid, status = %ended?, "the child died; it is started again"),
            () = self.kill.notified() => {
                process.kill().await?;
                tracing::warn!(pid, "the child was killed; it is started again");
            }
            () = stop.cancelled() => {
                // A terminal's Ctrl-C has reached the child too; a signal to the parent alone has not.
                drop(alive);
                if tokio::time::timeout(GOES_HOME, process.wait()).await.is_err() {
                    process.kill().await?;
                }
            }
        }
        Ok(())
    }

    /// Looks until the child takes connections.
    async fn wait_until_up(&self) {
        while tokio::net::TcpStream::connect(self.addr).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
