//! What Twilio says of messages and calls enters the books, as if it had been reported.
use recado_domain::{CallStatus, MessageStatus, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::{
    StoreError,
    callbacks::{self, Applied, Callback},
    calls::reports::{self, News, Report},
};
use serde::{Deserialize, Serialize};

use crate::{Changed, Environment, Sending, faults::of_store};

/// Writes answers of Twilio down; a status only rises.
#[derive(Debug, Serialize, Deserialize)]
pub struct ApplyStatuses {
    /// Whose they are.
    pub owner: OwnerId,
    /// In which Twilio account.
    pub account: String,
    /// What they are.
    pub sending: Sending,
    /// What Twilio says.
    pub changed: Vec<Changed>,
}

impl Activity<Environment> for ApplyStatuses {
    const NAME: &'static str = "apply_statuses";
    const EFFECT: Effect = Effect::Database;
    /// How many were news.
    type Output = u32;

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<u32, Fault> {
        let mut news = 0;
        for changed in &self.changed {
            let is_news = match self.sending {
                Sending::Messages => self.of_message(attempt, changed).await?,
                Sending::Calls => self.of_call(attempt, changed).await?,
            };
            news += u32::from(is_news);
        }
        let what = match self.sending {
            Sending::Messages => "message_status",
            Sending::Calls => "call_status",
        };
        metrics::counter!("recado_mended_total", "what" => what).increment(news.into());
        Ok(news)
    }
}

impl ApplyStatuses {
    async fn of_message(&self, attempt: &Attempt<'_>, changed: &Changed) -> Result<bool, Fault> {
        // A status that this build does not know says nothing.
        let Ok(status) = MessageStatus::parse(&changed.status) else {
            return Ok(false);
        };
        let callback = Callback {
            account_sid: &self.account,
            token: None,
            sid: &changed.sid,
            status,
            error_code: changed.error_code.map(i64::from),
            raw: &raw(changed).map_err(of_store)?,
        };
        let applied = callbacks::apply(attempt.transaction()?, &callback, attempt.now()).await;
        Ok(matches!(applied.map_err(of_store)?, Applied::Updated(..)))
    }

    async fn of_call(&self, attempt: &Attempt<'_>, changed: &Changed) -> Result<bool, Fault> {
        let Ok(status) = CallStatus::parse(&changed.status) else {
            return Ok(false);
        };
        let (tx, now) = (attempt.transaction()?, attempt.now());
        let apply = async {
            let report = Report {
                account_sid: self.account.clone(),
                token: None,
                call_sid: changed.sid.clone(),
                news: News::Call {
                    status,
                    duration: changed.duration.map(i64::from),
                    answered_by: changed.answered_by.clone(),
                    error_code: None,
                },
                raw: raw(changed)?,
            };
            let call = reports::call_of(tx, &report).await?;
            let before = call.as_ref().and_then(|call| call.status);
            let is_news = before.is_none_or(|before| before.rank() < status.rank());
            reports::apply(tx, call.as_ref(), &report, now).await?;
            Ok::<_, StoreError>(is_news)
        };
        apply.await.map_err(of_store)
    }
}

/// What stands in the books as heard.
fn raw(changed: &Changed) -> Result<String, StoreError> {
    Ok(serde_json::json!({ "asked": serde_json::to_value(changed)? }).to_string())
}
