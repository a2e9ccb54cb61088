//! What is attached enters the books, and the plan is asked whether voice may be turned into text.
use recado_domain::{Address, MessageId, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::{
    billing::{self, Request},
    media::{self, MediaState, NewMedia},
    plans::TRANSCRIPTION_MINUTES,
};
use serde::{Deserialize, Serialize};

use crate::{Environment, Fetched, faults::of_store};

/// Of a recording that does not say how long it is, so much is counted as a minute: MP3 at 128 kbit/s, which is more than
/// voice takes.
const BYTES_A_MINUTE: u64 = 960_000;

/// Writes down what is attached to a message.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeepMedia {
    /// Whose it is.
    pub owner: OwnerId,
    /// The message.
    pub message: MessageId,
    /// Who sent it.
    pub contact: Address,
    /// What came of each attachment, in order.
    pub media: Vec<Attached>,
    /// Whether what is voice is to be turned into text.
    pub listen: bool,
}

/// One attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attached {
    /// It is kept.
    Kept(Fetched),
    /// It could not be had.
    Lost {
        /// What it was declared to be.
        declared: String,
        /// Why, for a person.
        error: String,
    },
}

impl Activity<Environment> for KeepMedia {
    const NAME: &'static str = "keep_media";
    const EFFECT: Effect = Effect::Database;
    /// Whether the plan lets the voice be turned into text.
    type Output = bool;

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<bool, Fault> {
        let (tx, now) = (attempt.transaction()?, attempt.now());
        let new: Vec<_> = self.media.iter().map(new).collect();
        media::insert(tx, &self.owner, &self.message, &new, now)
            .await
            .map_err(of_store)?;
        let minutes = self.minutes();
        if minutes == 0 {
            return Ok(false);
        }
        let request = Request {
            run: attempt.run().as_str(),
            feature: TRANSCRIPTION_MINUTES,
            quantity: minutes,
            contact: &self.contact,
        };
        let grant = billing::reserve(tx, &self.owner, request, now).await;
        Ok(grant.map_err(of_store)? == billing::Grant::Granted)
    }
}

impl KeepMedia {
    /// Minutes of voice, of each recording the begun one whole.
    fn minutes(&self) -> i64 {
        let minutes = |one: &Attached| match one {
            Attached::Kept(fetched) if fetched.is_voice() => match fetched.seconds {
                Some(seconds) => i64::from(seconds.div_ceil(60).max(1)),
                None => i64::try_from(fetched.bytes.div_ceil(BYTES_A_MINUTE).max(1)).unwrap_or(i64::MAX),
            },
            _ => 0,
        };
        match self.listen {
            true => self.media.iter().map(minutes).sum(),
            false => 0,
        }
    }
}

fn new(attached: &Attached) -> NewMedia<'_> {
    match attached {
        Attached::Kept(fetched) => NewMedia {
            state: MediaState::Stored,
            content_type: &fetched.content_type,
            bytes: fetched.bytes,
            seconds: fetched.seconds,
            name: fetched.name.as_deref(),
            sha256: Some(&fetched.sha256),
            error: None,
        },
        Attached::Lost { declared, error } => NewMedia {
            state: MediaState::Failed,
            content_type: declared,
            bytes: 0,
            seconds: None,
            name: None,
            sha256: None,
            error: Some(error),
        },
    }
}
