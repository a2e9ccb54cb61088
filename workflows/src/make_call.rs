//! One call that an owner makes of its own accord, now or at a time.
use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use recado_activities::PlaceCall;
use recado_engine::{Context, Fault, Workflow};
use serde::{Deserialize, Serialize};

use crate::{Delivery, Ending, send_message::at_its_time};

/// A call to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeCall {
    /// Who calls whom, and what is said.
    #[serde(flatten)]
    pub call: PlaceCall,
    /// When it is to be made; at once if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<DateTime<Utc>>,
    /// A hash of the request, by which a repeated one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
}

impl Workflow for MakeCall {
    const NAME: &'static str = "make_call";
    type Output = Delivery;

    async fn run(mut self, ctx: &mut Context) -> Result<Delivery, Fault> {
        ctx.tag_owner(self.call.owner.as_str());
        if let Some(at) = self.send_at.take() {
            let lane = self.lane();
            return at_its_time(ctx, at, &self, lane).await;
        }
        ctx.enter_lane().await?;
        let delivery = Delivery::begun(Ending::Called, &self.call.to);
        match delivery.after(ctx.run(self.call).await)? {
            ControlFlow::Continue(delivery) | ControlFlow::Break(delivery) => Ok(delivery),
        }
    }
}

impl MakeCall {
    /// The lane in whose order calls between these two are made, so that one cannot be mistaken for another where
    /// Twilio's list must tell. Messages have their own: nobody waits for a telephone to write.
    pub fn lane(&self) -> String {
        let PlaceCall {
            account, from, to, ..
        } = &self.call;
        format!("{account}/call/{}/{}", from.to_twilio(), to.to_twilio())
    }
}
