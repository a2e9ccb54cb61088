//! What is attached, as it comes in.

use reqwest::Response;

use super::MediaError;
use super::fetch_media::away;
use crate::http::reason;

/// A file that Twilio sends. Counted while reading, because a Content-Length may lie.
pub struct MediaStream {
    response: Response,
    limit: u64,
    read: u64,
    /// The name that the sender's file had.
    pub name: Option<String>,
}

impl MediaStream {
    pub(super) fn new(response: Response, limit: u64, name: Option<String>) -> Self {
        Self {
            response,
            limit,
            read: 0,
            name,
        }
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// [`MediaError::TooLarge`] past the limit; [`MediaError::Away`] where it breaks off.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, MediaError> {
        let chunk = self
            .response
            .chunk()
            .await
            .map_err(|error| away(&reason(error)))?;
        let Some(chunk) = chunk else { return Ok(None) };
        self.read += chunk.len() as u64;
        match self.read > self.limit {
            true => Err(MediaError::TooLarge { limit: self.limit }),
            false => Ok(Some(chunk.into())),
        }
    }
}

impl std::fmt::Debug for MediaStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaStream")
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}
