//! Who of a campaign is written to next, and when.
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use recado_domain::{Address, CampaignMessage, CampaignState, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::{
    StoreError,
    campaigns::{self, Campaign, Person, PersonState, Report},
    limits::{self, Admission, Limits, Wish},
    owners,
    senders::Senders,
};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};

use crate::{Environment, faults::of_store};

/// A campaign with a pace is looked at so often, as long as that is possible.
const BEAT: TimeDelta = TimeDelta::seconds(5);
/// The most that the messages of a handful take together, in bytes: the journal keeps them, and each once more as a child's
/// input.
const LARGEST: usize = 1024 * 1024;
/// How long nobody waits the less for a limit.
const SOONEST: Duration = Duration::from_millis(100);
/// How many messages have not come to their end at most: enough to keep workers busy, few enough that others get their
/// turn, that a pause is soon one, and that no more are begun where so many wait for a person.
const MOST_GOING: u64 = 600;
/// How soon one looks again whether they have come to their end.
const SOON: TimeDelta = TimeDelta::milliseconds(500);
/// How long a message may be on its way before it counts as held, and nobody waits for it any more.
const PATIENCE: TimeDelta = TimeDelta::seconds(120);

/// Takes the next people of a campaign, as many as limits and pace allow.
#[derive(Debug, Serialize, Deserialize)]
pub struct TakePeople {
    /// Whose campaign.
    pub owner: OwnerId,
    /// The campaign.
    pub campaign: String,
    /// How many at most.
    pub most: u32,
}

/// A person to be written to now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TakenPerson {
    /// The how-manieth of the campaign, from 1.
    pub n: i64,
    /// The Twilio account from which the message goes.
    pub account: String,
    /// Our address.
    pub from: Address,
    /// The messaging service through which it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The person's address.
    pub to: Address,
    /// The person, as the owner says.
    pub prospect: String,
    /// What it says.
    pub message: CampaignMessage,
    /// How often Twilio took no more that day.
    #[serde(default)]
    pub tries: i64,
}

/// What a campaign does next.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// These are written to.
    People {
        /// Who.
        people: Vec<TakenPerson>,
        /// When the next may be taken, where the campaign has a pace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<DateTime<Utc>>,
    },
    /// Nobody may be written to before this time.
    Later {
        /// The time.
        until: DateTime<Utc>,
        /// Why.
        why: Why,
    },
    /// It does not go on until a person says so.
    Paused,
    /// It is over.
    Over {
        /// How it ended.
        state: CampaignState,
    },
}

/// Why a campaign waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The owner's quiet hours.
    QuietHours,
    /// How much the owner sends within a minute.
    Limits,
    /// How much Twilio takes in a day.
    DailyLimit,
    /// Enough messages are on their way.
    Going,
}

impl Activity<Environment> for TakePeople {
    const NAME: &'static str = "take_people";
    const EFFECT: Effect = Effect::Database;
    type Output = Taken;

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<Taken, Fault> {
        let (tx, now) = (attempt.transaction()?, attempt.now());
        self.take(tx, now).await.map_err(of_store)
    }
}

impl TakePeople {
    async fn take(&self, tx: &DatabaseTransaction, now: DateTime<Utc>) -> Result<Taken, StoreError> {
        // Whoever pauses or cancels waits for this, or this for them.
        let campaign = campaigns::lock(tx, &self.owner, &self.campaign).await?;
        match campaign.state {
            CampaignState::Running => {}
            CampaignState::Draft | CampaignState::Paused => return Ok(Taken::Paused),
            state @ (CampaignState::Completed | CampaignState::Cancelled) => {
                return Ok(Taken::Over { state });
            }
        }
        if let Some(until) = campaign.waits_until.filter(|until| *until > now) {
            let why = Why::DailyLimit;
            return Ok(Taken::Later { until, why });
        }
        let senders = Senders::of(tx, &self.owner).await?;
        // Their keys name the runs that they may have: nobody is written to twice.
        let forgotten = campaigns::forgotten(tx, &self.owner, &self.campaign, self.most).await?;
        if !forgotten.is_empty() {
            let people = self.written(tx, &campaign, forgotten, &senders, now).await?;
            return Ok(Taken::People { people, next: None });
        }
        let owner = owners::find(tx, &self.owner).await?;
        let settings = owner.ok_or(StoreError::NotFound("owner"))?.settings()?;
        if let Some(until) = settings.quiet_until(now)? {
            let why = Why::QuietHours;
            return Ok(Taken::Later { until, why });
        }
        let going = campaigns::going(tx, &self.owner, &self.campaign, now - PATIENCE).await?;
        let (most, beat) = share(campaign.pace, self.most);
        let ready = campaigns::ready(tx, &self.owner, &self.campaign, most).await?;
        let later = Taken::Later {
            until: now + SOON,
            why: Why::Going,
        };
        if ready.is_empty() {
            return match going.taken {
                0 => self.end(tx, now).await,
                _ => Ok(later),
            };
        }
        if going.taken + going.held + u64::from(most) > MOST_GOING {
            return Ok(later);
        }
        let fit = self.written(tx, &campaign, ready, &senders, now).await?;
        let wishes: Vec<_> = fit
            .iter()
            .map(|person| Wish {
                prospect: &person.prospect,
                sender: &person.from,
            })
            .collect();
        let admissions = limits::admit(tx, &self.owner, Limits::of(&settings), &wishes, now).await?;
        let mut soonest = None;
        let (mut people, mut taken) = (Vec::new(), Vec::new());
        for (person, admission) in fit.into_iter().zip(admissions) {
            match admission {
                Admission::Go => {
                    taken.push(person.n);
                    people.push(person);
                }
                Admission::Later { after, .. } => {
                    soonest = Some(soonest.map_or(after, |soonest: Duration| soonest.min(after)));
                }
            }
        }
        campaigns::take(tx, &self.owner, &self.campaign, &taken, now).await?;
        Ok(match (taken.is_empty(), soonest) {
            (true, Some(after)) => Taken::Later {
                until: now + TimeDelta::from_std(after.max(SOONEST)).unwrap_or(BEAT),
                why: Why::Limits,
            },
            _ => Taken::People {
                people,
                next: beat.map(|beat| now + beat),
            },
        })
    }
}

