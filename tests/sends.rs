//! Messages of ours of which nobody can tell whether they were sent, and those that are refused: what proves them, what
//! their owner wants, what they cost.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use recado_domain::OwnerId;
use recado_simulator::{CreateFault, Direction, Status, sign};
use recado_store::{Secret, accounts, owners};
use recado_testkit::{Backend, eventually};
use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use secrecy::SecretString;
use serde_json::{Value, json};
use world::{ACCOUNT, Answered, NUMBER, PATIENCE, TOKEN, World, contact, creates, echo};

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

#[path = "sends/way_out.rs"]
mod way_out;

/// What the books say of our messages to a contact.
#[derive(Debug, PartialEq)]
struct Booked {
    status: Option<String>,
    error_code: Option<i64>,
    has_sid: bool,
    /// Of the answer that the plan counts.
    usage: Option<String>,
}

impl Booked {
    fn new(status: Option<&str>, error_code: Option<i64>, has_sid: bool, usage: &str) -> Self {
        Self {
            status: status.map(str::to_owned),
            error_code,
            has_sid,
            usage: Some(usage.to_owned()),
        }
    }
}

impl World {
    async fn booked(&self, run: &Value) -> Vec<Booked> {
        let db = self.database.connect().await;
        let sql = "select m.status, m.error_code, m.twilio_sid,
                (select u.state from usage u where u.run = m.run and u.feature = 'agent_answers') as usage
            from messages m where m.run = $1 and m.direction = 'outbound' order by m.part";
        let values = [run["id"].as_str().unwrap().into()];
        let select = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        let rows = db.query_all_raw(select).await.unwrap();
        rows.iter()
            .map(|row| Booked {
                status: row.try_get("", "status").unwrap(),
                error_code: row.try_get("", "error_code").unwrap(),
                has_sid: row.try_get::<Option<String>>("", "twilio_sid").unwrap().is_some(),
                usage: row.try_get("", "usage").unwrap(),
            })
            .collect()
    }

    /// The token of the one message that a run sends.
    async fn token(&self, run: &Value) -> String {
        let db = self.database.connect().await;
        let sql = "select token from messages where run = $1 and direction = 'outbound'";
        let values = [run["id"].as_str().unwrap().into()];
        let select = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        let row = db.query_one_raw(select).await.unwrap().unwrap();
        row.try_get("", "token").unwrap()
    }

    async fn decide(&self, run: &Value, body: Value) -> Answered {
        let path = format!("/runs/{}/decide", run["id"].as_str().unwrap());
        Answered::of(self.api(Method::POST, &path).json(&body))
            .await
            .unwrap()
    }

    /// Twilio takes the next message and says so to nobody; its list cannot be had.
    fn accept_unheard(&self, callback: Option<Duration>) {
        self.misbehave(|faults| {
            faults.twilio.create = CreateFault::AcceptAndDrop;
            faults.twilio.times = Some(1);
            faults.twilio.reads = Some(500);
            faults.callbacks.none = callback.is_none();
            faults.callbacks.delay_ms = callback.map_or(0, |delay| delay.as_millis() as u64);
        });
    }

    /// The run of a message once it asks what became of its answer.
    async fn asking(&self, sid: &str) -> Value {
        let key = format!("{ACCOUNT}:{sid}");
        eventually(PATIENCE, async || {
            let mut runs = self.runs().await;
            runs.retain(|run| run["key"] == key.as_str() && run["waiting_for"] == "reconcile:reply");
            runs.pop()
        })
        .await
    }

    /// A status callback, as `account` signs it.
    async fn call_back(&self, account: (&str, &str), token: &str, sid: &str) {
        let url = format!("{}/api/v1/twilio/webhooks/status?token={token}", self.url);
        let fields = [
            ("MessageSid", sid),
            ("MessageStatus", "delivered"),
            ("AccountSid", account.0),
            ("From", &format!("whatsapp:{NUMBER}")),
            ("To", &contact(1)),
        ];
        let fields: Vec<_> = fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let signature = sign(&SecretString::from(account.1), &url, &fields);
        let request = self
            .client
            .post(&url)
            .form(&fields)
            .header("X-Twilio-Signature", signature);
        let answered = Answered::of(request).await.unwrap();
        assert_eq!(answered.status, 204, "{}", answered.text);
    }
}

