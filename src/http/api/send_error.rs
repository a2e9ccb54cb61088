//! Why a message was not sent, or did not arrive, as JSON: Twilio's code, what it means and what a person can do.
use poem::http::StatusCode;
use poem_openapi::Object;
use recado_clients::twilio;
use recado_workflows::{Delivery, Ending, RowError, SendError};

use crate::http::Problem;

/// Why a message was not sent, or did not arrive.
#[derive(Object)]
pub(super) struct SendErrorItem {
    /// The field whose value cannot be taken, where it is one.
    field: Option<String>,
    /// Twilio's error code, or the one that Twilio would have answered.
    code: Option<i64>,
    /// What becomes of messages with this code: retry, permanent, configuration, opted_out, later, filtered,
    /// retry_once, outside_window, back_off, use_sms or daily_limit.
    class: Option<String>,
    /// What the code means.
    meaning: Option<String>,
    /// What a person can do.
    remedy: Option<String>,
    /// What happened, in words.
    message: String,
}

fn known(code: Option<i64>) -> Option<&'static twilio::KnownError> {
    code.and_then(|code| u32::try_from(code).ok())
        .and_then(twilio::known)
}

impl SendErrorItem {
    /// Of Twilio's code, and of what was heard with it.
    pub(super) fn of(code: Option<i64>, message: Option<String>) -> Self {
        let known = known(code);
        let unheard = || match known {
            Some(known) => known.meaning.to_owned(),
            None => "Twilio gives no reason that is known here".to_owned(),
        };
        Self {
            field: None,
            code,
            class: known.map(|known| known.class.as_str().to_owned()),
            meaning: known.map(|known| known.meaning.to_owned()),
            remedy: known.map(|known| known.remedy.to_owned()),
            message: message.unwrap_or_else(unheard),
        }
    }
}

impl SendErrorItem {
    /// Of a row of a campaign.
    pub(super) fn of_row(field: Option<String>, problem: Option<String>) -> Self {
        Self {
            field,
            ..Self::of(None, problem)
        }
    }
}

impl From<RowError> for SendErrorItem {
    fn from(error: RowError) -> Self {
        Self {
            field: error.field,
            ..Self::of(error.code, Some(error.message))
        }
    }
}

/// A message that was asked for by itself and was not sent by `run`, or not all of it, or nobody can tell.
pub(super) fn problem(run: &str, delivery: &Delivery, error: &SendError) -> Problem {
    let known = known(error.code);
    let remedy = known.map_or("", |known| known.remedy);
    let what = match (delivery.ending, &delivery.sid) {
        (Ending::GivenUp, _) => "nobody can tell whether it was sent",
        (_, Some(_)) => "only the first parts of the message were sent",
        (_, None) => "it was not sent",
    };
    let mut detail = format!("{what}: {}", error.message);
    if !error.message.contains(remedy) {
        detail.push_str(". ");
        detail.push_str(remedy);
    }
    let status = match (delivery.ending, error.code) {
        // Whoever sends it again may send it twice.
        (Ending::GivenUp, _) => StatusCode::CONFLICT,
        (Ending::OverQuota, _) => StatusCode::PAYMENT_REQUIRED,
        (_, Some(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        (_, None) => StatusCode::BAD_GATEWAY,
    };
    let sids: Vec<String> = delivery.sid.iter().chain(&delivery.more_sids).cloned().collect();
    Problem::new(status, detail)
        .with("run", run)
        .with("sids", (!sids.is_empty()).then_some(sids))
        .with("code", error.code)
        .with("class", known.map(|known| known.class.as_str()))
        .with("meaning", known.map(|known| known.meaning))
        .with("remedy", known.map(|known| known.remedy))
}
