//! The contact sees that an answer is being written.
use recado_clients::twilio::Credentials;
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault};
use serde::{Deserialize, Serialize};

use crate::Environment;

/// Marks a WhatsApp message as read and shows that somebody types, if that is possible at once.
///
/// Invariant: no answer waits for it, and nothing fails with it: what is asked of Twilio is asked beside the run.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShowTyping {
    /// Who answers.
    pub owner: OwnerId,
    /// The Twilio account that the message came in on.
    pub account: String,
    /// Twilio's id of the message.
    pub sid: String,
}

impl Activity<Environment> for ShowTyping {
    const NAME: &'static str = "show_typing";
    const EFFECT: Effect = Effect::Pure;
    type Output = ();

    async fn run(&self, env: &Environment, _: &Attempt<'_>) -> Result<(), Fault> {
        let Ok(Some(found)) = env.credentials(&self.owner, &self.account).await else {
            return Ok(());
        };
        let credentials = Credentials {
            account_sid: found.account_sid,
            auth_token: found.auth_token,
        };
        let (twilio, sid) = (env.twilio.clone(), self.sid.clone());
        drop(tokio::spawn(async move {
            let shown = twilio.show_typing(&credentials, &sid).await;
            if let Err(error) = &shown {
                tracing::debug!(%error, "the contact does not see that an answer is being written");
            }
            let outcome = if shown.is_ok() { "shown" } else { "failed" };
            metrics::counter!("recado_typing_shown_total", "outcome" => outcome).increment(1);
        }));
        Ok(())
    }
}
