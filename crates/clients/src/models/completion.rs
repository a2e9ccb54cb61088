//! What is asked of a model, and what it answers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A conversation to continue.
#[derive(Clone, PartialEq, Eq)]
pub struct Completion {
    /// What the model is told about its task.
    pub system: String,
    /// The conversation so far, oldest first.
    pub turns: Vec<Turn>,
    /// Whether the answer must be a JSON object. The system text has to describe it.
    pub json: bool,
    /// The most tokens of an answer, those spent on thinking included.
    pub max_tokens: u32,
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub text: String,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The contact.
    User,
    /// We: a model or a person.
    Assistant,
}

/// A model's answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The text, without surrounding space and never empty; where JSON was asked for, one JSON object and nothing else.
    pub text: String,
    /// The model that answered, as the provider calls it.
    pub model: String,
    /// The provider's name.
    pub provider: String,
    /// Tokens read; 0 if the provider does not count.
    pub prompt_tokens: u32,
    /// Tokens written, those spent on thinking included; 0 if the provider does not count.
    pub completion_tokens: u32,
}

/// Shows sizes instead of texts.
impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Completion");
        shown
            .field("turns", &self.turns.len())
            .field("json", &self.json)
            .field("max_tokens", &self.max_tokens);
        shown.finish_non_exhaustive()
    }
}

/// Shows the role only.
impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Shows everything but the text.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Reply");
        shown
            .field("model", &self.model)
            .field("provider", &self.provider);
        shown
            .field("prompt_tokens", &self.prompt_tokens)
            .field("completion_tokens", &self.completion_tokens);
        shown.finish_non_exhaustive()
    }
}
