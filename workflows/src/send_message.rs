//! One message that an owner sends of its own accord, now or at a time.
use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use recado_activities::{OpenConversation, Opened, Purpose, Reply, SettlePerson, Settled};
use recado_domain::{Address, OwnerId, Template, text};
use recado_engine::{Child, Context, Fault, OnClose, Workflow};
use serde::{Deserialize, Serialize};

use crate::{
    Delivery, Ending,
    letter::{Letter, Step},
};

/// The longest text that Twilio takes in one message, in characters; a longer one goes in parts of [`text::MAX_CHARS`].
const LONGEST: usize = 1600;
/// Twilio's code for an account that has sent all that it may send in a day.
const DAILY_LIMIT: i64 = 63038;

/// A message to be sent. `Debug` leaves out what it says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMessage {
    /// Who sends it.
    pub owner: OwnerId,
    /// The Twilio account that our address belongs to.
    pub account: String,
    /// Our address.
    pub from: Address,
    /// The messaging service through which it goes, and which chooses the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The contact's address, on the same channel.
    pub to: Address,
    /// The owner's own id of the contact.
    pub prospect: String,
    /// The text; empty where media or a template say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Where Twilio fetches what is attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
    /// The template that is sent instead of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// When it is to be sent; at once if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<DateTime<Utc>>,
    /// A hash of the request, by which a repeated one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// To which person of which campaign it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_campaign: Option<OfCampaign>,
}

/// A person of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfCampaign {
    /// The campaign.
    pub campaign: String,
    /// The how-manieth person of it, from 1.
    pub n: i64,
}

impl std::fmt::Debug for SendMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendMessage")
            .field("owner", &self.owner)
            .field("send_at", &self.send_at)
            .finish_non_exhaustive()
    }
}

impl Workflow for SendMessage {
    const NAME: &'static str = "send_message";
    type Output = Delivery;

    async fn run(mut self, ctx: &mut Context) -> Result<Delivery, Fault> {
        ctx.tag_owner(self.owner.as_str());
        if let Some(at) = self.send_at.take() {
            let lane = self.lane();
            return at_its_time(ctx, at, &self, lane).await;
        }
        let of_campaign = self.of_campaign.take();
        let owner = self.owner.clone();
        let ended = self.go(ctx).await;
        match (of_campaign, ended) {
            (Some(person), Ok(delivery)) => {
                ctx.run(person.settled(owner, &delivery)).await?;
                Ok(delivery)
            }
            (Some(person), Err(fault @ Fault::Cancelled { .. })) => {
                ctx.run(person.cancelled(owner)).await?;
                Err(fault)
            }
            (_, ended) => ended,
        }
    }
}

impl OfCampaign {
    /// What is written down of the person.
    fn settled(self, owner: OwnerId, delivery: &Delivery) -> SettlePerson {
        let code = delivery.error.as_ref().and_then(|error| error.code);
        SettlePerson {
            owner,
            campaign: self.campaign,
            n: self.n,
            settled: match delivery.ending {
                Ending::Sent => Settled::Sent,
                // Of a long text nothing is sent twice.
                Ending::Refused if code == Some(DAILY_LIMIT) && delivery.sid.is_none() => Settled::Again,
                _ => Settled::Failed,
            },
            sid: delivery.sid.clone(),
            code,
            error: delivery.error.as_ref().map(|error| error.message.clone()),
        }
    }

    fn cancelled(self, owner: OwnerId) -> SettlePerson {
        SettlePerson {
            owner,
            campaign: self.campaign,
            n: self.n,
            settled: Settled::Failed,
            sid: None,
            code: None,
            error: Some("its run was cancelled".to_owned()),
        }
    }
}

impl SendMessage {
    /// Sends it when its turn has come.
    async fn go(&self, ctx: &mut Context) -> Result<Delivery, Fault> {
        ctx.enter_lane().await?;
        let opened = ctx
            .run(OpenConversation {
                owner: self.owner.clone(),
                prospect: self.prospect.clone(),
                from: self.from.clone(),
                to: self.to.clone(),
            })
            .await?;
        self.send(ctx, &opened).await
    }

    /// The lane in whose order messages between these two are sent, answers among them.
    pub fn lane(&self) -> String {
        let (ours, theirs) = (self.from.to_twilio(), self.to.to_twilio());
        format!("{}/{ours}/{theirs}", self.account)
    }

    /// Sends it in as many parts as it needs, in order; what is attached goes with the first.
    async fn send(&self, ctx: &mut Context, opened: &Opened) -> Result<Delivery, Fault> {
        let mut delivery = Delivery::begun(Ending::Sent, &self.to);
        if opened.over_quota {
            return Ok(delivery.over_quota());
        }
        let mut parts = self.parts().into_iter();
        let first = Reply {
            owner: self.owner.clone(),
            account: self.account.clone(),
            conversation: opened.conversation.clone(),
            contact: opened.contact.clone(),
            from: self.from.clone(),
            service: self.service.clone(),
            to: self.to.clone(),
            body: parts.next().unwrap_or_default(),
            media_urls: self.media_urls.clone(),
            template: self.template.clone(),
            part: 0,
            purpose: Purpose::Outreach,
        };
        let mut letter = Letter::new(first, parts, self.prospect.clone());
        while let Some(step) = letter.next(ctx).await? {
            delivery = match step {
                Step::Part(sent) => match delivery.after(sent)? {
                    ControlFlow::Continue(delivery) => delivery,
                    ControlFlow::Break(delivery) => return Ok(delivery),
                },
                Step::Sms(sms) => return Ok(delivery.followed_by(sms)),
            };
            delivery.instead = letter.instead();
        }
        Ok(delivery)
    }

    fn parts(&self) -> Vec<String> {
        // A template goes once, whatever it goes instead of.
        if self.template.is_some() || self.body.chars().count() <= LONGEST {
            vec![self.body.clone()]
        } else {
            text::split(&self.body, text::MAX_CHARS)
        }
    }
}

/// Waits, then has another run do it: a place in the lane is for those who are to send now, and nobody shall stand
/// behind a message of next week.
pub(crate) async fn at_its_time<W: Workflow<Output = Delivery>>(
    ctx: &mut Context,
    at: DateTime<Utc>,
    call: &W,
    lane: String,
) -> Result<Delivery, Fault> {
    let wait = at - ctx.now().await;
    ctx.sleep(wait.to_std().unwrap_or_default()).await?;
    let child = Child {
        lane: Some(lane),
        on_close: OnClose::Cancel,
        ..Child::default()
    };
    let sending = ctx.start(call, child).await?;
    ctx.ask(sending).await
}
