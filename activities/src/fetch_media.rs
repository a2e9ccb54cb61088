//! What is attached to a message, downloaded and kept.
use std::time::Duration;

use recado_clients::{
    media::{Content, MediaStoreError, NotAsDeclared},
    twilio::{Credentials, FetchMedia as Fetch, MediaError},
};
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault, Retry};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::Environment;

/// The most that is taken of one attachment, in bytes. Source: WhatsApp's limit for media.
const LIMIT: u64 = 16 * 1024 * 1024;
/// The longest that one download may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A file that is not there yet is looked for again after these times.
const NOT_YET: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// Each holds its file in memory: a process fetches so many at the same time.
static AT_ONCE: Semaphore = Semaphore::const_new(12);

/// Downloads one attachment with the owner's credentials, looks what it is, and keeps it under its hash.
///
/// Doing it again writes the same file again. Nothing of its content is in the result.
#[derive(Debug, Serialize, Deserialize)]
pub struct FetchMedia {
    /// Whose it is.
    pub owner: OwnerId,
    /// The Twilio account that the message came in on.
    pub account: String,
    /// Where Twilio keeps it.
    pub url: String,
    /// What its sender declared it to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

/// A file that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// What it is, by its content.
    pub content_type: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: String,
    /// How long it plays, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// The name that the sender's file had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it says in a line, of a contact card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

impl Fetched {
    /// Whether it is to be listened to.
    pub fn is_voice(&self) -> bool {
        self.content_type.starts_with("audio/")
    }
}

impl Activity<Environment> for FetchMedia {
    const NAME: &'static str = "fetch_media";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_secs(1))
        .up_to(5)
        .at_most(Duration::from_secs(10));
    const TIMEOUT: Duration = Duration::from_secs(90);
    type Output = Fetched;

    async fn run(&self, env: &Environment, attempt: &Attempt<'_>) -> Result<Fetched, Fault> {
        let fetched = self.fetch(env, attempt).await;
        count(&fetched);
        fetched
    }
}

impl FetchMedia {
    async fn fetch(&self, env: &Environment, attempt: &Attempt<'_>) -> Result<Fetched, Fault> {
        let credentials = credentials(env, &self.owner, &self.account).await?;
        let closed = |_| Fault::retry("media_away", "this process goes home");
        let _place = AT_ONCE.acquire().await.map_err(closed)?;
        let fetch = Fetch {
            url: &self.url,
            limit: LIMIT,
            timeout: PATIENCE,
        };
        let media = env.twilio.fetch_media(&credentials, fetch).await;
        let media = media.map_err(|error| of_media(&error, attempt.number()))?;
        let content = Content::of(&media.bytes, self.declared.as_deref()).map_err(of_content)?;
        let bytes = media.bytes.len() as u64;
        let sha256 = env.media.put(self.owner.as_str(), media.bytes).await;
        Ok(Fetched {
            content_type: content.content_type,
            bytes,
            sha256: sha256.map_err(|error| of_media_store(&error))?,
            seconds: content.seconds,
            name: media.name,
            words: content.words,
        })
    }
}

/// With what an account's files are fetched.
pub(crate) async fn credentials(
    env: &Environment,
    owner: &OwnerId,
    account: &str,
) -> Result<Credentials, Fault> {
    let found = env.credentials(owner, account).await?;
    let found = found.ok_or_else(|| {
        let told = "the owner does not hold the account that it came in on any more";
        Fault::fatal("no_account", told)
    })?;
    Ok(Credentials {
        account_sid: found.account_sid,
        auth_token: found.auth_token,
    })
}

/// Counts an attempt.
pub(crate) fn count(fetched: &Result<Fetched, Fault>) {
    let outcome = match fetched {
        Ok(_) => "stored",
        Err(Fault::Fatal { .. }) => "refused",
        Err(_) => "failed",
    };
    metrics::counter!("recado_media_fetched_total", "outcome" => outcome).increment(1);
}

pub(crate) fn of_media(error: &MediaError, attempt: u32) -> Fault {
    let told = error.to_string();
    match error {
        MediaError::Elsewhere => Fault::fatal("media_elsewhere", told),
        MediaError::TooLarge { .. } => Fault::fatal("media_too_large", told),
        MediaError::Refused { .. } => Fault::fatal("media_refused", told),
        MediaError::NotThere => match NOT_YET.get(attempt.saturating_sub(1) as usize) {
            Some(wait) => Fault::retry_after("media_not_there", told, Some(*wait)),
            None => Fault::fatal("media_not_there", told),
        },
        MediaError::Away { retry_after, .. } => Fault::retry_after("media_away", told, *retry_after),
    }
}

pub(crate) fn of_content(error: NotAsDeclared) -> Fault {
    Fault::fatal("media_wrong_type", error.to_string())
}

/// What an error of the storage means for a step.
pub(crate) fn of_media_store(error: &MediaStoreError) -> Fault {
    match error {
        MediaStoreError::Away(_) => Fault::retry("media_storage", error.to_string()),
        MediaStoreError::Gone | MediaStoreError::Setup(_) => Fault::fatal("media_storage", error.to_string()),
    }
}
