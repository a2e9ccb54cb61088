//! What Twilio has received for us, and we do not know of.
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use futures::future::join_all;
use recado_clients::twilio::{self, Credentials};
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::{accounts, messages};
use serde::{Deserialize, Serialize};

use crate::{Environment, faults::of_store, fetch_statuses::of_asking};

/// How many messages one step looks at.
const PAGE: u16 = 100;
/// How many are asked at the same time what is attached to them.
const AT_ONCE: usize = 8;

/// Lists where an owner is written to in an account: its addresses, and its messaging services, whose numbers only Twilio
/// knows.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListAddresses {
    /// Whose they are.
    pub owner: OwnerId,
    /// In which Twilio account.
    pub account: String,
}

impl Activity<Environment> for ListAddresses {
    const NAME: &'static str = "list_addresses";
    const EFFECT: Effect = Effect::Pure;
    type Output = Vec<String>;

    async fn run(&self, env: &Environment, _: &Attempt<'_>) -> Result<Vec<String>, Fault> {
        let senders = accounts::senders(&env.database, &self.owner)
            .await
            .map_err(of_store)?;
        let ours = senders
            .into_iter()
            .filter(|sender| sender.account_sid == self.account);
        let services = accounts::services(&env.database, &self.owner)
            .await
            .map_err(of_store)?;
        let services = services
            .into_iter()
            .filter(|service| service.account_sid == self.account);
        let addresses = ours.map(|sender| sender.address.to_twilio());
        Ok(addresses.chain(services.map(|service| service.sid)).collect())
    }
}

/// Compares a page of Twilio's list of the messages to an address with ours.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListReceived {
    /// Whose address it is.
    pub owner: OwnerId,
    /// In which Twilio account.
    pub account: String,
    /// The address, or the messaging service (`MG…`).
    pub to: String,
    /// From when on.
    pub from: DateTime<Utc>,
    /// Until when: the webhook of what is younger may still come.
    pub until: DateTime<Utc>,
    /// Where the next page is.
    pub next: Option<String>,
}

/// A page of what was received.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Received {
    /// How many were looked at.
    pub seen: u32,
    /// Those that we do not know of, newest first.
    pub missed: Vec<Missed>,
    /// Where the next page is, if there is one.
    pub next: Option<String>,
}

/// A message whose webhook never came. `Debug` leaves out what it says, and who says it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Missed {
    /// Twilio's id of it.
    pub sid: String,
    /// Who wrote it, as Twilio writes the address.
    pub from: String,
    /// To which of our addresses.
    pub to: String,
    /// What it says.
    pub body: String,
    /// Where each of its attachments is, and what it was declared to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<(String, String)>,
    /// The messaging service that it reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// When Twilio took it.
    pub at: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Missed")
            .field("sid", &self.sid)
            .finish_non_exhaustive()
    }
}

impl Activity<Environment> for ListReceived {
    const NAME: &'static str = "list_received";
    const EFFECT: Effect = Effect::Pure;
    /// One request, and for each of its messages another where all have pictures.
    const TIMEOUT: Duration = Duration::from_secs(300);
    type Output = Received;

    async fn run(&self, env: &Environment, _: &Attempt<'_>) -> Result<Received, Fault> {
        let credentials = env.at_twilio(&self.owner, &self.account).await?;
        // What came before the address was given to the owner was answered by somebody else.
        let held = accounts::held_since(&env.database, &self.owner, &self.account, &self.to)
            .await
            .map_err(of_store)?;
        // Twilio's times have whole seconds.
        let from = held
            .map_or(self.from, |held| held.max(self.from))
            .trunc_subsecs(0);
        let service = Some(&self.to).filter(|to| to.starts_with("MG"));
        let next = self.next.as_deref();
        let page = match service {
            // Twilio cannot be asked for those of a service: it is looked through all of the account's.
            Some(_) => env.twilio.account_messages(&credentials, from, next).await,
            None => {
                env.twilio
                    .received_messages(&credentials, &self.to, from, PAGE, next)
                    .await
            }
        };
        let page = page.map_err(|error| of_asking(&error))?;
        let seen = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
        let is_due = |message: &twilio::Message| {
            message.is_inbound()
                && (service.is_none() || message.messaging_service_sid.as_ref() == service)
                && message
                    .date_created
                    .is_none_or(|at| from <= at && at < self.until)
        };
        let due: Vec<_> = page.items.into_iter().filter(is_due).collect();
        let sids: Vec<&str> = due.iter().map(|message| message.sid.as_str()).collect();
        let known = messages::claimed_sids(&env.database, &self.owner, &sids)
            .await
            .map_err(of_store)?;
        let unknown = due.into_iter().filter(|message| !known.contains(&message.sid));
        let unknown: Vec<_> = unknown.collect();
        let mut missed = Vec::new();
        for some in unknown.chunks(AT_ONCE) {
            let media = some.iter().map(|message| attached(env, &credentials, message));
            for (message, media) in some.iter().zip(join_all(media).await) {
                missed.push(Missed::of(message.clone(), media?));
            }
        }
        metrics::counter!("recado_mended_total", "what" => "inbound").increment(missed.len() as u64);
        Ok(Received {
            seen,
            missed,
            next: page.next,
        })
    }
}

async fn attached(
    env: &Environment,
    credentials: &Credentials,
    message: &twilio::Message,
) -> Result<Vec<(String, String)>, Fault> {
    if message.num_media == 0 {
        return Ok(Vec::new());
    }
    let sid = &message.sid;
    let listed = env.twilio.list_media(credentials, sid).await;
    let listed = listed.map_err(|error| of_asking(&error))?;
    let pair = |one: twilio::Media| (one.url, one.content_type.unwrap_or_default());
    Ok(listed.into_iter().map(pair).collect())
}

impl Missed {
    fn of(message: twilio::Message, media: Vec<(String, String)>) -> Self {
        Self {
            sid: message.sid,
            from: message.from.unwrap_or_default(),
            to: message.to,
            body: message.body,
            media,
            service: message.messaging_service_sid,
            at: message.date_created,
        }
    }
}
