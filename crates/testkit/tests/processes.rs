//! Processes and browsers start, are killed, and leave nothing running.
use std::{fs, time::Duration};

use recado_testkit::{Chromedriver, Process, eventually, free_port, redis_url, unique, wait_for_http};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_process_sees_only_the_environment_it_was_given() {
    let mut process = Process::spawn("env", &[], &[("GIVEN", "yes")]);
    assert!(process.wait(SOON).await.success());
    let output = process.output();
    assert!(output.contains("GIVEN=yes"), "{output}");
    assert!(output.contains("PATH="), "{output}");
    assert!(!output.contains("CARGO_MANIFEST_DIR"), "{output}");
}

#[tokio::test]
async fn a_killed_process_is_gone_at_once() {
    let mut process = Process::spawn("sleep", &["1000"], &[]);
    assert!(exists(process.id()));
    process.kill9();
    assert!(!exists(process.id()));
    process.kill9();
}

#[tokio::test]
async fn a_dropped_process_is_killed() {
    let process = Process::spawn("sleep", &["1000"], &[]);
    let id = process.id();
    drop(process);
    assert!(!exists(id));
}

#[tokio::test]
async fn a_process_that_is_asked_to_stop_can_clean_up() {
    let script = "trap 'echo cleaned; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut process = Process::spawn("sh", &["-c", script], &[]);
    eventually(SOON, async || process.output().contains("ready").then_some(())).await;
    process.terminate();
    assert_eq!(process.wait(SOON).await.code(), Some(3));
    assert!(process.output().contains("cleaned"));
}

#[tokio::test]
async fn a_frozen_process_stands_still_until_it_is_thawed() {
    let mut process = Process::spawn("sh", &["-c", "while :; do echo tick; sleep 0.005; done"], &[]);
    eventually(SOON, async || process.output().contains("tick").then_some(())).await;
    process.freeze();
    eventually(SOON, async || (state(process.id()) == Some('T')).then_some(())).await;
    let frozen = process.output();
    process.thaw();
    eventually(SOON, async || {
        (process.output().len() > frozen.len()).then_some(())
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "no luck")]
async fn a_server_that_dies_at_its_start_fails_with_what_it_wrote() {
    let mut process = Process::spawn("sh", &["-c", "echo no luck; exit 1"], &[]);
    let url = format!("http://127.0.0.1:{}/", free_port());
    process.wait_for_http(&url, SOON).await;
}

#[tokio::test]
#[should_panic(expected = "tests/processes.rs")]
async fn an_address_where_nobody_answers_is_not_waited_for_forever() {
    wait_for_http(
        &format!("http://127.0.0.1:{}/", free_port()),
        Duration::from_millis(50),
    )
    .await;
}

#[test]
fn no_port_is_given_twice() {
    let ports: std::collections::HashSet<_> = (0..100).map(|_| free_port()).collect();
    assert_eq!(ports.len(), 100);
}

#[tokio::test]
async fn the_redis_of_the_run_answers() {
    let address = redis_url().trim_start_matches("redis://").to_owned();
    let key = unique("testkit");
    let request = format!("SET {key} 1 EX 60\r\nGET {key}\r\nQUIT\r\n");
    let answer = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    assert_eq!(
        answer.await.expect("asked").expect("answered"),
        "+OK\r\n$1\r\n1\r\n+OK\r\n"
    );
}

#[tokio::test]
async fn a_browser_opens_a_page_and_ends_with_its_driver() {
    let driver = Chromedriver::start().await;
    let arguments = driver.arguments();
    let profile = arguments.last().expect("arguments").clone();
    open(&driver, &arguments);
    assert!(!running(&profile).is_empty(), "no browser runs");
    drop(driver);
    eventually(SOON, async || running(&profile).is_empty().then_some(())).await;
}

/// Opens a session as any WebDriver client does.
fn open(driver: &Chromedriver, arguments: &[String]) {
    use std::io::{BufRead, BufReader, Write};
    let arguments: Vec<_> = arguments.iter().map(|argument| format!("{argument:?}")).collect();
    let body = format!(
        r#"{{"capabilities":{{"alwaysMatch":{{"goog:chromeOptions":{{"binary":{:?},"args":[{}]}}}}}}}}"#,
        driver.binary(),
        arguments.join(",")
    );
    let address = driver.url().trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).expect("connected");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("set");
    let head = format!(
        "POST /session HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()))
        .expect("sent");
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).expect("answered");
    assert_eq!(status.trim_end(), "HTTP/1.1 200 OK");
}

fn exists(id: u32) -> bool {
    fs::exists(format!("/proc/{id}")).expect("/proc")
}

/// The letter that the kernel shows for the state of a process.
fn state(id: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// The processes whose command line names `argument`.
fn running(argument: &str) -> Vec<u32> {
    let ids = fs::read_dir("/proc").expect("/proc").flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let names = |id: &u32| {
        let command = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(argument)
    };
    ids.filter(names).collect()
}
