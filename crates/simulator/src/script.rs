//! What the simulated model says.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How the model answers when its script is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelMode {
    /// Answers a routing question by keywords, and echoes everything else.
    #[default]
    Auto,
    /// Answers `you said: …` with the text of the last user message.
    Echo,
}

/// One scripted answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Plain text.
    Text(String),
    /// A refusal without content.
    Refusal(String),
    /// Tool calls, in parallel: name and arguments.
    Tools(Vec<(String, Value)>),
}

/// Answers in waiting and what to do without them.
#[derive(Debug, Default)]
pub(crate) struct Script {
    answers: VecDeque<Answer>,
    mode: ModelMode,
}

impl Script {
    pub(crate) fn extend(&mut self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.extend(answers);
    }

    pub(crate) fn set_mode(&mut self, mode: ModelMode) {
        self.mode = mode;
    }

    pub(crate) fn mode(&self) -> ModelMode {
        self.mode
    }

    pub(crate) fn left(&self) -> usize {
        self.answers.len()
    }

    pub(crate) fn clear(&mut self) {
        self.answers.clear();
    }

    /// The next scripted answer, or how to find one.
    pub(crate) fn next(&mut self) -> Result<Answer, ModelMode> {
        self.answers.pop_front().ok_or(self.mode)
    }
}
