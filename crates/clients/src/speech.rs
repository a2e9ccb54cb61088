//! Turns speech into text, by a server that speaks OpenAI's `/v1/audio/transcriptions`.
//!
//! Source: <https://platform.openai.com/docs/api-reference/audio/createTranscription>.

use std::fmt;
use std::time::Duration;

use chrono::Utc;
use reqwest::multipart::{Form, Part};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::SetupError;
use crate::bounded_body::{BodyError, bounded_body};
use crate::http::{base_url, http, reason};
use crate::retry_after::retry_after;

/// More words than an hour of speech has.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Where speech is turned into text.
#[derive(Clone, Debug)]
pub struct TranscriberSettings {
    /// The base URL, such as `https://api.openai.com/v1`.
    pub url: String,
    /// What it asks of whoever asks it, if anything.
    pub key: Option<SecretString>,
    /// The model.
    pub model: String,
    /// The longest that one transcription may take.
    pub timeout: Duration,
}

/// Asks a transcription server, each request once.
pub struct Transcriber {
    http: reqwest::Client,
    url: Url,
    key: Option<SecretString>,
    model: String,
}

/// Why there is no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpeechError {
    /// It will not take this recording, or not from us.
    #[error("the transcription server refused it: it answered {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// It did not do it this time.
    #[error("the transcription server did not answer: {reason}")]
    Away {
        /// What went wrong.
        reason: String,
        /// How long we are asked to wait.
        retry_after: Option<Duration>,
    },
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

impl Transcriber {
    /// A client of the server.
    ///
    /// # Errors
    /// [`SetupError`] when the URL is none, or TLS cannot be set up.
    pub fn new(settings: TranscriberSettings) -> Result<Self, SetupError> {
        let mut url = base_url(&settings.url, "the transcription server")?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["audio", "transcriptions"]);
        }
        Ok(Self {
            http: http(settings.timeout)?,
            url,
            key: settings.key,
            model: settings.model,
        })
    }

    /// What `recording` of `content_type` says, in the language in which it says it.
    ///
    /// # Errors
    /// [`SpeechError`].
    pub async fn transcribe(&self, recording: Vec<u8>, content_type: &str) -> Result<String, SpeechError> {
        // Servers go by the name's ending.
        let part = Part::bytes(recording)
            .file_name(format!("voice.{}", ending(content_type)))
            .mime_str(content_type)
            .map_err(|_| SpeechError::Refused { status: 415 })?;
        let form = Form::new()
            .text("model", self.model.clone())
            .text("response_format", "json")
            .part("file", part);
        let mut request = self.http.post(self.url.clone()).multipart(form);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = request.send().await.map_err(|error| away(&reason(error)))?;
        let status = response.status();
        let wait = retry_after(response.headers(), Utc::now());
        if !status.is_success() {
            let passes = status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 425 | 429);
            return Err(match passes {
                true => SpeechError::Away {
                    reason: format!("it answered {}", status.as_u16()),
                    retry_after: wait,
                },
                false => SpeechError::Refused {
                    status: status.as_u16(),
                },
            });
        }
        let body = bounded_body(response, LONGEST_ANSWER)
            .await
            .map_err(|error| match error {
                BodyError::TooLong => away("its answer does not end"),
                BodyError::Lost(error) => away(&reason(error)),
            })?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| away("its answer cannot be read"))?;
        Ok(answer.text.trim().to_owned())
    }
}

fn away(reason: &str) -> SpeechError {
    SpeechError::Away {
        reason: reason.to_owned(),
        retry_after: None,
    }
}

fn ending(content_type: &str) -> &'static str {
    match content_type {
        "audio/mpeg" => "mp3",
        "audio/mp4" => "m4a",
        "audio/wav" => "wav",
        "audio/amr" => "amr",
        "audio/aac" => "aac",
        "audio/webm" => "webm",
        "audio/x-flac" => "flac",
        "audio/3gpp" => "3gp",
        _ => "ogg",
    }
}

impl fmt::Debug for Transcriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcriber")
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
