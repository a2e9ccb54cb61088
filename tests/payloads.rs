//! What runs hold of what people wrote: who can read it, for how long, and how it ends.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use recado_testkit::Backend;
use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use world::{Answered, World, contact, echo};

const WORDS: &str = "um segredo de família";

/// The rows of the engine in which the words of the contact can be read.
async fn readable(world: &World) -> i64 {
    let db = world.database.connect().await;
    let sql = format!(
        "select (select count(*) from runs where coalesce(input, '') || coalesce(output, '') like '%{WORDS}%')
            + (select count(*) from journal where coalesce(input, '') || coalesce(data, '') like '%{WORDS}%')
            + (select count(*) from blobs where data like '%{WORDS}%') as n"
    );
    let row = db
        .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
        .await;
    row.unwrap().unwrap().try_get("", "n").unwrap()
}

async fn shown(world: &World, run: &Value) -> Value {
    let answered = world.get(&format!("/runs/{}", run["id"].as_str().unwrap())).await;
    assert_eq!(answered.status, 200, "{}", answered.text);
    answered.json()
}

async fn what_a_contact_wrote_is_sealed_and_ends_with_its_owner(backend: Backend) {
    let world = World::new(backend).await;
    let process = world.serve_and_work().await;
    let sid = world.say(&contact(1), WORDS).await;
    let run = world.until(&sid, "completed").await;
    assert_eq!(world.texts(&contact(1)), [echo(WORDS)]);
    assert!(shown(&world, &run).await.to_string().contains(WORDS));
    assert_eq!(readable(&world).await, 0);

    // Another secret is found at the start, not at the first read.
    let other = [("SECRET_KEY", "another secret of thirty-two characters")];
    for arguments in [&["serve", "--worker"][..], &["runs", "list"]] {
        let (code, told) = world.run_with(arguments, &other).await;
        assert!(
            code != 0 && told.contains("SECRET_KEY is not the one"),
            "{code} {told}"
        );
    }
    let (code, told) = world.run_with(&["runs", "list"], &[("SECRET_KEY", "")]).await;
    assert!(
        code != 0 && told.contains("SECRET_KEY is missing"),
        "{code} {told}"
    );

    let (code, told) = world.run(&["erase-owner", "default"]).await;
    assert!(code == 2 && told.contains("--yes"), "{code} {told}");
    assert!(shown(&world, &run).await.to_string().contains(WORDS));
    let (code, told) = world.run(&["erase-owner", "default", "--yes"]).await;
    assert_eq!(code, 0, "{told}");
    let erased = shown(&world, &run).await;
    assert_eq!(
        (&erased["input"], &erased["output"]),
        (&json!({"erased": true}), &json!({"erased": true}))
    );
    assert!(!erased.to_string().contains(WORDS), "{erased}");
    for page in [format!("/runs/{}", run["id"].as_str().unwrap()), "/".to_owned()] {
        let page = world
            .client
            .get(format!("{}{page}", world.url))
            .bearer_auth(world::ADMIN);
        assert_eq!(Answered::of(page).await.unwrap().status, 200);
    }
    assert_eq!(world.run(&["erase-owner", "default", "--yes"]).await.0, 4);

    // Life goes on under a new key.
    let sid = world.say(&contact(2), WORDS).await;
    let run = world.until(&sid, "completed").await;
    assert!(shown(&world, &run).await.to_string().contains(WORDS));
    assert_eq!(readable(&world).await, 0);
    drop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_what_a_contact_wrote_is_sealed_and_ends_with_its_owner() {
    what_a_contact_wrote_is_sealed_and_ends_with_its_owner(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_what_a_contact_wrote_is_sealed_and_ends_with_its_owner() {
    what_a_contact_wrote_is_sealed_and_ends_with_its_owner(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_without_a_secret_seals_nothing_and_locks_nobody_out() {
    let world = World::new(Backend::Sqlite).await;
    let seals = async || {
        let db = world.database.connect().await;
        let sql = "select count(*) as n from owner_keys";
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql));
        row.await.unwrap().unwrap().try_get::<i64>("", "n").unwrap()
    };
    for words in [["schedules", "list"], ["runs", "list"], ["retention", "list"]] {
        let (code, told) = world.run_with(&words, &[("SECRET_KEY", "")]).await;
        assert_eq!((code, seals().await), (0, 0), "{words:?}: {told}");
    }
    let _process = world.serve_and_work().await;
    let sid = world.say(&contact(1), WORDS).await;
    assert_eq!(world.outcome(&sid).await, "answered");
    assert!(seals().await > 0);
    assert_eq!(readable(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_says_how_long_its_runs_are_kept() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let put = async |owner: &str, days: Value| {
        let request = world.api(Method::PUT, "/retention").header("Recado-Owner", owner);
        Answered::of(request.json(&json!({"days": days}))).await.unwrap()
    };
    let days = |told: Value| (told["days"].as_i64(), told["default_days"].as_i64());
    assert_eq!(days(world.get("/retention").await.json()), (None, None));
    put("nobody", json!(7)).await.problem(404);
    for wrong in [json!(0), json!(40_000), json!(-1)] {
        let refused = put("default", wrong).await;
        assert!((400..500).contains(&refused.status), "{}", refused.text);
    }
    assert_eq!(days(put("default", json!(7)).await.json()), (Some(7), None));
    let (code, told) = world.run(&["retention", "set", "--days", "30"]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(days(world.get("/retention").await.json()), (Some(7), Some(30)));
    let (_, told) = world.run(&["retention", "list"]).await;
    assert!(
        told.contains("all others") && told.contains("7 days") && told.contains("30 days"),
        "{told}"
    );

    let sid = world.say(&contact(1), "hello").await;
    let run = world.until(&sid, "completed").await;
    let (_, told) = world.run(&["retention", "purge"]).await;
    assert!(told.contains("0 runs deleted"), "{told}");
    let db = world.database.connect().await;
    let long_ago = "update runs set finished_at = '2020-01-01T00:00:00.000000+00:00'";
    db.execute_unprepared(long_ago).await.unwrap();
    let (_, told) = world.run(&["retention", "purge"]).await;
    assert!(told.contains("1 runs deleted"), "{told}");
    world
        .get(&format!("/runs/{}", run["id"].as_str().unwrap()))
        .await
        .problem(404);
    assert_eq!(days(put("default", Value::Null).await.json()), (None, Some(30)));
}
