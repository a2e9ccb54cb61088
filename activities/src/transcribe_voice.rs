//! What a voice note says.
use std::time::Duration;

use recado_clients::{media::Rendition, speech::SpeechError};
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault, Retry};
use serde::{Deserialize, Serialize};

use crate::{Environment, fetch_media::of_media_store};

/// How often a transcription that is under way says that it is.
const BEAT: Duration = Duration::from_secs(5);
/// The most that is kept of what was said, in characters: an hour of it.
const LONGEST: usize = 60_000;

/// Turns a kept recording into text, in whatever language it is spoken.
#[derive(Debug, Serialize, Deserialize)]
pub struct TranscribeVoice {
    /// Whose it is.
    pub owner: OwnerId,
    /// SHA-256 of the recording, under which it is kept.
    pub sha256: String,
    /// What it is.
    pub content_type: String,
}

impl Activity<Environment> for TranscribeVoice {
    const NAME: &'static str = "transcribe_voice";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_secs(1))
        .up_to(4)
        .at_most(Duration::from_secs(10));
    const TIMEOUT: Duration = Duration::from_secs(180);
    const HEARTBEAT: Option<Duration> = Some(Duration::from_secs(30));
    type Output = String;

    async fn run(&self, env: &Environment, attempt: &Attempt<'_>) -> Result<String, Fault> {
        let begun = std::time::Instant::now();
        let transcribing = self.transcribe(env);
        tokio::pin!(transcribing);
        let mut beat = tokio::time::interval(BEAT);
        let text = loop {
            tokio::select! {
                text = &mut transcribing => break text,
                _ = beat.tick() => attempt.heartbeat(&"listening"),
            }
        };
        let outcome = if text.is_ok() { "heard" } else { "failed" };
        metrics::counter!("recado_transcriptions_total", "outcome" => outcome).increment(1);
        metrics::histogram!("recado_transcription_seconds").record(begun.elapsed().as_secs_f64());
        text
    }
}

impl TranscribeVoice {
    async fn transcribe(&self, env: &Environment) -> Result<String, Fault> {
        let server = env.speech.as_ref().ok_or_else(|| {
            let told = "nothing here can listen to voice: TRANSCRIBE_URL is not set";
            Fault::fatal("no_transcription", told)
        })?;
        let recording = env
            .media
            .get(self.owner.as_str(), &self.sha256, Rendition::Original)
            .await
            .map_err(|error| of_media_store(&error))?;
        let text = server.transcribe(recording, &self.content_type).await;
        let text = text.map_err(|error| match &error {
            SpeechError::Refused { .. } => Fault::fatal("transcription_refused", error.to_string()),
            SpeechError::Away { retry_after, .. } => {
                Fault::retry_after("transcription_away", error.to_string(), *retry_after)
            }
        })?;
        Ok(text.chars().take(LONGEST).collect())
    }
}
