//! What became of a call whose answer nobody wrote down: evidence from outside, or a person's decision.
use std::time::Duration;

use serde_json::Value;
use tracing::Instrument;

use super::{
    Core,
    call::Call,
    core::{Wait, lock},
    past::{Decision, Intent, Unseen},
    wait::Woken,
};
use crate::{
    Event, EventKind, Fault, Reconciled, Undecided,
    crash::{self, Protection},
    spans,
    storage::{after, now},
};

/// The pauses between two looks for the fate of an intent.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// What became of an intent of unknown fate.
pub(super) enum Fate {
    Happened(Value),
    DidNotHappen,
    Undecided(Fault),
}

impl Core {
    /// Looks outside for what became of an intent, until it is known or the time to hold it is over.
    pub(super) async fn find_out(&self, call: &Call, intent: Intent, decided: Option<Decision>) -> Fate {
        if let Some(fate) = decided.and_then(|decision| Fate::decided(decision, call)) {
            return fate;
        }
        if crash::without(Protection::Reconciling) {
            return Fate::DidNotHappen;
        }
        let settings = self.shared.settings.clone();
        let definite_no = match intent.seen_unknown {
            Some(Unseen { at, under_way: false }) => after(at, settings.listing_delay),
            Some(Unseen { at, under_way: true }) => {
                after(at, settings.request_timeout + settings.listing_delay)
            }
            // Nobody else can have been at it: the sender died before this process began.
            None if self.shared.storage.is_sole() && intent.at < self.shared.started_at => {
                after(self.shared.started_at, settings.listing_delay)
            }
            None => after(
                intent.at,
                settings.lease + settings.request_timeout + settings.listing_delay,
            ),
        };
        let hold_until = after(intent.held_from, settings.hold);
        let reason = format!("reconcile:{}", call.name);
        let shown = self.running(reason.clone(), call.number, Some(definite_no), None);
        self.send(Some(shown)).await;
        loop {
            let seen = self.mailbox.seen();
            if let Some(fate) = self.decision_of(call).await {
                return fate;
            }
            let asked = now();
            let attempt = call.attempt(None);
            let looks = call.in_time(call.activity.reconcile(&call.input, &attempt));
            let answer = crash::call(|| format!("reconcile {}", call.name), looks)
                .instrument(spans::reconcile(call.name, call.number))
                .await;
            let told = match answer {
                Ok(Reconciled::Happened(value)) => {
                    reconciled("happened");
                    return Fate::Happened(value);
                }
                Ok(Reconciled::NoTrace) if asked >= definite_no => {
                    reconciled("did_not_happen");
                    return Fate::DidNotHappen;
                }
                Ok(Reconciled::NoTrace) => "there is no trace of it yet".to_owned(),
                Ok(Reconciled::CannotTell) => "the other side cannot tell".to_owned(),
                Err(fault) => fault.to_string(),
            };
            if asked >= definite_no {
                match call
                    .in_time(call.activity.undecided(&call.input, &call.attempt(None)))
                    .await
                {
                    Ok(Undecided::Resend) => {
                        reconciled("resent");
                        return Fate::DidNotHappen;
                    }
                    Ok(Undecided::GiveUp) => {
                        reconciled("given_up");
                        return Fate::Undecided(Fault::given_up(call.name));
                    }
                    Ok(Undecided::Hold) | Err(_) => {}
                }
            }
            if asked >= hold_until {
                reconciled("undecided");
                return Fate::Undecided(Fault::unknown("unknown_fate", undecided(call.name, &told)));
            }
            // The older the question, the longer the pause; a long one keeps no place in memory. Evidence that arrives
            // as a signal ends it.
            let age = (asked - intent.held_from).to_std().unwrap_or_default();
            let until_no = (definite_no - asked).to_std().unwrap_or_default();
            let wait = (age / 4).clamp(SHORTEST_LOOK, LONGEST_LOOK);
            let wait = if until_no.is_zero() {
                wait
            } else {
                wait.min(until_no)
            };
            let wait = Wait {
                reason: reason.clone(),
                until: Some(after(now(), wait)),
                attempt: call.number,
                error: Some(told),
            };
            let _: Woken = self.wait(call.op, wait, seen).await;
        }
    }

    /// What a person has decided about the open intent, written down. What decides nothing is passed over.
    async fn decision_of(&self, call: &Call) -> Option<Fate> {
        let op = call.op.to_string();
        loop {
            let signal = {
                let mut consumed = lock(&self.consumed);
                let signal = self.mailbox.find(|signal| {
                    signal.kind == "decision"
                        && signal.name.as_deref().is_none_or(|name| name == op)
                        && !consumed.contains(&signal.n)
                })?;
                consumed.insert(signal.n);
                signal
            };
            let decision = Decision::read(signal.data.as_ref());
            let Some(fate) = decision.and_then(|decision| Fate::decided(decision, call)) else {
                continue;
            };
            let mut data = signal.data.unwrap_or_default();
            if let Some(data) = data.as_object_mut() {
                data.insert("n".to_owned(), signal.n.into());
            }
            self.note(Event {
                name: Some(call.name.to_owned()),
                data: Some(data),
                ..Self::event(Some(call.op), EventKind::ActivityDecided)
            })
            .await;
            return Some(fate);
        }
    }
}

impl Fate {
    /// What a person said. A result that the activity cannot have returned says nothing: it is looked for on.
    fn decided(decision: Decision, call: &Call) -> Option<Self> {
        Some(match decision {
            Decision::Happened(value) => match call.activity.returns(&value) {
                Ok(()) => Self::Happened(value),
                Err(told) => {
                    tracing::warn!(run.id = %call.run, told, "a decision is no result of {}", call.name);
                    return None;
                }
            },
            Decision::Resend => Self::DidNotHappen,
            Decision::GiveUp => Self::Undecided(Fault::given_up(call.name)),
        })
    }
}

fn reconciled(outcome: &'static str) {
    metrics::counter!("recado_reconciles_total", "outcome" => outcome).increment(1);
}

fn undecided(name: &str, told: &str) -> String {
    format!(
        "nobody can tell whether {name} happened ({told}); look at the vendor's log, then retry: \
         it is looked for again before anything is repeated"
    )
}
