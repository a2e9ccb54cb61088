//! What the activities act with.
use std::time::Duration;

use recado_clients::{media::MediaStore, models::Providers, speech::Transcriber, twilio};
use recado_store::Secret;
use sea_orm::DatabaseConnection;

use crate::InCommon;

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
    /// What many runs ask of the database at the same time.
    pub in_common: InCommon,
}
