//! The recording of a call, downloaded and kept, however long the call was.
use std::time::Duration;

use recado_clients::{
    media::Content,
    twilio::{FetchMedia as Fetch, MediaStream},
};
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault, Retry};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::{
    Environment, Fetched,
    fetch_media::{count, credentials, of_content, of_media, of_media_store},
};

/// The most that is taken of one recording, in bytes. Twilio lets a call last 4 hours; as MP3 of at most 128 kbit/s for
/// each of two channels that is 460 MB.
/// Source: <https://www.twilio.com/docs/voice/api/recording>.
const LIMIT: u64 = 512 * 1024 * 1024;
/// The longest that one download may take: the largest one at 1 MB a second.
const PATIENCE: Duration = Duration::from_secs(600);
/// As what recordings are asked for.
const AUDIO: &str = "audio/mpeg";
/// What is looked at to tell what it is, in bytes.
const HEAD: usize = 8192;

/// Each holds some 16 MiB that are on the way to the storage.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// Downloads a recording with the owner's credentials, piece by piece, and keeps it under its hash.
///
/// Doing it again writes the same file again. Nothing of its content is in the result.
#[derive(Debug, Serialize, Deserialize)]
pub struct FetchRecording {
    /// Whose it is.
    pub owner: OwnerId,
    /// The account that it was made in.
    pub account: String,
    /// Where Twilio keeps it.
    pub url: String,
}

impl Activity<Environment> for FetchRecording {
    const NAME: &'static str = "fetch_recording";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_secs(1))
        .up_to(5)
        .at_most(Duration::from_secs(10));
    const TIMEOUT: Duration = Duration::from_secs(660);
    type Output = Fetched;

    async fn run(&self, env: &Environment, attempt: &Attempt<'_>) -> Result<Fetched, Fault> {
        let fetched = self.fetch(env, attempt.number()).await;
        count(&fetched);
        fetched
    }
}

impl FetchRecording {
    async fn fetch(&self, env: &Environment, attempt: u32) -> Result<Fetched, Fault> {
        let credentials = credentials(env, &self.owner, &self.account).await?;
        let closed = |_| Fault::retry("media_away", "this process goes home");
        let _place = AT_ONCE.acquire().await.map_err(closed)?;
        let fetch = Fetch {
            url: &self.url,
            limit: LIMIT,
            timeout: PATIENCE,
        };
        let opened = env.twilio.open_media(&credentials, fetch).await;
        let mut stream = opened.map_err(|error| of_media(&error, attempt))?;
        let head = head(&mut stream)
            .await
            .map_err(|error| of_media(&error, attempt))?;
        let content = Content::of(&head, Some(AUDIO)).map_err(of_content)?;
        let (sha256, bytes) = self.keep(env, &head, stream, attempt).await?;
        Ok(Fetched {
            content_type: content.content_type,
            bytes,
            sha256,
            // How long it is Twilio tells with the recording.
            seconds: None,
            name: None,
            words: None,
        })
    }

    async fn keep(
        &self,
        env: &Environment,
        head: &[u8],
        mut rest: MediaStream,
        attempt: u32,
    ) -> Result<(String, u64), Fault> {
        let of_store = |error| of_media_store(&error);
        let begun = env.media.begin(self.owner.as_str(), &self.url).await;
        let mut incoming = begun.map_err(of_store)?;
        let mut next = Ok(Some(head.to_vec()));
        let broken = loop {
            match next {
                Ok(Some(part)) => incoming.write(&part).await.map_err(of_store)?,
                Ok(None) => break None,
                Err(error) => break Some(of_media(&error, attempt)),
            }
            next = rest.next().await;
        };
        match broken {
            None => incoming.finish().await.map_err(of_store),
            Some(fault) => {
                incoming.abandon().await;
                Err(fault)
            }
        }
    }
}

/// Enough of the beginning to tell what it is, or all of what is shorter.
async fn head(stream: &mut MediaStream) -> Result<Vec<u8>, recado_clients::twilio::MediaError> {
    let mut head = Vec::new();
    while head.len() < HEAD
        && let Some(part) = stream.next().await?
    {
        head.extend(part);
    }
    Ok(head)
}
