//! Whose a recording is, and of which call.
use std::time::Duration;

use recado_domain::{Direction, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault, Retry};
use recado_store::calls::reports;
use serde::{Deserialize, Serialize};

use crate::{Environment, faults::of_store};

/// Finds the call of a recording. Twilio may tell of the recording before we have the call in the books, so that it is
/// looked for again, some 20 minutes in all.
#[derive(Debug, Serialize, Deserialize)]
pub struct FindRecording {
    /// The account that it was made in.
    pub account: String,
    /// Twilio's `RE…`.
    pub sid: String,
}

/// A recording whose call is known.
#[derive(Clone, Serialize, Deserialize)]
pub struct FoundRecording {
    /// Whose it is.
    pub owner: OwnerId,
    /// Twilio's id of the call.
    pub call: String,
    /// Which way the call went.
    pub direction: Direction,
    /// The owner's number.
    pub ours: String,
    /// The other number, as Twilio writes it.
    pub theirs: String,
    /// How long it is, in seconds.
    pub duration: Option<i64>,
    /// Where Twilio has it.
    pub url: String,
}

impl std::fmt::Debug for FoundRecording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundRecording")
            .field("owner", &self.owner)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

impl Activity<Environment> for FindRecording {
    const NAME: &'static str = "find_recording";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_secs(1)).up_to(12);
    type Output = FoundRecording;

    async fn run(&self, env: &Environment, _: &Attempt<'_>) -> Result<FoundRecording, Fault> {
        let found = reports::call_of_recording(&env.database, &self.account, &self.sid).await;
        let Some((call, recording)) = found.map_err(of_store)? else {
            return Err(Fault::retry("unknown_call", "its call is not in the books"));
        };
        Ok(FoundRecording {
            owner: call.owner,
            call: call.twilio_sid.unwrap_or_default(),
            direction: call.direction,
            ours: call.our_address,
            theirs: call.contact_address,
            duration: recording.duration,
            url: env.twilio.recording_url(&self.account, &self.sid),
        })
    }
}
