//! A program under test, as a real process that can be killed.
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{eventually, http};

/// What a program keeps of our environment. The rest is the test's to give, so that no developer's own
/// settings reach it.
const INHERITED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LANG", "RUST_BACKTRACE"];

/// A running program. It runs in an empty folder, so that no `.env` is found, and is killed when this is
/// dropped; its output goes to a file that can be read at any time.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    dir: TempDir,
}

impl Process {
    /// Starts `program`, usually `env!("CARGO_BIN_EXE_recado")`, with `arguments` and, beside `PATH` and the
    /// like, only the variables in `environment`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(program: impl AsRef<Path>, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        match Self::start(program.as_ref(), arguments, environment) {
            Ok(process) => process,
            Err(error) => panic!("starting {}: {error:#}", program.as_ref().display()),
        }
    }

    fn start(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Process> {
        let dir = TempDir::with_prefix("recado-process-").context("making a folder")?;
        let output = File::create(dir.path().join("output.log")).context("making the file for its output")?;
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(inherited)
            .envs(environment.iter().copied())
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Process { child, name, dir })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The folder it runs in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// All that it wrote so far, to standard output and standard error.
    pub fn output(&self) -> String {
        let bytes = fs::read(self.output_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until a GET of `url` is answered with a 2xx.
    ///
    /// # Panics
    /// With its output, after `timeout`, or as soon as the program has ended.
    pub async fn wait_for_http(&mut self, url: &str, timeout: Duration) {
        let answered = tokio::time::timeout(timeout, async {
            eventually(Duration::MAX, async || match self.child.try_wait() {
                Ok(None) => http::answers(url.to_owned()).await.then_some(Ok(())),
                ended => Some(Err(ended)),
            })
            .await
        });
        match answered.await {
            Ok(Ok(())) => {}
            Ok(Err(ended)) => self.fail(&format!("ended ({ended:?}) before it answered {url}")),
            Err(_) => self.fail(&format!("did not answer {url} within {timeout:?}")),
        }
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// With its output, after `timeout`.
    pub async fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(timeout, async {
            eventually(Duration::MAX, async || self.child.try_wait().transpose()).await
        });
        match ended.await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => self.fail(&format!("cannot be waited for: {error}")),
            Err(_) => self.fail(&format!("did not end within {timeout:?}")),
        }
    }

    /// Kills it as `kill -9` does, and returns when it is gone. Harmless if it is gone already.
    pub fn kill9(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Asks it to stop, as an orchestrator does (SIGTERM).
    pub fn terminate(&mut self) {
        self.signal("TERM");
    }

    /// Stops its clock, as a long pause of its machine does (SIGSTOP).
    pub fn freeze(&mut self) {
        self.signal("STOP");
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn thaw(&mut self) {
        self.signal("CONT");
    }

    fn signal(&mut self, signal: &str) {
        // Not reaped yet, so the id is still its own.
        if let Ok(Some(_)) = self.child.try_wait() {
            self.fail(&format!("had ended before SIG{signal}"));
        }
        let command = format!("kill -{signal} {}", self.child.id());
        match Command::new("sh").args(["-c", &command]).status() {
            Ok(status) if status.success() => {}
            other => self.fail(&format!("did not take SIG{signal}: {other:?}")),
        }
    }

    fn output_file(&self) -> PathBuf {
        self.dir.path().join("output.log")
    }

    fn fail(&self, what: &str) -> ! {
        panic!("{} {what}; it wrote:\n{}", self.name, self.output())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}
