//! Where WhatsApp takes no text, what the owner wants goes instead, once.
use super::*;

const TEMPLATE: &str = "HX0123456789abcdef0123456789abcdef";
/// A WhatsApp contact to whom nothing is delivered: Twilio takes it, and reports 63032.
const LOST: &str = "whatsapp:+1500563032";

impl World {
    async fn set_way_out(&self, way_out: Value) {
        let set = self.put("/owners/default/way-out", way_out.clone()).await;
        assert_eq!(set.status, 200, "{}", set.text);
        let shown = self.get("/owners/default/way-out").await.json();
        assert_eq!(
            (&shown["template"], &shown["sms"]),
            (&set.json()["template"], &set.json()["sms"])
        );
    }

    /// An answer is not delivered, an SMS would go instead, and nobody hears of it.
    async fn lose_an_answer(&self) {
        self.set_way_out(json!({"sms": true})).await;
        self.misbehave(|faults| faults.callbacks.none = true);
        let sid = self.say(LOST, "alô").await;
        assert_eq!(self.outcome(&sid).await, "answered");
        self.seen(|book| {
            let answers = book.outbound_to(LOST);
            answers
                .iter()
                .any(|answer| answer.status() == Status::Undelivered)
        })
        .await;
    }

    /// Compares the books with Twilio's.
    async fn compare(&self) {
        let input = json!({"owner": "default", "account": ACCOUNT, "grace_seconds": 0});
        let request = self.api(Method::POST, "/runs");
        let request = request.json(&json!({"workflow": "reconcile", "input": input}));
        let compared = Answered::of(request.header("Prefer", "wait=60")).await.unwrap();
        assert_eq!(compared.json()["state"], "completed", "{}", compared.text);
    }

    /// Writes to a contact of WhatsApp, and waits for what becomes of it.
    async fn write_to(&self, to: &str, body: &str) -> Answered {
        let body = json!({"to": to, "body": body, "prospect": "ana"});
        let request = self.api(Method::POST, "/messages/whatsapp").json(&body);
        Answered::of(request.header("Prefer", "wait=60")).await.unwrap()
    }

    /// What was sent, oldest first: to whom, what it says, and by which template.
    fn sent(&self) -> Vec<(String, String, Option<String>)> {
        let mut messages = self.simulator.book().messages();
        messages.retain(|message| message.direction == Direction::Outbound);
        let told = |message: &std::sync::Arc<recado_simulator::Message>| {
            (message.to.clone(), message.body.clone(), message.content.clone())
        };
        messages.iter().map(told).collect()
    }
}

fn sms(whatsapp: &str) -> String {
    whatsapp.trim_start_matches("whatsapp:").to_owned()
}

