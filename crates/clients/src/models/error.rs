//! Why a model gave no answer.

use std::time::Duration;

use async_openai::error::OpenAIError;

use crate::http::reason;

/// Why a provider gave no answer that we can use. It quotes nothing of what the provider said beyond its error code:
/// the rest may repeat the conversation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Too many requests, or too much work at the moment.
    #[error("{provider} is busy")]
    Busy {
        /// The provider's name.
        provider: String,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// It cannot be reached, does not answer in time, answers that it is out of order, or has failed so often that we
    /// let it rest.
    #[error("{provider} is down: {reason}")]
    Down {
        /// The provider's name.
        provider: String,
        /// What happened.
        reason: String,
        /// When it is worth trying again.
        retry_after: Option<Duration>,
    },
    /// It will not do it: the key, the model's name, the balance or the request is wrong.
    #[error("{provider} refused ({status}{})", code.as_ref().map(|code| format!(", {code}")).unwrap_or_default())]
    Refused {
        /// The provider's name.
        provider: String,
        /// The HTTP status.
        status: u16,
        /// The provider's error code, such as `invalid_api_key`.
        code: Option<String>,
    },
    /// It answered, but not usefully.
    #[error("{provider} answered nothing useful: {reason}")]
    Garbage {
        /// The provider's name.
        provider: String,
        /// What is wrong with the answer.
        reason: &'static str,
    },
    /// There is no provider to ask.
    #[error("no model provider is configured")]
    NoProvider,
}

/// What a failure means for the one who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelErrorClass {
    /// Asking again changes nothing.
    Refused,
    /// Asking again may give a better answer.
    Garbage,
    /// Ask again later.
    Down,
    /// Ask again after a pause.
    Busy,
}

impl ModelErrorClass {
    /// A word for it, in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Garbage => "garbage",
            Self::Down => "down",
            Self::Busy => "busy",
        }
    }
}

impl ModelError {
    /// What it means for the one who asked; having no provider is a refusal.
    pub const fn class(&self) -> ModelErrorClass {
        match self {
            Self::Busy { .. } => ModelErrorClass::Busy,
            Self::Down { .. } => ModelErrorClass::Down,
            Self::Refused { .. } | Self::NoProvider => ModelErrorClass::Refused,
            Self::Garbage { .. } => ModelErrorClass::Garbage,
        }
    }

    /// How long to wait before asking again, if that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } | Self::Down { retry_after, .. } => *retry_after,
            Self::Refused { .. } | Self::Garbage { .. } | Self::NoProvider => None,
        }
    }

    /// Whether it tells of this one request rather than of the provider's health: a request too long for the model
    /// must not make the others go without.
    pub(super) const fn is_about_the_request(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 400 | 413 | 422,
                ..
            }
        )
    }

    pub(super) fn transport(provider: &str, error: reqwest::Error) -> Self {
        let reason = if error.is_timeout() && !error.is_connect() {
            "no answer in time".to_owned()
        } else {
            reason(error)
        };
        Self::Down {
            provider: provider.to_owned(),
            reason,
            retry_after: None,
        }
    }

    /// What our own transport reported through async-openai, or the little that async-openai says itself.
    pub(super) fn from_openai(provider: &str, error: OpenAIError) -> Self {
        let provider = provider.to_owned();
        match error {
            OpenAIError::Boxed(error) => match error.downcast::<Self>() {
                Ok(error) => *error,
                Err(_) => Self::Garbage {
                    provider,
                    reason: "an error nobody knows",
                },
            },
            OpenAIError::Reqwest(error) => Self::transport(&provider, error),
            OpenAIError::InvalidArgument(_) => Self::Refused {
                provider,
                status: 400,
                code: None,
            },
            _ => Self::Garbage {
                provider,
                reason: "not an answer of the API",
            },
        }
    }
}

impl From<ModelError> for OpenAIError {
    fn from(error: ModelError) -> Self {
        Self::Boxed(Box::new(error))
    }
}
