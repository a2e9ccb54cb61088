//! The vendors we know, and what is particular to each.

use secrecy::SecretString;

use super::{Provider, TokenLimit};

/// A vendor of models, or a program that serves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// <https://platform.openai.com>.
    OpenAi,
    /// <https://groq.com>.
    Groq,
    /// Google's Gemini, through its OpenAI-compatible API.
    Gemini,
    /// Ollama on a machine of one's own; needs no key.
    Ollama,
}

struct Facts {
    name: &'static str,
    base_url: &'static str,
    model: &'static str,
    limit: TokenLimit,
}

impl Vendor {
    /// All of them, in the order in which they are asked unless somebody says otherwise.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Groq, Self::Gemini, Self::Ollama];

    /// The vendor's name in configuration, metrics and logs.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// This vendor's usual provider; its public fields take another base URL, name or model.
    pub fn provider(self, api_key: Option<SecretString>) -> Provider {
        let facts = self.facts();
        Provider {
            name: facts.name.to_owned(),
            base_url: facts.base_url.to_owned(),
            api_key,
            model: facts.model.to_owned(),
            limit: facts.limit,
        }
    }

    /// Facts that change with the vendors' offers. The models are small and quick ones that think little or not at
    /// all: a chat waits for them.
    #[rustfmt::skip]
    const fn facts(self) -> Facts {
        match self {
            Self::OpenAi => Facts { name: "openai", base_url: "https://api.openai.com/v1", model: "gpt-4.1-mini", limit: TokenLimit::MaxCompletionTokens },
            Self::Groq => Facts { name: "groq", base_url: "https://api.groq.com/openai/v1", model: "llama-3.3-70b-versatile", limit: TokenLimit::MaxCompletionTokens },
            Self::Gemini => Facts { name: "gemini", base_url: "https://generativelanguage.googleapis.com/v1beta/openai/", model: "gemini-2.5-flash-lite", limit: TokenLimit::MaxCompletionTokens },
            Self::Ollama => Facts { name: "ollama", base_url: "http://localhost:11434/v1", model: "llama3.2", limit: TokenLimit::MaxTokens },
        }
    }
}
