//! Each owner's share of the workers, by API and by command, and that a message counts for its owner from the start.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use recado_simulator::Inbound;
use recado_testkit::Backend;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Answered, PATIENCE, World, contact};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owners_share_is_set_and_shown_and_its_messages_count_for_it_from_the_start() {
    let world = World::new(Backend::Sqlite).await;
    // No worker: what the run knows of its owner, it knows from the webhook.
    let mut front = world.spawn(&["serve"]);
    front
        .wait_for_http(&format!("{}/health/live", world.url), PATIENCE)
        .await;
    let inbound = Inbound {
        from: contact(1),
        body: "hello".to_owned(),
        sid: Some(format!("SM{:032x}", 1)),
        ..Inbound::default()
    };
    assert!(world.deliver(inbound).await.is_accepted());
    let runs = world.runs().await;
    assert_eq!(
        (&runs[0]["state"], &runs[0]["owner"]),
        (&json!("queued"), &json!("default"))
    );

    let path = "/owners/default/policy";
    let shown = world.get(path).await.json();
    assert_eq!(
        (&shown["weight"], &shown["most_running"]),
        (&json!(1), &Value::Null)
    );
    let put = async |path: &str, body: Value| {
        Answered::of(world.api(Method::PUT, path).json(&body))
            .await
            .unwrap()
    };
    let set = put(path, json!({"weight": 3, "most_running": 20})).await;
    assert_eq!(set.status, 200, "{}", set.text);
    let shown = world.get(path).await.json();
    assert_eq!(
        (&shown["weight"], &shown["most_running"]),
        (&json!(3), &json!(20))
    );
    assert!(shown["updated_at"].is_string());
    assert_eq!(
        put(path, json!({})).await.json()["most_running"],
        Value::Null,
        "absent means as for all others"
    );

    put(path, json!({"weight": 0})).await.problem(422);
    put(path, json!({"most_running": 0})).await.problem(422);
    put("/owners/nobody/policy", json!({})).await.problem(404);
    world.get("/owners/nobody/policy").await.problem(404);
    let unasked = world
        .client
        .get(format!("{}/api/v1{path}", world.url))
        .send()
        .await
        .unwrap();
    assert_eq!(unasked.status(), 401);
}
