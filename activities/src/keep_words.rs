//! What a message says once its attachments were read is what it says from then on, to people and agents.
use recado_domain::{MessageId, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::{billing, messages, plans::TRANSCRIPTION_MINUTES};
use serde::{Deserialize, Serialize};

use crate::{Environment, faults::of_store};

/// Writes down what a message with attachments says, and settles what listening to them used.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeepWords {
    /// Whose it is.
    pub owner: OwnerId,
    /// The message.
    pub message: MessageId,
    /// What it says.
    pub text: String,
    /// Whether something was heard, so that the minutes count.
    pub heard: bool,
}

impl Activity<Environment> for KeepWords {
    const NAME: &'static str = "keep_words";
    const EFFECT: Effect = Effect::Database;
    type Output = ();

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<(), Fault> {
        let (tx, run, now) = (attempt.transaction()?, attempt.run().as_str(), attempt.now());
        messages::set_body(tx, &self.owner, &self.message, &self.text, now)
            .await
            .map_err(of_store)?;
        let settled = match self.heard {
            true => billing::commit(tx, &self.owner, run, TRANSCRIPTION_MINUTES, now).await,
            false => billing::release(tx, &self.owner, run, TRANSCRIPTION_MINUTES, now).await,
        };
        settled.map(drop).map_err(of_store)
    }
}
