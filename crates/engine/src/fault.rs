//! What can go wrong in an activity, in the only three ways that matter to the one who decides what happens next.
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why something failed: a short class for grouping and a sentence for the person who reads it at night.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A short stable word or code, e.g. `timeout`, `twilio_21610`; bounded in number, so it may label a metric.
    pub class: String,
    /// What happened and what to do, without secrets, bodies or numbers.
    pub message: String,
}

impl Failure {
    /// A failure of `class`, told by `message`.
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            class: class.into(),
            message: message.into(),
        }
    }
}

/// The class of a statement that failed.
const DATABASE: &str = "database";
/// The class of a call that was given up.
const GIVEN_UP: &str = "given_up";

/// How an attempt failed, which decides whether it may be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum Fault {
    /// It certainly did not happen, or repeating it is harmless.
    #[error("{}: {}", failure.class, failure.message)]
    Retry {
        /// What went wrong.
        failure: Failure,
        /// The least wait that the other side asked for (Retry-After).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Duration>,
    },
    /// It will never succeed as it is.
    #[error("{}: {}", failure.class, failure.message)]
    Fatal {
        /// What went wrong.
        failure: Failure,
    },
    /// It may have happened: a time-out, a reset, a process that died.
    #[error("{}: {}", failure.class, failure.message)]
    Unknown {
        /// What went wrong.
        failure: Failure,
        /// Whether the other side had not answered when we ceased to wait, so that it may still be at it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        under_way: bool,
    },
    /// The run is to be cancelled; told to the workflow once.
    #[error("{}: {}", failure.class, failure.message)]
    Cancelled {
        /// Says so.
        failure: Failure,
    },
}

impl Fault {
    /// A fault that may be repeated.
    pub fn retry(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Retry {
            failure: Failure::new(class, message),
            after: None,
        }
    }

    /// A fault that may be repeated after `after` at the earliest.
    pub fn retry_after(
        class: impl Into<String>,
        message: impl Into<String>,
        after: Option<Duration>,
    ) -> Self {
        Self::Retry {
            failure: Failure::new(class, message),
            after,
        }
    }

    /// A fault that will not go away.
    pub fn fatal(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Fatal {
            failure: Failure::new(class, message),
        }
    }

    /// A fault after which nobody knows whether it happened. If it has not by now, it never will.
    pub fn unknown(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unknown {
            failure: Failure::new(class, message),
            under_way: false,
        }
    }

    /// No answer came in time. It may have happened, and may yet happen within another request time-out.
    pub fn unanswered(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unknown {
            failure: Failure::new(class, message),
            under_way: true,
        }
    }

    /// The cancel of the run, as a workflow receives it.
    pub fn cancelled() -> Self {
        Self::Cancelled {
            failure: Failure::new("cancelled", "the run was cancelled"),
        }
    }

    /// A call of which nobody can tell whether it happened, and that is not repeated.
    pub(crate) fn given_up(name: &str) -> Self {
        let told = format!("nobody can tell whether {name} happened, and it was given up");
        Self::fatal(GIVEN_UP, told)
    }

    /// Whether nobody can tell if the call happened, and it was given up: by a person, or by
    /// [`Undecided::GiveUp`](crate::Undecided::GiveUp).
    pub fn is_given_up(&self) -> bool {
        matches!(self, Self::Fatal { failure } if failure.class == GIVEN_UP)
    }

    /// Whether a statement failed, so that it may be the database that is away.
    pub(crate) fn is_of_database(&self) -> bool {
        matches!(self, Self::Retry { failure, .. } if failure.class == DATABASE)
    }

    /// What went wrong.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Retry { failure, .. }
            | Self::Fatal { failure }
            | Self::Unknown { failure, .. }
            | Self::Cancelled { failure } => failure,
        }
    }
}

impl From<sea_orm::DbErr> for Fault {
    /// A statement that failed inside a transaction left nothing behind.
    fn from(error: sea_orm::DbErr) -> Self {
        Self::retry(DATABASE, error.to_string())
    }
}
