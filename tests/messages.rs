//! Messages that answer nobody: sent by the API, one by one, in batches and at a time.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use recado_domain::OwnerId;
use recado_engine::{Export, testing::replay_export};
use recado_simulator::{CreateFault, Direction};
use recado_store::owners;
use recado_testkit::{Backend, eventually};
use recado_workflows::{SendBatch, SendMessage};
use reqwest::Method;
use serde_json::{Value, json};
use world::{ACCOUNT, Answered, NUMBER, PATIENCE, World, contact, creates, echo};

/// The same test on both databases.
macro_rules! on_both {
    ($(async fn $name:ident($backend:ident) $body:block)*) => {
        $(mod $name {
            use super::*;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() { test(Backend::Sqlite).await }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() { test(Backend::Postgres).await }
            async fn test($backend: Backend) $body
        })*
    };
}

const TEMPLATE: &str = "HX0123456789abcdef0123456789abcdef";

/// The SMS address of a number from 0 to 9999.
fn phone(number: usize) -> String {
    format!("+551198765{number:04}")
}

impl World {
    fn request(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.api(Method::POST, path).json(body)
    }

    /// Asks for messages and waits for Twilio's answer.
    async fn send(&self, path: &str, body: Value) -> Answered {
        let request = self.request(path, &body).header("Prefer", "wait=60");
        Answered::of(request).await.unwrap()
    }

    /// Asks for messages under a key.
    async fn send_as(&self, key: &str, path: &str, body: &Value) -> Answered {
        let request = self
            .request(path, body)
            .header("Prefer", "wait=60")
            .header("Idempotency-Key", key);
        Answered::of(request).await.unwrap()
    }

    async fn history(&self, prospect: &str, query: &str) -> Vec<Value> {
        let answered = self.get(&format!("/prospects/{prospect}/history{query}")).await;
        assert_eq!(answered.status, 200, "{}", answered.text);
        answered.json()["items"].as_array().unwrap().clone()
    }

    async fn run_until(&self, id: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        eventually(PATIENCE, async || {
            let run = self.get(&format!("/runs/{id}")).await.json();
            is_there(&run).then_some(run)
        })
        .await
    }
}

