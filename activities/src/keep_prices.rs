//! What Twilio charged enters the books.
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::prices::{self, Priced};
use serde::{Deserialize, Serialize};

use crate::{Environment, Price, Sending, faults::of_store, fetch_prices::of};

/// Writes prices down; one that is known stays.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeepPrices {
    /// Whose messages or calls they are of.
    pub owner: OwnerId,
    /// What they are of.
    pub sending: Sending,
    /// What Twilio tells.
    pub prices: Vec<Price>,
}

impl Activity<Environment> for KeepPrices {
    const NAME: &'static str = "keep_prices";
    const EFFECT: Effect = Effect::Database;
    /// How many were news.
    type Output = u32;

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<u32, Fault> {
        let told: Vec<_> = self
            .prices
            .iter()
            .map(|price| Priced {
                sid: &price.sid,
                millionths: price.millionths,
                unit: &price.unit,
            })
            .collect();
        let news = prices::put_prices(attempt.transaction()?, &self.owner, of(self.sending), &told).await;
        Ok(u32::try_from(news.map_err(of_store)?).unwrap_or(u32::MAX))
    }
}
