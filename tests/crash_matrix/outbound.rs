//! What an owner does of its own accord while a process dies: a call, a campaign.
use recado_simulator::Direction;
use recado_testkit::eventually;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{attempt::Attempt, plan::Scenario, slot::LONGEST, verdict::numbers};

impl Attempt<'_> {
    /// Asks for it until somebody says that it is there, under one key.
    pub(crate) async fn go_out(&self) {
        let [ana, bia] = self.phones();
        match self.row.scenario {
            Scenario::Call => {
                let twiml = "<Response><Say>pedido #1</Say></Response>";
                self.ask(
                    "/calls",
                    &json!({"to": ana, "prospect": "ana", "twiml": twiml, "record": false}),
                )
                .await;
            }
            Scenario::Campaign => {
                let rows = json!([{"to": ana, "n": "1"}, {"to": bia, "n": "2"}]);
                let campaign = json!({"name": "Março", "body": "pedido #{n}", "rows": rows});
                let made = self.ask("/campaigns", &campaign).await;
                let id = made["campaign"]["id"].as_str().unwrap_or_default().to_owned();
                self.ask(&format!("/campaigns/{id}/start"), &Value::Null).await;
            }
            _ => {}
        }
    }

    async fn ask(&self, path: &str, body: &Value) -> Value {
        eventually(LONGEST * 2, async || {
            let request = self
                .world()
                .api(Method::POST, path)
                .header("Idempotency-Key", "one");
            let request = match body {
                Value::Null => request,
                body => request.json(body),
            };
            let answer = request.send().await.ok()?;
            // 409: a campaign was started by an earlier try whose answer got lost.
            let is_there = matches!(answer.status().as_u16(), 200..300 | 409);
            is_there.then_some(answer.json().await.unwrap_or_default())
        })
        .await
    }

    /// Whom it is about, on the telephone.
    fn phones(&self) -> [String; 2] {
        let ana = self.contact.trim_start_matches("whatsapp:").to_owned();
        let bia = ana.replacen("98765", "98766", 1);
        [ana, bia]
    }

    /// What went out as the vendor has it: its SID, and which of the things it was.
    pub(crate) fn gone_out(&self) -> Vec<(String, String)> {
        let (book, phones) = (self.world().simulator.book(), self.phones());
        if self.row.scenario == Scenario::Call {
            let calls = book.calls().into_iter().filter(|call| phones.contains(&call.to));
            return calls.map(|call| (call.sid.clone(), "1".to_owned())).collect();
        }
        let ours = |to: &String| *to == self.contact || phones.contains(to);
        let sent = book.messages().into_iter();
        let sent = sent.filter(|message| message.direction == Direction::Outbound && ours(&message.to));
        sent.flat_map(|message| {
            let said = numbers(&message.body).into_iter();
            said.map(|number| (message.sid.clone(), number))
                .collect::<Vec<_>>()
        })
        .collect()
    }
}
