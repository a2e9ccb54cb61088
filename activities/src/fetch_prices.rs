//! What Twilio charged for what an account sent and received, page by page of its list.
use std::time::Duration;

use chrono::{DateTime, Utc};
use recado_clients::twilio;
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::{prices, unfinished};
use serde::{Deserialize, Serialize};

use crate::{Environment, Sending, faults::of_store, fetch_statuses::of_asking};

/// Looks through the next page of the list.
#[derive(Debug, Serialize, Deserialize)]
pub struct FetchPrices {
    /// Whose they are.
    pub owner: OwnerId,
    /// In which Twilio account.
    pub account: String,
    /// What they are.
    pub sending: Sending,
    /// From when on.
    pub from: DateTime<Utc>,
    /// Where the next page is.
    pub next: Option<String>,
}

/// What a page told that we did not know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prices {
    /// What cost something, or nothing.
    pub prices: Vec<Price>,
    /// Where the next page is, if there is one.
    pub next: Option<String>,
}

/// What one cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Price {
    /// Its SID.
    pub sid: String,
    /// In millionths of the unit.
    pub millionths: i64,
    /// The currency: `USD`, ….
    pub unit: String,
}

impl Activity<Environment> for FetchPrices {
    const NAME: &'static str = "fetch_prices";
    const EFFECT: Effect = Effect::Pure;
    const TIMEOUT: Duration = Duration::from_secs(60);
    type Output = Prices;

    async fn run(&self, env: &Environment, _: &Attempt<'_>) -> Result<Prices, Fault> {
        let credentials = env.at_twilio(&self.owner, &self.account).await?;
        let (from, next) = (self.from, self.next.as_deref());
        let (mut told, next) = match self.sending {
            Sending::Messages => {
                let page = env.twilio.account_messages(&credentials, from, next).await;
                let page = page.map_err(|error| of_asking(&error))?;
                let told = page
                    .items
                    .into_iter()
                    .filter_map(|item| price(item.sid, item.price));
                (told.collect::<Vec<_>>(), page.next)
            }
            Sending::Calls => {
                let page = env.twilio.account_calls(&credentials, from, next).await;
                let page = page.map_err(|error| of_asking(&error))?;
                let told = page
                    .items
                    .into_iter()
                    .filter_map(|item| price(item.sid, item.price));
                (told.collect(), page.next)
            }
        };
        let sids = told.iter().map(|price| price.sid.as_str());
        let unpriced = prices::unpriced(&env.database, &self.owner, of(self.sending), sids).await;
        let unpriced = unpriced.map_err(of_store)?;
        told.retain(|price| unpriced.contains(&price.sid));
        Ok(Prices { prices: told, next })
    }
}

fn price(sid: String, price: Option<twilio::Price>) -> Option<Price> {
    let twilio::Price { millionths, unit } = price?;
    Some(Price {
        sid,
        millionths,
        unit,
    })
}

/// The word of the store.
pub(crate) fn of(sending: Sending) -> unfinished::Sending {
    match sending {
        Sending::Messages => unfinished::Sending::Messages,
        Sending::Calls => unfinished::Sending::Calls,
    }
}
