//! What each owner may have of the workers' time, and how it wants its contacts answered, as JSON.
use std::num::{NonZeroU8, NonZeroU32};

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use recado_domain::{OwnerId, UnknownSend};
use recado_engine::Policy;
use recado_store::{
    QuietHours,
    owners::{self, HIGHEST_PROSPECT_LIMIT, HIGHEST_SEND_LIMIT, LONGEST_QUIET_PERIOD, Owner, Typing},
};

use super::{Operator, Tag, conversations::Refused};
use crate::{app::App, http::Problem};

/// Owners.
pub(super) struct Owners;

/// How the runs of an owner are claimed while others have runs too.
#[derive(Object)]
pub(super) struct PolicyItem {
    /// The owner.
    owner: String,
    /// How many of its runs are claimed in one turn.
    weight: u8,
    /// The most of its runs in the hands of workers at the same time; null: no limit.
    most_running: Option<u32>,
    /// When it was set; null where nobody set one.
    updated_at: Option<DateTime<Utc>>,
}

/// A policy to be set.
#[derive(Object)]
pub(super) struct NewPolicy {
    /// How many of its runs are claimed in one turn, from 1 to 255.
    #[oai(default = "one")]
    weight: u8,
    /// The most of its runs in the hands of workers at the same time, from 1; no limit if null or absent.
    most_running: Option<u32>,
}

/// What becomes of an owner's messages of which nobody can tell whether they were sent.
#[derive(Object)]
pub(super) struct UnknownSendItem {
    /// hold: they are looked for until a person is asked. resend: they are sent again, and may arrive twice. give_up:
    /// they are not, and may never arrive.
    policy: String,
}

/// How long a contact of an owner must have written nothing before an agent is asked.
#[derive(Object)]
pub(super) struct QuietPeriodItem {
    /// Seconds, from 0 to 60; as `QUIET_PERIOD` says if null.
    seconds: Option<f64>,
}

/// How many messages may go from an owner to one prospect within a minute; answers to what it wrote are not counted.
#[derive(Object)]
pub(super) struct ProspectLimitItem {
    /// From 1 to 600; 10 if null.
    per_minute: Option<u32>,
}

/// How many messages may go from an owner within a minute; answers to contacts always go and are not counted.
#[derive(Object)]
pub(super) struct SendLimitsItem {
    /// From each of its senders, from 1 to 100,000; no limit if null.
    per_sender: Option<u32>,
    /// In all, from 1 to 100,000; no limit if null.
    per_owner: Option<u32>,
}

/// The hours in which nothing goes of an owner's own accord; none if all three are null.
#[derive(Object)]
pub(super) struct QuietHoursItem {
    /// When they begin, as in `21:00`.
    from: Option<String>,
    /// When they end, as in `08:00`; before `from` it is on the next day.
    to: Option<String>,
    /// Whose clocks, as in `America/Sao_Paulo`.
    zone: Option<String>,
}

impl From<Option<QuietHours>> for QuietHoursItem {
    fn from(hours: Option<QuietHours>) -> Self {
        match hours {
            None => Self {
                from: None,
                to: None,
                zone: None,
            },
            Some(QuietHours { from, to, zone }) => Self {
                from: Some(from),
                to: Some(to),
                zone: Some(zone),
            },
        }
    }
}

/// Whether WhatsApp contacts of an owner see that their message was read and that an answer is being written.
#[derive(Object)]
pub(super) struct TypingItem {
    /// Whether they do.
    shown: bool,
}

fn one() -> u8 {
    1
}

impl From<Policy> for PolicyItem {
    fn from(policy: Policy) -> Self {
        Self {
            owner: policy.owner,
            weight: policy.weight.get(),
            most_running: policy.most_running.map(NonZeroU32::get),
            updated_at: policy.updated_at,
        }
    }
}

#[OpenApi(tag = "Tag::Owners")]
impl Owners {
    /// Shows how an owner's runs are claimed while others have runs too
    #[oai(path = "/owners/:owner/policy", method = "get")]
    async fn policy(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
    ) -> poem::Result<Json<PolicyItem>> {
        known(app, &owner.0).await?;
        let policy = app.engine.storage().policy(&owner.0).await;
        Ok(Json(policy.map_err(Problem::from)?.into()))
    }

    /// Sets how an owner's runs are claimed while others have runs too
    ///
    /// It counts from the next claim on; runs in hand stay there. A run counts for the owner whom it had when it was
    /// claimed.
    #[oai(path = "/owners/:owner/policy", method = "put")]
    async fn set_policy(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
        policy: Json<NewPolicy>,
    ) -> poem::Result<Json<PolicyItem>> {
        let weight = NonZeroU8::new(policy.weight)
            .ok_or_else(|| Problem::unprocessable("weight", "weight must be from 1 to 255"))?;
        let most_running = policy
            .most_running
            .map(|most| {
                NonZeroU32::new(most).ok_or_else(|| {
                    Problem::unprocessable(
                        "most_running",
                        "most_running must be at least 1, or null for no limit",
                    )
                })
            })
            .transpose()?;
        known(app, &owner.0).await?;
        let set = app.engine.storage().set_policy(&owner.0, weight, most_running);
        Ok(Json(set.await.map_err(Problem::from)?.into()))
    }

