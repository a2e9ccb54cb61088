//! The life of a conversation.
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationState {
    /// Opened, nobody has answered yet.
    Pending,
    /// Agents answer.
    Progress,
    /// People answer, no agent does.
    HumanHandoff,
    /// Paused: the contact has been silent for a while; a message brings it back.
    IdleTimeout,
    /// Closed by an agent. Final.
    AgentClosed,
    /// Closed by a person of the owner's. Final.
    SupportClosed,
    /// Closed by the contact. Final.
    UserClosed,
    /// Closed by time. Final.
    Expired,
    /// Something broke. Final; the contact's next conversation is marked `recovered`.
    Failed,
}

/// What asking for a state leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The conversation moves.
    Apply,
    /// It stays: it is there already, or a closure of the same or a higher rank came first.
    Ignore,
    /// It must not move so; the caller is told, and nothing changes.
    Forbidden,
}

/// Who moved a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The contact, by what they wrote.
    Contact,
    /// A language model's agent.
    Agent,
    /// A person of the owner's.
    Human,
    /// A timer or the platform.
    System,
}

use ConversationState::{
    AgentClosed, Expired, Failed, HumanHandoff, IdleTimeout, Pending, Progress, SupportClosed, UserClosed,
};

impl ConversationState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Pending,
        Progress,
        HumanHandoff,
        IdleTimeout,
        AgentClosed,
        SupportClosed,
        UserClosed,
        Expired,
        Failed,
    ];

    /// The word in the database, in JSON and in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Progress => "progress",
            HumanHandoff => "human_handoff",
            IdleTimeout => "idle_timeout",
            AgentClosed => "agent_closed",
            SupportClosed => "support_closed",
            UserClosed => "user_closed",
            Expired => "expired",
            Failed => "failed",
        }
    }

    /// The state of a word.
    ///
    /// # Errors
    /// When the word is no state.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownWord {
                what: "conversation state",
                word: word.to_owned(),
            })
    }

    /// Somebody answers: an agent, a person, or soon one of them.
    pub fn is_active(self) -> bool {
        matches!(self, Pending | Progress | HumanHandoff)
    }

    /// Silent for a while; the contact's next message brings it back.
    pub fn is_paused(self) -> bool {
        self == IdleTimeout
    }

    /// Closed; the contact's next message opens a new conversation.
    pub fn is_final(self) -> bool {
        self.closure().is_some()
    }

    /// Whether an open conversation may move from here to `other`. A final state moves nowhere; of two
    /// closures that meet, [`ConversationState::transition`] tells the stronger.
    pub fn may_become(self, other: Self) -> bool {
        match self {
            Pending => other.is_final() || matches!(other, Progress | HumanHandoff),
            Progress => other.is_final() || matches!(other, HumanHandoff | IdleTimeout),
            HumanHandoff => other.is_final() || other == Progress,
            IdleTimeout => other.is_final() || matches!(other, Progress | HumanHandoff),
            _ => false,
        }
    }

    /// What asking for `to` leads to. Two closures at once: failed beats user beats support beats agent beats
    /// expired, and an equal or lower one is ignored, so that the order in which they arrive does not matter.
    pub fn transition(self, to: Self) -> Transition {
        match (self.closure(), to.closure()) {
            _ if self == to => Transition::Ignore,
            (Some(present), Some(asked)) if asked > present => Transition::Apply,
            (Some(_), Some(_)) => Transition::Ignore,
            _ if self.may_become(to) => Transition::Apply,
            _ => Transition::Forbidden,
        }
    }

    /// The rank of a final state among closures.
    fn closure(self) -> Option<u8> {
        match self {
            Expired => Some(1),
            AgentClosed => Some(2),
            SupportClosed => Some(3),
            UserClosed => Some(4),
            Failed => Some(5),
            Pending | Progress | HumanHandoff | IdleTimeout => None,
        }
    }
}

impl fmt::Display for ConversationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Actor {
    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Agent => "agent",
            Self::Human => "human",
            Self::System => "system",
        }
    }

    /// The actor of a word.
    ///
    /// # Errors
    /// When the word is no actor.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "contact" => Ok(Self::Contact),
            "agent" => Ok(Self::Agent),
            "human" => Ok(Self::Human),
            "system" => Ok(Self::System),
            _ => Err(UnknownWord {
                what: "actor",
                word: word.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    fn state() -> impl Strategy<Value = ConversationState> {
        select(ConversationState::ALL.to_vec())
    }

    /// The state that `asked`, in this order, leads to.
    fn after(from: ConversationState, asked: &[ConversationState]) -> ConversationState {
        asked.iter().fold(from, |at, &to| {
            if at.transition(to) == Transition::Apply {
                to
            } else {
                at
            }
        })
    }

    #[test]
    fn the_table_of_open_states_is_the_domains() {
        for (from, to) in [
            (Pending, vec![Progress, HumanHandoff]),
            (Progress, vec![HumanHandoff, IdleTimeout]),
            (HumanHandoff, vec![Progress]),
            (IdleTimeout, vec![Progress, HumanHandoff]),
        ] {
            for other in [Pending, Progress, HumanHandoff, IdleTimeout] {
                assert_eq!(from.may_become(other), to.contains(&other), "{from} to {other}");
            }
            for closed in [AgentClosed, SupportClosed, UserClosed, Expired, Failed] {
                assert!(from.may_become(closed), "{from} to {closed}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_word_names_its_state(state in state()) {
            prop_assert_eq!(ConversationState::parse(state.as_str()), Ok(state));
            prop_assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }

        #[test]
        fn a_state_is_active_or_paused_or_final(state in state()) {
            let kinds = [state.is_active(), state.is_paused(), state.is_final()];
            prop_assert_eq!(kinds.into_iter().filter(|kind| *kind).count(), 1);
        }

        #[test]
        fn a_closed_conversation_never_opens_again(from in state(), asked in proptest::collection::vec(state(), 0..8)) {
            prop_assume!(from.is_final());
            prop_assert!(after(from, &asked).is_final());
        }

        #[test]
        fn two_closures_end_the_same_in_any_order(from in state(), one in state(), two in state()) {
            prop_assume!(one.is_final() && two.is_final());
            prop_assert_eq!(after(from, &[one, two]), after(from, &[two, one]));
        }

        #[test]
        fn what_may_not_be_is_never_applied(from in state(), to in state()) {
            match from.transition(to) {
                Transition::Apply => prop_assert!(from.may_become(to) || (from.is_final() && to.is_final())),
                Transition::Ignore => prop_assert!(from == to || (from.is_final() && to.is_final())),
                Transition::Forbidden => prop_assert!(from != to && !from.may_become(to)),
            }
        }
    }
}
