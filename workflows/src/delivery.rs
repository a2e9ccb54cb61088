//! What became of a message or call of an owner's own accord.
use std::ops::ControlFlow;

use recado_activities::{Sent, Withheld, twilio_code};
use recado_domain::Address;
use recado_engine::{Fault, Outcome};
use serde::{Deserialize, Serialize};

use crate::letter::InsteadOf;

/// Faults of a send that say what Twilio has said for good, beside Twilio's own.
const FINAL: [&str; 2] = ["no_credentials", "exhausted"];

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// How it ended.
    pub ending: Ending,
    /// Twilio's id of it, or of its first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Those of the other parts of a long text, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_sids: Vec<String>,
    /// Twilio's word, such as `queued`; `failed` where it is not sent, `unknown` where nobody can tell.
    pub status: String,
    /// To whom.
    pub to: Address,
    /// Why it was not sent, or not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SendError>,
    /// What went instead, where WhatsApp did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<InsteadOf>,
}

/// How the sending of a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Twilio took it.
    Sent,
    /// Twilio took it, and it is a call.
    Called,
    /// At the moment of sending something forbade it, and Twilio was not asked.
    Withheld,
    /// Twilio refused it for good, or could not be reached in all attempts.
    Refused,
    /// Nobody can tell whether it was sent; its owner, or a person, gave it up.
    GivenUp,
    /// The plan has no message left, and Twilio was not asked.
    OverQuota,
}

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendError {
    /// Twilio's error code, or the one that Twilio would have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// What happened.
    pub message: String,
}

impl Outcome for Delivery {
    fn word(&self) -> &'static str {
        match self.ending {
            Ending::Sent => "sent",
            Ending::Called => "called",
            Ending::Withheld => "withheld",
            Ending::Refused => "refused",
            Ending::GivenUp => "given_up",
            Ending::OverQuota => "over_quota",
        }
    }

    fn failed(&self) -> bool {
        !matches!(self.ending, Ending::Sent | Ending::Called)
    }
}

impl Delivery {
    /// One that ends like this if nothing is against it.
    pub(crate) fn begun(ending: Ending, to: &Address) -> Self {
        Self {
            ending,
            sid: None,
            more_sids: Vec::new(),
            status: String::new(),
            to: to.clone(),
            error: None,
            instead: None,
        }
    }

    pub(crate) fn over_quota(self) -> Self {
        let message = "the plan has no message left in this period".to_owned();
        self.ended(Ending::OverQuota, SendError { code: None, message })
    }

    /// One of which nobody can tell yet how it ended.
    pub(crate) fn unclear(self, message: String) -> Self {
        self.ended(Ending::GivenUp, SendError { code: None, message })
    }

    /// With what went as SMS, and decides how it ended.
    pub(crate) fn followed_by(mut self, sms: Self) -> Self {
        let before = self.sid.take().into_iter().chain(self.more_sids);
        let mut sids = before.chain(sms.sid).chain(sms.more_sids);
        Self {
            sid: sids.next(),
            more_sids: sids.collect(),
            instead: Some(InsteadOf::Sms),
            ending: sms.ending,
            status: sms.status,
            to: sms.to,
            error: sms.error,
        }
    }

    /// What it is after a request to Twilio; it breaks off where there is to be no other.
    ///
    /// # Errors
    /// What is ours, and for a person to look at.
    pub(crate) fn after(mut self, sent: Result<Sent, Fault>) -> Result<ControlFlow<Self, Self>, Fault> {
        Ok(match sent {
            Ok(Sent::Accepted { sid, status }) => {
                self.accepted(sid, status);
                ControlFlow::Continue(self)
            }
            Ok(Sent::Withheld(Withheld::OverQuota)) => ControlFlow::Break(self.over_quota()),
            Ok(Sent::Withheld(why)) => ControlFlow::Break(self.ended(Ending::Withheld, withheld(why))),
            // Of a call there is none; of a message the letter has seen to it.
            Ok(Sent::Elsewhere { .. }) => {
                ControlFlow::Break(self.ended(Ending::Withheld, withheld(Withheld::OutsideWindow)))
            }
            Err(fault) if fault.is_given_up() => {
                ControlFlow::Break(self.ended(Ending::GivenUp, refused(&fault)))
            }
            Err(fault) if is_final(&fault) => {
                ControlFlow::Break(self.ended(Ending::Refused, refused(&fault)))
            }
            Err(fault) => return Err(fault),
        })
    }

    fn accepted(&mut self, sid: String, status: String) {
        self.status = status;
        match self.sid {
            None => self.sid = Some(sid),
            Some(_) => self.more_sids.push(sid),
        }
    }

    fn ended(self, ending: Ending, error: SendError) -> Self {
        let status = match ending {
            Ending::GivenUp => "unknown",
            _ => "failed",
        };
        Self {
            ending,
            status: status.to_owned(),
            error: Some(error),
            ..self
        }
    }
}

/// Whether it is what Twilio says for good; anything else is ours, and for a person to look at.
fn is_final(fault: &Fault) -> bool {
    let class = fault.failure().class.as_str();
    class.starts_with("twilio_") || FINAL.contains(&class)
}

fn refused(fault: &Fault) -> SendError {
    let failure = fault.failure();
    SendError {
        code: twilio_code(failure),
        message: failure.message.clone(),
    }
}

/// In Twilio's codes: a caller that knows them need not learn ours.
fn withheld(why: Withheld) -> SendError {
    let (code, message) = match why {
        Withheld::OptedOut => (Some(21610), "the contact opted out"),
        Withheld::OutsideWindow => (
            Some(63016),
            "the contact has not written on WhatsApp within the last 24 hours, and this is no template",
        ),
        Withheld::InHumanHands => (None, "people have the conversation"),
        Withheld::OverQuota => (None, "the plan has no message left in this period"),
    };
    SendError {
        code,
        message: message.to_owned(),
    }
}
