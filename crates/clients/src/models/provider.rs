//! Where one model is to be had.

use secrecy::SecretString;

/// A model at a provider that speaks OpenAI's chat completions. Made by [`super::Vendor::provider`], or by hand for a
/// server that we do not know.
#[derive(Debug, Clone)]
pub struct Provider {
    /// What it is called in logs, metrics and errors; unique among the providers.
    pub name: String,
    /// The URL that `/chat/completions` is appended to; a trailing slash makes no difference.
    pub base_url: String,
    /// Sent as a bearer token; `None` for a server that asks for none.
    pub api_key: Option<SecretString>,
    /// The model, as this provider calls it.
    pub model: String,
    /// How this provider wants to be told the length of the answer.
    pub limit: TokenLimit,
}

/// The name of the parameter that limits an answer's tokens: the new one is refused or ignored by some servers, the
/// old one by OpenAI's newer models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenLimit {
    /// `max_completion_tokens`.
    MaxCompletionTokens,
    /// `max_tokens`.
    MaxTokens,
}
