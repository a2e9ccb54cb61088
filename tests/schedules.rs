//! What the clock starts, as an operator sets it up: by the API and at the terminal.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use recado_testkit::{Backend, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use world::{ACCOUNT, Answered, NUMBER, PATIENCE, World, contact};

/// The input of a workflow that every build has: an SMS.
fn message(n: u32) -> Value {
    let from = contact(n).replace("whatsapp:", "");
    json!({"account": ACCOUNT, "sid": format!("SM{n:032x}"), "from": from, "to": NUMBER, "body": "hello", "form": []})
}

fn nightly(n: u32) -> Value {
    json!({"workflow": "inbound_message", "input": message(n), "cron": "30 3 * * *", "time_zone": "America/Sao_Paulo"})
}

/// Waits for the end of a run.
async fn completed(world: &World, run: &Value) -> Value {
    let path = format!("/runs/{}", run.as_str().unwrap());
    let run = eventually(PATIENCE, async || {
        let run = world.get(&path).await.json();
        let at_rest = ["completed", "parked"].iter().any(|state| run["state"] == *state);
        at_rest.then_some(run)
    })
    .await;
    assert_eq!(run["state"], "completed", "{run}");
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_lives_through_the_api_for_its_owner_alone() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let call = async |method: Method, path: &str, owner: &str, body: Value| {
        let request = world.api(method, path).header("Recado-Owner", owner).json(&body);
        Answered::of(request).await.unwrap()
    };
    let with = |change: Value| {
        let mut body = nightly(1);
        body["id"] = json!("nightly");
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    for (field, value) in [
        ("id", json!("a:b")),
        ("workflow", json!("nonesuch")),
        ("input", json!({"account": 1})),
        ("cron", json!("61 * * * *")),
        ("time_zone", json!("Mars/Olympus")),
        ("overlap", json!("perhaps")),
    ] {
        let told = call(Method::POST, "/schedules", "default", with(json!({field: value}))).await;
        assert_eq!(told.problem(422)["field"], field);
    }
    call(Method::POST, "/schedules", "nobody", with(json!({})))
        .await
        .problem(404);
    let created = call(Method::POST, "/schedules", "default", with(json!({}))).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let created = created.json();
    assert_eq!(
        (&created["overlap"], &created["catch_up_seconds"]),
        (&json!("skip"), &json!(60))
    );
    // Half past three in São Paulo.
    assert!(
        created["next_at"].as_str().unwrap().contains("T06:30:00"),
        "{created}"
    );
    call(Method::POST, "/schedules", "default", with(json!({})))
        .await
        .problem(409);
    let list =
        async |owner| call(Method::GET, "/schedules", owner, Value::Null).await.json()["items"].clone();
    assert_eq!(list("default").await[0]["id"], "nightly");
    assert_eq!(list("x").await, json!([]));
    for (method, path) in [
        (Method::GET, ""),
        (Method::POST, "/pause"),
        (Method::POST, "/trigger"),
        (Method::DELETE, ""),
    ] {
        let path = format!("/schedules/nightly{path}");
        call(method, &path, "x", Value::Null).await.problem(404);
    }
    let act = async |act: &str, body: Value| {
        let path = format!("/schedules/nightly/{act}");
        let answered = call(Method::POST, &path, "default", body).await;
        assert_eq!(answered.status, 200, "{}", answered.text);
        answered.json()
    };
    assert_eq!(act("pause", Value::Null).await["next_at"], Value::Null);
    let changed = call(Method::PUT, "/schedules/nightly", "default", nightly(2)).await;
    assert_eq!(
        (changed.status, &changed.json()["paused"]),
        (200, &json!(true)),
        "{}",
        changed.text
    );
    let run = completed(&world, &act("trigger", Value::Null).await["run"]).await;
    assert_eq!((&run["owner"], &run["input"]), (&json!("default"), &message(2)));
    assert_eq!(act("resume", Value::Null).await["last_run"], run["id"]);
    let span = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-11-03T00:00:00Z"});
    let first = act("backfill", span.clone()).await;
    assert_eq!(
        (first["started"].as_array().unwrap().len(), &first["already"]),
        (2, &json!(0))
    );
    assert_eq!(act("backfill", span).await, json!({"started": [], "already": 2}));
    let gone = call(Method::DELETE, "/schedules/nightly", "default", Value::Null).await;
    let left = list("default").await;
    let left: Vec<_> = left
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["workflow"])
        .collect();
    // The daily look at Twilio's lists is the program's own.
    assert_eq!((gone.status, left), (200, vec![&json!("reconcile")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_lives_at_the_terminal() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let input = message(1).to_string();
    let create = |cron: &'static str| {
        let words = [
            "schedules",
            "create",
            "every-day",
            "--workflow",
            "inbound_message",
        ];
        [&words[..], &["--input", &input, "--json", "--cron", cron]].concat()
    };
    let json = |told: &str| -> Value {
        let line = told.lines().find(|line| line.starts_with('{')).unwrap();
        serde_json::from_str(line).unwrap()
    };
    let (code, told) = world.run(&create("every day")).await;
    assert!(code == 2 && told.contains("cron"), "{told}");
    let (code, told) = world.run(&create("@daily")).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(json(&told)["owner"], "default");
    assert_eq!(world.run(&create("@daily")).await.0, 5);
    let theirs = [&create("@daily")[..], &["--owner", "nobody"]].concat();
    assert_eq!(world.run(&theirs).await.0, 4);
    let act = async |words: &[&str]| world.run(&[&["schedules"], words].concat()).await;
    assert_eq!(act(&["pause", "every-day"]).await.0, 0);
    let (_, told) = act(&["list"]).await;
    assert!(told.contains("every-day") && told.contains("paused"), "{told}");
    assert_eq!(act(&["resume", "every-day"]).await.0, 0);
    let (_, told) = act(&["trigger", "every-day", "--json"]).await;
    completed(&world, &json(&told)["run"]).await;
    let span = ["--from", "2026-11-01T00:00:00Z", "--to", "2026-11-03T00:00:00Z"];
    let (code, told) = act(&[&["backfill", "every-day"][..], &span].concat()).await;
    assert!(code == 0 && told.contains("2 runs started"), "{told}");
    assert_eq!(act(&["show", "nonesuch"]).await.0, 4);
    // Nobody is there to be asked.
    let (code, told) = act(&["delete", "every-day"]).await;
    assert!(code == 2 && told.contains("stays"), "{told}");
    let (_, told) = act(&["show", "every-day", "--json"]).await;
    assert_eq!(json(&told)["cron"], "@daily");
    assert_eq!(act(&["delete", "every-day", "--yes"]).await.0, 0);
    assert_eq!(act(&["show", "every-day"]).await.0, 4);
    for overlap in ["cancel", "terminate"] {
        let create = [&create("@daily")[..], &["--overlap", overlap, "--replace"]].concat();
        let (code, told) = world.run(&create).await;
        assert_eq!(
            (code, &json(&told)["overlap"]),
            (0, &Value::from(overlap)),
            "{told}"
        );
    }
}
