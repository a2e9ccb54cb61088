//! Servers of one test alone, to be stopped under the program.
use std::{net::TcpStream, path::PathBuf, process::Command};

use recado_testkit::{Process, eventually, free_port};
use tempfile::TempDir;

use super::PATIENCE;

/// A Redis of its own.
pub(crate) struct Redis {
    process: Process,
    port: u16,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        let port = free_port();
        Self {
            process: Self::spawn(port).await,
            port,
        }
    }

    async fn spawn(port: u16) -> Process {
        let arguments = [
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        let process = Process::spawn("redis-server", &arguments, &[]);
        eventually(PATIENCE, async || TcpStream::connect(("127.0.0.1", port)).ok()).await;
        process
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts again, empty, at the same place.
    pub(crate) async fn again(&mut self) {
        self.process = Self::spawn(self.port).await;
    }

    /// What a command answers.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A Postgres cluster of its own, which forgets nothing that was committed.
pub(crate) struct Postgres {
    dir: TempDir,
    bin: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Postgres {
    pub(crate) async fn start() -> Self {
        let dir = TempDir::with_prefix("recado-postgres-").unwrap();
        let mut postgres = Self {
            dir,
            bin: newest(),
            port: free_port(),
            process: None,
        };
        if is_root() {
            // Postgres refuses to be root; its package brings a user for it.
            run(Command::new("chown")
                .arg("postgres:postgres")
                .arg(postgres.dir.path()));
        }
        let options = [
            "--username",
            "postgres",
            "--auth",
            "trust",
            "--no-sync",
            "--pgdata",
        ];
        let mut initdb = postgres.command("initdb");
        run(Command::new(initdb.remove(0))
            .args(initdb)
            .args(options)
            .arg(postgres.dir.path())
            .current_dir("/"));
        postgres.again().await;
        postgres
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it as a power cut does: what is not on the disk is gone.
    pub(crate) async fn stop(&mut self) {
        let mut stop = self.command("pg_ctl");
        run(Command::new(stop.remove(0))
            .args(stop)
            .args(["stop", "-m", "immediate", "-D"])
            .arg(self.dir.path())
            .current_dir("/"));
        if let Some(mut process) = self.process.take() {
            process.wait(PATIENCE).await;
        }
    }

    /// Starts again, at the same place.
    pub(crate) async fn again(&mut self) {
        let mut command = self.command("postgres");
        let (data, port) = (self.dir.path().display().to_string(), self.port.to_string());
        let program = command.remove(0);
        command.extend(
            [
                "-D",
                &data,
                "-p",
                &port,
                "-k",
                &data,
                "-c",
                "listen_addresses=127.0.0.1",
            ]
            .map(str::to_owned),
        );
        let arguments: Vec<_> = command.iter().map(String::as_str).collect();
        self.process = Some(Process::spawn(program, &arguments, &[]));
        let mut asked = self.command("pg_isready");
        asked.extend(["-q", "-h", "127.0.0.1", "-p", &port].map(str::to_owned));
        eventually(PATIENCE, async || {
            let status = Command::new(&asked[0])
                .args(&asked[1..])
                .current_dir("/")
                .status();
            status.is_ok_and(|status| status.success()).then_some(())
        })
        .await;
    }

    /// A program of the cluster, as whom it may run.
    fn command(&self, name: &str) -> Vec<String> {
        let program = self.bin.join(name).display().to_string();
        if is_root() {
            let user = [
                "setpriv",
                "--reuid",
                "postgres",
                "--regid",
                "postgres",
                "--init-groups",
                "--",
            ];
            return user.into_iter().map(str::to_owned).chain([program]).collect();
        }
        vec![program]
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.process.is_some() {
            let mut stop = self.command("pg_ctl");
            let _ends_anyway = Command::new(stop.remove(0))
                .args(stop)
                .args(["stop", "-s", "-m", "immediate", "-D"])
                .arg(self.dir.path())
                .current_dir("/")
                .status();
        }
    }
}

/// Where the programs of the newest Postgres are; `scripts/with-servers` looks in the same place.
fn newest() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = installed
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .max();
    newest.unwrap_or_else(|| panic!("Postgres is missing: run scripts/setup test"))
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
