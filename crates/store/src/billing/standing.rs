//! What owners may use, by their plans.
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value as Json;

use super::Refusal;
use crate::{
    StoreError,
    rows::{Column, Rows, number},
    statement::{execute, text},
    subscriptions::{Bounds, Period, SubscriptionState},
};

/// An owner and a feature.
pub(super) type Pair<'a> = (&'a str, &'a str);

/// What a plan says to who asks for a feature, with the start of the period in which that is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    Unlimited(DateTime<Utc>),
    Limited(DateTime<Utc>, i64),
    Refused(DateTime<Utc>, Refusal),
}

impl Ruling {
    pub(super) fn period_start(self) -> DateTime<Utc> {
        match self {
            Self::Unlimited(start) | Self::Limited(start, _) | Self::Refused(start, _) => start,
        }
    }
}

/// What an owner may use of a feature; an override, where one is in force, stands before the plan.
#[derive(FromQueryResult)]
struct Standing {
    n: i64,
    state: String,
    period: String,
    anchor_at: DateTime<Utc>,
    current_period_start: DateTime<Utc>,
    current_period_end: Option<DateTime<Utc>>,
    enabled: bool,
    quota: Option<i64>,
}

const COLUMNS: &[Column] = &[("n", "bigint"), ("owner", "text"), ("feature", "text")];

const STANDINGS: &str = "
    select t.n, s.state, s.period, s.anchor_at, s.current_period_start, s.current_period_end,
        o.id is not null or coalesce(f.enabled, false) as enabled,
        case when o.id is not null then o.quota else f.quota end as quota
    from {rows} join subscriptions s on s.owner = t.owner
    left join plan_features f on f.plan = s.plan and f.version = s.plan_version and f.feature = t.feature
    left join overrides o on o.id = (select max(v.id) from overrides v
        where v.owner = t.owner and v.feature = t.feature and (v.until is null or v.until > $2))";

/// The rulings for these owners and features. A period that has ended by `now` gives way to the present one.
pub(super) async fn rulings<'a>(
    conn: &impl ConnectionTrait,
    pairs: BTreeSet<Pair<'a>>,
    now: DateTime<Utc>,
) -> Result<BTreeMap<Pair<'a>, Ruling>, StoreError> {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let mut rows = Rows::new(COLUMNS);
    for (place, (owner, feature)) in pairs.iter().enumerate() {
        rows.push([number(place), Json::from(*owner), Json::from(*feature)]);
    }
    let mut found: Vec<Standing> = rows.query(conn, STANDINGS, vec![now.into()]).await?;
    found.sort_by_key(|standing| standing.n);
    let mut rulings = BTreeMap::new();
    for standing in found {
        let Some(pair) = usize::try_from(standing.n).ok().and_then(|n| pairs.get(n)) else {
            continue;
        };
        let ruling = standing.ruling(now)?;
        let is_begun = standing.current_period_start == ruling.period_start();
        if !is_begun && standing.grants_access(now)? {
            begin_period(conn, pair.0, standing.present_period(now)?, now).await?;
        }
        rulings.insert(*pair, ruling);
    }
    let nothing = Ruling::Refused(DateTime::UNIX_EPOCH, Refusal::NoAccess);
    for pair in pairs {
        rulings.entry(pair).or_insert(nothing);
    }
    Ok(rulings)
}

impl Standing {
    fn ruling(&self, now: DateTime<Utc>) -> Result<Ruling, StoreError> {
        if !self.grants_access(now)? {
            return Ok(Ruling::Refused(self.current_period_start, Refusal::NoAccess));
        }
        let (start, _) = self.present_period(now)?;
        Ok(match self.quota {
            _ if !self.enabled => Ruling::Refused(start, Refusal::NotInPlan),
            Some(0) => Ruling::Refused(start, Refusal::NotInPlan),
            Some(quota) => Ruling::Limited(start, quota),
            None => Ruling::Unlimited(start),
        })
    }

    fn grants_access(&self, now: DateTime<Utc>) -> Result<bool, StoreError> {
        Ok(SubscriptionState::parse(&self.state)?.grants_access(self.current_period_end, now))
    }

    fn present_period(&self, now: DateTime<Utc>) -> Result<Bounds, StoreError> {
        let period = Period::parse(&self.period)?;
        let stored = (self.current_period_start, self.current_period_end);
        Ok(period.present(self.anchor_at, stored, now))
    }
}

async fn begin_period(
    conn: &impl ConnectionTrait,
    owner: &str,
    (start, end): Bounds,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        update subscriptions set current_period_start = $2, current_period_end = $3, updated_at = $4
        where owner = $1 and current_period_start < $2";
    let values = vec![text(owner), start.into(), end.into(), now.into()];
    execute(conn, sql, values).await?;
    Ok(())
}
