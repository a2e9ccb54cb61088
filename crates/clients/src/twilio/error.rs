//! What may go wrong with a request to Twilio, told apart by whether it may have happened.

use std::time::Duration;

use chrono::Utc;
use reqwest::{StatusCode, header::HeaderMap};
use serde::Deserialize;

use super::errors::{ErrorClass, known};
use super::redacted::redacted;
use crate::http::reason;
use crate::retry_after::retry_after;

/// Why a request to Twilio gave no answer that we can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TwilioError {
    /// Twilio answered that it did not do it (any 4xx).
    #[error("Twilio refused ({status}{}): {message}", code.map(|code| format!(", error {code}")).unwrap_or_default())]
    Refused {
        /// The HTTP status, 400 to 499.
        status: u16,
        /// Twilio's error code.
        code: Option<u32>,
        /// Twilio's words, telephone numbers replaced by `…`.
        message: String,
        /// What to do about it.
        class: ErrorClass,
        /// How long Twilio asks us to wait.
        retry_after: Option<Duration>,
    },
    /// No connection came about: nothing was sent.
    #[error("cannot connect to Twilio: {reason}")]
    Unreachable {
        /// The network's words.
        reason: String,
    },
    /// It was sent, and we do not know what became of it.
    #[error("Twilio may or may not have done it: {0}")]
    Unknown(Uncertainty),
}

/// Why we do not know what became of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Uncertainty {
    /// No complete answer within the request time-out.
    #[error("it did not answer in time")]
    TimedOut,
    /// The connection broke after it had been made.
    #[error("the connection broke: {reason}")]
    Interrupted {
        /// The network's words.
        reason: String,
    },
    /// An answer that is neither a success nor a refusal: 5xx, or a redirect, which we do not follow.
    #[error("it answered {status}")]
    ServerError {
        /// The HTTP status.
        status: u16,
        /// How long Twilio asks us to wait.
        retry_after: Option<Duration>,
    },
    /// A success whose content is not what Twilio documents.
    #[error("its answer cannot be read")]
    Unreadable,
    /// A listing that does not end within the pages we are prepared to read; what it lacks proves nothing.
    #[error("the listing is longer than {pages} pages")]
    TooManyPages {
        /// How many were read.
        pages: usize,
    },
}

impl TwilioError {
    /// Whether what was asked for may have happened in spite of the error. If not, repeating it is safe.
    pub const fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// The class of a refusal; anything else is worth an ordinary retry, once it is known not to have happened.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Refused { class, .. } => *class,
            Self::Unreachable { .. } | Self::Unknown(_) => ErrorClass::Retry,
        }
    }

    /// How long Twilio asks us to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. }
            | Self::Unknown(Uncertainty::ServerError { retry_after, .. }) => *retry_after,
            Self::Unreachable { .. } | Self::Unknown(_) => None,
        }
    }

    /// A request that met no answer, or only part of one.
    pub(super) fn transport(error: reqwest::Error) -> Self {
        if error.is_connect() || error.is_builder() {
            Self::Unreachable {
                reason: reason(error),
            }
        } else if error.is_timeout() {
            Self::Unknown(Uncertainty::TimedOut)
        } else {
            Self::Unknown(Uncertainty::Interrupted {
                reason: reason(error),
            })
        }
    }

    /// An answer other than 2xx.
    pub(super) fn answered(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let retry_after = retry_after(headers, Utc::now());
        if !status.is_client_error() {
            return Self::Unknown(Uncertainty::ServerError {
                status: status.as_u16(),
                retry_after,
            });
        }
        let told: Told = serde_json::from_slice(body).unwrap_or_default();
        Self::Refused {
            status: status.as_u16(),
            code: told.code,
            message: redacted(&told.message.unwrap_or_default()),
            class: class(status, told.code),
            retry_after,
        }
    }
}

/// The error document of the REST API; a proxy in between sends none.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    code: Option<u32>,
    message: Option<String>,
}

/// By the code where we know it, else by the status.
fn class(status: StatusCode, code: Option<u32>) -> ErrorClass {
    let by_status = || match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorClass::Configuration,
        StatusCode::NOT_FOUND => ErrorClass::Permanent,
        StatusCode::TOO_MANY_REQUESTS => ErrorClass::BackOff,
        _ => ErrorClass::Retry,
    };
    code.and_then(known).map_or_else(by_status, |known| known.class)
}
