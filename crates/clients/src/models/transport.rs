//! The HTTP below async-openai, in place of its own, for three reasons: its own repeats failed requests, where the
//! engine must be the only one to repeat; it writes answers that it cannot read to the log, where texts do not
//! belong; and it drops `Retry-After`.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_openai::middleware::HttpRequestFactory;
use chrono::Utc;
use reqwest::{Response, StatusCode, header::HeaderMap};
use serde_json::Value;
use tower_service::Service;

use super::ModelError;
use crate::bounded_body::{BodyError, bounded_body};
use crate::retry_after::retry_after;

/// A page of text is a few kilobytes; this leaves room for the longest thoughts.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Sends each request once, and lets through only answers that are JSON.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) provider: String,
    pub(super) http: reqwest::Client,
}

impl Service<HttpRequestFactory> for Transport {
    type Response = Response;
    type Error = ModelError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, ModelError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ModelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.once(request).await })
    }
}

impl Transport {
    async fn once(&self, request: HttpRequestFactory) -> Result<Response, ModelError> {
        let request = request
            .build()
            .await
            .map_err(|error| ModelError::from_openai(&self.provider, error))?;
        let sent = self.http.execute(request).await;
        let response = sent.map_err(|error| ModelError::transport(&self.provider, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = bounded_body(response, LONGEST_ANSWER).await;
        if !status.is_success() {
            return Err(self.failure(status, &headers, &body.unwrap_or_default()));
        }
        let body = body.map_err(|error| match error {
            BodyError::TooLong => self.garbage("the answer is too long"),
            BodyError::Lost(error) => ModelError::transport(&self.provider, error),
        })?;
        if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            return Err(self.garbage("the answer is not JSON"));
        }
        Ok(Response::from(http::Response::new(body)))
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ModelError {
        let provider = self.provider.clone();
        let retry_after = retry_after(headers, Utc::now());
        let code = error_code(body);
        match status.as_u16() {
            // OpenAI uses the same status for "slow down" and for "your account is empty".
            429 if code.as_deref() == Some("insufficient_quota") => ModelError::Refused {
                provider,
                status: 429,
                code,
            },
            429 => ModelError::Busy {
                provider,
                retry_after,
            },
            503 if retry_after.is_some() => ModelError::Busy {
                provider,
                retry_after,
            },
            status @ (408 | 409 | 425 | 500..) => ModelError::Down {
                provider,
                reason: format!("it answered {status}"),
                retry_after,
            },
            status => ModelError::Refused {
                provider,
                status,
                code,
            },
        }
    }

    fn garbage(&self, reason: &'static str) -> ModelError {
        ModelError::Garbage {
            provider: self.provider.clone(),
            reason,
        }
    }
}

/// The code, or else the type, of `{"error": {…}}`, which Gemini puts in a list; only if it looks like an identifier,
/// so that no sentence that quotes the conversation comes along.
fn error_code(body: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let error = document.get(0).unwrap_or(&document).get("error")?;
    ["code", "status", "type"]
        .iter()
        .filter_map(|key| error.get(key)?.as_str())
        .find(|code| is_identifier(code))
        .map(str::to_owned)
}

fn is_identifier(code: &str) -> bool {
    (1..=64).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_error_is_found_in_every_dialect() {
        let cases: [(&str, Option<&str>); 6] = [
            (
                r#"{"error":{"message":"m","type":"invalid_request_error","code":"model_not_found"}}"#,
                Some("model_not_found"),
            ),
            (
                r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#,
                Some("invalid_request_error"),
            ),
            (
                r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
                Some("INVALID_ARGUMENT"),
            ),
            (r#"{"error":{"code":"you said: my secret is 12"}}"#, None),
            (r#"{"error":"text"}"#, None),
            ("<html>", None),
        ];
        for (body, expected) in cases {
            assert_eq!(error_code(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
