//! The recording of a call: of one that came in it is a message, which is answered as a written one would be.
use recado_activities::{FindRecording, FoundRecording};
use recado_domain::{Address, Direction};
use recado_engine::{Child, Context, Fault, OnClose, Outcome, Workflow};
use serde::{Deserialize, Serialize};

use crate::InboundMessage;

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
}

impl Outcome for Keeping {
    fn word(&self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Voicemail { .. } => "voicemail",
            Self::Unknown => "unknown",
        }
    }

    fn failed(&self) -> bool {
        *self == Self::Unknown
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
            Err(fault) if fault.failure().class == "exhausted" => return Ok(Keeping::Unknown),
            found => found?,
        };
        ctx.tag_owner(found.owner.as_str());
        let is_message = found.direction == Direction::Inbound
            && Address::parse(&found.theirs).is_ok_and(|from| from.phone().is_some());
        if !is_message {
            return Ok(Keeping::Kept);
        }
        let message = self.message(&found);
        let child = Child {
            key: Some(InboundMessage::key(&self.account, &self.sid)),
            lane: Some(message.lane()),
            on_close: OnClose::Abandon,
            ..Child::default()
        };
        let run = ctx.start(&message, child).await?.run_id().to_string();
        Ok(Keeping::Voicemail { run })
    }
}

impl KeepRecording {
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
            ("MediaContentType0", "audio/mpeg".to_owned()),
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
            form: form.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        }
    }
}
