//! That no look at the runs becomes long because many have ended.
use chrono::TimeDelta;
use recado_testkit::{Backend, TestDatabase};
use serde_json::Value as Json;

use super::*;
use crate::storage::{
    StorageOptions,
    rows::{Rows, cells},
};

/// Runs that completed, one a second.
const COMPLETED: i64 = 100_000;
/// Runs of every other kind, the oldest of all.
const OTHERS: i64 = 20;
const COLUMNS: &[crate::storage::rows::Column] = &[
    ("id", "text"),
    ("workflow", "text"),
    ("state", "text"),
    ("waiting_for", "text"),
    ("worker", "text"),
    ("error", "text"),
    ("at", "timestamptz"),
    ("lane", "text"),
    ("parent", "text"),
];

fn begun() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn at(n: i64) -> DateTime<Utc> {
    begun() + TimeDelta::seconds(n)
}

fn id(n: i64) -> String {
    ulid::Ulid::from_parts(at(n).timestamp_millis() as u64, n as u128).to_string()
}

async fn fill(storage: &Storage) {
    let db = &storage.inner.write;
    for chunk in (0..COMPLETED).collect::<Vec<_>>().chunks(10_000) {
        let mut rows = Rows::new(COLUMNS);
        for n in chunk {
            let (workflow, state, waits, worker, error) = match n {
                _ if *n >= OTHERS => ("common", "completed", None, None, None),
                n if n % 4 == 0 => ("rare", "parked", Some("a person"), None, Some("never: not ever")),
                n if n % 4 == 1 => ("rare", "running", Some("activity"), Some("somebody"), None),
                n if n % 4 == 2 => ("rare", "waiting", Some("signal:word"), None, None),
                _ => ("rare", "completed", None, None, None),
            };
            // A contact of many, who writes to two numbers of ours; and a campaign's thousands of children.
            let lane = format!("AC/{}/+55{}", n % 2, n % 5_000);
            let parent = (n % 10 == 0).then(|| id(n % 100));
            rows.push(cells![
                id(*n),
                workflow,
                state,
                waits,
                worker,
                error,
                at(*n),
                lane,
                parent
            ]);
        }
        let sql = "insert into runs (id, workflow, key, owner, state, waiting_for, worker, error, since, created_at, build,
                input, lane, parent)
            select t.id, t.workflow, t.id, 'ours', t.state, t.waiting_for, t.worker, t.error, t.at, t.at, 'test', 'null',
                t.lane, t.parent
            from {rows}";
        db.execute_raw(rows.statement(db.get_database_backend(), sql, vec![]))
            .await
            .expect("inserted");
    }
    let more = format!(
        "insert into run_tags (name, value, run) select 'colour', 'red', id from runs where id < '{}';
        insert into journal (run, seq, op, kind, name, at)
            select id, 1, 1, 'activity_failed', 'reply', since from runs where state = 'parked';
        insert into journal (run, seq, op, kind, at) select id, 2, 1, 'parked', since from runs where state = 'parked';
        analyze",
        id(OTHERS)
    );
    db.execute_unprepared(&more).await.expect("inserted");
}

/// How many runs a plan came by.
fn visited(plan: &Json) -> f64 {
    let number = |field: &str| plan[field].as_f64().unwrap_or_default();
    let own = match plan["Relation Name"].as_str() {
        Some("runs") => {
            let once = number("Actual Rows")
                + number("Rows Removed by Filter")
                + number("Rows Removed by Index Recheck");
            once * number("Actual Loops")
        }
        _ => 0.0,
    };
    let below = plan["Plans"].as_array().map(Vec::as_slice).unwrap_or_default();
    own + below.iter().map(visited).sum::<f64>()
}

