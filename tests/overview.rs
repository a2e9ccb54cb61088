//! The overview: what the minutes count is what happened, each owner's apart.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use recado_testkit::{Backend, eventually, free_port};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, Value};
use ulid::Ulid;
use world::{ADMIN, PATIENCE, World};

/// A run that began at a moment and took so long.
async fn run(
    db: &DatabaseConnection,
    n: u128,
    owner: &str,
    began: DateTime<Utc>,
    millis: i64,
    outcome: &str,
) {
    let id = Ulid::from_parts(began.timestamp_millis().try_into().unwrap(), n).to_string();
    let sql =
        "insert into runs (id, workflow, key, owner, state, outcome, build, input, since, created_at, finished_at)
        values ($1, 'inbound_message', $1, $2, 'completed', $3, 'test', '{}', $5, $4, $5)";
    let ended = began + TimeDelta::milliseconds(millis);
    write(
        db,
        sql,
        vec![
            id.into(),
            owner.into(),
            outcome.into(),
            began.into(),
            ended.into(),
        ],
    )
    .await;
}

async fn write(db: &DatabaseConnection, sql: &str, values: Vec<Value>) {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    db.execute_raw(statement).await.unwrap();
}

/// A message of an owner, and what Twilio reported of it.
async fn reported(db: &DatabaseConnection, owner: &str, at: DateTime<Utc>, status: &str, code: Option<i64>) {
    let id = |n| Ulid::from_parts(at.timestamp_millis().try_into().unwrap(), n).to_string();
    let one = || vec![Value::from(id(1)), owner.into(), at.into()];
    write(
        db,
        "insert into contacts (id, owner, created_at) values ($1, $2, $3)",
        one(),
    )
    .await;
    let sql = "insert into conversations (id, owner, contact, channel, our_address, contact_address, state, opened_at, updated_at)
        values ($1, $2, $1, 'sms', 'here', 'there', 'progress', $3, $3)";
    write(db, sql, one()).await;
    let sql = "insert into messages (id, owner, conversation, contact, direction, kind, body, created_at, updated_at)
        values ($1, $2, $1, $1, 'outbound', 'text', '', $3, $3)";
    write(db, sql, one()).await;
    let sql = "insert into message_events (id, message, owner, raw, at, status, error_code)
        values ($1, $1, $2, '', $3, $4, $5)";
    let mut values = one();
    values.extend([status.into(), code.into()]);
    write(db, sql, values).await;
}

async fn page(world: &World, query: &str) -> String {
    let asked = world
        .client
        .get(format!("{}/overview?{query}", world.url))
        .bearer_auth(ADMIN);
    let answered = asked.send().await.unwrap();
    assert_eq!(answered.status(), 200);
    answered.text().await.unwrap()
}

#[track_caller]
fn shows(page: &str, messages: i64, answers: i64) {
    for told in [
        format!("<b id=\"messages\">{messages}</b>"),
        format!("<b id=\"answers\">{answers}</b>"),
    ] {
        assert!(page.contains(&told), "{told} is not in\n{page}");
    }
}

async fn what_happened_is_counted_once_and_each_owners_apart(backend: Backend) {
    let world = World::without_model(backend).await;
    let db = world.database.connect().await;
    let now = Utc::now().duration_trunc(TimeDelta::minutes(1)).unwrap();
    let (at, old) = (now - TimeDelta::minutes(5), now - TimeDelta::hours(3));
    for n in 0..3 {
        run(&db, n, "ours", at, 300, "answered").await;
    }
    run(&db, 3, "ours", at + TimeDelta::minutes(2), 40_000, "refused").await;
    run(&db, 4, "theirs", at, 700, "answered").await;
    run(&db, 5, "ours", old, 700, "answered").await;
    reported(&db, "ours", at, "delivered", None).await;
    reported(
        &db,
        "theirs",
        at + TimeDelta::seconds(1),
        "undelivered",
        Some(30007),
    )
    .await;
    // What was spent is there before its minute is counted, and does not count it.
    for (owner, measure, label, n) in [
        ("ours", "cost", "sms", 66_900),
        ("ours", "tokens", "prompt", 1_234),
        ("*", "cost", "sms", 66_900),
    ] {
        let sql = "insert into minutes (owner, at, measure, label, n) values ($1, $2, $3, $4, $5)";
        let values = vec![owner.into(), at.into(), measure.into(), label.into(), n.into()];
        write(&db, sql, values).await;
    }
    db.close().await.unwrap();

    // Two processes begin with the same minutes at the same time, where the database can have two.
    let address = format!("127.0.0.1:{}", free_port());
    let mut second = match backend {
        Backend::Postgres => Some(world.spawn_with(&["serve"], &[("HTTP_ADDR", &address)])),
        Backend::Sqlite => None,
    };
    let _process = world.serve_and_work().await;
    if let Some(second) = &mut second {
        let ready = format!("http://{address}/health/ready");
        second.wait_for_http(&ready, PATIENCE).await;
    }
    let all = eventually(PATIENCE, async || {
        let page = page(&world, "range=1h").await;
        page.contains("<b id=\"messages\">5</b>").then_some(page)
    })
    .await;
    shows(&all, 5, 4);
    assert!(
        all.contains("inbound_message/refused") && all.contains("30007"),
        "{all}"
    );
    // Three of 300 ms and one of 700: in the buckets of Prometheus, half took no longer than this.
    assert!(all.contains("417 ms"), "{all}");
    let ours = page(&world, "range=1h&owner=ours").await;
    shows(&ours, 4, 3);
    assert!(all.contains("<b id=\"cost-sum\">US$ 0.0669</b>"), "{all}");
    assert!(ours.contains("<b id=\"tokens-sum\">1234</b>"), "{ours}");
    assert!(!ours.contains("30007") && ours.contains("delivered"), "{ours}");
    shows(&page(&world, "range=6h&owner=theirs").await, 1, 1);
    shows(&page(&world, "range=24h&owner=nobody%3Cscript%3E").await, 0, 0);
    shows(&page(&world, "range=1h").await, 5, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_counted_once_and_each_owners_apart_on_sqlite() {
    what_happened_is_counted_once_and_each_owners_apart(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_counted_once_and_each_owners_apart_on_postgres() {
    what_happened_is_counted_once_and_each_owners_apart(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_touches_no_more_than_field_and_line_both_say() {
    let world = World::without_model(Backend::Sqlite).await;
    let _process = world.serve().await;
    let ask = async |filter: serde_json::Value| {
        let body = serde_json::json!({ "act": "cancel", "dry_run": true, "filter": filter });
        let asked = world.api(reqwest::Method::POST, "/runs/batch").json(&body);
        world::Answered::of(asked).await.unwrap()
    };
    for (q, field, value) in [
        ("workflow:one", "workflow", "another"),
        ("owner:one", "owner", "another"),
        ("state:parked", "state", "running"),
        ("error:twilio_", "error", "model_"),
    ] {
        let told = ask(serde_json::json!({ "q": q, field: value }))
            .await
            .problem(422);
        assert!(told["detail"].as_str().unwrap().contains(field), "{told}");
    }
    for filter in [
        serde_json::json!({ "q": "state:parked", "workflow": "one" }),
        serde_json::json!({ "q": "error:twilio_", "error": "twilio_63016:" }),
    ] {
        let answered = ask(filter).await;
        assert_eq!(answered.status, 200, "{}", answered.text);
    }
}
