//! A campaign: its people are written to in handfuls, each person once. What is left stands in the database, so that the
//! run and its journal stay small however many there are.
use std::time::Duration;

use chrono::{DateTime, Utc};
use recado_activities::{CampaignOver, TakePeople, Taken, TakenPerson};
use recado_domain::{CampaignState, OwnerId};
use recado_engine::{Child, Context, Fault, OnClose, Outcome, Signal, Workflow};
use serde::{Deserialize, Serialize};

use crate::WriteToPeople;

/// How many people are taken at a time: their messages stand in the journal of one run.
const HANDFUL: u32 = 256;
/// How many of them each of the runs gets that write to them side by side.
const PORTION: usize = 16;
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

    /// Has them written to by some runs side by side, and waits until each is on the way: what a run starts it starts one by
    /// one, each in a commit.
    async fn write_to(&self, ctx: &mut Context, people: Vec<TakenPerson>) -> Result<(), Fault> {
        let mut cancelled = None;
        let mut portions = Vec::new();
        for people in people.chunks(PORTION) {
            let portion = WriteToPeople {
                owner: self.owner.clone(),
                campaign: self.campaign.clone(),
                people: people.to_vec(),
            };
            // What was taken is sent, whatever becomes of the campaign.
            let child = Child {
                on_close: OnClose::Abandon,
                ..Child::default()
            };
            portions.push(match ctx.start(&portion, child.clone()).await {
                Err(fault @ Fault::Cancelled { .. }) => {
                    cancelled = Some(fault);
                    ctx.start(&portion, child).await?
                }
                started => started?,
            });
        }
        for begun in ctx.join(portions).await {
            // One that a person has ended leaves people behind, whom the next look finds.
            if let Err(fault @ Fault::Cancelled { .. }) = begun {
                cancelled = Some(fault);
            }
        }
        cancelled.map_or(Ok(()), Err)
    }
}