on_both! {
    async fn p2_what_twilio_takes_after_we_ceased_to_wait_is_not_sent_again(backend) {
        let world = World::new(backend).await.set("TWILIO_TIMEOUT", "4");
        let _process = world.serve_and_work().await;
        // After our patience and the listing's delay (1 s), and before another such time is over.
        world.misbehave(|faults| {
            faults.twilio.late_ms = 6_000;
            faults.callbacks.none = true;
        });
        let sms = json!({"to": "+5511987650009", "body": "Olá!", "prospect": "ana"});
        let sent = world.api(Method::POST, "/messages/sms").json(&sms).header("Prefer", "wait=60");
        let sent = Answered::of(sent).await.unwrap();
        assert_eq!(sent.status, 200, "{}", sent.text);
        let outbound = world.simulator.book().outbound_to("+5511987650009");
        assert_eq!((outbound.len(), &sent.json()["sid"]), (1, &json!(outbound[0].sid)));
        assert_eq!(creates(world.simulator.book(), "+5511987650009").len(), 1, "it was asked for once");
    }

    async fn a_status_callback_settles_a_send_whose_answer_was_lost(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        // Twilio's list is never seen, so that nothing but the callback can have told.
        world.accept_unheard(Some(Duration::from_millis(1500)));
        let sid = world.say(&contact(1), "hello").await;
        world.asking(&sid).await;
        let run = world.until(&sid, "completed").await;
        assert_eq!(run["outcome"], "answered");
        assert_eq!(creates(world.simulator.book(), &contact(1)).len(), 1);
        assert_eq!(world.texts(&contact(1)), [echo("hello")]);
        let booked = world.booked(&run).await;
        assert!(booked.len() == 1 && booked[0].has_sid, "{booked:?}");
        assert_eq!(booked[0].usage.as_deref(), Some("committed"));
    }

    async fn only_the_account_of_a_message_can_prove_that_it_was_sent(backend) {
        const OTHERS: (&str, &str) = ("AC00000000000000000000000000000099", "their token");
        let world = World::new(backend).await;
        let db = world.database.connect().await;
        let (owner, now) = (OwnerId::from("others"), Utc::now());
        owners::create(&db, &owner, "Others", "pt", now).await.unwrap();
        let secret = Secret::new(&SecretString::from("a secret of more than thirty-two characters")).unwrap();
        accounts::put(&db, &secret, &owner, OTHERS.0, &SecretString::from(OTHERS.1), now).await.unwrap();
        let _process = world.serve_and_work().await;

        world.accept_unheard(None);
        let sid = world.say(&contact(1), "hello").await;
        let run = world.asking(&sid).await;
        let token = world.token(&run).await;
        let told = async || {
            let export = world.get(&format!("/runs/{}/export", run["id"].as_str().unwrap())).await.json();
            export["signals"].as_array().map_or(0, Vec::len)
        };
        let message = world.simulator.book().outbound_to(&contact(1))[0].sid.clone();
        world.call_back(OTHERS, &token, &message).await;
        world.call_back((ACCOUNT, TOKEN), "nobody-7", "SM00000000000000000000000000000001").await;
        assert_eq!((told().await, world.booked(&run).await), (0, vec![Booked::new(None, None, false, "reserved")]));
        world.call_back((ACCOUNT, TOKEN), &token, &message).await;
        let run = world.until(&sid, "completed").await;
        assert_eq!((told().await, world.booked(&run).await), (1, vec![Booked::new(Some("delivered"), None, true, "committed")]));
        // Who is done needs no telling.
        world.call_back((ACCOUNT, TOKEN), &token, &message).await;
        assert_eq!(told().await, 1);
    }

    async fn a_send_of_unknown_fate_holds_its_contact_up_for_a_limited_time_and_waits_for_a_person(backend) {
        let world = World::new(backend).await.set("TWILIO_HOLD", "3");
        let _process = world.serve_and_work().await;
        world.accept_unheard(None);
        let first = world.say(&contact(1), "first").await;
        world.asking(&first).await;
        let second = world.say(&contact(1), "second").await;
        let parked = world.until(&first, "parked").await;
        assert!(parked["error"].as_str().unwrap().starts_with("unknown_fate"), "{parked}");
        assert_eq!(world.outcome(&second).await, "answered");
        assert_eq!(world.booked(&parked).await, [Booked::new(None, None, false, "reserved")]);

        let told = world.decide(&parked, json!({"decision": "happened", "result": "SM1"})).await.problem(409);
        assert!(told["detail"].as_str().unwrap().contains("reply"), "{told}");
        world.decide(&parked, json!({"decision": "happened"})).await.problem(422);
        world.decide(&parked, json!({"decision": "perhaps"})).await.problem(422);
        let message = world.simulator.book().outbound_to(&contact(1))[0].sid.clone();
        let result = json!({"accepted": {"sid": message, "status": "sent"}});
        let decided = world.decide(&parked, json!({"decision": "happened", "result": result})).await;
        assert_eq!(decided.status, 200, "{}", decided.text);
        let run = world.until(&first, "completed").await;
        assert_eq!((&run["outcome"], world.booked(&run).await), (&json!("answered"), vec![Booked::new(Some("sent"), None, true, "committed")]));
        assert_eq!(creates(world.simulator.book(), &contact(1)).len(), 2);
        world.decide(&run, json!({"decision": "resend"})).await.problem(409);
    }

    async fn a_person_decides_while_a_send_is_still_looked_for(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        world.accept_unheard(None);
        let sid = world.say(&contact(1), "hello").await;
        let run = world.asking(&sid).await;
        assert_eq!(world.decide(&run, json!({"decision": "give_up"})).await.status, 200);
        let run = world.until(&sid, "completed").await;
        assert_eq!((&run["outcome"], world.booked(&run).await), (&json!("given_up"), vec![Booked::new(Some("failed"), None, false, "released")]));

        world.accept_unheard(None);
        let sid = world.say(&contact(2), "hello").await;
        let run = world.asking(&sid).await;
        assert_eq!(world.decide(&run, json!({"decision": "resend"})).await.status, 200);
        assert_eq!(world.outcome(&sid).await, "answered");
        assert_eq!(world.texts(&contact(2)), [echo("hello"), echo("hello")], "as the person wanted");
    }

    async fn an_owner_says_what_becomes_of_sends_that_cannot_be_told(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let path = "/owners/default/unknown-send";
        assert_eq!(world.get(path).await.json(), json!({"policy": "hold"}));
        world.put(path, json!({"policy": "perhaps"})).await.problem(422);
        world.put("/owners/nobody/unknown-send", json!({"policy": "hold"})).await.problem(404);

        // It counts for those that are being looked for, too.
        world.accept_unheard(None);
        let sid = world.say(&contact(1), "hello").await;
        world.asking(&sid).await;
        assert_eq!(world.put(path, json!({"policy": "give_up"})).await.json(), json!({"policy": "give_up"}));
        let run = world.until(&sid, "completed").await;
        assert_eq!((&run["outcome"], world.booked(&run).await), (&json!("given_up"), vec![Booked::new(Some("failed"), None, false, "released")]));
        assert_eq!(world.texts(&contact(1)).len(), 1);

        let (code, told) = world.run(&["owners", "unknown-send", "default", "resend"]).await;
        assert!(code == 0 && told.contains("resend"), "{code} {told}");
        assert_eq!(world.get(path).await.json(), json!({"policy": "resend"}));
        let (code, told) = world.run(&["owners", "unknown-send", "default", "perhaps"]).await;
        assert!(code == 2 && told.contains("hold, resend or give_up"), "{code} {told}");
        world.accept_unheard(None);
        let sid = world.say(&contact(2), "hello").await;
        assert_eq!(world.outcome(&sid).await, "answered");
        assert_eq!(world.texts(&contact(2)), [echo("hello"), echo("hello")]);
    }

    async fn a_send_that_is_refused_for_good_says_so_and_costs_nothing_until_it_is_tried_again(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        world.misbehave(|faults| faults.twilio.create = CreateFault::Refuse(21211));
        let sid = world.say(&contact(1), "hello").await;
        let run = world.until(&sid, "parked").await;
        assert_eq!(world.booked(&run).await, [Booked::new(Some("failed"), Some(21211), false, "released")]);
        world.misbehave(|faults| faults.callbacks.none = true);
        let retried = world.post(&format!("/runs/{}/retry", run["id"].as_str().unwrap())).await;
        assert_eq!(retried.status, 200, "{}", retried.text);
        let run = world.until(&sid, "completed").await;
        assert_eq!(world.booked(&run).await, [Booked::new(Some("queued"), None, true, "committed")]);
    }
}
