//! The throwaway Postgres and Redis.
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use tokio::process::Command;

use super::processes::{Process, Ready};

/// The command line by which something dies with us, even by our SIGKILL, where the kernel can do that.
pub(super) async fn bound_to_us(signal: &str, user: Option<&str>) -> Vec<String> {
    let mut words = Vec::new();
    if runs("setpriv", &["--version"]).await {
        words.extend(["setpriv", "--pdeathsig", signal].map(str::to_owned));
        if let Some(user) = user {
            words.extend(["--reuid", user, "--regid", user, "--init-groups"].map(str::to_owned));
        }
        words.push("--".to_owned());
    }
    words
}

/// A cluster in `folder`, on `port`, made but not started. What is committed is on the disk.
///
/// # Errors
/// When Postgres is not installed, or its cluster cannot be made.
pub(super) async fn postgres(folder: &Path, port: u16) -> anyhow::Result<Process> {
    let bin =
        newest().context("Postgres is missing: its initdb is looked for in /usr/lib/postgresql and PATH")?;
    let data = folder.join("postgres");
    std::fs::create_dir(&data)?;
    // Postgres refuses to be root; its package brings a user for it.
    let user = is_root().await.then_some("postgres");
    if user.is_some() {
        run("chown", &["postgres:postgres".to_owned(), text(&data)]).await?;
        run("chmod", &["711".to_owned(), text(folder)]).await?;
    }
    let prefix = bound_to_us("QUIT", user).await;
    let program = |name: &str| -> Vec<String> {
        let mut words = prefix.clone();
        words.push(text(&bin.join(name)));
        words
    };
    let mut initdb = program("initdb");
    let options = ["--username", "postgres", "--auth", "trust", "--encoding", "UTF8"];
    initdb.extend(options.map(str::to_owned));
    initdb.extend(["--locale", "C.UTF-8", "--no-sync", "--pgdata"].map(str::to_owned));
    initdb.push(text(&data));
    run(&initdb[0], &initdb[1..]).await?;
    let mut words = program("postgres");
    let (port_text, data_text) = (port.to_string(), text(&data));
    words.extend(["-D", &data_text, "-k", &data_text, "-p", &port_text].map(str::to_owned));
    for setting in [
        "listen_addresses=127.0.0.1",
        "max_connections=300",
        "max_wal_size=4GB",
    ] {
        words.extend(["-c".to_owned(), setting.to_owned()]);
    }
    let asked = [
        text(&bin.join("pg_isready")),
        "-q".into(),
        "-h".into(),
        "127.0.0.1".into(),
        "-p".into(),
        port_text,
    ];
    Ok(Process {
        name: "postgres".to_owned(),
        words,
        environment: Vec::new(),
        folder: PathBuf::from("/"),
        log: folder.join("postgres.log"),
        ready: Ready::Program(asked.to_vec()),
        child: None,
        was_ready: false,
    })
}

/// A Redis on `port` that keeps nothing.
pub(super) async fn redis(folder: &Path, port: u16) -> Process {
    let mut words = bound_to_us("KILL", None).await;
    words.push("redis-server".to_owned());
    let port_text = port.to_string();
    let options = [
        "--port",
        &port_text,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    words.extend(options.map(str::to_owned));
    Process {
        name: "redis".to_owned(),
        words,
        environment: Vec::new(),
        folder: folder.to_owned(),
        log: folder.join("redis.log"),
        ready: Ready::Port(port),
        child: None,
        was_ready: false,
    }
}

/// Makes a Redis forget everything.
pub(super) async fn flush(port: u16) -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut redis = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    redis.write_all(b"FLUSHALL\r\n").await?;
    let mut answer = [0; 3];
    redis.read_exact(&mut answer).await?;
    anyhow::ensure!(&answer == b"+OK", "Redis does not flush");
    Ok(())
}

/// Where the programs of the newest Postgres are: Debian's folder, else what `PATH` finds.
fn newest() -> Option<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let version = |bin: &PathBuf| -> u32 {
        let name = bin.parent().and_then(Path::file_name).unwrap_or_default();
        name.to_string_lossy().parse().unwrap_or(0)
    };
    let debian = installed.map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian
        .filter(|bin| bin.join("initdb").exists())
        .max_by_key(version)
        .or_else(|| std::env::split_paths(&path).find(|bin| bin.join("initdb").exists()))
}

async fn is_root() -> bool {
    let asked = Command::new("id").arg("-u").output().await;
    asked.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

async fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

async fn run(program: &str, arguments: &[String]) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").kill_on_drop(true);
    let output = command
        .output()
        .await
        .with_context(|| format!("{program} cannot be run"))?;
    anyhow::ensure!(
        output.status.success(),
        "{program} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
