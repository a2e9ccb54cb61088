//! `recado bench` with small numbers: every mode measures what it says, and its own checks pass. Never how fast.
#![expect(clippy::unwrap_used, reason = "tests")]
use recado_testkit::{Backend, TestDatabase};
use serde_json::Value;
use tokio::process::Command;

/// The figures that a mode prints. On SQLite it makes a file of its own.
async fn bench(database: &TestDatabase, mode: &str) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recado"));
    command
        .arg("bench")
        .args(mode.split(' '))
        .args(["--json", "--in-flight", "4"])
        .env("DATABASE_URL", database.url())
        .env("LOG", "warn")
        .kill_on_drop(true);
    let done = command.output().await.unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "`recado bench {mode}`: {told}");
    let lines = String::from_utf8(done.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The measurement of a part, with all these figures in it.
fn part<'a>(measured: &'a [Value], part: Option<&str>, figures: &[&str]) -> &'a Value {
    let found = measured.iter().find(|one| one["part"].as_str() == part);
    let found = found.unwrap_or_else(|| panic!("no part {part:?}: {measured:?}"));
    for name in figures {
        assert!(found[*name].is_number(), "{name} is missing: {found}");
    }
    found
}

const EACH: [&str; 5] = [
    "per_second",
    "p50_ms",
    "p99_ms",
    "commits_per_run",
    "rows_per_run",
];

/// The same test on both databases.
macro_rules! on_both {
    ($($(#[$attribute:meta])* async fn $name:ident($database:ident) $body:block)*) => {
        $(mod $name {
            use super::*;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() { test(TestDatabase::new(Backend::Sqlite).await).await }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() { test(TestDatabase::new(Backend::Postgres).await).await }
            $(#[$attribute])*
            async fn test($database: TestDatabase) $body
        })*
    };
}

on_both! {
    async fn steps_are_held_against_what_the_sql_alone_reaches(database) {
        let measured = bench(&database, "steps --count 8 --ceiling").await;
        let steps = part(&measured, None, &EACH);
        assert_eq!((&steps["mode"], &steps["in_flight"]), (&"steps".into(), &4.into()));
        // A row for the start; of each step one; and what becomes of the run.
        assert!(steps["rows_per_run"].as_f64().unwrap() >= 7.0, "{steps}");
        assert!(steps["cpu"]["serve"].is_number(), "{steps}");
        for rows in [105, 497] {
            let alone = part(&measured, Some(&format!("{rows} rows a commit, 1 connections")), &EACH);
            assert_eq!(alone["rows_per_run"], 7.0);
            assert!(alone["rows_per_second"].as_f64().unwrap() > 0.0, "{alone}");
        }
        let pairs = measured.iter().filter(|one| one["in_flight"] == 2 && one["mode"] == "ceiling");
        assert_eq!(pairs.count(), if database.backend() == Backend::Postgres { 2 } else { 0 });
    }

    async fn a_message_is_measured_to_its_acknowledgement_and_to_its_answer(database) {
        let measured = bench(&database, "inbound --count 6").await;
        let inbound = part(&measured, None, &["ack_p99_ms", "answered_p50_ms", "events_per_message"]);
        for process in ["load", "simulator", "serve"] {
            assert!(inbound["cpu"][process].is_number(), "{inbound}");
            assert!(process == "load" || inbound["resident_mib"][process].as_f64().unwrap() > 0.0, "{inbound}");
        }
        if database.backend() == Backend::Postgres {
            let waits = inbound["disk_waits_p50"].as_f64().unwrap();
            // The start, and the intent of the answer, at least.
            assert!((2.0..20.0).contains(&waits), "{inbound}");
        }
        let acknowledged = bench(&database, "ack --count 6 --rate 50").await;
        let acknowledged = part(&acknowledged, None, &EACH);
        assert_eq!((&acknowledged["rate"], &acknowledged["in_flight"]), (&50.into(), &Value::Null));
    }

    async fn a_wake_up_is_measured_from_a_start_and_from_a_timer(database) {
        let measured = bench(&database, "wakeup --count 4").await;
        part(&measured, Some("first step"), &EACH);
        let late = part(&measured, Some("timer late"), &EACH);
        // Not one fires before it is due.
        assert!(late["p50_ms"].as_f64().unwrap() >= 0.0, "{late}");
    }

    async fn a_history_is_grown_from_a_real_message_and_measured_at_both_sizes(database) {
        let measured = bench(&database, "growth --count 4 --from 50 --to 300 --waiting 20").await;
        for size in [50, 300] {
            part(&measured, Some(&format!("start at {size}")), &EACH);
            part(&measured, Some(&format!("claim at {size}")), &EACH);
            part(&measured, Some(&format!("list at {size}")), &["all_p50_ms", "of_owner_p99_ms"]);
            part(&measured, Some(&format!("filter at {size}")), &["contact_p50_ms", "text_p99_ms"]);
            part(&measured, Some(&format!("inbound at {size}")), &["answered_p99_ms"]);
        }
        part(&measured, Some("ratio"), &["start_p50_ms_ratio", "claim_p99_ms_ratio", "list_all_p50_ms_ratio"]);
        let size = part(&measured, Some("size"), &["bytes_per_message", "bytes_per_copied_message"]);
        assert!(size["bytes_per_copied_message"].as_f64().unwrap() > 1000.0, "{size}");
        part(&measured, Some("idle"), &["serve_percent", "waiting"]);
    }

    async fn an_overload_loses_nothing_and_another_owner_is_answered(database) {
        let measured = bench(&database, "overload --count 4 --backlog 30 --seconds 1").await;
        part(&measured, Some("webhooks"), &EACH);
        part(&measured, Some("another owner"), &["ack_p99_ms", "answered_p99_ms"]);
        part(&measured, Some("backlog"), &["peak_per_second", "most_queued", "oldest_queued_seconds"]);
    }

    async fn a_long_history_is_gone_on_with_after_a_death(database) {
        let measured = bench(&database, "history --events 60").await;
        let resumed = part(&measured, Some("resume"), &["resume_ms", "resident_fresh_mib_serve"]);
        assert!(resumed["events"].as_f64().unwrap() >= 60.0, "{resumed}");
    }
}
