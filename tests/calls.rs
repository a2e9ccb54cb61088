//! Telephone calls: made by the API, received by the voice webhook, and what Twilio reports of both; and what is made
//! good where its reports and webhooks were lost.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::sync::Arc;

use chrono::Utc;
use recado_domain::{Address, OwnerId};
use recado_simulator::{Book, CallStatus, CreateFault, Inbound, RequestRecord, Ring};
use recado_store::{Secret, accounts, billing, owners};
use recado_testkit::{Backend, eventually};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use world::{ACCOUNT, Answered, NUMBER, PATIENCE, TOKEN, World};

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

const HELLO: &str = "<Response><Say language=\"pt-BR\">Olá, Ana &amp; Bia</Say></Response>";

/// A telephone from 0 to 9999.
fn phone(number: usize) -> String {
    format!("+551198765{number:04}")
}

fn call(number: usize, prospect: &str) -> Value {
    json!({"to": phone(number), "prospect": prospect, "twiml": HELLO})
}

/// The requests to call `to`, whatever became of them.
fn calls_to(book: &Book, to: &str) -> Vec<Arc<RequestRecord>> {
    let mut requests = book.requests();
    requests.retain(|request| {
        request.method == "POST" && request.path.ends_with("/Calls.json") && request.params["To"] == to
    });
    requests
}

impl World {
    /// Asks for a call and waits for Twilio's answer.
    async fn call(&self, body: &Value) -> Answered {
        let request = self.api(Method::POST, "/calls").json(body);
        Answered::of(request.header("Prefer", "wait=60")).await.unwrap()
    }

    async fn call_as(&self, key: &str, body: &Value) -> Answered {
        let request = self
            .api(Method::POST, "/calls")
            .json(body)
            .header("Idempotency-Key", key);
        Answered::of(request.header("Prefer", "wait=60")).await.unwrap()
    }

    async fn history(&self, prospect: &str, query: &str) -> Vec<Value> {
        let answered = self.get(&format!("/prospects/{prospect}/history{query}")).await;
        assert_eq!(answered.status, 200, "{}", answered.text);
        answered.json()["items"].as_array().unwrap().clone()
    }

    /// The newest of a prospect's history once it is as wanted.
    async fn newest(&self, prospect: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        eventually(PATIENCE, async || {
            let items = self.history(prospect, "").await;
            items.first().filter(|item| is_there(item)).cloned()
        })
        .await
    }

    /// The only run of a workflow, once it is in `state`.
    async fn only_run(&self, workflow: &str, state: &str) -> Value {
        eventually(PATIENCE, async || {
            let listed = self.get(&format!("/runs?workflow={workflow}")).await.json();
            let items = listed["items"].as_array().unwrap().clone();
            (items.len() == 1 && items[0]["state"] == state).then(|| items[0].clone())
        })
        .await
    }
}

