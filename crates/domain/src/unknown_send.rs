//! What an owner wants done with a message of which nobody can tell whether it was sent.
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// An owner's policy for a send whose fate cannot be told, once the time is over in which a trace must have appeared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownSend {
    /// It is looked for again; when the time to hold it is over, a person is asked. The contact may get it late, or never.
    #[default]
    Hold,
    /// It is sent again. The contact may get it twice.
    Resend,
    /// It is not sent again, and nobody is asked. The contact may never get it.
    GiveUp,
}

impl UnknownSend {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Hold, Self::Resend, Self::GiveUp];

    /// The word in the database, in JSON and at the terminal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Resend => "resend",
            Self::GiveUp => "give_up",
        }
    }

    /// The policy of a word.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == word)
            .ok_or_else(|| UnknownWord {
                what: "policy: hold, resend or give_up",
                word: word.to_owned(),
            })
    }
}

impl fmt::Display for UnknownSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
