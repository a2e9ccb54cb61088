//! A campaign: its people are written to in handfuls, each person once. What is left stands in the database, so that the
//! run and its journal stay small however many there are.
use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
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
/// How long those are waited for who were held, at the end.
const LAST_LOOK: Duration = Duration::from_secs(10);
/// Twilio's code for an account that has sent all that it may send in a day.
const DAILY_LIMIT: i64 = 63038;
/// How long nobody waits the less for the next day.
const SHORTEST_DAY: TimeDelta = TimeDelta::hours(1);
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

    /// One handful, or one wait. `None` if there may be more to do.
    async fn go_on(&self, ctx: &mut Context) -> Result<Option<CampaignEnd>, Fault> {
        let mut asked_after = None;
        let until = loop {
            let take = TakePeople {
                owner: self.owner.clone(),
                campaign: self.campaign.clone(),
                most: HANDFUL,
                asked_after,
            };
            match ctx.run(take).await? {
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
                Taken::Later { until, .. } => break Some(until),
                Taken::People { people, next } => match self.write_to(ctx, people, PATIENCE).await? {
                    true => break Some(tomorrow(ctx.now().await)),
                    false => break next,
                },
                // Before the end those are asked once more who were held; their keys name the runs that they have.
                Taken::Held { people } => {
                    asked_after = people.last().map(|person| person.n);
                    if self.write_to(ctx, people, LAST_LOOK).await? {
                        break Some(tomorrow(ctx.now().await));
                    }
                }
            }
        };
        if let Some(until) = until {
            let wait = (until - ctx.now().await).to_std().unwrap_or_default();
            ctx.signal::<CampaignChanged>(Some(wait)).await?;
        }
        Ok(None)
    }

    /// Has each written to, and writes down what became of it. Returns whether Twilio takes no more today.
    async fn write_to(
        &self,
        ctx: &mut Context,
        people: Vec<TakenPerson>,
        mut patience: Duration,
    ) -> Result<bool, Fault> {
        let mut sendings = Vec::with_capacity(people.len());
        let mut reports = Vec::with_capacity(people.len());
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
            match started {
                Ok(sending) => sendings.push((n, sending)),
                Err(fault) => reports.push(PersonReport {
                    n,
                    settled: Settled::Failed,
                    run: None,
                    sid: None,
                    code: None,
                    error: Some(fault.failure().message.clone()),
                }),
            }
        }
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
        let is_full = reports.iter().any(|report| report.settled == Settled::Again);
        let settle = SettlePeople {
            owner: self.owner.clone(),
            campaign: self.campaign.clone(),
            people: reports,
        };
        ctx.run(settle).await?;
        cancelled.map_or(Ok(is_full), Err)
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

/// When Twilio counts a day's messages anew.
fn tomorrow(now: DateTime<Utc>) -> DateTime<Utc> {
    let midnight = (now.date_naive() + TimeDelta::days(1))
        .and_time(NaiveTime::MIN)
        .and_utc();
    midnight.max(now + SHORTEST_DAY)
}

fn settled(n: i64, run: String, delivery: Delivery) -> PersonReport {
    let (code, error) = delivery.error.map(|error| (error.code, error.message)).unzip();
    let code = code.flatten();
    let settled = match delivery.ending {
        Ending::Sent => Settled::Sent,
        // Of a long text nothing is sent twice.
        Ending::Refused if code == Some(DAILY_LIMIT) && delivery.sid.is_none() => Settled::Again,
        _ => Settled::Failed,
    };
    PersonReport {
        n,
        settled,
        run: Some(run),
        sid: delivery.sid,
        code,
        error,
    }
}

fn held(n: i64, run: String, error: Option<String>) -> PersonReport {
    PersonReport {
        n,
        settled: Settled::Held,
        run: Some(run),
        sid: None,
        code: None,
        error,
    }
}
