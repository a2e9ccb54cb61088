//! The ledger of usage: reserved when a run begins, committed or released when it ends, once per run and feature.
use chrono::{DateTime, Utc};
use recado_domain::{Address, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{
    StoreError, dialect,
    statement::{execute, statement, text},
    subscriptions::{Bounds, Period, SubscriptionState},
};

/// What a run wants to use.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The run; a request is counted once per run and feature.
    pub run: &'a str,
    /// A feature of [`crate::plans`].
    pub feature: &'a str,
    /// How much, 0 or more, in the feature's unit.
    pub quantity: i64,
    /// Who is told when it is refused.
    pub contact: &'a Address,
}

/// The answer to a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "grant")]
pub enum Grant {
    /// It is reserved.
    Granted,
    /// It is not, and nothing was counted.
    Refused {
        /// Why.
        reason: Refusal,
        /// Whether the contact is to be told: this run is the first to be refused it in this period.
        notice: bool,
    },
}

/// Why usage is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no subscription, or its state grants no access.
    NoAccess,
    /// The plan is without this feature.
    NotInPlan,
    /// The period's quota does not reach.
    OverQuota,
}

/// How near the quota usage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Under 80 %.
    Ok,
    /// From 80 %.
    Warn80,
    /// From 95 %.
    Critical95,
    /// From 100 %.
    Blocked,
}

/// What an owner has used of a feature in the present period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// The feature.
    pub feature: String,
    /// Reserved and committed.
    pub used: i64,
    /// How much there is; `None` is unlimited.
    pub quota: Option<i64>,
    /// How near that is.
    pub level: Level,
}

/// A quota other than the plan's, for one owner.
#[derive(Clone, Copy, Debug)]
pub struct Override<'a> {
    /// The feature.
    pub feature: &'a str,
    /// The quota; `None` is unlimited.
    pub quota: Option<i64>,
    /// Who granted it.
    pub who: &'a str,
    /// Why.
    pub why: &'a str,
    /// When it ends; `None` is never.
    pub until: Option<DateTime<Utc>>,
}

impl Level {
    /// The level of `used` out of `quota`.
    pub fn of(used: i64, quota: Option<i64>) -> Self {
        let used = i128::from(used) * 100;
        match quota.map(i128::from) {
            None => Self::Ok,
            Some(quota) if used >= quota * 100 => Self::Blocked,
            Some(quota) if used >= quota * 95 => Self::Critical95,
            Some(quota) if used >= quota * 80 => Self::Warn80,
            Some(_) => Self::Ok,
        }
    }
}

/// What an owner may use of a feature; an override, where one is in force, stands before the plan.
#[derive(FromQueryResult)]
struct Standing {
    state: String,
    period: String,
    anchor_at: DateTime<Utc>,
    current_period_start: DateTime<Utc>,
    current_period_end: Option<DateTime<Utc>>,
    enabled: bool,
    quota: Option<i64>,
}

#[derive(FromQueryResult)]
struct Sum {
    used: i64,
}

#[derive(FromQueryResult)]
struct Used {
    feature: String,
    enabled: bool,
    quota: Option<i64>,
    used: i64,
}

const STANDING: &str = "
    select s.state, s.period, s.anchor_at, s.current_period_start, s.current_period_end,
        o.id is not null or coalesce(f.enabled, false) as enabled,
        case when o.id is not null then o.quota else f.quota end as quota
    from subscriptions s
    left join plan_features f on f.plan = s.plan and f.version = s.plan_version and f.feature = $2
    left join overrides o on o.id = (select max(id) from overrides
        where owner = $1 and feature = $2 and (until is null or until > $3))
    where s.owner = $1";