    /// Shows what becomes of an owner's messages of which nobody can tell whether they were sent
    #[oai(path = "/owners/:owner/unknown-send", method = "get")]
    async fn unknown_send(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
    ) -> poem::Result<Json<UnknownSendItem>> {
        known(app, &owner.0).await?;
        let policy = owners::unknown_send(&app.environment.database, &OwnerId::from(owner.0)).await;
        Ok(Json(UnknownSendItem {
            policy: policy.map_err(Problem::from)?.to_string(),
        }))
    }

    /// Sets what becomes of an owner's messages of which nobody can tell whether they were sent
    ///
    /// It counts at once, also for those that are being looked for.
    #[oai(path = "/owners/:owner/unknown-send", method = "put")]
    async fn set_unknown_send(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
        item: Json<UnknownSendItem>,
    ) -> poem::Result<Json<UnknownSendItem>> {
        let policy = UnknownSend::parse(&item.policy)
            .map_err(|error| Problem::unprocessable("policy", error.to_string()))?;
        known(app, &owner.0).await?;
        let owner = OwnerId::from(owner.0);
        let set = app.engine.storage().transaction(move |tx| {
            Box::pin(async move { Ok::<_, Refused>(owners::set_unknown_send(tx, &owner, policy).await?) })
        });
        set.await.map_err(Problem::from)?;
        Ok(item)
    }

    /// Shows how long a contact of an owner must have written nothing before an agent is asked
    #[oai(path = "/owners/:owner/quiet-period", method = "get")]
    async fn quiet_period(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
    ) -> poem::Result<Json<QuietPeriodItem>> {
        let settings = known(app, &owner.0).await?.settings();
        Ok(Json(QuietPeriodItem {
            seconds: settings.map_err(Problem::from)?.quiet_period,
        }))
    }

    /// Sets how long a contact of an owner must have written nothing before an agent is asked
    ///
    /// It counts for messages that come from now on.
    #[oai(path = "/owners/:owner/quiet-period", method = "put")]
    async fn set_quiet_period(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
        item: Json<QuietPeriodItem>,
    ) -> poem::Result<Json<QuietPeriodItem>> {
        let seconds = item.seconds;
        if seconds.is_some_and(|seconds| !(0.0..=LONGEST_QUIET_PERIOD).contains(&seconds)) {
            let told = format!("seconds must be from 0 to {LONGEST_QUIET_PERIOD}, or null");
            return Err(Problem::unprocessable("seconds", told).into());
        }
        known(app, &owner.0).await?;
        let owner = OwnerId::from(owner.0);
        let set = app.engine.storage().transaction(move |tx| {
            Box::pin(async move { Ok::<_, Refused>(owners::set_quiet_period(tx, &owner, seconds).await?) })
        });
        set.await.map_err(Problem::from)?;
        Ok(item)
    }

    /// Shows how many messages may go from an owner to one prospect within a minute
    #[oai(path = "/owners/:owner/prospect-limit", method = "get")]
    async fn prospect_limit(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
    ) -> poem::Result<Json<ProspectLimitItem>> {
        let settings = known(app, &owner.0).await?.settings();
        Ok(Json(ProspectLimitItem {
            per_minute: settings.map_err(Problem::from)?.prospect_limit,
        }))
    }

    /// Sets how many messages may go from an owner to one prospect within a minute
    #[oai(path = "/owners/:owner/prospect-limit", method = "put")]
    async fn set_prospect_limit(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
        item: Json<ProspectLimitItem>,
    ) -> poem::Result<Json<ProspectLimitItem>> {
        let limit = item.per_minute;
        if limit.is_some_and(|limit| !(1..=HIGHEST_PROSPECT_LIMIT).contains(&limit)) {
            let told = format!("per_minute must be from 1 to {HIGHEST_PROSPECT_LIMIT}, or null");
            return Err(Problem::unprocessable("per_minute", told).into());
        }
        known(app, &owner.0).await?;
        let owner = OwnerId::from(owner.0);
        let set = app.engine.storage().transaction(move |tx| {
            Box::pin(async move { Ok::<_, Refused>(owners::set_prospect_limit(tx, &owner, limit).await?) })
        });
        set.await.map_err(Problem::from)?;
        Ok(item)
    }