/// How many are taken at a time, and after which time the next: in small handfuls, so that a pace is no burst a minute.
fn share(pace: Option<u32>, most: u32) -> (u32, Option<TimeDelta>) {
    let Some(pace) = pace.filter(|pace| *pace > 0) else {
        return (most, None);
    };
    let minute = TimeDelta::minutes(1).num_milliseconds();
    let share = i64::from(pace) * BEAT.num_milliseconds() / minute;
    let share = share.clamp(1, i64::from(most.max(1)));
    let beat = TimeDelta::milliseconds(minute * share / i64::from(pace));
    (u32::try_from(share).unwrap_or(1), Some(beat))
}

impl TakePeople {
    /// What each of these gets. One of which it cannot be said any more is settled at once.
    async fn written(
        &self,
        tx: &DatabaseTransaction,
        campaign: &Campaign,
        people: Vec<Person>,
        senders: &Senders,
        now: DateTime<Utc>,
    ) -> Result<Vec<TakenPerson>, StoreError> {
        let (mut fit, mut unfit) = (Vec::new(), Vec::new());
        for person in people {
            let n = person.n;
            match written(campaign, person, senders) {
                Ok(person) => fit.push(person),
                Err(problem) => unfit.push((n, problem)),
            }
        }
        within(&mut fit, LARGEST)?;
        let places: Vec<_> = unfit.iter().map(|(n, _)| *n).collect();
        campaigns::take(tx, &self.owner, &self.campaign, &places, now).await?;
        let reports: Vec<_> = unfit
            .iter()
            .map(|(n, problem)| Report {
                owner: &self.owner,
                campaign: &self.campaign,
                n: *n,
                state: PersonState::Failed,
                run: None,
                sid: None,
                error_code: None,
                error_message: Some(problem),
            })
            .collect();
        campaigns::settle_each(tx, &reports, now).await?;
        Ok(fit)
    }

    /// Nobody is left.
    async fn end(&self, tx: &DatabaseTransaction, now: DateTime<Utc>) -> Result<Taken, StoreError> {
        let (running, state) = ([CampaignState::Running], CampaignState::Completed);
        campaigns::change(tx, &self.owner, &self.campaign, &running, state, now).await?;
        Ok(Taken::Over { state })
    }
}

/// Leaves out for the next time what does not fit together; the first always does.
fn within(people: &mut Vec<TakenPerson>, most: usize) -> Result<(), StoreError> {
    let mut sum = 0;
    for (place, person) in people.iter().enumerate() {
        sum += serde_json::to_vec(person)?.len();
        if place > 0 && sum > most {
            people.truncate(place);
            return Ok(());
        }
    }
    Ok(())
}

/// What one person gets, or why it cannot be said any more.
fn written(campaign: &Campaign, person: Person, senders: &Senders) -> Result<TakenPerson, String> {
    let to = Address::parse(&person.address).map_err(|error| error.to_string())?;
    let chosen = senders
        .choose(campaign.sender.as_deref(), &to)
        .map_err(|error| format!("from {error}"))?;
    Ok(TakenPerson {
        n: person.n,
        account: chosen.account_sid.to_owned(),
        from: chosen.address.clone(),
        service: chosen.service.map(str::to_owned),
        message: campaign
            .message
            .fill(&person.fields)
            .map_err(|gap| gap.to_string())?,
        to,
        prospect: person.prospect,
        tries: person.tries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handful_of_long_messages_is_smaller() -> Result<(), Box<dyn std::error::Error>> {
        let person = |n| -> Result<TakenPerson, Box<dyn std::error::Error>> {
            Ok(TakenPerson {
                n,
                account: "AC1".to_owned(),
                from: Address::parse("+5511987654321")?,
                service: None,
                to: Address::parse("+5511987654322")?,
                prospect: "ana".to_owned(),
                message: CampaignMessage {
                    body: "a".repeat(400),
                    ..CampaignMessage::default()
                },
                tries: 0,
            })
        };
        let left = |most| -> Result<usize, Box<dyn std::error::Error>> {
            let mut people = (1..=5).map(person).collect::<Result<Vec<_>, _>>()?;
            within(&mut people, most)?;
            Ok(people.len())
        };
        assert_eq!((left(1)?, left(1_500)?, left(LARGEST)?), (1, 2, 5));
        Ok(())
    }

    #[test]
    fn a_pace_is_kept_by_small_handfuls() {
        let told = |pace, most| {
            let (share, beat) = share(pace, most);
            (share, beat.map(|beat| beat.num_milliseconds()))
        };
        assert_eq!(told(None, 50), (50, None));
        assert_eq!(told(Some(1), 50), (1, Some(60_000)));
        assert_eq!(told(Some(60), 50), (5, Some(5_000)));
        assert_eq!(told(Some(6_000), 50), (50, Some(500)));
    }
}
