//! A message that Twilio took and WhatsApp did not deliver goes as its owner wants it to go then, once.
use recado_activities::{FindInstead, FoundInstead, Instead, SmsWay};
use recado_engine::{Child, Context, Fault, OnClose, Outcome, Workflow};
use serde::{Deserialize, Serialize};

use crate::SendMessage;

/// A message of which Twilio reports that WhatsApp did not deliver it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendInstead {
    /// The account that it was sent from.
    pub account: String,
    /// Twilio's SID of it.
    pub sid: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redirection {
    /// A run of its own sends what goes instead.
    Redirected {
        /// The run.
        run: String,
    },
    /// Its owner wants nothing sent instead.
    Left,
    /// Nobody knows of such a message.
    Unknown,
}

impl Outcome for Redirection {
    fn word(&self) -> &'static str {
        match self {
            Self::Redirected { .. } => "redirected",
            Self::Left => "left",
            Self::Unknown => "unknown",
        }
    }

    fn failed(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl Workflow for SendInstead {
    const NAME: &'static str = "send_instead";
    type Output = Redirection;

    async fn run(self, ctx: &mut Context) -> Result<Redirection, Fault> {
        let find = FindInstead {
            account: self.account.clone(),
            sid: self.sid.clone(),
        };
        let found = match ctx.run(find).await {
            Err(fault) if fault.failure().class == "unknown_message" => return Ok(Redirection::Unknown),
            found => found?,
        };
        ctx.tag_owner(found.owner.as_str());
        let Some(message) = self.message(found) else {
            return Ok(Redirection::Left);
        };
        let child = Child {
            lane: Some(message.lane()),
            on_close: OnClose::Abandon,
            ..Child::default()
        };
        let sending = ctx.start(&message, child).await?;
        Ok(Redirection::Redirected {
            run: sending.run_id().to_string(),
        })
    }
}

impl SendInstead {
    /// The key that names the run of a message for ever.
    pub fn key(&self) -> String {
        format!("{}:{}", self.account, self.sid)
    }

    fn message(&self, found: FoundInstead) -> Option<SendMessage> {
        // Who goes by no other id goes by the number.
        let prospect = found.to.phone().map(ToString::to_string);
        let message = SendMessage {
            owner: found.owner,
            account: self.account.clone(),
            from: found.from,
            service: None,
            to: found.to,
            prospect: prospect.unwrap_or_default(),
            body: found.body,
            media_urls: found.media_urls,
            template: None,
            send_at: found.not_before,
            asked: None,
            of_campaign: None,
        };
        Some(match found.instead? {
            Instead::Template(template) => SendMessage {
                template: Some(template),
                media_urls: Vec::new(),
                ..message
            },
            Instead::Sms(SmsWay {
                account,
                from,
                service,
                to,
            }) => SendMessage {
                account,
                from,
                service,
                to,
                ..message
            },
        })
    }
}
