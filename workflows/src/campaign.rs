//! A campaign: its people are written to in handfuls, each person once. What is left stands in the database, so that the
//! run and its journal stay small however many there are.
use std::time::Duration;

use recado_activities::{CampaignOver, PersonReport, SettlePeople, Settled, TakePeople, Taken, TakenPerson};
use recado_domain::{CampaignState, OwnerId};
use recado_engine::{Child, Context, Fault, OnClose, Outcome, Race, Signal, Sleep, Workflow};
use serde::{Deserialize, Serialize};

use crate::{Delivery, Ending, SendMessage};

/// How many people are written to at the same time.
const HANDFUL: u32 = 200;
/// How long a handful is waited for; who hangs longer is reported as held, and the campaign goes on without.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the others are waited for after that.
const HURRY: Duration = Duration::from_millis(500);
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
    /// The key of the run that sends to the `n`th person, for ever.
    fn key(&self, n: i64) -> String {
        format!("campaign/{}/{n}", self.campaign)
    }

    /// One handful, or one wait. `None` if there may be more to do.
    async fn go_on(&self, ctx: &mut Context) -> Result<Option<CampaignEnd>, Fault> {
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
            Taken::Later { until, .. } => Some(until),
            Taken::People { people, next } => {
                self.write_to(ctx, people).await?;
                next
            }
        };
        if let Some(until) = until {
            let wait = (until - ctx.now().await).to_std().unwrap_or_default();
            ctx.signal::<CampaignChanged>(Some(wait)).await?;
        }
        Ok(None)
    }

    async fn write_to(&self, ctx: &mut Context, people: Vec<TakenPerson>) -> Result<(), Fault> {
        let mut sendings = Vec::with_capacity(people.len());
        for person in people {
            let n = person.n;
            let message = self.message(person);
            let child = Child {
                key: Some(self.key(n)),
                lane: Some(message.lane()),
                // What was taken is sent, whatever becomes of the campaign.
                on_close: OnClose::Abandon,
                ..Child::default()
            };
            sendings.push((n, ctx.start(&message, child).await?));
        }
        let (mut reports, mut patience) = (Vec::with_capacity(sendings.len()), PATIENCE);
        let mut cancelled = None;
        for (n, sending) in sendings {
            let run = sending.run_id().to_string();
            reports.push(match ctx.race(sending, Sleep(patience)).await {
                Ok(Race::First(delivery)) => settled(n, run, delivery),
                Ok(Race::Second(())) => {
                    patience = HURRY;
                    held(n, run, None)
                }
                Err(fault @ Fault::Cancelled { .. }) => {
                    cancelled = Some(fault);
                    held(n, run, None)
                }
                Err(fault) => held(n, run, Some(fault.failure().message.clone())),
            });
        }
        let settle = SettlePeople {
            owner: self.owner.clone(),
            campaign: self.campaign.clone(),
            people: reports,
        };
        ctx.run(settle).await?;
        cancelled.map_or(Ok(()), Err)
    }

    fn message(&self, person: TakenPerson) -> SendMessage {
        SendMessage {
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

fn settled(n: i64, run: String, delivery: Delivery) -> PersonReport {
    let settled = match delivery.ending {
        Ending::Sent => Settled::Sent,
        _ => Settled::Failed,
    };
    let (code, error) = delivery.error.map(|error| (error.code, error.message)).unzip();
    PersonReport {
        n,
        settled,
        run,
        sid: delivery.sid,
        code: code.flatten(),
        error,
    }
}

fn held(n: i64, run: String, error: Option<String>) -> PersonReport {
    PersonReport {
        n,
        settled: Settled::Held,
        run,
        sid: None,
        code: None,
        error,
    }
}