/// Reserves usage for a run, unless the plan refuses. Asking again for the same run and feature changes nothing.
/// Needs a transaction: on Postgres it is that which makes two who count wait for each other.
///
/// # Errors
/// Those of the database.
pub async fn reserve(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    request: Request<'_>,
    now: DateTime<Utc>,
) -> Result<Grant, StoreError> {
    let mut standing = standing_of(conn, owner, request.feature, now).await?;
    if standing.as_ref().is_some_and(|standing| standing.quota.is_some()) {
        dialect::lock_subscription(conn, owner.as_str()).await?;
        standing = standing_of(conn, owner, request.feature, now).await?;
    }
    let Some(standing) = standing else {
        return refuse(
            conn,
            owner,
            request,
            Refusal::NoAccess,
            (DateTime::UNIX_EPOCH, None),
            now,
        )
        .await;
    };
    if is_counted(conn, owner, request).await? {
        return Ok(Grant::Granted);
    }
    let stored = (standing.current_period_start, standing.current_period_end);
    if !SubscriptionState::parse(&standing.state)?.grants_access(stored.1, now) {
        return refuse(conn, owner, request, Refusal::NoAccess, stored, now).await;
    }
    let period = standing.present_period(now)?;
    if period != stored {
        begin_period(conn, owner, period, now).await?;
    }
    if !standing.enabled || standing.quota == Some(0) {
        return refuse(conn, owner, request, Refusal::NotInPlan, period, now).await;
    }
    if let Some(quota) = standing.quota
        && used_in(conn, owner, request.feature, period.0)
            .await?
            .saturating_add(request.quantity)
            > quota
    {
        return refuse(conn, owner, request, Refusal::OverQuota, period, now).await;
    }
    count(conn, owner, request, period.0, now).await?;
    Ok(Grant::Granted)
}

/// Makes what a run reserved definite. Returns whether there was anything reserved; a second time there is not.
///
/// # Errors
/// Those of the database.
pub async fn commit(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    run: &str,
    feature: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    settle(conn, owner, run, feature, "committed", now).await
}

/// Gives back what a run reserved and did not use. Returns whether there was anything reserved.
///
/// # Errors
/// Those of the database.
pub async fn release(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    run: &str,
    feature: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    settle(conn, owner, run, feature, "released", now).await
}

/// What an owner has used in the present period, of each feature of its plan that is counted.
///
/// # Errors
/// Those of the database.
pub async fn usage_of(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    now: DateTime<Utc>,
) -> Result<Vec<Usage>, StoreError> {
    let Some(standing) = standing_of(conn, owner, "", now).await? else {
        return Ok(Vec::new());
    };
    let (start, _) = standing.present_period(now)?;
    let sql = "
        select f.feature, o.id is not null or f.enabled as enabled,
            case when o.id is not null then o.quota else f.quota end as quota,
            (select cast(coalesce(sum(u.quantity), 0) as bigint) from usage u
                where u.owner = $1 and u.feature = f.feature and u.period_start = $2 and u.state <> 'released') as used
        from subscriptions s
        join plan_features f on f.plan = s.plan and f.version = s.plan_version
        join features k on k.id = f.feature and k.kind = 'quota'
        left join overrides o on o.id = (select max(id) from overrides
            where owner = $1 and feature = f.feature and (until is null or until > $3))
        where s.owner = $1 order by f.feature";
    let values = vec![text(owner.as_str()), start.into(), now.into()];
    let rows = Used::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let quota = if row.enabled { row.quota } else { Some(0) };
            Usage {
                feature: row.feature,
                used: row.used,
                quota,
                level: Level::of(row.used, quota),
            }
        })
        .collect())
}

