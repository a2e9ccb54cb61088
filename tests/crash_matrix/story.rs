//! What happens in a scenario, whatever becomes of the process meanwhile.
use recado_simulator::{CreateFault, Inbound};
use recado_testkit::eventually;

use crate::{
    attempt::Attempt,
    plan::Scenario,
    slot::{LONGEST, texts},
    world::creates,
};

/// A picture of one pixel.
const GIF: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\
    \x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

impl Attempt<'_> {
    /// How the vendor and the model behave in it.
    pub(crate) fn misbehave(&self) {
        self.world().misbehave(|faults| match self.row.scenario {
            // Long enough for the others to come to the lane meanwhile.
            Scenario::Burst => faults.model.slow_ms = 500,
            Scenario::FailingSend => {
                faults.twilio.create = CreateFault::Status(500);
                faults.twilio.times = Some(2);
            }
            Scenario::AcceptedThenDropped => {
                faults.twilio.create = CreateFault::AcceptAndDrop;
                faults.twilio.times = Some(1);
                // Only the list can prove it, and it is late.
                faults.callbacks.none = true;
                faults.listing_lag_ms = 200;
            }
            // The cancel comes before its answer.
            Scenario::Cancelled => faults.model.slow_ms = 25_000,
            _ => {}
        });
    }

    /// The contact writes, whatever else the scenario has happens, and all runs come to their end.
    pub(crate) async fn converse(&self) -> Result<(), String> {
        let media = match self.row.scenario {
            Scenario::Attachment => vec![self.world().simulator.put_media("image/gif", GIF).unwrap()],
            _ => Vec::new(),
        };
        for number in 1..=self.row.scenario.messages() {
            let inbound = Inbound {
                from: self.contact.clone(),
                body: format!("pedido #{number}"),
                sid: Some(format!("SM{:016x}{number:016x}", self.slot.cells)),
                media: media.clone(),
                ..Inbound::default()
            };
            // Twilio tries again, as it can be told to, until it is heard.
            eventually(LONGEST * 2, async || {
                let received = self.world().simulator.send_inbound(inbound.clone()).await;
                received
                    .is_ok_and(|received| received.is_accepted())
                    .then_some(())
            })
            .await;
        }
        match self.row.scenario {
            Scenario::FailingSend => {
                self.world()
                    .simulator
                    .wait_for(|book| creates(book, &self.contact).len() >= 2, LONGEST * 2)
                    .await
                    .ok();
                self.world().misbehave(|faults| {
                    faults.twilio.create = CreateFault::RateLimited { retry_after: 1 };
                    faults.twilio.times = Some(1);
                });
            }
            Scenario::Cancelled => self.cancel().await?,
            Scenario::Call | Scenario::Campaign => self.go_out().await,
            _ => {}
        }
        self.until_all_have_ended(self.row.scenario.runs()).await
    }

    /// Cancels the run while it says that it waits for the model, until somebody says that it is.
    async fn cancel(&self) -> Result<(), String> {
        let db = self.world().database.connect().await;
        let thinks = "select id from runs where state = 'running' and waiting_for like 'activity:%'";
        let run = eventually(LONGEST * 2, async || {
            texts(&db, thinks).await.ok()?.into_iter().flatten().next()
        })
        .await;
        let path = format!("/runs/{run}/cancel");
        eventually(LONGEST * 2, async || {
            let request = self.world().api(reqwest::Method::POST, &path);
            let status = request.send().await.ok()?.status().as_u16();
            // 409: the answer to an earlier try got lost, and it has ended since.
            matches!(status, 200..300 | 409).then_some(())
        })
        .await;
        Ok(())
    }

    async fn until_all_have_ended(&self, least: usize) -> Result<(), String> {
        let db = self.world().database.connect().await;
        let parked = eventually(LONGEST * 2, async || {
            let states = texts(&db, "select state from runs").await.ok()?;
            let ended = |row: &Vec<String>| matches!(row[0].as_str(), "completed" | "cancelled" | "failed");
            let parked = states.iter().any(|row| row[0] == "parked");
            (parked || (states.len() >= least && states.iter().all(ended))).then_some(parked)
        });
        match parked.await {
            true => Err(format!("parked: {}", self.runs().await)),
            false => Ok(()),
        }
    }
}