on_both! {
    async fn a_message_is_sent_once_however_often_its_key_is_repeated(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let body = json!({"to": phone(1), "body": "Olá, Ana", "prospect": "ana"});
        let sent = world.send_as("first", "/messages/sms", &body).await;
        assert_eq!(sent.status, 200, "{}", sent.text);
        let sent = sent.json();
        let message = world.simulator.book().outbound_to(&phone(1))[0].clone();
        assert_eq!((&sent["sid"], &sent["to"]), (&json!(message.sid), &json!(phone(1))), "{sent}");
        assert_eq!((message.body.as_str(), message.from.as_str()), ("Olá, Ana", NUMBER));
        assert_eq!(world.send_as("first", "/messages/sms", &body).await.json(), sent);
        let other = json!({"to": phone(1), "body": "Olá, Eva", "prospect": "ana"});
        world.send_as("first", "/messages/sms", &other).await.problem(409);
        assert_eq!(creates(world.simulator.book(), &phone(1)).len(), 1);

        // Who does not wait gets the run, and later the same.
        let request = world.request("/messages/sms", &json!({"to": phone(2), "body": "oi", "prospect": "bia"}));
        let started = Answered::of(request).await.unwrap();
        assert_eq!(started.status, 202, "{}", started.text);
        let run = started.json();
        assert_eq!((&run["workflow"], &run["owner"]), (&json!("send_message"), &json!("default")));
        let run = world.run_until(run["id"].as_str().unwrap(), |run| run["state"] == "completed").await;
        assert_eq!((&run["outcome"], &run["output"]["to"]), (&json!("sent"), &json!(phone(2))));
    }

    async fn what_happened_to_a_message_is_in_its_prospects_history(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let sms = json!({"to": phone(1), "body": "um", "prospect": "ana", "media_urls": ["https://a.example/1.png"]});
        let sent = world.send("/messages/sms", sms).await;
        assert_eq!(sent.status, 200, "{}", sent.text);
        // The same telephone on another channel is the same person, and what she writes belongs to it.
        let variables = json!({"1": "Ana", "2": 7});
        let template = json!({"to": phone(1), "prospect": "ana", "template": {"sid": TEMPLATE, "variables": variables}});
        let sent = world.send("/messages/whatsapp", template).await;
        assert_eq!(sent.status, 200, "{}", sent.text);
        world.say(&contact(1), "quero sim").await;
        world.answers(&contact(1), 2).await;
        let items = eventually(PATIENCE, async || {
            let items = world.history("ana", "").await;
            let settled = |item: &Value| ["delivered", "read", "received"].contains(&item["status"].as_str().unwrap_or_default());
            (items.len() == 4 && items.iter().all(settled)).then_some(items)
        })
        .await;
        let bodies: Vec<_> = items.iter().map(|item| item["body"].as_str().unwrap()).collect();
        assert_eq!(bodies, [echo("quero sim").as_str(), "quero sim", "", "um"]);
        assert_eq!(items[3]["media_urls"], json!(["https://a.example/1.png"]));
        assert_eq!((&items[3]["type"], &items[3]["from"]), (&json!("sms"), &json!(NUMBER)));
        assert_eq!(items[2]["template"], json!({"sid": TEMPLATE, "variables": {"1": "Ana", "2": "7"}}));
        assert_eq!((&items[1]["direction"], &items[1]["from"]), (&json!("inbound"), &json!(contact(1))));
        let request = creates(world.simulator.book(), &contact(1))[0].clone();
        assert_eq!(request.params["ContentVariables"], json!(r#"{"1":"Ana","2":"7"}"#).as_str().unwrap());

        assert_eq!(world.history("ana", "?type=sms").await.len(), 1);
        let page = world.get("/prospects/ana/history?limit=3").await.json();
        let rest = world.history("ana", &format!("?cursor={}", page["next"].as_str().unwrap())).await;
        assert_eq!((page["items"].as_array().unwrap().len(), rest.len()), (3, 1));
        assert_eq!(rest[0]["id"], items[3]["id"]);
        world.get("/prospects/ana/history?type=fax").await.problem(422);
        world.get("/prospects/eva/history").await.problem(404);

        // Another owner has prospects of its own.
        let db = world.database.connect().await;
        owners::create(&db, &OwnerId::from("others"), "Others", "pt", Utc::now()).await.unwrap();
        let theirs = world.api(Method::GET, "/prospects/ana/history").header("Recado-Owner", "others");
        Answered::of(theirs).await.unwrap().problem(404);
        let theirs = world.request("/messages/sms", &json!({"to": phone(1), "body": "oi", "prospect": "ana"}));
        let told = Answered::of(theirs.header("Recado-Owner", "others")).await.unwrap().problem(422);
        assert_eq!(told["field"], "from");
    }

    async fn whatsapp_takes_only_a_template_outside_of_its_window_and_nobody_who_opted_out(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let free = || json!({"to": phone(1), "body": "oi", "prospect": "ana"});
        let told = world.send("/messages/whatsapp", free()).await.problem(422);
        assert_eq!((&told["code"], &told["class"]), (&json!(63016), &json!("outside_window")), "{told}");
        assert!(told["detail"].as_str().unwrap().contains("Send a template"), "{told}");
        assert_eq!(creates(world.simulator.book(), &contact(1)).len(), 0);
        let template = || json!({"to": phone(1), "prospect": "ana", "template": {"sid": TEMPLATE}});
        assert_eq!(world.send("/messages/whatsapp", template()).await.status, 200);
        world.say(&contact(1), "oi").await;
        world.answers(&contact(1), 2).await;
        assert_eq!(world.send("/messages/whatsapp", free()).await.status, 200);

        let stop = world.say(&contact(1), "PARAR").await;
        assert_eq!(world.outcome(&stop).await, "silent");
        for message in [free(), template()] {
            let told = world.send("/messages/whatsapp", message).await.problem(422);
            assert_eq!((&told["code"], &told["class"]), (&json!(21610), &json!("opted_out")), "{told}");
        }
        let run = world.runs().await.remove(0);
        assert_eq!((&run["state"], &run["outcome"]), (&json!("failed"), &json!("withheld")));
    }

    async fn a_refusal_says_what_it_means_and_what_can_be_done(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        world.misbehave(|faults| faults.twilio.create = CreateFault::Refuse(21614));
        let told = world.send("/messages/sms", json!({"to": phone(1), "body": "oi", "prospect": "ana"})).await.problem(422);
        assert_eq!((&told["code"], &told["class"]), (&json!(21614), &json!("permanent")), "{told}");
        assert_eq!(told["remedy"], "Correct the contact's number, or call it.");
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains("It means: the To number is not a mobile number."), "{detail}");
        let run = world.get(&format!("/runs/{}", told["run"].as_str().unwrap())).await.json();
        let page = world.client.get(format!("{}/runs/{}", world.url, told["run"].as_str().unwrap())).bearer_auth(world::ADMIN);
        let page = Answered::of(page).await.unwrap().text;
        assert!(page.contains("or call it.") && page.contains("+55 •••• 0001"), "{page}");
        assert_eq!((&run["state"], &run["outcome"]), (&json!("failed"), &json!("refused")));
        let history = world.history("ana", "").await;
        assert_eq!((&history[0]["status"], &history[0]["error"]["code"]), (&json!("failed"), &json!(21614)));

        // What a carrier reports later is told as well.
        world.misbehave(|faults| faults.callbacks.undelivered = Some(30007));
        assert_eq!(world.send("/messages/sms", json!({"to": phone(2), "body": "oi", "prospect": "bia"})).await.status, 200);
        let failed = eventually(PATIENCE, async || {
            let history = world.history("bia", "").await;
            (history[0]["status"] == "undelivered").then(|| history[0].clone())
        })
        .await;
        assert_eq!((&failed["error"]["code"], &failed["error"]["class"]), (&json!(30007), &json!("filtered")), "{failed}");
        let told = world.send("/messages/sms", json!({"to": "+1500521408", "body": "oi", "prospect": "eva"})).await.problem(422);
        assert_eq!((&told["code"], &told["class"]), (&json!(21408), &json!("configuration")), "{told}");
        let errors = world.get("/twilio/errors").await.json();
        assert!(errors["items"].as_array().unwrap().iter().any(|known| known["code"] == 30007), "{errors}");
    }

    async fn p2_a_message_whose_answer_was_lost_is_found_and_not_sent_again(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let lose = || world.misbehave(|faults| {
            faults.twilio.create = CreateFault::AcceptAndDrop;
            faults.twilio.times = Some(1);
            faults.callbacks.none = true;
        });
        let sms = json!({"to": phone(1), "body": "oi", "prospect": "ana"});
        let template = json!({"to": phone(1), "prospect": "ana", "template": {"sid": TEMPLATE}});
        for (path, message, to) in [("sms", sms, phone(1)), ("whatsapp", template, contact(1))] {
            lose();
            let sent = world.send(&format!("/messages/{path}"), message).await;
            assert_eq!(sent.status, 200, "{}", sent.text);
            let booked = world.simulator.book().outbound_to(&to);
            assert_eq!(booked.len(), 1, "{path}");
            assert_eq!(sent.json()["sid"], booked[0].sid.as_str());
        }
    }

    async fn a_batch_of_100_with_7_bad_rows_sends_93_and_reports_7(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let mut rows: Vec<Value> = (0..100)
            .map(|n| json!({"to": phone(n), "body": format!("oferta {n}"), "prospect": format!("p{n}")}))
            .collect();
        rows[3]["to"] = json!("11987654321");
        rows[11] = json!({"to": phone(11), "body": "oi"});
        rows[20]["body"] = json!(" ");
        rows[42]["channel"] = json!("fax");
        rows[57]["to"] = json!(5511);
        rows[80] = json!("a text");
        rows[99]["media_urls"] = json!(["ftp://a.example/1"]);
        let bad = BTreeSet::from([3, 11, 20, 42, 57, 80, 99]);
        let body = json!({"messages": rows});
        let answered = world.send_as("batch", "/messages/batch", &body).await;
        assert_eq!(answered.status, 200, "{}", answered.text);
        let batch = answered.json();
        assert_eq!((&batch["total"], &batch["success"], &batch["failed"]), (&json!(100), &json!(93), &json!(7)));
        for (index, row) in batch["details"].as_array().unwrap().iter().enumerate() {
            assert_eq!(row["index"], index);
            assert_eq!(row["error"].is_null(), !bad.contains(&index), "{row}");
            assert_eq!(row["sid"].is_null(), bad.contains(&index), "{row}");
        }
        assert_eq!(batch["details"][3]["error"]["field"], "to");
        assert_eq!(batch["details"][11]["error"]["field"], "prospect");
        assert_eq!(batch["details"][42]["error"]["field"], "channel");
        let sent = || world.simulator.book().messages().iter().filter(|m| m.direction == Direction::Outbound).count();
        assert_eq!(sent(), 93);
        assert_eq!(world.send_as("batch", "/messages/batch", &body).await.json(), batch, "the same batch");
        assert_eq!(sent(), 93);
        for count in [0, 101] {
            let told = world.send("/messages/batch", json!({"messages": vec![json!({}); count]})).await.problem(422);
            assert_eq!(told["field"], "messages");
        }
    }

    async fn ten_messages_a_minute_go_to_a_prospect_and_answers_are_not_counted(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let row = |n: usize| json!({"to": phone(1), "body": format!("oi {n}"), "prospect": "ana"});
        let rows: Vec<Value> = (0..12).map(row).collect();
        let batch = world.send("/messages/batch", json!({"messages": rows})).await.json();
        assert_eq!((&batch["success"], &batch["failed"]), (&json!(10), &json!(2)), "{batch}");
        assert!(!batch["details"][9]["sid"].is_null() && batch["details"][10]["sid"].is_null(), "{batch}");
        let texts: Vec<String> = (0..10).map(|n| format!("oi {n}")).collect();
        assert_eq!(world.texts(&phone(1)), texts, "in the order of the rows");
        let refused = world.send("/messages/sms", row(13)).await;
        refused.problem(429);
        let seconds: u64 = refused.header("Retry-After").parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        // A batch of which no row may go starts nothing, so that its key is free for when it may.
        let batch = json!({"messages": [row(14), {"to": "nobody", "body": "oi", "prospect": "ana"}]});
        let refused = world.send_as("later", "/messages/batch", &batch).await;
        refused.problem(429);
        let seconds: u64 = refused.header("Retry-After").parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        world.say(&phone(1), "chega").await;
        assert_eq!(world.answers(&phone(1), 11).await[10], echo("chega"));
        let other = json!({"to": phone(2), "body": "oi", "prospect": "bia"});
        assert_eq!(world.send("/messages/sms", other.clone()).await.status, 200);

        let path = "/owners/default/prospect-limit";
        assert_eq!(world.get(path).await.json(), json!({"per_minute": null}));
        world.put(path, json!({"per_minute": 0})).await.problem(422);
        assert_eq!(world.put(path, json!({"per_minute": 1})).await.status, 200);
        world.send("/messages/sms", other.clone()).await.problem(429);
        assert_eq!(world.put(path, json!({"per_minute": 2})).await.status, 200);
        assert_eq!(world.send("/messages/sms", other).await.status, 200);
        assert_eq!(world.put(path, json!({"per_minute": 100})).await.status, 200);
        let sent = world.send_as("later", "/messages/batch", &batch).await.json();
        assert_eq!((&sent["success"], &sent["failed"]), (&json!(1), &json!(1)), "{sent}");
    }

    async fn the_same_request_finds_its_run_whatever_has_changed_since(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let db = world.database.connect().await;
        let row = |at: &str| json!({"to": phone(1), "body": "oi", "prospect": "ana", "send_at": at});
        // A time that was past already, and one that is past when it is asked for again.
        let soon = (Utc::now() + TimeDelta::seconds(2)).to_rfc3339();
        let batch = json!({"messages": [row("2020-01-01T00:00:00Z"), row(&soon), {"to": phone(2), "body": "oi", "prospect": "bia"}]});
        let first = world.send_as("batch", "/messages/batch", &batch).await.json();
        assert_eq!((&first["success"], &first["failed"]), (&json!(2), &json!(1)), "{first}");
        assert_eq!(world.put("/owners/default/prospect-limit", json!({"per_minute": 2})).await.status, 200);
        let sms = json!({"prospect": "eva", "to": phone(3), "body": "oi"});
        let sent = world.send_as("sms", "/messages/sms", &sms).await.json();
        // Another number is the oldest now, and members may come in another order.
        let rename = async |from: &str, to: &str| {
            let sql = format!("update channel_numbers set address = '{to}' where address = '{from}'");
            sea_orm::ConnectionTrait::execute_unprepared(&db, &sql).await.unwrap();
        };
        rename(NUMBER, "+14155238880").await;
        assert_eq!(world.send_as("batch", "/messages/batch", &batch).await.json(), first);
        for _ in 0..3 {
            let again = json!({"to": phone(3), "body": "oi", "prospect": "eva"});
            assert_eq!(world.send_as("sms", "/messages/sms", &again).await.json(), sent, "and it is not counted again");
        }
        let other = json!({"to": phone(3), "body": "outro", "prospect": "eva"});
        world.send_as("sms", "/messages/sms", &other).await.problem(409);
        rename("+14155238880", NUMBER).await;
        assert_eq!(world.send("/messages/sms", other.clone()).await.status, 200, "nor is what was refused");
        world.send("/messages/sms", other).await.problem(429);
    }

    async fn limits_and_quiet_hours_of_an_owner_tell_when_a_message_may_go(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let sms = |n: usize| json!({"to": phone(n), "body": "oi", "prospect": format!("p{n}")});
        let limits = "/owners/default/send-limits";
        assert_eq!(world.put(limits, json!({"per_sender": 0})).await.problem(422)["field"], "per_sender");
        assert_eq!(world.put(limits, json!({"per_sender": 2, "per_owner": 3})).await.status, 200);
        assert_eq!(world.get(limits).await.json(), json!({"per_sender": 2, "per_owner": 3}));
        for n in [1, 2] {
            assert_eq!(world.send("/messages/sms", sms(n)).await.status, 200);
        }
        let refused = world.send("/messages/sms", sms(3)).await;
        assert!(refused.problem(429)["detail"].as_str().unwrap().contains("from one sender"), "{}", refused.text);
        assert!((1..=61).contains(&refused.header("Retry-After").parse::<u64>().unwrap()));
        // Who writes is answered all the same.
        world.say(&phone(1), "olá").await;
        assert_eq!(world.answers(&phone(1), 2).await[1], echo("olá"));
        assert_eq!(world.put(limits, json!({"per_sender": null, "per_owner": null})).await.status, 200);

        let quiet = "/owners/default/quiet-hours";
        let clock = |hours| (Utc::now() + TimeDelta::hours(hours)).format("%H:%M").to_string();
        assert_eq!(world.put(quiet, json!({"from": "9", "to": "10:00", "zone": "UTC"})).await.problem(422)["field"], "from");
        assert_eq!(world.put(quiet, json!({"from": clock(-1), "to": clock(1), "zone": "UTC"})).await.status, 200);
        let refused = world.send("/messages/sms", sms(4)).await;
        let until = refused.problem(429)["retry_at"].as_str().unwrap().to_owned();
        assert!(refused.header("Retry-After").parse::<u64>().unwrap() <= 3601, "{}", refused.text);
        let after = |path: &str, at: &str| {
            let mut message = sms(5);
            message["send_at"] = json!(at);
            world.request(path, &message)
        };
        let night = (Utc::now() + TimeDelta::minutes(1)).to_rfc3339();
        assert_eq!(Answered::of(after("/messages/sms", &night)).await.unwrap().problem(422)["field"], "send_at");
        assert_eq!(Answered::of(after("/messages/sms", &until)).await.unwrap().status, 202);
        assert_eq!(world.send("/messages/batch", json!({"messages": [sms(6)]})).await.problem(429)["retry_at"], until);
        world.say(&phone(1), "alguém?").await;
        assert_eq!(world.answers(&phone(1), 3).await[2], echo("alguém?"));
    }

    async fn a_message_goes_from_its_pool_and_counts_for_the_plan(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let db = world.database.connect().await;
        let owner = OwnerId::from("default");
        let service = "MG0123456789abcdef0123456789abcdef";
        recado_store::accounts::add_service(&db, &owner, ACCOUNT, service, Utc::now()).await.unwrap();
        for (n, from) in [(1, "pool"), (2, service)] {
            let sms = json!({"to": phone(n), "body": "oi", "prospect": "ana", "from": from});
            let sent = world.send("/messages/sms", sms).await;
            assert_eq!(sent.status, 200, "{}", sent.text);
        }
        let params = |n| creates(world.simulator.book(), &phone(n))[0].params.clone();
        assert_eq!((&params(1)["From"], params(1).get("MessagingServiceSid")), (&json!(NUMBER), None));
        assert_eq!((&params(2)["MessagingServiceSid"], params(2).get("From")), (&json!(service), None));
        let other = json!({"to": phone(3), "body": "oi", "prospect": "ana", "from": service.replace('0', "1")});
        assert_eq!(world.send("/messages/sms", other).await.problem(422)["field"], "from");

        let used = async || {
            let usage = recado_store::billing::usage_of(&db, &owner, Utc::now()).await.unwrap();
            usage.iter().find(|usage| usage.feature == "messages").map_or(0, |usage| usage.used)
        };
        assert_eq!(used().await, 2);
        // What Twilio refuses is given back.
        world.misbehave(|faults| faults.twilio.create = CreateFault::Refuse(21614));
        let sms = json!({"to": phone(4), "body": "oi", "prospect": "bia"});
        world.send("/messages/sms", sms.clone()).await.problem(422);
        assert_eq!(used().await, 2);
        world.misbehave(|_| {});
        let quota = recado_store::billing::Override { feature: "messages", quota: Some(2), who: "test", why: "test", until: None };
        recado_store::billing::grant_override(&db, &owner, quota, Utc::now()).await.unwrap();
        let told = world.send("/messages/sms", sms).await.problem(402);
        assert!(told["detail"].as_str().unwrap().contains("the plan has no message left"), "{told}");
        assert_eq!(creates(world.simulator.book(), &phone(4)).len(), 1);
        let large = world.api(Method::POST, "/messages/sms").body(vec![b' '; 9 * 1024 * 1024]);
        Answered::of(large.header("content-type", "application/json")).await.unwrap().problem(413);
    }

    async fn of_twenty_messages_at_once_to_one_prospect_ten_are_taken(backend) {
        let world = World::new(backend).await;
        let _process = world.serve().await;
        let asked = (0..20).map(|n| {
            let body = json!({"to": phone(n), "body": "oi", "prospect": "ana"});
            Answered::of(world.request("/messages/sms", &body))
        });
        let answers = futures::future::try_join_all(asked).await.unwrap();
        let count = |status| answers.iter().filter(|answered| answered.status == status).count();
        assert_eq!((count(202), count(429)), (10, 10), "{answers:?}");
        assert_eq!(world.runs().await.len(), 10);
    }

    async fn p1_p2_a_batch_whose_process_is_killed_goes_out_once(backend) {
        let world = World::new(backend).await;
        let mut process = world.serve_and_work().await;
        world.misbehave(|faults| faults.twilio.latency_ms = 50);
        let rows: Vec<Value> = (0..40).map(|n| json!({"to": phone(n), "body": "oferta", "prospect": format!("p{n}")})).collect();
        let request = world.request("/messages/batch", &json!({"messages": rows}));
        let started = Answered::of(request).await.unwrap();
        assert_eq!(started.status, 202, "{}", started.text);
        for sent in [3, 17] {
            world.seen(|book| book.messages().len() >= sent).await;
            process.kill9();
            process = world.serve_and_work().await;
        }
        let id = started.json()["id"].as_str().unwrap().to_owned();
        let run = world.run_until(&id, |run| run["state"] == "completed").await;
        assert_eq!((&run["outcome"], &run["output"]["success"]), (&json!("sent"), &json!(40)));
        for n in 0..40 {
            assert_eq!(world.texts(&phone(n)), ["oferta"], "{n}");
        }
    }

    async fn what_was_sent_replays_as_it_was(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let text: String = (0..400).map(|n| format!("palavra{n} ")).collect();
        let at = (Utc::now() + TimeDelta::seconds(1)).to_rfc3339();
        let rows = json!([
            {"to": phone(1), "body": text, "prospect": "ana"},
            {"to": phone(2), "body": "oi", "prospect": "bia", "send_at": at},
            {"to": phone(3), "body": "oi", "prospect": "eva", "channel": "whatsapp"},
            {"to": "nobody", "body": "oi", "prospect": "eva"},
        ]);
        let batch = world.send("/messages/batch", json!({"messages": rows})).await.json();
        assert_eq!((&batch["success"], &batch["failed"]), (&json!(2), &json!(2)), "{batch}");
        for run in world.runs().await {
            let export = world.get(&format!("/runs/{}/export", run["id"].as_str().unwrap())).await;
            let export: Export = serde_json::from_str(&export.text).unwrap();
            match run["workflow"].as_str().unwrap() {
                "send_batch" => drop(replay_export::<SendBatch>(&export).unwrap()),
                _ => drop(replay_export::<SendMessage>(&export).unwrap()),
            }
        }
    }

    async fn a_message_for_later_waits_in_nobodys_way_and_can_be_cancelled(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let at = |from_now: TimeDelta| (Utc::now() + from_now).to_rfc3339();
        let later = json!({"to": phone(1), "body": "later", "prospect": "ana", "send_at": at(TimeDelta::hours(1))});
        let started = Answered::of(world.request("/messages/sms", &later)).await.unwrap();
        assert_eq!(started.status, 202, "{}", started.text);
        let id = started.json()["id"].as_str().unwrap().to_owned();
        world.run_until(&id, |run| run["waiting_for"] == "timer").await;
        let now = json!({"to": phone(1), "body": "now", "prospect": "ana"});
        assert_eq!(world.send("/messages/sms", now).await.status, 200);
        assert_eq!(world.post(&format!("/runs/{id}/cancel")).await.status, 200);
        world.run_until(&id, |run| run["state"] == "cancelled").await;
        assert_eq!(world.texts(&phone(1)), ["now"]);

        let soon = json!({"to": phone(2), "body": "soon", "prospect": "bia", "send_at": at(TimeDelta::seconds(1))});
        let sent = world.send("/messages/sms", soon).await;
        assert_eq!(sent.status, 200, "{}", sent.text);
        assert_eq!(sent.json()["sid"], world.simulator.book().outbound_to(&phone(2))[0].sid.as_str());
    }

    async fn a_long_text_goes_in_parts_in_order(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let text: String = (0..400).map(|n| format!("palavra{n} ")).collect();
        let sent = world.send("/messages/sms", json!({"to": phone(1), "body": text, "prospect": "ana"})).await.json();
        let texts = world.texts(&phone(1));
        assert_eq!(texts.len(), 1 + sent["more_sids"].as_array().unwrap().len());
        assert!(texts.len() > 1 && texts.iter().all(|part| part.chars().count() <= 1500));
        assert_eq!(texts.join(" "), text.trim());
    }

    async fn what_cannot_be_sent_is_refused_by_the_name_of_its_field(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let good = json!({"to": phone(1), "body": "oi", "prospect": "ana"});
        for (path, field, value, told) in [
            ("sms", "to", json!(null), "to"),
            ("sms", "to", json!("11 98765-4321"), "to"),
            ("sms", "to", json!("whatsapp:+5511987650001"), "to"),
            ("sms", "to", json!("12345"), "to"),
            ("sms", "to", json!(NUMBER), "to"),
            ("sms", "body", json!(null), "body"),
            ("sms", "body", json!("a".repeat(16_001)), "body"),
            ("sms", "prospect", json!(""), "prospect"),
            ("sms", "prospect", json!("a".repeat(201)), "prospect"),
            ("sms", "from", json!("+14155550199"), "from"),
            ("sms", "media_urls", json!(["https://a.example/1", "no"]), "media_urls[1]"),
            ("whatsapp", "media_urls", json!(["https://a.example/1", "https://a.example/2"]), "media_urls"),
            ("sms", "template", json!({"sid": TEMPLATE}), "template"),
            ("sms", "template", json!({"sid": "HX1"}), "template.sid"),
            ("sms", "template", json!({"sid": TEMPLATE, "variables": ["Ana"]}), "template.variables"),
            ("sms", "send_at", json!("tomorrow"), "send_at"),
            ("sms", "send_at", json!("2020-01-01T00:00:00Z"), "send_at"),
            ("sms", "send_at", json!("2999-01-01T00:00:00Z"), "send_at"),
        ] {
            let mut body = good.clone();
            body[field] = value.clone();
            let problem = world.send(&format!("/messages/{path}"), body).await.problem(422);
            assert_eq!(problem["field"], told, "{field} {value}: {problem}");
        }
        assert!(world.runs().await.is_empty());
        let nobody = world.request("/messages/sms", &good).header("Recado-Owner", "nobody");
        Answered::of(nobody).await.unwrap().problem(404);
    }

    async fn twilios_health_tells_whether_an_owner_can_send(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let health = world.get("/twilio/health").await;
        assert_eq!(health.status, 200, "{}", health.text);
        let numbers = [NUMBER.to_owned(), format!("whatsapp:{NUMBER}")];
        let told = health.json();
        assert_eq!((&told["healthy"], &told["account"]), (&json!(true), &json!({"sid": ACCOUNT, "status": "active"})));
        let told: BTreeSet<_> = told["numbers"].as_array().unwrap().iter().map(|number| number.as_str().unwrap().to_owned()).collect();
        assert_eq!(told, BTreeSet::from(numbers));
        world.misbehave(|faults| faults.twilio.reads = Some(401));
        let health = world.get("/twilio/health").await;
        assert_eq!((health.status, &health.json()["healthy"]), (503, &json!(false)), "{}", health.text);
        assert!(!health.json()["error"].is_null(), "{}", health.text);
    }
}