    /// Shows how many messages may go from an owner within a minute
    #[oai(path = "/owners/:owner/send-limits", method = "get")]
    async fn send_limits(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
    ) -> poem::Result<Json<SendLimitsItem>> {
        let settings = known(app, &owner.0).await?.settings().map_err(Problem::from)?;
        Ok(Json(SendLimitsItem {
            per_sender: settings.sender_limit,
            per_owner: settings.owner_limit,
        }))
    }

    /// Sets how many messages may go from an owner within a minute
    ///
    /// Who asks for more is answered 429; campaigns wait.
    #[oai(path = "/owners/:owner/send-limits", method = "put")]
    async fn set_send_limits(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
        item: Json<SendLimitsItem>,
    ) -> poem::Result<Json<SendLimitsItem>> {
        let limits = [("per_sender", item.per_sender), ("per_owner", item.per_owner)];
        for (field, limit) in limits {
            if limit.is_some_and(|limit| !(1..=HIGHEST_SEND_LIMIT).contains(&limit)) {
                let told = format!("{field} must be from 1 to {HIGHEST_SEND_LIMIT}, or null for no limit");
                return Err(Problem::unprocessable(field, told).into());
            }
        }
        known(app, &owner.0).await?;
        let owner = OwnerId::from(owner.0);
        let (per_sender, in_all) = (item.per_sender, item.per_owner);
        let set = app.engine.storage().transaction(move |tx| {
            Box::pin(async move {
                Ok::<_, Refused>(owners::set_send_limits(tx, &owner, per_sender, in_all).await?)
            })
        });
        set.await.map_err(Problem::from)?;
        Ok(item)
    }

    /// Shows the hours in which nothing goes of an owner's own accord
    #[oai(path = "/owners/:owner/quiet-hours", method = "get")]
    async fn quiet_hours(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
    ) -> poem::Result<Json<QuietHoursItem>> {
        let settings = known(app, &owner.0).await?.settings().map_err(Problem::from)?;
        Ok(Json(settings.quiet_hours.into()))
    }

    /// Sets the hours in which nothing goes of an owner's own accord
    ///
    /// A message that is asked for within them is answered 429, with the time of their end in `retry_at`; campaigns wait
    /// for it. Answers to contacts go at any hour.
    #[oai(path = "/owners/:owner/quiet-hours", method = "put")]
    async fn set_quiet_hours(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
        item: Json<QuietHoursItem>,
    ) -> poem::Result<Json<QuietHoursItem>> {
        let QuietHoursItem { from, to, zone } = item.0;
        let hours = match (from, to, zone) {
            (None, None, None) => None,
            (from, to, zone) => Some(QuietHours {
                from: from.unwrap_or_default(),
                to: to.unwrap_or_default(),
                zone: zone.unwrap_or_default(),
            }),
        };
        if let Some(Err(error)) = hours.as_ref().map(QuietHours::check) {
            return Err(Problem::unprocessable(error.field, error.to_string()).into());
        }
        known(app, &owner.0).await?;
        let (owner, set) = (OwnerId::from(owner.0), hours.clone());
        let set = app.engine.storage().transaction(move |tx| {
            Box::pin(async move { Ok::<_, Refused>(owners::set_quiet_hours(tx, &owner, set).await?) })
        });
        set.await.map_err(Problem::from)?;
        Ok(Json(hours.into()))
    }

    /// Shows whether WhatsApp contacts of an owner see that an answer is being written
    #[oai(path = "/owners/:owner/typing", method = "get")]
    async fn typing(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
    ) -> poem::Result<Json<TypingItem>> {
        let settings = known(app, &owner.0).await?.settings();
        Ok(Json(TypingItem {
            shown: settings.map_err(Problem::from)?.typing.unwrap_or_default(),
        }))
    }

    /// Sets whether WhatsApp contacts of an owner see that an answer is being written
    ///
    /// It also marks their messages as read. It counts for messages that come from now on; where Twilio does not do it,
    /// nothing else changes.
    #[oai(path = "/owners/:owner/typing", method = "put")]
    async fn set_typing(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
        item: Json<TypingItem>,
    ) -> poem::Result<Json<TypingItem>> {
        known(app, &owner.0).await?;
        let typing = if item.shown { Typing::Shown } else { Typing::Hidden };
        let owner = OwnerId::from(owner.0);
        let set = app.engine.storage().transaction(move |tx| {
            Box::pin(async move { Ok::<_, Refused>(owners::set_typing(tx, &owner, typing).await?) })
        });
        set.await.map_err(Problem::from)?;
        Ok(item)
    }
}

async fn known(app: &App, owner: &str) -> Result<Owner, Problem> {
    let found = owners::find(&app.environment.database, &OwnerId::from(owner.to_owned())).await?;
    found.ok_or_else(|| Problem::not_found("owner"))
}
