//! What an operator can do with runs, through the API and at the terminal.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use recado_testkit::Backend;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Answered, World, contact, echo, webhook::Webhook};

impl World {
    async fn post_json(&self, path: &str, body: Value) -> Answered {
        Answered::of(self.api(Method::POST, path).json(&body))
            .await
            .unwrap()
    }

    /// The ids of the runs of `count` messages that nobody works on, oldest first.
    async fn queued(&self, count: u32) -> Vec<String> {
        for number in 1..=count {
            self.say(&contact(number), "hello").await;
        }
        let mut ids: Vec<_> = self
            .runs()
            .await
            .iter()
            .map(|run| run["id"].as_str().unwrap().to_owned())
            .collect();
        ids.reverse();
        ids
    }

    async fn state(&self, id: &str) -> String {
        let shown = self.get(&format!("/runs/{id}")).await;
        assert_eq!(shown.status, 200, "{}", shown.text);
        shown.json()["state"].as_str().unwrap().to_owned()
    }
}

/// The state of the run in an answer.
#[track_caller]
fn state(answered: &Answered) -> Value {
    assert_eq!(answered.status, 200, "{}", answered.text);
    answered.json()["state"].clone()
}

async fn start(world: &World, key: &str, prefer: &str, body: Value) -> Answered {
    let request = world.api(Method::POST, "/runs").json(&body);
    let request = request.header("Idempotency-Key", key).header("Prefer", prefer);
    Answered::of(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_started_by_key_once_and_its_end_awaited_wherever_it_is_worked_on() {
    let world = World::new(Backend::Postgres).await;
    let front = world.serve().await;
    let body = json!({"workflow": "bench_steps", "input": {"MessageSid": "SM1"}});
    let started = start(&world, "k", "", body.clone()).await;
    assert_eq!(started.status, 202, "{}", started.text);
    let id = started.json()["id"].clone();
    assert_eq!(started.json()["state"], "queued");
    // Nobody works yet: an impatient caller is told so.
    let still = start(&world, "k", "wait=1", body.clone()).await;
    assert_eq!((still.status, &still.json()["id"]), (202, &id), "{}", still.text);

    let worker = world.worker().await;
    let ended = start(&world, "k", "wait=60", body.clone()).await;
    assert_eq!((ended.status, &ended.json()["id"]), (200, &id), "{}", ended.text);
    assert_eq!(ended.json()["outcome"], "measured");
    assert_eq!(ended.json()["output"]["step"], "reply");
    let other = json!({"workflow": "bench_steps", "input": {"MessageSid": "SM2"}});
    let told = start(&world, "k", "", other.clone()).await.problem(409);
    assert!(
        told["detail"].as_str().unwrap().contains("another input"),
        "{told}"
    );
    let fresh = start(&world, "", "wait=60", other.clone()).await;
    assert_eq!(fresh.status, 200, "{}", fresh.text);
    assert_ne!(fresh.json()["id"], id);

    let told = start(&world, "", "", json!({"workflow": "no_such", "input": {}}))
        .await
        .problem(422);
    assert_eq!(told["field"], "workflow");
    let told = start(&world, "", "", json!({"workflow": "bench_steps", "input": 7}))
        .await
        .problem(422);
    assert_eq!(told["field"], "input");
    start(&world, "", "wait=soon", other).await.problem(400);
    assert_eq!(world.runs().await.len(), 2);
    drop((front, worker));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_pauses_resumes_signals_cancels_forks_and_terminates_a_run() {
    let world = World::new(Backend::Sqlite).await;
    let process = world.serve().await;
    let ids = world.queued(1).await;
    let at = |act: &str| format!("/runs/{}/{act}", ids[0]);
    let paused = world.post(&at("pause")).await;
    assert_eq!(
        (state(&paused), &paused.json()["waiting_for"]),
        (json!("waiting"), &json!("resume"))
    );
    assert_eq!(state(&world.post(&at("resume")).await), "queued");
    let told = world.post(&at("resume")).await.problem(409);
    assert!(
        told["detail"].as_str().unwrap().contains("only a paused run"),
        "{told}"
    );
    let told = world.post(&at("retry")).await.problem(409);
    assert!(
        told["detail"].as_str().unwrap().contains("only a parked run"),
        "{told}"
    );
    world
        .post_json(&at("skip"), json!({"result": 1}))
        .await
        .problem(409);
    world
        .post_json(&at("decide"), json!({"decision": "resend"}))
        .await
        .problem(409);
    let signal = json!({"name": "colour", "data": "red", "key": "k"});
    assert_eq!(
        state(&world.post_json(&at("signal"), signal.clone()).await),
        "queued"
    );
    assert_eq!(state(&world.post_json(&at("signal"), signal).await), "queued");
    assert_eq!(state(&world.post(&at("cancel")).await), "queued");
    let export = world.get(&at("export")).await.json();
    let kinds: Vec<_> = export["signals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| told["kind"].clone())
        .collect();
    assert_eq!(kinds, ["resume", "signal", "cancel"]);
    assert_eq!(
        (&export["format"], &export["run"], &export["workflow"]),
        (&json!(1), &json!(ids[0]), &json!("inbound_message"))
    );
    assert_eq!(
        world.get(&at("values")).await.json(),
        json!({"items": [], "next": null})
    );

    let told = world
        .post_json(&at("fork"), json!({"from": 7}))
        .await
        .problem(409);
    assert!(
        told["detail"].as_str().unwrap().contains("events 1 to 2"),
        "{told}"
    );
    let forked = world.post_json(&at("fork"), json!({"from": 0})).await;
    assert_eq!(state(&forked), "queued");
    let new = forked.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (world.state(&ids[0]).await.as_str(), new != ids[0]),
        ("terminated", true)
    );
    let shown = world.get(&format!("/runs/{new}")).await.json();
    assert_eq!(
        shown["links"],
        json!([{"run": new, "kind": "forked_from", "other": ids[0]}])
    );
    world.post(&at("terminate")).await.problem(409);
    // The fork is answered like any other, by whoever works.
    drop(process);
    let _process = world.serve_and_work().await;
    assert_eq!(world.answers(&contact(1), 1).await, [echo("hello")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_of_nobody_and_of_other_owners_are_not_there() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let sid = world.say(&contact(1), "hello").await;
    let run = world.until(&sid, "completed").await;
    let (id, owner) = (run["id"].as_str().unwrap(), run["owner"].as_str().unwrap());
    let as_owner = async |method: Method, path: &str, owner: &str, body: Value| {
        let request = world.api(method, path).header("Recado-Owner", owner).json(&body);
        Answered::of(request).await.unwrap()
    };
    let acts = [
        ("cancel", Value::Null),
        ("terminate", Value::Null),
        ("pause", Value::Null),
        ("resume", Value::Null),
        ("retry", Value::Null),
        ("skip", json!({"result": 1})),
        ("fork", json!({"from": 0})),
        ("signal", json!({"name": "x"})),
        ("decide", json!({"decision": "give_up"})),
    ];
    for (act, body) in acts {
        let mine = format!("/runs/{id}/{act}");
        as_owner(Method::POST, &mine, "somebody else", body.clone())
            .await
            .problem(404);
        as_owner(
            Method::POST,
            &format!("/runs/nonesuch/{act}"),
            owner,
            body.clone(),
        )
        .await
        .problem(404);
        if act != "fork" {
            as_owner(Method::POST, &mine, owner, body).await.problem(409);
        }
    }
    for read in ["export", "values"] {
        let path = format!("/runs/{id}/{read}");
        as_owner(Method::GET, &path, "somebody else", Value::Null)
            .await
            .problem(404);
        assert_eq!(as_owner(Method::GET, &path, owner, Value::Null).await.status, 200);
    }
    let batch = json!({"act": "fork", "filter": {"workflow": "inbound_message"}, "with": {"from": 0}});
    let none = as_owner(Method::POST, "/runs/batch", "somebody else", batch).await;
    assert_eq!((none.status, &none.json()["items"]), (200, &json!([])));
    let theirs = json!({"act": "cancel", "filter": {"owner": owner}});
    as_owner(Method::POST, "/runs/batch", "somebody else", theirs)
        .await
        .problem(404);
    assert_eq!(world.runs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_rehearsed_then_done_and_its_mistakes_are_named() {
    let world = World::new(Backend::Postgres).await;
    let _process = world.serve().await;
    let ids = world.queued(3).await;
    assert_eq!(
        world.post(&format!("/runs/{}/terminate", ids[0])).await.status,
        200
    );
    let batch = |dry_run: bool| json!({"act": "pause", "filter": {"workflow": "inbound_message"}, "dry_run": dry_run});
    let named = |answered: &Answered| -> Vec<String> {
        assert_eq!(answered.status, 200, "{}", answered.text);
        let items = answered.json()["items"].as_array().unwrap().clone();
        items
            .iter()
            .filter(|item| item["ok"] == true)
            .map(|item| item["run"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        named(&world.post_json("/runs/batch", batch(true)).await),
        ids[1..]
    );
    assert_eq!(world.state(&ids[1]).await, "queued");
    assert_eq!(
        named(&world.post_json("/runs/batch", batch(false)).await),
        ids[1..]
    );
    assert_eq!(world.state(&ids[1]).await, "waiting");
    let retried = world
        .post_json(
            "/runs/batch",
            json!({"act": "retry", "filter": {"state": "waiting"}}),
        )
        .await;
    assert_eq!(named(&retried), Vec::<String>::new());
    assert!(
        retried.json()["items"][0]["error"]
            .as_str()
            .unwrap()
            .contains("only a parked run")
    );
    for (body, field) in [
        (json!({"act": "cancel", "filter": {}}), "filter"),
        (json!({"act": "explode", "filter": {"state": "queued"}}), "act"),
        (json!({"act": "skip", "filter": {"state": "parked"}}), "result"),
        (
            json!({"act": "decide", "filter": {"state": "parked"}, "with": {"decision": "maybe"}}),
            "decision",
        ),
        (json!({"act": "cancel", "filter": {"state": "asleep"}}), "state"),
        (json!({"act": "cancel", "filter": {"tag": "red"}}), "tag"),
        (
            json!({"act": "cancel", "filter": {"state": "queued"}, "limit": 0}),
            "limit",
        ),
    ] {
        assert_eq!(
            world.post_json("/runs/batch", body.clone()).await.problem(422)["field"],
            field,
            "{body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_run_is_skipped_retried_or_ended_at_the_terminal() {
    let world = World::new(Backend::Sqlite).await;
    let process = world.serve_and_work().await;
    let webhook = Webhook::new(&world, 1, "hello").with("From", Some("messenger:1"));
    assert_eq!(webhook.post(&world).await.status, 200);
    let parked = world.until(&webhook.fields[0].1, "parked").await;
    let id = parked["id"].as_str().unwrap();
    drop(process);
    let _process = world.serve().await;
    let runs = async |arguments: &[&str]| {
        let all: Vec<_> = ["runs"].iter().chain(arguments).copied().collect();
        world.run(&all).await
    };
    let (code, told) = runs(&["retry", "--state", "parked", "--dry-run"]).await;
    assert!(
        code == 0 && told.contains(id) && told.contains("1 would be touched"),
        "{code}: {told}"
    );
    assert_eq!(world.state(id).await, "parked");
    let (code, told) = runs(&["pause", id]).await;
    assert!(
        code == 5 && told.contains("only a queued, running or waiting run"),
        "{code}: {told}"
    );
    let (code, told) = runs(&["decide", id, "--resend"]).await;
    assert!(code == 5 && told.contains("only of a run"), "{code}: {told}");
    let (code, told) = runs(&["cancel", "nonesuch"]).await;
    assert!(code == 4 && told.contains("there is no run"), "{code}: {told}");
    // Nobody is there to say yes.
    let (code, told) = runs(&["terminate", "--error", "unsupported_address"]).await;
    assert!(
        code == 1 && told.contains("terminate 1 runs?") && told.contains("nothing was done"),
        "{code}: {told}"
    );
    assert_eq!(world.state(id).await, "parked");
    let (code, told) = runs(&["retry", id]).await;
    assert!(code == 0 && told.contains("is queued again"), "{code}: {told}");
    let (code, told) = runs(&[
        "signal",
        "--workflow",
        "inbound_message",
        "--name",
        "x",
        "--data",
        "[1]",
    ])
    .await;
    assert!(
        code == 0 && told.contains("1 touched, 0 refused"),
        "{code}: {told}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.json");
    let (code, told) = runs(&["export", id, "--output", file.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{told}");
    let export: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        (&export["run"], &export["signals"][0]["data"]),
        (&json!(id), &json!([1]))
    );
    assert_eq!(
        export["events"].as_array().unwrap().last().unwrap()["kind"],
        "retried"
    );
    let (code, told) = runs(&["fork", id, "--from", "0"]).await;
    assert!(code == 0 && told.contains("goes on as"), "{code}: {told}");
    let (code, told) = runs(&["terminate", "--workflow", "inbound_message", "--yes"]).await;
    assert!(code == 0 && told.contains("1 touched"), "{code}: {told}");
    assert!(world.runs().await.iter().all(|run| run["state"] == "terminated"));
    for wrong in [
        &["cancel"][..],
        &["cancel", id, "--state", "parked"],
        &["decide", id],
        &["skip", id],
    ] {
        assert_ne!(runs(wrong).await.0, 0, "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_a_run_and_of_its_conversation_read_what_is_sealed_in_postgres() {
    let world = World::new(Backend::Postgres).await;
    let _front = world.serve_and_work().await;
    let sid = world.say(&contact(1), "words of mine").await;
    world.answers(&contact(1), 1).await;
    let run = world.until(&sid, "completed").await;
    let run = run["id"].as_str().unwrap();
    let page = async |path: &str| {
        let below_the_api = format!("{}{path}", world.url);
        let request = world.api(Method::GET, "").build().unwrap();
        let token = request.headers()["authorization"].to_str().unwrap().to_owned();
        let request = reqwest::Client::new()
            .get(below_the_api)
            .header("authorization", token);
        let answered = Answered::of(request).await.unwrap();
        assert_eq!(answered.status, 200, "{path}: {}", answered.text);
        answered.text
    };
    let found = page(&format!("/search?q={sid}")).await;
    assert!(found.contains(&format!("/runs/{run}")), "{found}");
    assert!(page("/search?q=WORDS+of").await.contains("Said in messages"));
    let list = page("/conversations?text=words&state=pending").await;
    let thread = list
        .split("href=\"")
        .find(|link| link.starts_with("/conversations/"))
        .unwrap();
    let thread = page(thread.split('"').next().unwrap()).await;
    let shown = page(&format!("/runs/{run}?view=full")).await;
    for page in [&thread, &shown] {
        assert!(
            page.contains("ask_specialist") && page.contains("completed"),
            "{page}"
        );
        assert!(
            !page.contains("words of mine") && !page.contains(&contact(1)),
            "{page}"
        );
    }
}
