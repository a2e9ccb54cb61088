//! The recording of a call: of one that came in it is a message, which is answered as a written one would be.
use std::time::Duration;

use recado_activities::{FetchMedia, FetchRecording, Fetched, FindRecording, FoundRecording, KeepAudio};
use recado_domain::{Address, Direction};
use recado_engine::{Child, Context, Fault, OnClose, Outcome, Workflow};
use serde::{Deserialize, Serialize};

use crate::InboundMessage;

/// How long Twilio is waited for, again and again, where it does not give a recording away.
const PATIENCE: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
];
/// As what recordings are asked for.
const AUDIO: &str = "audio/mpeg";

/// A recording that Twilio says is complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeepRecording {
    /// The account that it was made in.
    pub account: String,
    /// Twilio's `RE…`.
    pub sid: String,
}

/// What became of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeping {
    /// It is with its call.
    Kept,
    /// It is a message that somebody left, and a run of its own answers it.
    Voicemail {
        /// The run.
        run: String,
    },
    /// Nobody knows of its call.
    Unknown,
    /// The audio could not be had: it is too large, or Twilio does not have it any more.
    Lost {
        /// Why, for a person.
        error: String,
    },
}

impl Outcome for Keeping {
    fn word(&self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Voicemail { .. } => "voicemail",
            Self::Unknown => "unknown",
            Self::Lost { .. } => "lost",
        }
    }

    fn failed(&self) -> bool {
        matches!(self, Self::Unknown | Self::Lost { .. })
    }
}

impl Workflow for KeepRecording {
    const NAME: &'static str = "keep_recording";
    type Output = Keeping;

    async fn run(self, ctx: &mut Context) -> Result<Keeping, Fault> {
        let find = FindRecording {
            account: self.account.clone(),
            sid: self.sid.clone(),
        };
        let found = match ctx.run(find).await {
            Err(fault) if fault.failure().class == "unknown_call" => return Ok(Keeping::Unknown),
            found => found?,
        };
        ctx.tag_owner(found.owner.as_str());
        let is_message = found.direction == Direction::Inbound
            && Address::parse(&found.theirs).is_ok_and(|from| from.phone().is_some());
        // What somebody said is answered at once, and even where the audio cannot be had.
        let answered = match is_message {
            true => Some(self.answer(ctx, &found).await?),
            false => None,
        };
        let kept = self.keep(ctx, &found).await?;
        Ok(match answered {
            Some(run) if kept == Keeping::Kept => Keeping::Voicemail { run },
            _ => kept,
        })
    }
}

impl KeepRecording {
    /// Has what was said answered by a run of its own, which is returned.
    async fn answer(&self, ctx: &mut Context, found: &FoundRecording) -> Result<String, Fault> {
        let message = self.message(found);
        let child = Child {
            key: Some(InboundMessage::key(&self.account, &self.sid)),
            lane: Some(message.lane()),
            on_close: OnClose::Abandon,
            ..Child::default()
        };
        Ok(ctx.start(&message, child).await?.run_id().to_string())
    }

    /// Fetches the audio with the owner's credentials, and keeps it as what is attached to messages. A Twilio that is away
    /// is waited for: nobody else has it.
    async fn keep(&self, ctx: &mut Context, found: &FoundRecording) -> Result<Keeping, Fault> {
        let of_any_length = ctx.version("recordings_of_any_length").await;
        let mut patience = PATIENCE.into_iter();
        let audio = loop {
            let fault = match self.fetch(ctx, found, of_any_length).await {
                Ok(audio) => break audio,
                Err(fault @ Fault::Cancelled { .. }) => return Err(fault),
                Err(fault) => fault,
            };
            let failure = fault.failure();
            let is_away = matches!(fault, Fault::Retry { .. } | Fault::Unknown { .. });
            let may_come = is_away || failure.class == "media_not_there";
            match patience.next().filter(|_| may_come) {
                Some(wait) => ctx.sleep(wait).await?,
                None => {
                    return Ok(Keeping::Lost {
                        error: failure.message.clone(),
                    });
                }
            }
        };
        let keep = KeepAudio {
            owner: found.owner.clone(),
            sid: self.sid.clone(),
            audio,
        };
        ctx.run(keep).await?;
        Ok(Keeping::Kept)
    }

    async fn fetch(
        &self,
        ctx: &mut Context,
        found: &FoundRecording,
        of_any_length: bool,
    ) -> Result<Fetched, Fault> {
        let (owner, account, url) = (found.owner.clone(), self.account.clone(), found.url.clone());
        if of_any_length {
            return ctx.run(FetchRecording { owner, account, url }).await;
        }
        // As of an attachment, 16 MB at most.
        let declared = Some(AUDIO.to_owned());
        ctx.run(FetchMedia {
            owner,
            account,
            url,
            declared,
        })
        .await
    }

    /// The key that names the run of a recording for ever.
    pub fn key(&self) -> String {
        format!("{}:{}", self.account, self.sid)
    }

    /// What was said after the tone, as if it had come as a voice note: from the caller, by SMS.
    fn message(&self, found: &FoundRecording) -> InboundMessage {
        let form = [
            ("MessageSid", self.sid.clone()),
            ("AccountSid", self.account.clone()),
            ("From", found.theirs.clone()),
            ("To", found.ours.clone()),
            ("CallSid", found.call.clone()),
            ("NumMedia", "1".to_owned()),
            ("MediaUrl0", found.url.clone()),
            ("MediaContentType0", AUDIO.to_owned()),
        ];
        InboundMessage {
            account: self.account.clone(),
            sid: self.sid.clone(),
            service: None,
            from: found.theirs.clone(),
            to: found.ours.clone(),
            body: String::new(),
            media: 1,
            profile_name: None,
            opt_out_type: None,
            received_at: None,
            form: form.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        }
    }
}
