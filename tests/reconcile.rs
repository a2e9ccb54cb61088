//! What is compared with Twilio's books, and what is not taken for something else.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use chrono::{DateTime, TimeDelta, Utc};
use recado_domain::OwnerId;
use recado_simulator::{CreateFault, Inbound};
use recado_store::accounts;
use recado_testkit::Backend;
use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use world::{ACCOUNT, Answered, NUMBER, TOKEN, World, contact, creates, echo};

const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";

impl World {
    /// Starts a run and waits for its end.
    async fn ended(&self, workflow: &str, input: Value) -> Value {
        let request = self
            .api(Method::POST, "/runs")
            .json(&json!({"workflow": workflow, "input": input}));
        let ended = Answered::of(request.header("Prefer", "wait=60")).await.unwrap();
        assert_eq!(ended.status, 200, "{}", ended.text);
        ended.json()
    }

    /// Since when the owner has account and numbers.
    async fn hold_since(&self, at: DateTime<Utc>) {
        let db = self.database.connect().await;
        for table in ["channel_accounts", "channel_numbers"] {
            let sql = format!("update {table} set created_at = $1");
            let update = Statement::from_sql_and_values(db.get_database_backend(), sql, [at.into()]);
            db.execute_raw(update).await.unwrap();
        }
        db.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_the_owner_held_the_number_was_for_somebody_else() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let lost = Inbound {
        from: contact(1),
        body: "oi".to_owned(),
        lost: true,
        ..Inbound::default()
    };
    let sid = world.deliver(lost).await.sid;
    let input = json!({"owner": "default", "account": ACCOUNT, "grace_seconds": 0});
    world.hold_since(Utc::now() + TimeDelta::hours(1)).await;
    assert_eq!(
        world.ended("reconcile", input.clone()).await["output"]["missed"],
        0
    );
    world.hold_since(Utc::now() - TimeDelta::hours(1)).await;
    assert_eq!(world.ended("reconcile", input).await["output"]["missed"], 1);
    assert_eq!(world.outcome(&sid).await, "answered");
    assert_eq!(world.answers(&contact(1), 1).await, [echo("oi")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_found_late_counts_as_heard_when_it_was_written() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let found = |number: u32, hours| {
        json!({
            "account": ACCOUNT, "sid": format!("SM{number:032x}"), "from": contact(number),
            "to": format!("whatsapp:{NUMBER}"), "body": "oi", "form": [],
            "received_at": Utc::now() - TimeDelta::hours(hours),
        })
    };
    // WhatsApp takes an answer for 24 hours from then, not from when we looked.
    let within = world.ended("inbound_message", found(1, 23)).await;
    let after = world.ended("inbound_message", found(2, 25)).await;
    assert_eq!(
        (&within["outcome"], &after["outcome"]),
        (&json!("answered"), &json!("withheld"))
    );
    assert_eq!(world.answers(&contact(1), 1).await, [echo("oi")]);
    assert_eq!(creates(world.simulator.book(), &contact(2)).len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_lost_message_by_a_service_is_not_taken_for_the_same_words_by_a_number() {
    // Time for the other one between the loss and the look.
    let world = World::new(Backend::Sqlite).await.set("TWILIO_LISTING_DELAY", "3");
    let _process = world.serve_and_work().await;
    let db = world.database.connect().await;
    let owner = OwnerId::from("default");
    accounts::add_service(&db, &owner, ACCOUNT, SERVICE, Utc::now())
        .await
        .unwrap();
    let to = "+5511987650001";
    world.misbehave(|faults| {
        faults.twilio.create = CreateFault::Drop;
        faults.twilio.times = Some(1);
    });
    let sms = json!({"to": to, "body": "Olá!", "prospect": "ana", "from": SERVICE});
    let sending = world
        .api(Method::POST, "/messages/sms")
        .json(&sms)
        .header("Prefer", "wait=60");
    let others = async {
        world.seen(|book| creates(book, to).len() == 1).await;
        let api = format!(
            "{}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
            world.simulator.url()
        );
        let form = [("To", to), ("From", NUMBER), ("Body", "Olá!")];
        let request = world
            .client
            .post(api)
            .basic_auth(ACCOUNT, Some(TOKEN))
            .form(&form);
        Answered::of(request).await.unwrap().json()["sid"].clone()
    };
    let (sent, other) = tokio::join!(Answered::of(sending), others);
    let sent = sent.unwrap();
    assert_eq!(sent.status, 200, "{}", sent.text);
    assert_ne!(sent.json()["sid"], other);
    let requests = creates(world.simulator.book(), to);
    let ours = requests
        .iter()
        .filter(|request| request.params["MessagingServiceSid"] == SERVICE);
    assert_eq!(
        (requests.len(), ours.count()),
        (3, 2),
        "it is sent again, by its service"
    );
    assert_eq!(world.simulator.book().outbound_to(to).len(), 2);
}
