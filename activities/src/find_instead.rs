//! What goes instead of a message that Twilio took, and that WhatsApp then did not deliver.
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use recado_domain::{Address, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault, Retry};
use recado_store::{callbacks, owners};
use serde::{Deserialize, Serialize};

use crate::{
    Environment, Instead,
    faults::of_store,
    way_out::{Closed, Refused},
};

/// What was meant to be sent longer ago is not sent otherwise: the report comes too late to be worth anything. A day, and
/// what the daily comparison leaves for the next time.
const TOO_LATE: TimeDelta = TimeDelta::hours(25);

/// So long after a message an answer to it is still expected.
const EXPECTED: TimeDelta = TimeDelta::minutes(10);

/// Finds what the owner of a message that was not delivered wants sent instead. The report may not be in the books yet, so
/// that it is looked for again, some 20 minutes in all.
#[derive(Debug, Serialize, Deserialize)]
pub struct FindInstead {
    /// The account that it was sent from.
    pub account: String,
    /// Twilio's SID of it.
    pub sid: String,
}

/// A message that goes otherwise. `Debug` leaves out what it says, and to whom.
#[derive(Clone, Serialize, Deserialize)]
pub struct FoundInstead {
    /// Whose it is.
    pub owner: OwnerId,
    /// Our address.
    pub from: Address,
    /// The contact's.
    pub to: Address,
    /// What it says.
    pub body: String,
    /// Where Twilio fetches what is attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
    /// What goes; `None` where the owner wants nothing.
    pub instead: Option<Instead>,
    /// When it may go, where that is not yet: who is told so late expects nothing any more, and is left in peace in the
    /// owner's quiet hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for FoundInstead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundInstead")
            .field("owner", &self.owner)
            .field("instead", &self.instead)
            .finish_non_exhaustive()
    }
}

impl Activity<Environment> for FindInstead {
    const NAME: &'static str = "find_instead";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_secs(1)).up_to(12);
    type Output = FoundInstead;

    async fn run(&self, env: &Environment, attempt: &Attempt<'_>) -> Result<FoundInstead, Fault> {
        let found = callbacks::undelivered(&env.database, &self.account, &self.sid).await;
        let Some(message) = found.map_err(of_store)? else {
            return Err(Fault::retry("unknown_message", "its report is not in the books"));
        };
        let address = |text: &str| {
            Address::parse(text).map_err(|error| Fault::fatal("unsupported_address", error.to_string()))
        };
        let mut found = FoundInstead {
            owner: message.owner(),
            from: address(&message.ours)?,
            to: address(&message.theirs)?,
            media_urls: message.media_urls(),
            instead: None,
            not_before: None,
            body: message.body,
        };
        let code = message.error_code.and_then(|code| u32::try_from(code).ok());
        let is_late = attempt.now() - message.created_at > TOO_LATE;
        let Some(closed) = code.and_then(Closed::by).filter(|_| !is_late) else {
            return Ok(found);
        };
        let refused = Refused {
            owner: &found.owner,
            to: &found.to,
            text: &found.body,
            // Of a text in several parts the first one brings the template.
            is_template: message.is_template || message.part > 0,
            has_media: !found.media_urls.is_empty(),
        };
        found.instead = refused.instead(&env.database, closed).await.map_err(of_store)?;
        if attempt.now() - message.created_at > EXPECTED {
            let owner = owners::find(&env.database, &found.owner).await;
            let settings = owner.map_err(of_store)?.map(|owner| owner.settings()).transpose();
            let quiet = settings
                .map_err(of_store)?
                .map(|settings| settings.quiet_until(attempt.now()));
            found.not_before = quiet.transpose().map_err(of_store)?.flatten();
        }
        Ok(found)
    }
}
