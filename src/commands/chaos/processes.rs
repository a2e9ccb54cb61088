//! Real processes: started, killed, frozen, and started again when they end by themselves.
use std::{
    fs::OpenOptions,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    sync::Mutex,
};

/// What a process keeps of our environment.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];
/// How often somebody looks whether they still run.
const LOOKS: Duration = Duration::from_millis(200);

/// How a process shows that it can be used.
#[derive(Clone)]
pub(super) enum Ready {
    /// This address answers with 2xx.
    Http(String),
    /// Somebody listens.
    Port(u16),
    /// A program says so.
    Program(Vec<String>),
}

/// What is started, and started again.
pub(super) struct Process {
    pub(super) name: String,
    pub(super) words: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) folder: PathBuf,
    pub(super) log: PathBuf,
    pub(super) ready: Ready,
    pub(super) child: Option<Child>,
    /// Whether the present child was once ready.
    pub(super) was_ready: bool,
}

/// A process that ended though nobody made it.
#[derive(Debug)]
pub(super) struct Death {
    pub(super) name: String,
    pub(super) status: ExitStatus,
    /// One that never was ready did not find its servers; it is started again, as an orchestrator does.
    pub(super) was_ready: bool,
}

impl Process {
    /// Starts it. It dies with us, where the kernel can do that, and does not hear our terminal's Ctrl-C.
    pub(super) fn launch(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .env_clear()
            .envs(inherited)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be started", self.name))?;
        (self.child, self.was_ready) = (Some(child), false);
        Ok(())
    }

    /// SIGKILL; returns when it is gone.
    pub(super) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone_already = child.kill().await;
        }
    }

    /// A signal that asks it to end; one that does not within `patience` is killed.
    pub(super) async fn ask_to_end(&mut self, signal: &str, patience: Duration) -> bool {
        self.signal(signal).await;
        let Some(child) = self.child.as_mut() else {
            return true;
        };
        let went = tokio::time::timeout(patience, child.wait()).await.is_ok();
        self.kill().await;
        went
    }

    /// Sends a signal to its own id, which is its own as long as nobody has reaped it.
    pub(super) async fn signal(&mut self, signal: &str) {
        let Some(id) = self.child.as_ref().and_then(Child::id) else {
            return;
        };
        let sent = Command::new("kill")
            .args([format!("-{signal}"), id.to_string()])
            .stderr(Stdio::null())
            .status();
        let _it_may_have_ended = sent.await;
    }

    /// Whether it can be used.
    pub(super) async fn is_ready(&mut self, http: &reqwest::Client) -> bool {
        let ready = match &self.ready {
            Ready::Http(url) => http
                .get(url)
                .timeout(Duration::from_secs(2))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success()),
            Ready::Port(port) => TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await.is_ok(),
            Ready::Program(words) => Command::new(&words[0])
                .args(&words[1..])
                .current_dir("/")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .await
                .is_ok_and(|status| status.success()),
        };
        self.was_ready |= ready;
        ready
    }

    /// Waits until it can be used.
    ///
    /// # Errors
    /// After `patience`, with the end of what it wrote.
    pub(super) async fn until_ready(
        &mut self,
        http: &reqwest::Client,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.is_ready(http).await {
            if begun.elapsed() > patience {
                anyhow::bail!(
                    "{} is not ready after {patience:?}; it wrote:\n{}",
                    self.name,
                    self.told()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The last lines that it wrote.
    pub(super) fn told(&self) -> String {
        let written = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&written[written.len().saturating_sub(2000)..]).into_owned();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

/// Starts a process again whenever it ends by itself, and notes it. Whoever kills it holds its lock until it is back.
pub(super) async fn supervise(
    process: Arc<Mutex<Process>>,
    http: reqwest::Client,
    deaths: Arc<Mutex<Vec<Death>>>,
) {
    loop {
        tokio::time::sleep(LOOKS).await;
        let Ok(mut process) = process.try_lock() else {
            continue;
        };
        let ended = process.child.as_mut().map(|child| child.try_wait());
        match ended {
            Some(Ok(Some(status))) => {
                deaths.lock().await.push(Death {
                    name: process.name.clone(),
                    status,
                    was_ready: process.was_ready,
                });
                // Where it cannot be started now it is tried again at the next look.
                let _ = process.launch();
            }
            None => drop(process.launch()),
            Some(_) if !process.was_ready => {
                process.is_ready(&http).await;
            }
            Some(_) => {}
        }
    }
}

/// A port on which nothing listens, below those that the kernel gives to outgoing connections: a process that is
/// killed must find its port free when it comes back.
pub(super) fn free_port(taken: &mut Vec<u16>) -> anyhow::Result<u16> {
    let start = std::process::id().wrapping_mul(97) % 20_000;
    for step in 0..20_000 {
        let port = 10_000 + ((start + step) % 20_000) as u16;
        if !taken.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            taken.push(port);
            return Ok(port);
        }
    }
    anyhow::bail!("no port from 10000 to 29999 is free")
}
