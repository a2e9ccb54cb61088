//! What goes instead of a message that WhatsApp does not take.
use recado_clients::twilio::{self, TwilioError};
use recado_engine::{Attempt, Fault};
use recado_store::messages;

use super::{Reply, Sent};
use crate::{
    Environment,
    faults::of_store,
    way_out::{Closed, Refused},
};

impl Reply {
    /// What its owner wants sent instead, where WhatsApp has refused it.
    pub(super) async fn elsewhere(
        &self,
        env: &Environment,
        error: &TwilioError,
    ) -> Result<Option<Sent>, Fault> {
        let TwilioError::Refused { code: Some(code), .. } = error else {
            return Ok(None);
        };
        let Some(closed) = Closed::by(*code) else {
            return Ok(None);
        };
        let instead = self.not_taken().instead(&env.database, closed).await;
        let elsewhere = |instead| Sent::Elsewhere {
            instead,
            code: Some(*code),
        };
        Ok(instead.map_err(of_store)?.map(elsewhere))
    }

    pub(super) fn not_taken(&self) -> Refused<'_> {
        Refused {
            owner: &self.owner,
            to: &self.to,
            text: &self.body,
            is_template: self.template.is_some(),
            has_media: !self.media_urls.is_empty(),
        }
    }

    /// The row of a message instead of which another goes says why.
    pub(super) async fn refuse(&self, attempt: &Attempt<'_>, code: u32) -> Result<(), Fault> {
        let (tx, token, now) = (attempt.transaction()?, attempt.key(), attempt.now());
        let told =
            twilio::known(code).map_or_else(|| "WhatsApp did not take it".to_owned(), |known| known.told());
        messages::mark_refused(tx, &self.owner, &token, Some(code.into()), &told, now)
            .await
            .map(drop)
            .map_err(of_store)
    }
}