on_both! {
    async fn a_call_is_made_once_and_how_it_went_is_in_the_history(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let mut body = call(1, "ana");
        body["machine_detection"] = json!("detect_message_end");
        body["timeout"] = json!(25);
        let made = world.call_as("first", &body).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let made = made.json();
        let booked = world.simulator.book().calls()[0].clone();
        assert_eq!((&made["sid"], &made["to"], &made["status"]), (&json!(booked.sid), &json!(phone(1)), &json!("queued")));
        assert_eq!(world.call_as("first", &body).await.json(), made);
        world.call_as("first", &call(1, "eva")).await.problem(409);

        let requests = calls_to(world.simulator.book(), &phone(1));
        assert_eq!(requests.len(), 1);
        let sent = requests[0].params.as_object().unwrap();
        let token = format!("{}-", made["run"].as_str().unwrap());
        let hook = |name: &str| format!("{}/api/v1/twilio/webhooks/{name}?token={token}", world.url);
        assert!(sent["StatusCallback"].as_str().unwrap().starts_with(&hook("call-status")));
        assert!(sent["RecordingStatusCallback"].as_str().unwrap().starts_with(&hook("recording-status")));
        assert_eq!(sent["StatusCallbackEvent"], json!(["initiated", "ringing", "answered", "completed"]));
        assert_eq!((&sent["Record"], &sent["Timeout"]), (&json!("true"), &json!("25")));
        assert_eq!((&sent["MachineDetection"], &sent["From"]), (&json!("DetectMessageEnd"), &json!(NUMBER)));
        assert_eq!(sent["Twiml"], HELLO);

        let went = world.newest("ana", |item| {
            item["status"] == "completed" && item["recordings"][0]["status"] == "completed"
        }).await;
        assert_eq!((&went["type"], &went["direction"], &went["sid"]), (&json!("call"), &json!("outbound"), &made["sid"]));
        assert_eq!((&went["duration"], &went["answered_by"]), (&json!(15), &json!("human")), "{went}");
        assert_eq!(went["recordings"][0]["duration"], 15, "{went}");
        assert_eq!(world.simulator.book().calls()[0].heard, ["Olá, Ana & Bia"]);
        let kept = world.only_run("keep_recording", "completed").await;
        assert_eq!((&kept["outcome"], &kept["owner"]), (&json!("kept"), &json!("default")));
        // Whoever has the link hears it, without a token and without Twilio; whoever has half of it does not.
        let url = world.newest("ana", |item| item["recordings"][0]["url"].is_string()).await["recordings"][0]["url"].clone();
        let url = url.as_str().unwrap();
        let audio = world.client.get(url).send().await.unwrap();
        assert_eq!((audio.status().as_u16(), audio.headers()["content-type"].to_str().unwrap()), (200, "audio/mpeg"));
        assert!(audio.bytes().await.unwrap().starts_with(b"ID3"));
        assert_eq!(world.client.get(url.replace("sign=", "sign=x")).send().await.unwrap().status(), 403);
        let fetched = world.simulator.book().requests();
        assert_eq!(fetched.iter().filter(|request| request.path.contains("/Recordings/")).count(), 1);

        // Calls, SMS and WhatsApp stand together, and each by itself.
        let sms = json!({"to": phone(1), "body": "oi", "prospect": "ana"});
        let sms = world.api(Method::POST, "/messages/sms").json(&sms).header("Prefer", "wait=60");
        assert_eq!(Answered::of(sms).await.unwrap().status, 200);
        let types = |items: Vec<Value>| items.iter().map(|item| item["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(types(world.history("ana", "?type=all").await), ["sms", "call"]);
        assert_eq!(types(world.history("ana", "?type=call").await), ["call"]);
        assert_eq!(types(world.history("ana", "?type=sms").await), ["sms"]);
        let page = world.get("/prospects/ana/history?limit=1").await.json();
        let next = page["next"].as_str().unwrap();
        assert_eq!(types(world.history("ana", &format!("?cursor={next}")).await), ["call"]);
        // From a call on as well.
        assert_eq!(world.history("ana", &format!("?cursor={}", went["id"].as_str().unwrap())).await.len(), 0);
    }

    async fn p7_a_call_that_cannot_be_made_says_why_and_is_not_made(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let with = |name: &str, value: Value| {
            let mut body = call(1, "ana");
            body[name] = value;
            body
        };
        let bad = [
            ("to", with("to", json!("11987654321"))),
            ("to", with("to", json!(NUMBER))),
            ("prospect", with("prospect", json!(" "))),
            ("twiml", with("twiml", json!("hello"))),
            ("twiml", with("twiml", Value::Null)),
            ("url", with("url", json!("https://a.example/twiml"))),
            ("from", with("from", json!("+14155550199"))),
            ("timeout", with("timeout", json!(601))),
            ("machine_detection", with("machine_detection", json!("maybe"))),
            ("send_at", with("send_at", json!("2020-01-01T00:00:00Z"))),
        ];
        for (field, body) in bad {
            let told = world.call(&body).await.problem(422);
            assert_eq!(told["field"], field, "{told}");
        }
        assert_eq!(world.runs().await.len(), 0);
        let told = world.call(&json!({"to": "+15005550003", "prospect": "eva", "twiml": HELLO})).await.problem(422);
        assert_eq!((&told["code"], &told["class"]), (&json!(21215), &json!("configuration")), "{told}");
        assert!(told["remedy"].as_str().unwrap().contains("Geo permissions"), "{told}");
        let item = world.history("eva", "").await.remove(0);
        assert_eq!((&item["status"], &item["error"]["code"]), (&json!("failed"), &json!(21215)));

        // Nobody is called who wants no messages, and nobody too often.
        let stop = Inbound { from: phone(2), body: "PARAR".to_owned(), ..Default::default() };
        let stop = world.deliver(stop).await.sid;
        assert_eq!(world.outcome(&stop).await, "silent");
        let told = world.call(&call(2, "bia")).await.problem(422);
        assert_eq!(told["code"], 21610, "{told}");
        assert_eq!(calls_to(world.simulator.book(), &phone(2)).len(), 0);
        world.put("/owners/default/prospect-limit", json!({"per_minute": 1})).await;
        assert_eq!(world.call(&call(3, "caio")).await.status, 200);
        let limited = world.call(&call(3, "caio")).await;
        limited.problem(429);
        assert!(limited.header("retry-after").parse::<u64>().unwrap() > 0);

        // Each that Twilio took counts as a message does; where none is left nobody is called.
        let (db, owner) = (world.database.connect().await, OwnerId::from("default"));
        let usage = billing::usage_of(&db, &owner, Utc::now()).await.unwrap();
        let used = usage.iter().find(|usage| usage.feature == "messages").map_or(0, |usage| usage.used);
        assert_eq!(used, 2, "the word STOP and a call: {usage:?}");
        let quota = |quota| billing::Override { feature: "messages", quota, who: "test", why: "test", until: None };
        billing::grant_override(&db, &owner, quota(Some(2)), Utc::now()).await.unwrap();
        world.call(&call(4, "duda")).await.problem(402);
        assert_eq!(calls_to(world.simulator.book(), &phone(4)).len(), 0);
        billing::grant_override(&db, &owner, quota(None), Utc::now()).await.unwrap();

        // A telephone that is busy is no error of ours.
        let busy = json!({"to": "+1500500486", "prospect": "davi", "twiml": HELLO});
        assert_eq!(world.call(&busy).await.status, 200);
        let item = world.newest("davi", |item| item["status"] == "busy").await;
        assert_eq!((&item["error"], &item["duration"]), (&Value::Null, &json!(0)));
        assert_eq!(item["recordings"], json!([]));
    }

    async fn p2_a_call_whose_answer_was_lost_is_found_and_nobody_is_called_twice(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        // By Twilio's list; then by the callbacks, with a list that shows nothing.
        for (number, prospect, by_callback) in [(1, "ana", false), (2, "bia", true)] {
            world.misbehave(|faults| {
                faults.twilio.create = CreateFault::AcceptAndDrop;
                faults.twilio.times = Some(1);
                faults.callbacks.none = !by_callback;
                faults.callbacks.shuffled = by_callback;
                faults.callbacks.doubled = by_callback;
                faults.listing_lag_ms = if by_callback { 3_600_000 } else { 0 };
            });
            let made = world.call(&call(number, prospect)).await;
            assert_eq!(made.status, 200, "{}", made.text);
            let booked: Vec<_> = world.simulator.book().calls().into_iter().filter(|call| call.to == phone(number)).collect();
            assert_eq!(booked.len(), 1, "{prospect}");
            assert_eq!(made.json()["sid"], booked[0].sid.as_str());
            assert_eq!(calls_to(world.simulator.book(), &phone(number)).len(), 1);
        }
        // Reports in any order, twice each, end at the end.
        let went = world.newest("bia", |item| item["status"] == "completed" && item["recordings"][0]["status"] == "completed").await;
        assert_eq!(went["recordings"].as_array().unwrap().len(), 1);
        world.only_run("keep_recording", "completed").await;
    }

    async fn a_call_is_made_at_its_time_and_can_be_cancelled_before(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let mut body = call(1, "ana");
        body["send_at"] = json!((Utc::now() + chrono::TimeDelta::seconds(2)).to_rfc3339());
        let made = world.call(&body).await;
        assert_eq!(made.status, 200, "{}", made.text);
        assert_eq!(world.simulator.book().calls().len(), 1);
        body["send_at"] = json!((Utc::now() + chrono::TimeDelta::days(2)).to_rfc3339());
        let request = world.api(Method::POST, "/calls").json(&body);
        let waiting = Answered::of(request).await.unwrap();
        assert_eq!(waiting.status, 202, "{}", waiting.text);
        let run = waiting.json()["id"].as_str().unwrap().to_owned();
        assert!(world.post(&format!("/runs/{run}/cancel")).await.status < 300);
        eventually(PATIENCE, async || {
            let run = world.get(&format!("/runs/{run}")).await.json();
            (run["state"] == "cancelled").then_some(())
        })
        .await;
        assert_eq!(world.simulator.book().calls().len(), 1);
    }

    async fn a_caller_hears_the_owners_greeting_and_a_voicemail_is_answered_by_sms(backend) {
        let world = World::new(backend).await;
        let speech = format!("{}/v1", world.simulator.url());
        let world = world.set("TRANSCRIBE_URL", &speech);
        let _process = world.serve_and_work().await;
        let shown = world.get("/owners/default/voice").await.json();
        assert_eq!((&shown["language"], &shown["voicemail"]), (&json!("pt-BR"), &json!(true)), "{shown}");
        let bad = json!({"greeting": "oi", "language": "Portuguese!"});
        assert_eq!(world.put("/owners/default/voice", bad).await.problem(422)["field"], "language");
        let voice = json!({"greeting": "Padaria <Recado> & Cia", "language": "pt-BR", "max_seconds": 5});
        assert_eq!(world.put("/owners/default/voice", voice).await.status, 200);

        let ring = Ring { from: phone(1), says: "Quero dois bolos".to_owned(), ..Ring::default() };
        let rung = world.simulator.ring(ring).await.unwrap();
        assert_eq!(rung.status(), CallStatus::Completed, "{:?}", world.simulator.book().deliveries());
        assert_eq!(rung.heard, ["Padaria <Recado> & Cia"]);
        assert_eq!((rung.recordings.len(), rung.recordings[0].seconds), (1, 5));
        assert_eq!(world.only_run("receive_call", "completed").await["outcome"], "recorded");
        let kept = world.only_run("keep_recording", "completed").await;
        assert_eq!((&kept["outcome"], &kept["owner"]), (&json!("voicemail"), &json!("default")));
        // Whoever called is written to at the telephone's number, from the number that was called.
        let answer = world.answers(&phone(1), 1).await;
        assert_eq!(answer, [world::echo("Quero dois bolos")]);
        let message = world.simulator.book().outbound_to(&phone(1))[0].clone();
        assert_eq!(message.from, NUMBER);
        // Once the caller is a prospect, the call is in the history.
        let sms = json!({"to": phone(1), "body": "oi", "prospect": "ana"});
        let sms = world.api(Method::POST, "/messages/sms").json(&sms).header("Prefer", "wait=60");
        assert_eq!(Answered::of(sms).await.unwrap().status, 200);
        let item = eventually(PATIENCE, async || {
            let items = world.history("ana", "?type=call").await;
            // The end of the call and of its recording are reported each by itself.
            let ended = |item: &&Value| item["status"] == "completed" && item["recordings"][0]["status"] == "completed";
            items.first().filter(ended).cloned()
        })
        .await;
        assert_eq!((&item["direction"], &item["from"], &item["duration"]), (&json!("inbound"), &json!(phone(1)), &json!(10)));

        // Without voicemail nothing is recorded; who withholds the number is in the books too.
        let off = json!({"greeting": "Ligue amanhã", "language": "pt-BR", "voicemail": false});
        assert_eq!(world.put("/owners/default/voice", off).await.status, 200);
        let ring = Ring { from: "anonymous".to_owned(), says: "alô?".to_owned(), ..Ring::default() };
        let rung = world.simulator.ring(ring).await.unwrap();
        assert_eq!((rung.heard.len(), rung.recordings.len()), (1, 0));
        eventually(PATIENCE, async || {
            let runs = world.get("/runs?workflow=receive_call&outcome=anonymous").await.json();
            (runs["items"].as_array().unwrap().len() == 1).then_some(())
        })
        .await;
    }

    async fn p1_what_lost_webhooks_would_have_told_is_found_in_twilios_lists_once(backend) {
        let world = World::new(backend).await;
        let speech = format!("{}/v1", world.simulator.url());
        let world = world.set("TRANSCRIBE_URL", &speech);
        let _process = world.serve_and_work().await;
        let said = |body: &str| Inbound { from: phone(1), body: body.to_owned(), ..Inbound::default() };
        let heard = world.deliver(said("um")).await.sid;
        assert_eq!(world.outcome(&heard).await, "answered");
        // From now on nothing is reported, and nobody is asked.
        world.misbehave(|faults| faults.callbacks.none = true);
        assert_eq!(world.call(&call(2, "bia")).await.status, 200);
        let sms = json!({"to": phone(2), "body": "oi", "prospect": "bia"});
        let sms = world.api(Method::POST, "/messages/sms").json(&sms).header("Prefer", "wait=60");
        assert_eq!(Answered::of(sms).await.unwrap().status, 200);
        // One reaches a number of a messaging service, of which only Twilio knows; another owner gets an account.
        let db = world.database.connect().await;
        let (owner, others) = (OwnerId::from("default"), OwnerId::from("others"));
        let service = "MG0123456789abcdef0123456789abcdef".to_owned();
        accounts::add_service(&db, &owner, ACCOUNT, &service, Utc::now() - chrono::TimeDelta::hours(1)).await.unwrap();
        owners::create(&db, &others, "Others", "pt", Utc::now()).await.unwrap();
        let secret = Secret::new(&SecretString::from("a secret of more than thirty-two characters")).unwrap();
        let theirs = "AC99999999999999999999999999999999";
        accounts::put(&db, &secret, &others, theirs, &SecretString::from(TOKEN), Utc::now()).await.unwrap();
        let pool = Inbound { to: "+14155550177".to_owned(), from: phone(4), service: Some(service), lost: true, ..said("quatro") };
        let pool = world.deliver(pool).await.sid;
        let lost = [
            world.deliver(Inbound { lost: true, ..said("dois") }).await.sid,
            world.deliver(Inbound { lost: true, from: format!("whatsapp:{}", phone(3)), voice: Some("três".to_owned()), ..said("") }).await.sid,
        ];
        world.seen(|book| {
            book.calls().iter().all(|call| call.duration.is_some())
                && book.outbound_to(&phone(2)).iter().all(|message| message.status().as_str() == "delivered")
        })
        .await;
        let before = world.history("bia", "").await;
        assert!(before.iter().all(|item| item["status"] == "queued"), "{before:?}");

        let reconcile = async |grace: u32| {
            let input = json!({"owner": "default", "account": ACCOUNT, "grace_seconds": grace});
            let body = json!({"workflow": "reconcile", "input": input});
            let request = world.api(Method::POST, "/runs").json(&body).header("Prefer", "wait=60");
            let ended = Answered::of(request).await.unwrap();
            assert_eq!(ended.status, 200, "{}", ended.text);
            (ended.json()["outcome"].clone(), ended.json()["output"].clone())
        };
        // What is young may still be reported.
        let (outcome, _) = reconcile(3600).await;
        assert_eq!(outcome, "in_order");
        // Dates of Twilio have whole seconds: a message of this second is older than now from the next second on.
        let (outcome, output) = reconcile(0).await;
        assert_eq!((&outcome, &output["missed"]), (&json!("mended"), &json!(3)), "{output}");
        // The simulator lets nobody write from there, so that its answer is refused.
        world.until(&pool, "parked").await;
        for sid in &lost {
            assert_eq!(world.outcome(sid).await, "answered");
        }
        assert_eq!(world.answers(&phone(1), 2).await.last().unwrap(), &world::echo("dois"));
        // What is attached is fetched and heard, as if the webhook had told of it.
        let voice = world.answers(&format!("whatsapp:{}", phone(3)), 1).await;
        assert_eq!(voice, [world::echo("três")]);
        let after = world.history("bia", "").await;
        let statuses: Vec<_> = after.iter().map(|item| item["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["delivered", "completed"]);
        assert_eq!(after[1]["duration"], 15);
        // What it cost is told late, and asked for again.
        assert!(after.iter().all(|item| item["price"].is_null()), "{after:?}");
        world.misbehave(|faults| faults.price_lag_ms = Some(0));
        let (_, output) = reconcile(0).await;
        assert!(output["priced"].as_u64().unwrap() > 4, "{output}");
        let after = world.history("bia", "").await;
        let prices: Vec<_> = after.iter().map(|item| (&item["price"], &item["price_unit"])).collect();
        assert_eq!(prices, [(&json!("0.0083"), &json!("USD")), (&json!("0.014"), &json!("USD"))]);
        let (_, output) = reconcile(0).await;
        assert_eq!(output["priced"], 0, "{output}");

        // A webhook that comes late after all, and another comparison, start nothing.
        let runs = async || world.get("/runs?workflow=inbound_message&limit=100").await.json()["items"].as_array().unwrap().len();
        assert_eq!(runs().await, 4);
        let late = world.deliver(Inbound { sid: Some(lost[0].clone()), ..said("dois") }).await;
        assert!(late.is_accepted());
        let (_, output) = reconcile(0).await;
        assert_eq!((&output["missed"], runs().await), (&json!(0), 4), "{output}");
        assert_eq!(world.simulator.book().outbound_to(&phone(1)).len(), 2);

        // It is done every day without being asked.
        let schedule = world.get(&format!("/schedules/reconcile.{ACCOUNT}.default")).await;
        assert_eq!(schedule.status, 200, "{}", schedule.text);
        assert_eq!(schedule.json()["workflow"], "reconcile");
        eventually(PATIENCE, async || {
            let path = format!("/schedules/reconcile.{theirs}.others");
            let schedule = world.api(Method::GET, &path).header("Recado-Owner", "others");
            (Answered::of(schedule).await.ok()?.status == 200).then_some(())
        }).await;
    }

    async fn p6_a_call_to_a_number_that_nobody_owns_is_rejected_and_shown_to_the_operator(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let db = world.database.connect().await;
        // Two owners hold the account, and neither this number.
        let others = OwnerId::from("others");
        owners::create(&db, &others, "Others", "pt", Utc::now()).await.unwrap();
        let secret = Secret::new(&SecretString::from("a secret of more than thirty-two characters")).unwrap();
        accounts::put(&db, &secret, &others, ACCOUNT, &SecretString::from(TOKEN), Utc::now()).await.unwrap();
        let ring = Ring { from: phone(1), to: "+14155550123".to_owned(), says: "alô?".to_owned(), ..Ring::default() };
        let rung = world.simulator.ring(ring).await.unwrap();
        assert_eq!((rung.status(), rung.heard.len()), (CallStatus::Busy, 0));
        let parked = world.only_run("receive_call", "parked").await;
        assert!(parked["error"]["message"].as_str().unwrap_or(&parked.to_string()).contains("give the number to an owner"), "{parked}");
        // The operator does, and the call is in that owner's books.
        let address = Address::parse("+14155550123").unwrap();
        accounts::add_number(&db, &others, ACCOUNT, &address, Utc::now()).await.unwrap();
        let run = parked["id"].as_str().unwrap();
        assert!(world.post(&format!("/runs/{run}/retry")).await.status < 300);
        let run = world.only_run("receive_call", "completed").await;
        assert_eq!((&run["owner"], &run["outcome"]), (&json!("others"), &json!("recorded")));

        // An unsigned question is not answered.
        let url = format!("{}/api/v1/twilio/webhooks/voice", world.url);
        let unsigned = world.client.post(url).form(&[("AccountSid", ACCOUNT), ("To", NUMBER)]);
        Answered::of(unsigned).await.unwrap().problem(403);
    }
}