/// Grants an owner another quota; the latest that is in force counts.
///
/// # Errors
/// Those of the database; a feature that is not in the catalogue is one.
pub async fn grant_override(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    grant: Override<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        insert into overrides (id, owner, feature, quota, who, why, until, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = vec![
        text(Ulid::generate().to_string()),
        text(owner.as_str()),
        text(grant.feature),
        grant.quota.into(),
        text(grant.who),
        text(grant.why),
        grant.until.into(),
        now.into(),
    ];
    execute(conn, sql, values).await?;
    Ok(())
}

impl Standing {
    /// The stored period while it lasts, else the one that has begun since.
    fn present_period(&self, now: DateTime<Utc>) -> Result<Bounds, StoreError> {
        match self.current_period_end {
            Some(end) if end <= now => Ok(Period::parse(&self.period)?.around(self.anchor_at, now)),
            end => Ok((self.current_period_start, end)),
        }
    }
}

async fn standing_of(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    feature: &str,
    now: DateTime<Utc>,
) -> Result<Option<Standing>, StoreError> {
    let values = vec![text(owner.as_str()), text(feature), now.into()];
    Ok(Standing::find_by_statement(statement(conn, STANDING, values))
        .one(conn)
        .await?)
}

async fn is_counted(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    request: Request<'_>,
) -> Result<bool, StoreError> {
    let sql = "select 1 from usage where run = $1 and feature = $2 and owner = $3 and state <> 'released'";
    let values = vec![text(request.run), text(request.feature), text(owner.as_str())];
    Ok(conn.query_one_raw(statement(conn, sql, values)).await?.is_some())
}

async fn used_in(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    feature: &str,
    start: DateTime<Utc>,
) -> Result<i64, StoreError> {
    let sql = "
        select cast(coalesce(sum(quantity), 0) as bigint) as used from usage
        where owner = $1 and feature = $2 and period_start = $3 and state <> 'released'";
    let values = vec![text(owner.as_str()), text(feature), start.into()];
    let sum = Sum::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    Ok(sum.map_or(0, |sum| sum.used))
}

/// What was released may be reserved again, as by a run that a person lets try once more.
async fn count(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    request: Request<'_>,
    start: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        insert into usage (run, feature, owner, quantity, state, period_start, at)
        values ($1, $2, $3, $4, 'reserved', $5, $6)
        on conflict (run, feature) do update set state = 'reserved', quantity = excluded.quantity,
            period_start = excluded.period_start, at = excluded.at
        where usage.state = 'released' and usage.owner = excluded.owner";
    let values = vec![
        text(request.run),
        text(request.feature),
        text(owner.as_str()),
        request.quantity.into(),
        start.into(),
        now.into(),
    ];
    execute(conn, sql, values).await?;
    Ok(())
}

async fn settle(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    run: &str,
    feature: &str,
    state: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = "
        update usage set state = $4, at = $5
        where run = $1 and feature = $2 and owner = $3 and state = 'reserved'";
    let values = vec![
        text(run),
        text(feature),
        text(owner.as_str()),
        text(state),
        now.into(),
    ];
    Ok(execute(conn, sql, values).await? > 0)
}

async fn begin_period(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    (start, end): Bounds,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        update subscriptions set current_period_start = $2, current_period_end = $3, updated_at = $4
        where owner = $1 and current_period_start < $2";
    execute(
        conn,
        sql,
        vec![text(owner.as_str()), start.into(), end.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// The notice belongs to the run that was the first; it gets the same answer when it asks again.
async fn refuse(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    request: Request<'_>,
    reason: Refusal,
    (start, _): Bounds,
    now: DateTime<Utc>,
) -> Result<Grant, StoreError> {
    let key = || {
        vec![
            text(owner.as_str()),
            text(request.contact.to_twilio()),
            text(request.feature),
            start.into(),
        ]
    };
    let insert = "
        insert into quota_notices (owner, address, feature, period_start, run, at) values ($1, $2, $3, $4, $5, $6)
        on conflict do nothing";
    let mut values = key();
    values.extend([text(request.run), now.into()]);
    execute(conn, insert, values).await?;
    let select = "
        select 1 from quota_notices
        where owner = $1 and address = $2 and feature = $3 and period_start = $4 and run = $5";
    let mut values = key();
    values.push(text(request.run));
    let notice = conn
        .query_one_raw(statement(conn, select, values))
        .await?
        .is_some();
    Ok(Grant::Refused { reason, notice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_rise_at_80_95_and_100_percent() {
        let level = |used| Level::of(used, Some(100));
        assert_eq!(
            [79, 80, 94, 95, 99].map(level),
            [
                Level::Ok,
                Level::Warn80,
                Level::Warn80,
                Level::Critical95,
                Level::Critical95
            ]
        );
        assert_eq!(level(100), Level::Blocked);
        assert_eq!(Level::of(i64::MAX, None), Level::Ok);
        assert_eq!(Level::of(0, Some(0)), Level::Blocked);
    }
}
