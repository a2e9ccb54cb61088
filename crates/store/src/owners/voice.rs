//! What somebody who calls an owner hears.
use recado_domain::OwnerId;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{Owner, change};
use crate::StoreError;

/// The longest greeting, in characters.
pub const LONGEST_GREETING: usize = 1000;
/// The shortest voicemail that Twilio can be asked for, in seconds.
pub const SHORTEST_VOICEMAIL: u32 = 2;
/// The longest voicemail that can be wanted, in seconds.
pub const LONGEST_VOICEMAIL: u32 = 600;

/// What a caller hears, and may say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// What is said first.
    pub greeting: String,
    /// In which language, as in `pt-BR`.
    pub language: String,
    /// Whether a message can be left after it.
    pub voicemail: bool,
    /// The longest message, in seconds.
    pub max_seconds: u32,
}

impl Voice {
    /// What callers of this owner hear; where it has not said, a greeting in its language and a message of two minutes.
    ///
    /// # Errors
    /// When the settings are no JSON object.
    pub fn of(owner: &Owner) -> Result<Self, StoreError> {
        let own = owner.settings()?.voice;
        Ok(own.unwrap_or_else(|| Self::in_language(&owner.language)))
    }

    fn in_language(language: &str) -> Self {
        let (language, greeting) = match language.get(..2) {
            Some("pt") => (
                "pt-BR",
                "Olá! No momento não podemos atender. Deixe sua mensagem após o sinal, e responderemos por escrito.",
            ),
            Some("es") => (
                "es-ES",
                "¡Hola! En este momento no podemos atender. Deje su mensaje después de la señal y le responderemos por \
                 escrito.",
            ),
            _ => (
                "en-US",
                "Hello! We cannot take your call right now. Please leave a message after the tone, and we will answer in \
                 writing.",
            ),
        };
        Self {
            greeting: greeting.to_owned(),
            language: language.to_owned(),
            voicemail: true,
            max_seconds: 120,
        }
    }
}

/// Sets what callers of this owner hear; `None` is as for everybody. Returns whether there is such an owner. Needs a
/// transaction.
///
/// # Errors
/// Those of the database.
pub async fn set_voice(
    conn: &impl ConnectionTrait,
    id: &OwnerId,
    voice: Option<Voice>,
) -> Result<bool, StoreError> {
    change(conn, id, |settings| settings.voice = voice).await
}
