//! Some people of a campaign are written to, each by a run of its own.
use recado_activities::{Begun, SettlePeople, TakenPerson};
use recado_domain::OwnerId;
use recado_engine::{Child, Context, Fault, OnClose, Outcome, Workflow};
use serde::{Deserialize, Serialize};

use crate::{OfCampaign, SendMessage};

/// Starts the messages to people whom their campaign has taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WriteToPeople {
    /// Whose campaign.
    pub owner: OwnerId,
    /// The campaign.
    pub campaign: String,
    /// Whom.
    pub people: Vec<TakenPerson>,
}

/// That their messages are on the way; what becomes of them they write down by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnTheWay;

impl Outcome for OnTheWay {
    fn word(&self) -> &'static str {
        "begun"
    }
}

impl Workflow for WriteToPeople {
    const NAME: &'static str = "write_to_people";
    type Output = OnTheWay;

    async fn run(self, ctx: &mut Context) -> Result<OnTheWay, Fault> {
        ctx.tag_owner(self.owner.as_str());
        let mut cancelled = None;
        let mut begun = Vec::with_capacity(self.people.len());
        for person in &self.people {
            let message = self.message(person);
            let child = Child {
                key: Some(self.key(person)),
                lane: Some(message.lane()),
                on_close: OnClose::Abandon,
                ..Child::default()
            };
            let started = match ctx.start(&message, child.clone()).await {
                Err(fault @ Fault::Cancelled { .. }) => {
                    cancelled = Some(fault);
                    ctx.start(&message, child).await
                }
                started => started,
            };
            begun.push(Begun {
                n: person.n,
                run: match started {
                    Ok(sending) => Ok(sending.run_id().to_string()),
                    Err(fault) => Err(fault.failure().message.clone()),
                },
            });
        }
        let settle = SettlePeople {
            owner: self.owner,
            campaign: self.campaign,
            people: begun,
        };
        ctx.run(settle).await?;
        cancelled.map_or(Ok(OnTheWay), Err)
    }
}

impl WriteToPeople {
    /// The key of the run that sends to a person, for ever; one that Twilio's daily limit sent back has another.
    fn key(&self, person: &TakenPerson) -> String {
        match person.tries {
            0 => format!("campaign/{}/{}", self.campaign, person.n),
            tries => format!("campaign/{}/{}/{tries}", self.campaign, person.n),
        }
    }

    fn message(&self, person: &TakenPerson) -> SendMessage {
        let message = person.message.clone();
        SendMessage {
            owner: self.owner.clone(),
            account: person.account.clone(),
            from: person.from.clone(),
            service: person.service.clone(),
            to: person.to.clone(),
            prospect: person.prospect.clone(),
            body: message.body,
            media_urls: message.media_urls,
            template: message.template,
            send_at: None,
            asked: None,
            of_campaign: Some(OfCampaign {
                campaign: self.campaign.clone(),
                n: person.n,
            }),
        }
    }
}
