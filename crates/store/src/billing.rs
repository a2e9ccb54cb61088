//! The ledger of usage: reserved when a run begins, committed or released when it ends, once per run and feature.
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use recado_domain::{Address, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{
    StoreError,
    statement::{execute, statement, text},
    subscriptions,
};

mod ledger;
mod notices;
mod reserve;
mod standing;

pub use reserve::{Want, reserve, reserve_each};

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

#[derive(FromQueryResult)]
struct Used {
    feature: String,
    enabled: bool,
    quota: Option<i64>,
    used: i64,
}

/// What becomes of something that a run reserved.
#[derive(Clone, Copy, Debug)]
pub struct Settlement<'a> {
    /// Whose plan it uses.
    pub owner: &'a OwnerId,
    /// The run.
    pub run: &'a str,
    /// The feature.
    pub feature: &'a str,
    /// What becomes of it.
    pub end: End,
}

/// How a reservation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was used.
    Committed,
    /// It was not, and is given back.
    Released,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Released => "released",
        }
    }
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
    settle(conn, owner, (run, feature), End::Committed, now).await
}

/// Gives back what a run reserved and did not use. Returns whether there was anything reserved. Needs a transaction.
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
    settle(conn, owner, (run, feature), End::Released, now).await
}

async fn settle(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    (run, feature): (&str, &str),
    end: End,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let settlement = Settlement {
        owner,
        run,
        feature,
        end,
    };
    Ok(settle_each(conn, &[settlement], now).await? > 0)
}

/// [`commit`] and [`release`] for many at once, by one statement, and one more where something is given back. Of two
/// for the same run and feature the first counts. Returns how many were reserved. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn settle_each(
    conn: &impl ConnectionTrait,
    settlements: &[Settlement<'_>],
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let mut moves = BTreeMap::new();
    for one in settlements {
        let key = (one.owner.as_str(), one.run, one.feature);
        moves.entry(key).or_insert(one.end.as_str());
    }
    let moves = moves
        .into_iter()
        .map(|((owner, run, feature), state)| (owner, run, feature, state));
    let settled = ledger::settle(conn, moves, now).await?;
    let mut back = BTreeMap::new();
    for row in settled.iter().filter(|row| row.state == End::Released.as_str()) {
        let counter = (row.owner.as_str(), row.feature.as_str(), row.period_start);
        *back.entry(counter).or_default() -= row.quantity;
    }
    back.retain(|_, quantity| *quantity != 0);
    ledger::add(conn, &back).await?;
    Ok(settled.len())
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
    let Some((start, _)) = subscriptions::present_period(conn, owner, now).await? else {
        return Ok(Vec::new());
    };
    let sql = "
        select f.feature, o.id is not null or f.enabled as enabled,
            case when o.id is not null then o.quota else f.quota end as quota,
            coalesce(u.used, 0) as used
        from subscriptions s
        join plan_features f on f.plan = s.plan and f.version = s.plan_version
        join features k on k.id = f.feature and k.kind = 'quota'
        left join usage_counters u on u.owner = s.owner and u.feature = f.feature and u.period_start = $2
        left join overrides o on o.id = (select max(v.id) from overrides v
            where v.owner = $1 and v.feature = f.feature and (v.until is null or v.until > $3))
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