on_both! {
    async fn outside_of_the_24_hours_the_owners_template_goes_or_an_sms(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let closed = world.write_to(&contact(1), "Olá\nAna").await;
        assert_eq!(closed.problem(422)["code"], 63016);
        for (way_out, field) in [
            (json!({"template": {"sid": "HX1"}}), "template.sid"),
            (json!({"template": {"sid": TEMPLATE, "variables": {"1": "a\nb"}}}), "template.variables"),
            (json!({"sms": true, "sms_from": "+14155550000"}), "sms_from"),
            (json!({"sms": false, "sms_from": "pool"}), "sms_from"),
        ] {
            assert_eq!(world.put("/owners/default/way-out", way_out).await.problem(422)["field"], field);
        }
        assert!(world.sent().is_empty());

        let template = json!({"sid": TEMPLATE, "variables": {"1": "Diz: {text}"}});
        world.set_way_out(json!({"template": template, "sms": true})).await;
        let sent = world.write_to(&contact(1), "Olá\nAna").await;
        assert_eq!((sent.status, &sent.json()["instead"]), (200, &json!("template")), "{}", sent.text);
        assert_eq!(world.sent(), [(contact(1), String::new(), Some(TEMPLATE.to_owned()))]);
        let asked = &creates(world.simulator.book(), &contact(1))[0].params;
        assert_eq!(asked["ContentVariables"], r#"{"1":"Diz: Olá Ana"}"#);

        world.set_way_out(json!({"sms": true, "sms_from": "pool"})).await;
        let sent = world.write_to(&contact(1), "Olá de novo").await;
        assert_eq!((&sent.json()["instead"], &sent.json()["to"]), (&json!("sms"), &json!(sms(&contact(1)))));
        assert_eq!(world.sent()[1..], [(sms(&contact(1)), "Olá de novo".to_owned(), None)]);
        // The person's history has both, with what each was.
        let history = world.get("/prospects/ana/history").await.json();
        let rows: Vec<_> = history["items"].as_array().unwrap().iter()
            .map(|row| (row["type"].as_str().unwrap(), row["body"].as_str().unwrap(), !row["template"].is_null()))
            .collect();
        assert_eq!(rows, [("sms", "Olá de novo", false), ("whatsapp", "Olá\nAna", true)]);
        let (code, told) = world.run(&["owners", "way-out", "default", "--reset"]).await;
        assert!(code == 0 && told.contains("template  none"), "{told}");
        world.write_to(&contact(1), "tarde demais").await.problem(422);
    }

    async fn what_whatsapp_refuses_or_loses_goes_as_sms_once_though_the_process_is_killed(backend) {
        let world = World::new(backend).await;
        let mut process = world.serve_and_work().await;
        world.set_way_out(json!({"template": {"sid": TEMPLATE}, "sms": true})).await;
        // An answer is refused at once: the window is open, and a template would not help.
        world.misbehave(|faults| {
            faults.twilio.create = CreateFault::Refuse(63032);
            faults.twilio.to = Some(contact(2));
        });
        let sid = world.say(&contact(2), "oi").await;
        assert_eq!(world.outcome(&sid).await, "answered");
        assert_eq!(world.sent(), [(sms(&contact(2)), echo("oi"), None)]);

        // Another is taken and lost. Twilio takes the SMS and says nothing, and the process dies.
        world.misbehave(|faults| {
            faults.twilio.create = CreateFault::AcceptAndNeverAnswer;
            faults.twilio.to = Some(sms(LOST));
        });
        let sid = world.say(LOST, "alô").await;
        assert_eq!(world.outcome(&sid).await, "answered");
        world.seen(|book| !book.outbound_to(&sms(LOST)).is_empty()).await;
        process.kill9();
        world.misbehave(|_| {});
        let _process = world.serve_and_work().await;
        eventually(PATIENCE, async || {
            let runs = world.runs().await;
            let ended = |run: &&Value| run["workflow"] == "send_message" && run["outcome"] == "sent";
            (runs.iter().filter(ended).count() == 2).then_some(())
        }).await;
        let redirected = world.runs().await.into_iter().filter(|run| run["workflow"] == "send_instead");
        let outcomes: Vec<_> = redirected.map(|run| run["outcome"].clone()).collect();
        assert_eq!(outcomes, ["redirected"]);
        assert_eq!(world.sent()[1..], [(LOST.to_owned(), echo("alô"), None), (sms(LOST), echo("alô"), None)]);
    }

    async fn what_was_lost_without_a_report_goes_otherwise_once_the_books_are_compared(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        world.lose_an_answer().await;
        world.compare().await;
        world.compare().await;
        eventually(PATIENCE, async || {
            let runs = world.runs().await;
            let ended = |run: &Value| run["workflow"] == "send_message" && run["outcome"] == "sent";
            runs.iter().any(ended).then_some(())
        }).await;
        assert_eq!(world.sent(), [(LOST.to_owned(), echo("alô"), None), (sms(LOST), echo("alô"), None)]);
    }

    async fn what_is_found_lost_long_after_goes_otherwise_when_the_quiet_hours_are_over(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        world.lose_an_answer().await;
        let clock = |hours| (Utc::now() + TimeDelta::hours(hours)).format("%H:%M").to_string();
        let quiet = json!({"from": clock(-1), "to": clock(3), "zone": "UTC"});
        assert_eq!(world.put("/owners/default/quiet-hours", quiet).await.status, 200);
        let db = world.database.connect().await;
        let long_ago = Utc::now() - TimeDelta::minutes(11);
        let sql = "update messages set created_at = $1";
        db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [long_ago.into()])).await.unwrap();
        db.close().await.unwrap();
        world.compare().await;
        let until = eventually(PATIENCE, async || {
            let runs = world.runs().await;
            let sending = runs.iter().find(|run| run["workflow"] == "send_message")?;
            sending["until"].as_str().map(str::to_owned)
        }).await;
        assert!(chrono::DateTime::parse_from_rfc3339(&until).unwrap() > Utc::now() + TimeDelta::hours(1), "{until}");
        assert_eq!(world.sent().len(), 1);
    }
}
