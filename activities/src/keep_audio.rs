//! Where the audio of a recording is enters the books.
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::calls::{self, Kept};
use serde::{Deserialize, Serialize};

use crate::{Environment, Fetched, faults::of_store};

/// Notes that the audio of a recording is kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeepAudio {
    /// Whose it is.
    pub owner: OwnerId,
    /// Twilio's `RE…`.
    pub sid: String,
    /// The file.
    pub audio: Fetched,
}

impl Activity<Environment> for KeepAudio {
    const NAME: &'static str = "keep_audio";
    const EFFECT: Effect = Effect::Database;
    type Output = ();

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<(), Fault> {
        let kept = Kept {
            sha256: self.audio.sha256.clone(),
            content_type: self.audio.content_type.clone(),
            bytes: i64::try_from(self.audio.bytes).unwrap_or(i64::MAX),
        };
        calls::keep(
            attempt.transaction()?,
            &self.owner,
            &self.sid,
            &kept,
            attempt.now(),
        )
        .await
        .map_err(of_store)
    }
}
