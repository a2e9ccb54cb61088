//! What the activities act with.
use std::time::Duration;

use recado_clients::{
    media::MediaStore,
    models::{Completion, ModelError, Providers, Reply},
    speech::Transcriber,
    twilio::{self, Credentials},
};
use recado_domain::{OwnerId, UnknownSend};
use recado_engine::{Fault, Undecided};
use recado_store::{Secret, owners};
use sea_orm::DatabaseConnection;

use crate::{InCommon, Spent, faults::of_store};

/// The world as the activities see it.
#[derive(Debug)]
pub struct Environment {
    /// For reading; what an activity writes goes through its attempt's transaction.
    pub database: DatabaseConnection,
    /// Opens what is sealed in the database.
    pub secret: Secret,
    /// Twilio's API.
    pub twilio: twilio::Client,
    /// The language models, in the order in which they are asked; there may be none.
    pub models: Providers,
    /// Where what contacts attach is kept.
    pub media: MediaStore,
    /// What turns voice into text; without it voice notes are kept, and the contact is told.
    pub speech: Option<Transcriber>,
    /// How long a contact must have written nothing before an agent is asked, where the owner says nothing else.
    pub quiet_period: Duration,
    /// Where Twilio reports what became of a message, without the token.
    pub status_callback: String,
    /// Where Twilio reports how far a call has come, without the token.
    pub call_callback: String,
    /// Where Twilio reports how far a call's recording has come, without the token.
    pub recording_callback: String,
    /// What many runs ask of the database at the same time.
    pub in_common: InCommon,
    /// What it costs.
    pub spent: Spent,
}

impl Environment {
    /// Asks the models for an owner.
    pub(crate) async fn complete(
        &self,
        owner: &OwnerId,
        completion: &Completion,
    ) -> Result<Reply, ModelError> {
        let reply = self.models.complete(completion).await?;
        self.spent.answer(owner, &reply);
        Ok(reply)
    }

    /// What Twilio asks of who acts for an owner in an account.
    pub(crate) async fn at_twilio(&self, owner: &OwnerId, account: &str) -> Result<Credentials, Fault> {
        let found = self.credentials(owner, account).await?.ok_or_else(|| {
            Fault::fatal(
                "no_credentials",
                "the owner does not hold the Twilio account that the message came in on",
            )
        })?;
        Ok(Credentials {
            account_sid: found.account_sid,
            auth_token: found.auth_token,
        })
    }

    /// What an owner wants done with a send or call of which nobody can tell whether it happened.
    pub(crate) async fn undecided(&self, owner: &OwnerId) -> Result<Undecided, Fault> {
        let policy = owners::unknown_send(&self.database, owner).await;
        Ok(match policy.map_err(of_store)? {
            UnknownSend::Hold => Undecided::Hold,
            UnknownSend::Resend => Undecided::Resend,
            UnknownSend::GiveUp => Undecided::GiveUp,
        })
    }
}
