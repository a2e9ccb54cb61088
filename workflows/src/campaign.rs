//! A campaign: its people are written to in handfuls, each person once. What is left stands in the database, so that the
//! run and its journal stay small however many there are.
use std::time::Duration;

use chrono::{DateTime, Utc};
use recado_activities::{Begun, CampaignOver, SettlePeople, TakePeople, Taken, TakenPerson};
use recado_domain::{CampaignState, OwnerId};
use recado_engine::{Child, Context, Fault, OnClose, Outcome, Signal, Workflow};
use serde::{Deserialize, Serialize};

use crate::{OfCampaign, SendMessage};

/// How many people are taken at a time: their messages stand in the journal of one run.
const HANDFUL: u32 = 200;
/// How often one run looks whether it can go on, before it goes on as another: so that no journal grows.
const LOOKS: u32 = 50;
/// How soon a campaign that was paused looks by itself whether it was resumed: what tells it so may be lost.
const LOOK: Duration = Duration::from_secs(300);

/// Writes to all people of a campaign.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Campaign {
    /// Whose campaign.
    pub owner: OwnerId,
    /// The campaign.
    pub campaign: String,
}

/// Tells a campaign that its state was changed, so that it looks at it.
#[derive(Debug, Serialize, Deserialize)]
pub struct CampaignChanged;

impl Signal for CampaignChanged {
    const NAME: &'static str = "campaign_changed";
}

/// How a campaign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignEnd {
    /// Nobody is left.
    Completed,
    /// A person stopped it.
    Cancelled,
}

impl Outcome for CampaignEnd {
    fn word(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Workflow for Campaign {
    const NAME: &'static str = "campaign";
    type Output = CampaignEnd;

    async fn run(self, ctx: &mut Context) -> Result<CampaignEnd, Fault> {
        ctx.tag_owner(self.owner.as_str());
        match self.go_on(ctx).await {
            Ok(Some(end)) => Ok(end),
            Ok(None) => ctx.continue_as_new(&self).await,
            Err(fault @ Fault::Cancelled { .. }) => {
                let (owner, campaign) = (self.owner, self.campaign);
                ctx.run(CampaignOver { owner, campaign }).await?;
                Err(fault)
            }
            Err(fault) => Err(fault),
        }
    }
}

impl Campaign {
    /// The key of the run that sends to a person, for ever; one that Twilio's daily limit sent back has another.
    fn key(&self, person: &TakenPerson) -> String {
        match person.tries {
            0 => format!("campaign/{}/{}", self.campaign, person.n),
            tries => format!("campaign/{}/{}/{tries}", self.campaign, person.n),
        }
    }

    /// One handful, or some waits. `None` if there may be more to do.
    async fn go_on(&self, ctx: &mut Context) -> Result<Option<CampaignEnd>, Fault> {
        for _ in 0..LOOKS {
            let take = TakePeople {
                owner: self.owner.clone(),
                campaign: self.campaign.clone(),
                most: HANDFUL,
            };
            let until = match ctx.run(take).await? {
                Taken::Over { state } => {
                    return Ok(Some(match state {
                        CampaignState::Completed => CampaignEnd::Completed,
                        _ => CampaignEnd::Cancelled,
                    }));
                }
                Taken::Paused => {
                    ctx.signal::<CampaignChanged>(Some(LOOK)).await?;
                    return Ok(None);
                }
                Taken::Later { until, .. } => until,
                Taken::People { people, next } => {
                    self.write_to(ctx, people).await?;
                    if let Some(next) = next {
                        self.wait(ctx, next).await?;
                    }
                    return Ok(None);
                }
            };
            self.wait(ctx, until).await?;
        }
        Ok(None)
    }

    /// Waits, unless somebody changes the campaign.
    async fn wait(&self, ctx: &mut Context, until: DateTime<Utc>) -> Result<(), Fault> {
        let wait = (until - ctx.now().await).to_std().unwrap_or_default();
        ctx.signal::<CampaignChanged>(Some(wait)).await.map(drop)
    }

    /// Has each written to by a run of its own, which writes down by itself what became of it.
    async fn write_to(&self, ctx: &mut Context, people: Vec<TakenPerson>) -> Result<(), Fault> {
        let mut begun = Vec::with_capacity(people.len());
        let mut cancelled = None;
        for person in people {
            let (n, key) = (person.n, self.key(&person));
            let message = self.message(person);
            let child = Child {
                key: Some(key),
                lane: Some(message.lane()),
                // What was taken is sent, whatever becomes of the campaign.
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
                n,
                run: match started {
                    Ok(sending) => Ok(sending.run_id().to_string()),
                    Err(fault) => Err(fault.failure().message.clone()),
                },
            });
        }
        let settle = SettlePeople {
            owner: self.owner.clone(),
            campaign: self.campaign.clone(),
            people: begun,
        };
        ctx.run(settle).await?;
        cancelled.map_or(Ok(()), Err)
    }

    fn message(&self, person: TakenPerson) -> SendMessage {
        SendMessage {
            of_campaign: Some(OfCampaign {
                campaign: self.campaign.clone(),
                n: person.n,
            }),
            owner: self.owner.clone(),
            account: person.account,
            from: person.from,
            service: person.service,
            to: person.to,
            prospect: person.prospect,
            body: person.message.body,
            media_urls: person.message.media_urls,
            template: person.message.template,
            send_at: None,
            asked: None,
        }
    }
}
