//! What a message says, in words.
use recado_engine::{Activity, Attempt, Effect, Fault};
use serde::{Deserialize, Serialize};

use crate::Environment;

/// Turns a message into text. Text is text already.
#[derive(Debug, Serialize, Deserialize)]
pub struct Transcribe {
    /// What was written.
    pub body: String,
}

impl Activity<Environment> for Transcribe {
    const NAME: &'static str = "transcribe";
    const EFFECT: Effect = Effect::Pure;
    type Output = String;

    async fn run(&self, _: &Environment, _: &Attempt<'_>) -> Result<String, Fault> {
        Ok(self.body.trim().to_owned())
    }
}
