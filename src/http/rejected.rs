//! The last webhooks that were turned away, without their bodies, for the operator.
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// How many are kept.
const KEPT: usize = 100;

/// Why a webhook was turned away; a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, poem_openapi::Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// There is no signature.
    Unsigned,
    /// The signature is not that of this account for this URL and form.
    WrongSignature,
    /// Nobody here holds the account.
    UnknownAccount,
    /// It is too large, not a form, or lacks a field.
    Malformed,
    /// The database did not answer in time.
    DatabaseAway,
}

impl Reason {
    /// Every reason.
    pub(crate) const ALL: [Self; 5] = [
        Self::Unsigned,
        Self::WrongSignature,
        Self::UnknownAccount,
        Self::Malformed,
        Self::DatabaseAway,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::WrongSignature => "wrong_signature",
            Self::UnknownAccount => "unknown_account",
            Self::Malformed => "malformed",
            Self::DatabaseAway => "database_away",
        }
    }
}

/// A webhook that was turned away.
#[derive(Clone, Debug, Serialize, poem_openapi::Object)]
pub(crate) struct RejectedWebhook {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// Which webhook.
    pub(crate) path: String,
    /// Why.
    pub(crate) reason: Reason,
    /// More about why, where there is more to say.
    pub(crate) detail: String,
}

/// A ring of the last ones, in memory, and how many there were of each reason since the process started.
#[derive(Debug, Default)]
pub(crate) struct Rejected(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    last: VecDeque<RejectedWebhook>,
    counts: BTreeMap<&'static str, u64>,
}

impl Rejected {
    pub(crate) fn push(&self, path: &str, reason: Reason, detail: impl Into<String>) {
        metrics::counter!("recado_webhooks_rejected_total", "reason" => reason.as_str()).increment(1);
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *ring.counts.entry(reason.as_str()).or_default() += 1;
        ring.last.truncate(KEPT - 1);
        ring.last.push_front(RejectedWebhook {
            at: Utc::now(),
            path: path.to_owned(),
            reason,
            detail: detail.into(),
        });
    }

    /// The last ones, newest first.
    pub(crate) fn list(&self) -> Vec<RejectedWebhook> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last
            .iter()
            .cloned()
            .collect()
    }

    /// How many were turned away for `reason` since the process started.
    pub(crate) fn count(&self, reason: Reason) -> u64 {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.counts.get(reason.as_str()).copied().unwrap_or_default()
    }
}
