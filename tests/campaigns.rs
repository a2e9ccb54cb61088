//! Campaigns: one message to many people, made, looked at, started, stopped, and sent once to each.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use recado_domain::{Address, OwnerId};
use recado_engine::{Export, testing::replay_export};
use recado_simulator::{CreateFault, Direction};
use recado_store::{opt_outs, owners};
use recado_testkit::{Backend, Process, eventually};
use recado_workflows::Campaign;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Answered, PATIENCE, World};

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

/// The SMS address of a number from 0 to 99999.
fn phone(number: usize) -> String {
    format!("+55119876{number:05}")
}

impl World {
    /// Makes a campaign of these rows.
    async fn campaign(&self, name: &str, pace: Option<u32>, rows: Vec<Value>) -> String {
        let body = json!({"name": name, "body": "Olá {name}", "pace": pace, "rows": rows});
        let made = Answered::of(self.api(Method::POST, "/campaigns").json(&body))
            .await
            .unwrap();
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["campaign"]["id"].as_str().unwrap().to_owned()
    }

    async fn act(&self, campaign: &str, act: &str) -> Answered {
        self.post(&format!("/campaigns/{campaign}/{act}")).await
    }

    async fn campaign_until(&self, campaign: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        eventually(PATIENCE, async || {
            let shown = self.get(&format!("/campaigns/{campaign}")).await.json();
            is_there(&shown).then_some(shown)
        })
        .await
    }

    /// To whom something was sent, each as often as it was.
    fn sent_to(&self) -> Vec<String> {
        let messages = self.simulator.book().messages();
        let ours = messages
            .iter()
            .filter(|message| message.direction == Direction::Outbound);
        ours.map(|message| message.to.clone()).collect()
    }
}

fn people(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| json!({"to": phone(n), "name": format!("n. {n}"), "prospect": format!("p{n}")}))
        .collect()
}

