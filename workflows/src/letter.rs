//! A text on its way to a contact: part by part, and where WhatsApp does not take it, as its owner wants it to go then.
use std::{collections::VecDeque, time::Duration};

use recado_activities::{Instead, Reply, Sent, SmsWay};
use recado_engine::{Child, Context, Fault, OnClose, Race, Sleep};
use serde::{Deserialize, Serialize};

use crate::{Delivery, Ending, SendMessage};

/// How long an SMS is waited for that goes instead: it has a run and a lane of its own, and one that waits for a person
/// there must not keep others waiting here.
const PATIENCE: Duration = Duration::from_secs(900);
/// The tag of a run whose message went otherwise.
const TAG: &str = "instead";

/// What went instead of a message that WhatsApp did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InsteadOf {
    /// The owner's template.
    Template,
    /// An SMS.
    Sms,
}

impl InsteadOf {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Sms => "sms",
        }
    }
}

/// A text whose parts go one after the other.
pub(crate) struct Letter {
    next: Option<Reply>,
    rest: VecDeque<String>,
    prospect: String,
    instead: Option<InsteadOf>,
}

/// What became of a part.
pub(crate) enum Step {
    /// It went, or not, by the way that it was meant to go, or by the owner's template.
    Part(Result<Sent, Fault>),
    /// It went, or not, as SMS, with all that was to follow.
    Sms(Delivery),
}

impl Letter {
    /// One whose first part is `first`. `prospect` is under whom an SMS goes instead.
    pub(crate) fn new(first: Reply, rest: impl Iterator<Item = String>, prospect: String) -> Self {
        Self {
            next: Some(first),
            rest: rest.collect(),
            prospect,
            instead: None,
        }
    }

    /// What went instead, if anything.
    pub(crate) fn instead(&self) -> Option<InsteadOf> {
        self.instead
    }

    /// Sends the next part; `None` where there is none. What is attached goes with the first.
    ///
    /// # Errors
    /// Those of a run that sends an SMS instead, and [`Fault::Cancelled`] while it does.
    pub(crate) async fn next(&mut self, ctx: &mut Context) -> Result<Option<Step>, Fault> {
        let Some(mut reply) = self.next.take() else {
            return Ok(None);
        };
        loop {
            match ctx.run(reply.clone()).await {
                Ok(Sent::Elsewhere { instead, .. }) => match instead {
                    Instead::Template(template) => {
                        self.went(ctx, InsteadOf::Template).await;
                        reply.body = self.all(&reply.body);
                        reply.template = Some(template);
                        reply.media_urls.clear();
                    }
                    Instead::Sms(way) => {
                        self.went(ctx, InsteadOf::Sms).await;
                        return self.by_sms(ctx, reply, way).await.map(Step::Sms).map(Some);
                    }
                },
                sent => {
                    self.next = self.rest.pop_front().map(|body| Reply {
                        body,
                        media_urls: Vec::new(),
                        part: reply.part + 1,
                        ..reply
                    });
                    return Ok(Some(Step::Part(sent)));
                }
            }
        }
    }

    async fn went(&mut self, ctx: &mut Context, instead: InsteadOf) {
        self.instead = Some(instead);
        ctx.tag(TAG, instead.as_str()).await;
    }

    /// What is left to say, from this part on.
    fn all(&mut self, part: &str) -> String {
        let parts: Vec<String> = std::iter::once(part.to_owned())
            .chain(self.rest.drain(..))
            .collect();
        parts.join(" ")
    }

    /// In the lane of its own numbers, so that nobody's message can be mistaken for it.
    async fn by_sms(&mut self, ctx: &mut Context, reply: Reply, way: SmsWay) -> Result<Delivery, Fault> {
        let message = SendMessage {
            body: self.all(&reply.body),
            owner: reply.owner,
            account: way.account,
            from: way.from,
            service: way.service,
            to: way.to,
            prospect: self.prospect.clone(),
            media_urls: reply.media_urls,
            template: None,
            send_at: None,
            asked: None,
            of_campaign: None,
        };
        let child = Child {
            lane: Some(message.lane()),
            on_close: OnClose::Abandon,
            ..Child::default()
        };
        let sending = ctx.start(&message, child).await?;
        let run = sending.run_id().to_string();
        match ctx.race(sending, Sleep(PATIENCE)).await? {
            Race::First(delivery) => Ok(delivery),
            Race::Second(()) => {
                let told = format!("it goes as SMS, and the run {run} that sends it still waits");
                Ok(Delivery::begun(Ending::GivenUp, &message.to).unclear(told))
            }
        }
    }
}