/// How many runs the first page of `filter` comes by, and how many it has.
async fn look(storage: &Storage, filter: &Filter) -> (f64, usize) {
    let page = storage.runs(filter, 50, None).await.expect("a page");
    let db = storage.reader();
    let mut explained = page_statement(db, filter, 51, None, None);
    explained.sql = format!("explain (analyze, format json) {}", explained.sql);
    let row = db
        .query_one_raw(explained)
        .await
        .expect("a plan")
        .expect("a plan");
    let plan: Json = row.try_get("", "QUERY PLAN").expect("JSON");
    (visited(&plan[0]["Plan"]), page.items.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_finished_runs_are_not_looked_through_for_a_few() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let storage = Storage::open(&StorageOptions::new(database.url()), || {})
        .await
        .expect("opened");
    fill(&storage).await;
    let text = |text: &str| Some(text.to_owned());
    let filters = [
        (
            "state",
            5,
            Filter {
                state: Some(RunState::Parked),
                ..Filter::default()
            },
        ),
        (
            "error",
            5,
            Filter {
                error: text("never:"),
                ..Filter::default()
            },
        ),
        (
            "waits",
            5,
            Filter {
                waiting_for: text("signal:"),
                ..Filter::default()
            },
        ),
        (
            "worker",
            5,
            Filter {
                worker: text("somebody"),
                ..Filter::default()
            },
        ),
        (
            "open",
            15,
            Filter {
                unfinished: true,
                workflow: text("rare"),
                ..Filter::default()
            },
        ),
        (
            "still",
            15,
            Filter {
                still_since: Some(at(50)),
                ..Filter::default()
            },
        ),
        (
            "attempts",
            0,
            Filter {
                attempt_from: Some(3),
                ..Filter::default()
            },
        ),
        (
            "step",
            5,
            Filter {
                step: text("reply"),
                ..Filter::default()
            },
        ),
        (
            "no step",
            0,
            Filter {
                step: text(""),
                ..Filter::default()
            },
        ),
        (
            "tag",
            20,
            Filter {
                tag: Some(("colour".to_owned(), "red".to_owned())),
                ..Filter::default()
            },
        ),
        (
            "children",
            50,
            Filter {
                parent: Some(RunId::from(id(10))),
                ..Filter::default()
            },
        ),
        (
            "lane's end",
            20,
            Filter {
                lane_ends: vec!["+557".to_owned()],
                ..Filter::default()
            },
        ),
        (
            "unfinished by lane's end",
            1,
            Filter {
                lane_ends: vec!["whatsapp:+551".to_owned(), "+551".to_owned()],
                unfinished: true,
                ..Filter::default()
            },
        ),
        (
            "id",
            1,
            Filter {
                text: text(&id(7).to_lowercase()),
                ..Filter::default()
            },
        ),
        (
            "owner",
            50,
            Filter {
                owner: text("ours"),
                ..Filter::default()
            },
        ),
        (
            "oldest",
            50,
            Filter {
                order: Order::Oldest,
                ..Filter::default()
            },
        ),
        (
            "since",
            50,
            Filter {
                created_from: Some(at(COMPLETED - 100)),
                ..Filter::default()
            },
        ),
    ];
    for (what, expected, filter) in filters {
        let (came_by, found) = look(&storage, &filter).await;
        assert_eq!(found, expected, "{what}");
        assert!(came_by <= 200.0, "{what}: {came_by} runs were looked at");
    }
    // The hour of slack is all that stands between the end of the span and the runs in it.
    let before = Filter {
        created_before: Some(at(10)),
        ..Filter::default()
    };
    let (came_by, found) = look(&storage, &before).await;
    assert!(found == 10 && came_by <= 3_700.0, "{found} of {came_by}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_no_index_serves_goes_as_deep_as_it_says_and_its_cursor_leads_on() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let storage = Storage::open(&StorageOptions::new(database.url()), || {})
        .await
        .expect("opened");
    fill(&storage).await;
    for (workflow, text, expected) in [
        (Some("rare"), None, 20),
        (None, Some("NOT EVER"), 5),
        (None, Some(":"), 5),
    ] {
        let filter = Filter {
            workflow: workflow.map(str::to_owned),
            text: text.map(str::to_owned),
            depth: Some(30_000),
            ..Filter::default()
        };
        let (mut cursor, mut found, mut pages) = (None, Vec::new(), 0);
        loop {
            let page = storage
                .runs(&filter, 50, cursor.as_deref())
                .await
                .expect("a page");
            found.extend(page.items.into_iter().map(|run| run.id.to_string()));
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((found.len(), pages), (expected, 4), "{workflow:?} {text:?}");
        assert!(found.is_sorted_by(|a, b| a > b));
    }
    let counts = Filter {
        workflow: Some("rare".to_owned()),
        state: Some(RunState::Completed),
        ..Filter::default()
    };
    let mut counts = storage.open_runs_of(&counts).await.expect("counts");
    counts.sort_by_key(|(state, _)| state.as_str());
    let five = [RunState::Parked, RunState::Running, RunState::Waiting].map(|state| (state, 5));
    assert_eq!(counts, five);

    // A text among failed runs is looked for in as many of these, however many others lie between.
    let failed = format!(
        "update runs set state = 'failed' where id < '{}' and state = 'completed'; analyze runs",
        id(40_000)
    );
    storage
        .inner
        .write
        .execute_unprepared(&failed)
        .await
        .expect("failed");
    let filter = Filter {
        state: Some(RunState::Failed),
        text: Some(id(100)[..20].to_owned()),
        depth: Some(30_000),
        ..Filter::default()
    };
    let first = storage.runs(&filter, 50, None).await.expect("a page");
    assert!(first.items.is_empty() && first.next.is_some(), "{first:?}");
    let second = storage
        .runs(&filter, 50, first.next.as_deref())
        .await
        .expect("a page");
    assert!(!second.items.is_empty() && second.next.is_none(), "{second:?}");
}
