//! `scripts/with-servers` returns what its command returned, and leaves nothing running.
use std::{fs, path::Path, time::Duration};

use recado_testkit::{Process, eventually};

const SOON: Duration = Duration::from_secs(120);

/// Prints the ids of both servers, and their folder.
const TELL: &str = r#"
    data=$(psql "$RECADO_TEST_POSTGRES_URL" -Atc 'show data_directory')
    echo "postgres=$(head -n 1 "$data/postmaster.pid")"
    echo "redis=$(redis-cli -u "$RECADO_TEST_REDIS_URL" info server | tr -d '\r' | sed -n 's/^process_id://p')"
    echo "dir=$(dirname "$data")"
    echo "fsync=$(psql "$RECADO_TEST_POSTGRES_URL" -Atc 'show fsync')"
    echo told
"#;

#[tokio::test]
async fn the_servers_go_with_their_command_and_its_code_is_returned() {
    let mut process = with_servers(&format!("{TELL}\nexit 7"));
    assert_eq!(process.wait(SOON).await.code(), Some(7), "{}", process.output());
    let told = process.output();
    assert_eq!(value(&told, "fsync"), "on");
    assert!(!Path::new(&value(&told, "dir")).exists());
    assert_eq!(running(&told), Vec::<String>::new());
}

#[tokio::test]
async fn the_servers_go_when_the_script_is_asked_to_stop() {
    let mut process = with_servers(&format!("{TELL}\nexec sleep 1000"));
    eventually(SOON, async || process.output().contains("told\n").then_some(())).await;
    let told = process.output();
    assert_eq!(running(&told).len(), 2, "{told}");
    process.terminate();
    assert_eq!(process.wait(SOON).await.code(), Some(143));
    assert!(!Path::new(&value(&told, "dir")).exists());
    assert_eq!(running(&told), Vec::<String>::new());
}

fn with_servers(script: &str) -> Process {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/with-servers");
    Process::spawn(program, &["bash", "-c", script], &[])
}

fn value(told: &str, name: &str) -> String {
    let value = told
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value
        .unwrap_or_else(|| panic!("{name} is not told: {told}"))
        .to_owned()
}

/// Which of the two servers run, by their ids.
fn running(told: &str) -> Vec<String> {
    let ids = ["postgres", "redis"].map(|name| value(told, name));
    // An id may have gone to another program since.
    let runs = |id: &String| {
        let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        name.starts_with("postgres") || name.starts_with("redis")
    };
    ids.into_iter().filter(runs).collect()
}
