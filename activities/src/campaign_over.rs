//! A campaign whose run is ended by a person is over.
use recado_domain::{CampaignState, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::campaigns;
use serde::{Deserialize, Serialize};

use crate::{Environment, faults::of_store};

/// Cancels what a campaign has not sent yet.
#[derive(Debug, Serialize, Deserialize)]
pub struct CampaignOver {
    /// Whose campaign.
    pub owner: OwnerId,
    /// The campaign.
    pub campaign: String,
}

impl Activity<Environment> for CampaignOver {
    const NAME: &'static str = "campaign_over";
    const EFFECT: Effect = Effect::Database;
    type Output = ();

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<(), Fault> {
        let (tx, now) = (attempt.transaction()?, attempt.now());
        let from = [CampaignState::Running, CampaignState::Paused];
        let to = CampaignState::Cancelled;
        campaigns::change(tx, &self.owner, &self.campaign, &from, to, now)
            .await
            .map_err(of_store)?;
        campaigns::cancel_ready(tx, &self.owner, &self.campaign, now)
            .await
            .map(drop)
            .map_err(of_store)
    }
}
