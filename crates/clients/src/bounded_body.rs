//! Reads an answer no further than we are prepared to hold it.

use reqwest::Response;

/// Why a body could not be had.
pub(crate) enum BodyError {
    /// It is longer than the limit.
    TooLong,
    /// It ended early, or took too long.
    Lost(reqwest::Error),
}

/// The body of `response`, if it has at most `limit` bytes after decompression.
///
/// Counted while reading, because a Content-Length may lie and says nothing about what gzip unpacks to.
pub(crate) async fn bounded_body(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Lost)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
