//! What somebody who calls an owner hears, as JSON.
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use recado_domain::OwnerId;
use recado_store::owners::{self, LONGEST_GREETING, LONGEST_VOICEMAIL, Owner, SHORTEST_VOICEMAIL, Voice};

use super::{Operator, Tag, conversations::Refused};
use crate::{app::App, http::Problem};

/// What callers hear.
pub(super) struct Callers;

/// What a caller hears, and may say.
#[derive(Object)]
struct VoiceItem {
    /// What is said first, at most 1000 characters.
    greeting: String,
    /// In which language, as in `pt-BR`.
    language: String,
    /// Whether a message can be left after it: it is recorded, transcribed and answered as an SMS would be.
    #[oai(default = "yes")]
    voicemail: bool,
    /// The longest message, in seconds, from 2 to 600: Twilio knows no shorter one.
    #[oai(default = "two_minutes")]
    max_seconds: u32,
}

fn yes() -> bool {
    true
}

fn two_minutes() -> u32 {
    120
}

#[OpenApi(tag = "Tag::Owners")]
impl Callers {
    /// Shows what somebody who calls an owner hears
    #[oai(path = "/owners/:owner/voice", method = "get")]
    async fn voice(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
    ) -> poem::Result<Json<VoiceItem>> {
        let voice = Voice::of(&known(app, &owner.0).await?).map_err(Problem::from)?;
        Ok(Json(voice.into()))
    }

    /// Sets what somebody who calls an owner hears
    ///
    /// It counts from the next call on.
    #[oai(path = "/owners/:owner/voice", method = "put")]
    async fn set_voice(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
        item: Json<VoiceItem>,
    ) -> poem::Result<Json<VoiceItem>> {
        let voice = item.0.read()?;
        known(app, &owner.0).await?;
        set(app, owner.0, Some(voice.clone())).await?;
        Ok(Json(voice.into()))
    }

    /// Lets somebody who calls an owner hear what callers of every owner hear: a greeting in the owner's language
    #[oai(path = "/owners/:owner/voice", method = "delete")]
    async fn reset_voice(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
    ) -> poem::Result<Json<VoiceItem>> {
        known(app, &owner.0).await?;
        set(app, owner.0.clone(), None).await?;
        let voice = Voice::of(&known(app, &owner.0).await?).map_err(Problem::from)?;
        Ok(Json(voice.into()))
    }
}

async fn set(app: &App, owner: String, voice: Option<Voice>) -> Result<(), Problem> {
    let owner = OwnerId::from(owner);
    let set = app.engine.storage().transaction(move |tx| {
        Box::pin(async move { Ok::<_, Refused>(owners::set_voice(tx, &owner, voice).await?) })
    });
    set.await?;
    Ok(())
}

async fn known(app: &App, owner: &str) -> Result<Owner, Problem> {
    let found = owners::find(&app.environment.database, &OwnerId::from(owner.to_owned())).await?;
    found.ok_or_else(|| Problem::not_found("owner"))
}

impl VoiceItem {
    fn read(self) -> Result<Voice, Problem> {
        let unfit = |field: &str, why: String| Err(Problem::unprocessable(field, format!("{field} {why}")));
        let characters = self.greeting.chars().count();
        if self.greeting.trim().is_empty() || characters > LONGEST_GREETING {
            return unfit(
                "greeting",
                format!("must have from 1 to {LONGEST_GREETING} characters, not {characters}"),
            );
        }
        if self
            .greeting
            .chars()
            .any(|char| char.is_control() && char != '\n')
        {
            return unfit("greeting", "must have no control characters".to_owned());
        }
        if !is_language(&self.language) {
            return unfit(
                "language",
                "must be a language and a country, as in pt-BR".to_owned(),
            );
        }
        if !(SHORTEST_VOICEMAIL..=LONGEST_VOICEMAIL).contains(&self.max_seconds) {
            return unfit(
                "max_seconds",
                format!("must be from {SHORTEST_VOICEMAIL} to {LONGEST_VOICEMAIL}"),
            );
        }
        Ok(Voice {
            greeting: self.greeting,
            language: self.language,
            voicemail: self.voicemail,
            max_seconds: self.max_seconds,
        })
    }
}

/// As Twilio names the languages that it speaks: `pt-BR`, `cmn-Hans-CN`, `arb`.
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let is_word = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.len() <= 20
        && parts.next().is_some_and(|first| is_word(first, 2..=3))
        && parts.all(|part| is_word(part, 2..=4))
}

impl From<Voice> for VoiceItem {
    fn from(voice: Voice) -> Self {
        Self {
            greeting: voice.greeting,
            language: voice.language,
            voicemail: voice.voicemail,
            max_seconds: voice.max_seconds,
        }
    }
}
