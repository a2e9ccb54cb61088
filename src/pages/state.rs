//! A state as a word, a colour and a shape, so that no reader depends on one of them. In English the word is the code, as
//! it stands in addresses and filters; another language has its own.
use askama::{Template, filters::HtmlSafe};
use recado_domain::ConversationState;
use recado_engine::RunState;

use crate::t;

/// The mark of a run's state.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "state.html")]
pub(crate) struct Mark(pub(crate) RunState);

impl HtmlSafe for Mark {}

impl Mark {
    /// The code, as it stands in addresses and filters.
    pub(crate) fn word(&self) -> &'static str {
        self.0.as_str()
    }

    /// The word for people.
    pub(crate) fn told(&self) -> &'static str {
        match self.0 {
            RunState::Queued => t("queued"),
            RunState::Running => t("running"),
            RunState::Waiting => t("waiting"),
            RunState::Parked => t("parked"),
            RunState::Completed => t("completed"),
            RunState::Failed => t("failed"),
            RunState::Cancelled => t("cancelled"),
            RunState::Terminated => t("terminated"),
        }
    }

    /// The word for people with the code behind it, where the two differ: what is chosen here is typed there.
    pub(crate) fn with_code(&self) -> String {
        match (self.told(), self.word()) {
            (told, code) if told == code => code.to_owned(),
            (told, code) => format!("{told} ({code})"),
        }
    }
}

/// A conversation's state, for people.
pub(crate) fn of_conversation(state: &ConversationState) -> &'static str {
    match state {
        ConversationState::Pending => t("pending"),
        ConversationState::Progress => t("progress"),
        ConversationState::HumanHandoff => t("human_handoff"),
        ConversationState::IdleTimeout => t("idle_timeout"),
        ConversationState::AgentClosed => t("agent_closed"),
        ConversationState::SupportClosed => t("support_closed"),
        ConversationState::UserClosed => t("user_closed"),
        ConversationState::Expired => t("expired"),
        ConversationState::Failed => t("failed"),
    }
}