on_both! {
    async fn a_file_is_looked_at_row_by_row_and_only_the_good_ones_go_once(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let db = world.database.connect().await;
        let silent = Address::parse(&phone(7)).unwrap();
        opt_outs::set(&db, &OwnerId::from("default"), &silent, "contact", Utc::now()).await.unwrap();
        let file = format!(
            "to;name;prospect\n{};Ana;ana\n11 98765-4321;Bia;bia\n{};;eva\n{};Ana outra vez;ana\n{};Silêncio;sil\n{};Zoé;\n",
            phone(1), phone(2), phone(1), phone(7), phone(3)
        );
        let upload = |key: &str| {
            let query = [("name", "Março"), ("body", "Olá {name}, {{10%}}")];
            let request = world.api(Method::POST, "/campaigns").query(&query);
            Answered::of(request.header("content-type", "text/csv").header("Idempotency-Key", key).body(file.clone()))
        };
        let made = upload("one").await.unwrap();
        assert_eq!(made.status, 201, "{}", made.text);
        let preview = made.json();
        let id = preview["campaign"]["id"].as_str().unwrap().to_owned();
        assert_eq!(upload("one").await.unwrap().json()["campaign"]["id"], id.as_str(), "the same campaign");
        let other = json!({"name": "Abril", "body": "Olá", "rows": people(1)});
        let other = world.api(Method::POST, "/campaigns").header("Idempotency-Key", "one").json(&other);
        Answered::of(other).await.unwrap().problem(409);
        let progress = &preview["campaign"]["progress"];
        assert_eq!((&progress["total"], &progress["ready"], &progress["invalid"]), (&json!(6), &json!(2), &json!(4)));
        let problems: Vec<_> = preview["problems"].as_array().unwrap().iter()
            .map(|row| (row["row"].as_i64().unwrap(), row["error"]["field"].as_str().unwrap_or_default()))
            .collect();
        assert_eq!(problems, [(2, "to"), (3, "name"), (4, "to"), (5, "to")], "{preview}");
        assert_eq!(preview["problems"][2]["error"]["message"], "this is the number of row 1 again");
        assert_eq!(preview["problems"][3]["error"]["message"], "this person opted out");
        assert_eq!(preview["examples"][0]["body"], "Olá Ana, {10%}");
        assert!(world.runs().await.is_empty(), "nothing goes before it is started");

        assert_eq!(world.act(&id, "start").await.status, 200);
        assert_eq!(world.act(&id, "start").await.status, 200);
        let ended = world.campaign_until(&id, |shown| shown["state"] == "completed").await;
        assert_eq!((&ended["progress"]["sent"], &ended["progress"]["invalid"]), (&json!(2), &json!(4)));
        assert_eq!(world.texts(&phone(1)), ["Olá Ana, {10%}"]);
        assert_eq!(world.sent_to().len(), 2);
        world.act(&id, "pause").await.problem(409);
        let file = world.get(&format!("/campaigns/{id}/result")).await;
        assert_eq!(file.header("content-type"), "text/csv");
        let lines: Vec<_> = file.text.lines().collect();
        assert_eq!(lines.len(), 7, "{}", file.text);
        assert!(lines[1].starts_with(&format!("1,{},ana,sent,", phone(1))) && lines[3].contains("name"), "{}", file.text);
        let failed = world.get(&format!("/campaigns/{id}/rows?state=invalid&limit=3")).await.json();
        assert_eq!((failed["items"].as_array().unwrap().len(), &failed["next"]), (3, &json!("4")));

        // The run that wrote to them replays; another owner sees nothing of it.
        let runs = world.runs().await;
        let run = runs.iter().find(|run| run["workflow"] == "campaign").unwrap();
        let export = world.get(&format!("/runs/{}/export", run["id"].as_str().unwrap())).await;
        replay_export::<Campaign>(&serde_json::from_str::<Export>(&export.text).unwrap()).unwrap();
        owners::create(&db, &OwnerId::from("others"), "Others", "pt", Utc::now()).await.unwrap();
        for path in [format!("/campaigns/{id}"), format!("/campaigns/{id}/rows"), format!("/campaigns/{id}/result")] {
            let theirs = world.api(Method::GET, &path).header("Recado-Owner", "others");
            Answered::of(theirs).await.unwrap().problem(404);
        }
        let theirs = world.api(Method::GET, "/campaigns").header("Recado-Owner", "others");
        assert_eq!(Answered::of(theirs).await.unwrap().json(), json!({"items": [], "next": null}));
        let found = world.get("/campaigns?state=completed&name=mar").await.json();
        assert_eq!(found["items"][0]["id"], id.as_str());
    }

    async fn a_campaign_waits_while_it_is_paused_and_ends_where_it_is_cancelled(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let id = world.campaign("slow", Some(12), people(40)).await;
        world.act(&id, "resume").await.problem(409);
        assert_eq!(world.act(&id, "start").await.status, 200);
        world.seen(|book| !book.messages().is_empty()).await;
        assert_eq!(world.act(&id, "pause").await.json()["state"], "paused");
        let paused = world.campaign_until(&id, |shown| shown["progress"]["taken"] == 0).await;
        let sent = paused["progress"]["sent"].as_u64().unwrap();
        assert!((1..40).contains(&sent), "{paused}");
        assert_eq!(world.act(&id, "resume").await.json()["state"], "running");
        world.campaign_until(&id, |shown| shown["progress"]["sent"].as_u64() > Some(sent)).await;
        let cancelled = world.act(&id, "cancel").await.json();
        assert_eq!((&cancelled["state"], &cancelled["progress"]["ready"]), (&json!("cancelled"), &json!(0)));
        let ended = world.campaign_until(&id, |shown| shown["progress"]["taken"] == 0).await;
        let progress = &ended["progress"];
        let (sent, cancelled) = (progress["sent"].as_u64().unwrap(), progress["cancelled"].as_u64().unwrap());
        assert_eq!((sent + cancelled, world.sent_to().len() as u64), (40, sent), "{ended}");
        world.act(&id, "resume").await.problem(409);
        let run = eventually(PATIENCE, async || {
            let runs = world.runs().await;
            runs.into_iter().find(|run| run["workflow"] == "campaign" && run["outcome"] == "cancelled")
        }).await;
        assert_eq!(run["key"], id.as_str());
    }

    async fn a_campaign_waits_for_quiet_hours_and_limits(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let clock = |hours| (Utc::now() + TimeDelta::hours(hours)).format("%H:%M").to_string();
        let quiet = json!({"from": clock(-1), "to": clock(2), "zone": "UTC"});
        assert_eq!(world.put("/owners/default/quiet-hours", quiet).await.status, 200);
        assert_eq!(world.put("/owners/default/send-limits", json!({"per_sender": 3, "per_owner": 2})).await.status, 200);
        let id = world.campaign("night", None, people(5)).await;
        assert_eq!(world.act(&id, "start").await.status, 200);
        let waiting = |run: &Value| run["workflow"] == "campaign" && run["waiting_for"] == "signal:campaign_changed";
        let until = eventually(PATIENCE, async || {
            let run = world.runs().await.into_iter().find(waiting)?;
            run["until"].as_str().map(str::to_owned)
        }).await;
        let until = chrono::DateTime::parse_from_rfc3339(&until).unwrap();
        assert!(until.to_utc() > Utc::now() + TimeDelta::hours(1), "{until}");
        assert!(world.sent_to().is_empty());

        // Without them it goes on as soon as a person says so, and the limit lets two through.
        let none = json!({"from": null, "to": null, "zone": null});
        assert_eq!(world.put("/owners/default/quiet-hours", none).await.status, 200);
        for act in ["pause", "resume"] {
            assert_eq!(world.act(&id, act).await.status, 200);
        }
        world.campaign_until(&id, |shown| shown["progress"]["sent"] == 2).await;
        eventually(PATIENCE, async || world.runs().await.iter().any(waiting).then_some(())).await;
        assert_eq!(world.sent_to().len(), 2);
        assert_eq!(world.put("/owners/default/send-limits", json!({"per_sender": null, "per_owner": null})).await.status, 200);
        for act in ["pause", "resume"] {
            assert_eq!(world.act(&id, act).await.status, 200);
        }
        world.campaign_until(&id, |shown| shown["state"] == "completed").await;
        assert_eq!(world.sent_to().len(), 5);
    }

    async fn who_meets_twilios_daily_limit_is_written_to_the_next_day_and_nobody_else_before(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        world.misbehave(|faults| {
            faults.twilio.create = CreateFault::Refuse(63038);
            faults.twilio.to = Some(phone(1));
            faults.twilio.times = Some(1);
        });
        // Ten at a time, so that two wait for whom Twilio sends back.
        let id = world.campaign("limited", Some(120), people(12)).await;
        assert_eq!(world.act(&id, "start").await.status, 200);
        let waiting = |run: &Value| run["workflow"] == "campaign" && run["waiting_for"] == "signal:campaign_changed";
        let until = eventually(PATIENCE, async || {
            let run = world.runs().await.into_iter().find(waiting)?;
            let until = chrono::DateTime::parse_from_rfc3339(run["until"].as_str()?).ok()?.to_utc();
            (until > Utc::now() + TimeDelta::minutes(30)).then_some(until)
        }).await;
        assert!(until <= Utc::now() + TimeDelta::hours(26), "{until}");
        let shown = world.get(&format!("/campaigns/{id}")).await.json();
        let (sent, ready) = (shown["progress"]["sent"].as_u64().unwrap(), shown["progress"]["ready"].as_u64().unwrap());
        assert!(sent < 11 && sent + ready == 12, "{shown}");
        assert!(!world.sent_to().contains(&phone(1)));

        // A person who knows better need not wait, and each is written to once.
        for act in ["pause", "resume"] {
            assert_eq!(world.act(&id, act).await.status, 200);
        }
        let ended = world.campaign_until(&id, |shown| shown["state"] == "completed").await;
        assert_eq!(ended["progress"]["sent"], 12, "{ended}");
        let each: BTreeSet<_> = world.sent_to().into_iter().collect();
        assert_eq!((world.sent_to().len(), each.len()), (12, 12));
    }

    async fn p1_p2_a_campaign_reaches_each_person_once_though_its_worker_is_killed_three_times(backend) {
        // `RECADO_CAMPAIGN=10000` for the long one.
        let count = std::env::var("RECADO_CAMPAIGN").ok().and_then(|count| count.parse().ok()).unwrap_or(120);
        let world = World::new(backend).await;
        let mut process: Process = world.serve_and_work().await;
        // 5 % arrive without an answer.
        world.misbehave(|faults| {
            faults.twilio.create = CreateFault::AcceptAndDrop;
            faults.twilio.every = Some(20);
        });
        let id = world.campaign("many", None, people(count)).await;
        assert_eq!(world.act(&id, "start").await.status, 200);
        let patience = PATIENCE + std::time::Duration::from_millis(200) * u32::try_from(count).unwrap();
        for killed in 1..=3 {
            let seen = world.simulator.wait_for(|book| book.messages().len() >= count * killed / 4, patience);
            seen.await.unwrap();
            process.kill9();
            process = world.serve_and_work().await;
        }
        let ended = eventually(patience, async || {
            let shown = world.get(&format!("/campaigns/{id}")).await.json();
            // One that was found out late counted as held for a while.
            (shown["state"] == "completed" && shown["progress"]["sent"] == count).then_some(shown)
        }).await;
        assert_eq!(ended["progress"]["total"], count, "{ended}");
        let sent = world.sent_to();
        let each: BTreeSet<_> = sent.iter().collect();
        assert_eq!((sent.len(), each.len()), (count, count), "somebody was written to twice, or never");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_that_cannot_be_sent_is_refused_by_the_name_of_its_field() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve().await;
    let good = json!({"name": "a", "body": "oi", "rows": people(1)});
    for (field, value, told) in [
        ("name", json!(" "), "name"),
        ("channel", json!("fax"), "channel"),
        ("body", json!(""), "body"),
        ("pace", json!(0), "pace"),
        ("rows", json!([]), "rows"),
        ("template", json!("HX1"), "template"),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let answered = Answered::of(world.api(Method::POST, "/campaigns").json(&body))
            .await
            .unwrap();
        assert_eq!(answered.problem(422)["field"], told);
    }
    let csv = |text: Vec<u8>| {
        let request = world
            .api(Method::POST, "/campaigns")
            .query(&[("name", "a"), ("body", "oi")]);
        Answered::of(request.header("content-type", "text/csv").body(text))
    };
    assert_eq!(
        csv(b"name\nAna\n".to_vec()).await.unwrap().problem(422)["field"],
        "rows"
    );
    csv(b"to\n\xff\xfe\n".to_vec()).await.unwrap().problem(400);
    csv(vec![b'a'; 33 * 1024 * 1024]).await.unwrap().problem(413);
    // A draft of which nobody can be written to is not started.
    let id = world
        .campaign("nobody", None, vec![json!({"to": "5"}), json!(7)])
        .await;
    world.act(&id, "start").await.problem(409);
    world.act(&id, "dance").await.problem(404);
    world.act("cmp_none", "start").await.problem(404);
    assert!(world.runs().await.is_empty());
    assert_eq!(world.act(&id, "cancel").await.json()["state"], "cancelled");
}
