//! Whose message is it? By number, then by messaging service, then by account if only one owner holds it.
use recado_domain::{Address, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::Resolution;
use serde::{Deserialize, Serialize};

use crate::{Environment, faults::of_store};

/// Finds the owner of a message.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResolveOwner {
    /// The Twilio account that the message came in on.
    pub account: String,
    /// Our address.
    pub to: Address,
    /// The messaging service that our address belongs to.
    pub service: Option<String>,
}

/// The owner of a message, with what the workflow needs of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Owner {
    /// Its id.
    pub id: OwnerId,
    /// What a contact is told when the plan is used up.
    pub notice_over_quota: String,
    /// How long the contact must have written nothing before an agent is asked, in milliseconds.
    #[serde(default)]
    pub quiet_ms: u64,
    /// The language in which it is spoken to, as in `pt`.
    #[serde(default)]
    pub language: String,
    /// Whether a contact sees that an answer is being written.
    #[serde(default)]
    pub typing: bool,
}

impl Activity<Environment> for ResolveOwner {
    const NAME: &'static str = "resolve_owner";
    const EFFECT: Effect = Effect::Pure;
    type Output = Owner;

    async fn run(&self, env: &Environment, _: &Attempt<'_>) -> Result<Owner, Fault> {
        let resolution = env.resolve(&self.account, &self.to, self.service.as_deref());
        let owner = match resolution.await? {
            Resolution::Owner(owner) => owner,
            Resolution::Unknown => return Err(nobody("no owner holds this number, service or account")),
            Resolution::Ambiguous => {
                return Err(nobody("several owners hold this account, and none this number"));
            }
        };
        let settings = owner.settings().map_err(of_store)?;
        let quiet = settings
            .quiet_period
            .map_or(env.quiet_period, std::time::Duration::from_secs_f64);
        Ok(Owner {
            id: OwnerId::from(owner.id),
            language: owner.language,
            typing: settings.typing.unwrap_or_default(),
            quiet_ms: u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX),
            notice_over_quota: owner.notice_over_quota,
        })
    }
}

fn nobody(why: &str) -> Fault {
    Fault::fatal(
        "no_owner",
        format!("{why}; give the number to an owner, then retry"),
    )
}
