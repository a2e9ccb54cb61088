//! To which plan an owner subscribes, and in which period.
use chrono::{DateTime, Datelike, Months, Utc};
use recado_domain::{OwnerId, UnknownWord};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{
    StoreError,
    statement::{execute, statement, text},
};

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// Begun, the first payment is outstanding.
    Incomplete,
    /// On trial.
    Trialing,
    /// Paid.
    Active,
    /// A payment failed; days of grace.
    PastDue,
    /// Paused by its owner.
    Paused,
    /// Cancelled, with access to the period's end.
    PendingCancellation,
    /// Over.
    Canceled,
    /// Over, by time.
    Expired,
    /// The grace is over.
    Unpaid,
    /// Closed by the operator.
    Suspended,
}

/// How long a period is, by the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A month.
    Month,
    /// A year.
    Year,
    /// One period without end.
    Lifetime,
}

/// One period: its start, and its end where it has one.
pub type Bounds = (DateTime<Utc>, Option<DateTime<Utc>>);

const STATES: [(SubscriptionState, &str); 10] = [
    (SubscriptionState::Incomplete, "incomplete"),
    (SubscriptionState::Trialing, "trialing"),
    (SubscriptionState::Active, "active"),
    (SubscriptionState::PastDue, "past_due"),
    (SubscriptionState::Paused, "paused"),
    (SubscriptionState::PendingCancellation, "pending_cancellation"),
    (SubscriptionState::Canceled, "canceled"),
    (SubscriptionState::Expired, "expired"),
    (SubscriptionState::Unpaid, "unpaid"),
    (SubscriptionState::Suspended, "suspended"),
];

impl SubscriptionState {
    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        STATES
            .iter()
            .find(|(state, _)| *state == self)
            .map_or("", |(_, word)| word)
    }

    /// The state of a word.
    ///
    /// # Errors
    /// When the word is no state.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        let found = STATES
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(state, _)| *state);
        found.ok_or_else(|| UnknownWord {
            what: "subscription state",
            word: word.to_owned(),
        })
    }

    /// Whether the plan's features are to be had, in a period that ends at `end`.
    pub fn grants_access(self, end: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        match self {
            Self::Trialing | Self::Active | Self::PastDue => true,
            Self::PendingCancellation => end.is_none_or(|end| now < end),
            Self::Incomplete
            | Self::Paused
            | Self::Canceled
            | Self::Expired
            | Self::Unpaid
            | Self::Suspended => false,
        }
    }
}

impl Period {
    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
            Self::Lifetime => "lifetime",
        }
    }

    /// The period of a word.
    ///
    /// # Errors
    /// When the word is no period.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "month" => Ok(Self::Month),
            "year" => Ok(Self::Year),
            "lifetime" => Ok(Self::Lifetime),
            _ => Err(UnknownWord {
                what: "billing period",
                word: word.to_owned(),
            }),
        }
    }

    /// The stored period while it lasts, else the one that has begun since.
    pub(crate) fn present(self, anchor: DateTime<Utc>, stored: Bounds, now: DateTime<Utc>) -> Bounds {
        match stored.1 {
            Some(end) if end <= now => self.around(anchor, now),
            _ => stored,
        }
    }

    /// The period that `now` is in. Counted from the anchor, so that one which began on the 31st ends on the 30th
    /// in June and on the 31st again in July.
    pub fn around(self, anchor: DateTime<Utc>, now: DateTime<Utc>) -> Bounds {
        let length = match self {
            Self::Lifetime => return (anchor, None),
            Self::Month => 1,
            Self::Year => 12,
        };
        let months =
            i64::from(now.year() - anchor.year()) * 12 + i64::from(now.month()) - i64::from(anchor.month());
        let begun = u32::try_from(months).unwrap_or(0) / length;
        let boundary = |count: u32| anchor.checked_add_months(Months::new(count.saturating_mul(length)));
        // The month of `now` may have begun without its boundary having been reached.
        let count = if boundary(begun).is_some_and(|start| start > now) {
            begun.saturating_sub(1)
        } else {
            begun
        };
        (
            boundary(count).unwrap_or(anchor),
            boundary(count.saturating_add(1)),
        )
    }
}

/// Where an owner's subscription stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// The plan's id.
    pub plan: String,
    /// The plan's version, which a subscriber keeps.
    pub plan_version: i64,
    /// Its state.
    pub state: SubscriptionState,
    /// How long its periods are.
    pub period: Period,
    /// When the present period began.
    pub current_period_start: DateTime<Utc>,
    /// When it ends; `None` for a lifetime.
    pub current_period_end: Option<DateTime<Utc>>,
}

#[derive(FromQueryResult)]
struct Row {
    plan: String,
    plan_version: i64,
    state: String,
    period: String,
    current_period_start: DateTime<Utc>,
    current_period_end: Option<DateTime<Utc>>,
}

/// Subscribes an owner to the newest version of a plan, from now on. An owner who has a subscription keeps it as it
/// is. Returns whether it is new.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such plan.
pub async fn begin(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    plan: &str,
    period: Period,
    state: SubscriptionState,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let (start, end) = period.around(now, now);
    let sql = "
        insert into subscriptions (id, owner, plan, plan_version, state, period, anchor_at, current_period_start,
            current_period_end, created_at, updated_at)
        select $1, $2, id, version, $4, $5, $6, $6, $7, $6, $6 from plans
        where id = $3 and version = (select max(version) from plans where id = $3)
        on conflict do nothing";
    let values = vec![
        text(Ulid::generate().to_string()),
        text(owner.as_str()),
        text(plan),
        text(state.as_str()),
        text(period.as_str()),
        start.into(),
        end.into(),
    ];
    if execute(conn, sql, values).await? > 0 {
        return Ok(true);
    }
    find(conn, owner)
        .await?
        .map(|_| false)
        .ok_or(StoreError::NotFound("plan"))
}

/// The subscription of an owner.
///
/// # Errors
/// Those of the database.
pub async fn find(conn: &impl ConnectionTrait, owner: &OwnerId) -> Result<Option<Subscription>, StoreError> {
    let sql = "
        select plan, plan_version, state, period, current_period_start, current_period_end
        from subscriptions where owner = $1";
    let row = Row::find_by_statement(statement(conn, sql, vec![text(owner.as_str())]))
        .one(conn)
        .await?;
    row.map(|row| {
        Ok(Subscription {
            plan: row.plan,
            plan_version: row.plan_version,
            state: SubscriptionState::parse(&row.state)?,
            period: Period::parse(&row.period)?,
            current_period_start: row.current_period_start,
            current_period_end: row.current_period_end,
        })
    })
    .transpose()
}

#[derive(FromQueryResult)]
struct Anchored {
    period: String,
    anchor_at: DateTime<Utc>,
    current_period_start: DateTime<Utc>,
    current_period_end: Option<DateTime<Utc>>,
}

/// The period that `now` is in, whether or not anything was counted in it yet; `None` without a subscription.
pub(crate) async fn present_period(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    now: DateTime<Utc>,
) -> Result<Option<Bounds>, StoreError> {
    let sql = "
        select period, anchor_at, current_period_start, current_period_end from subscriptions where owner = $1";
    let row = Anchored::find_by_statement(statement(conn, sql, vec![text(owner.as_str())]))
        .one(conn)
        .await?;
    row.map(|row| {
        let stored = (row.current_period_start, row.current_period_end);
        Ok(Period::parse(&row.period)?.present(row.anchor_at, stored, now))
    })
    .transpose()
}

/// Moves a subscription to another state.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner has none.
pub async fn set_state(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    state: SubscriptionState,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "update subscriptions set state = $2, updated_at = $3 where owner = $1";
    match execute(
        conn,
        sql,
        vec![text(owner.as_str()), text(state.as_str()), now.into()],
    )
    .await?
    {
        0 => Err(StoreError::NotFound("subscription")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_period_that_began_on_the_31st_does_not_drift() {
        let anchor = at("2026-01-31T12:00:00Z");
        let around = |now| Period::Month.around(anchor, at(now));
        assert_eq!(
            around("2026-01-31T12:00:00Z"),
            (anchor, Some(at("2026-02-28T12:00:00Z")))
        );
        assert_eq!(
            around("2026-02-28T11:59:59Z"),
            (anchor, Some(at("2026-02-28T12:00:00Z"))),
            "the end is not in it"
        );
        assert_eq!(
            around("2026-03-15T00:00:00Z"),
            (at("2026-02-28T12:00:00Z"), Some(at("2026-03-31T12:00:00Z")))
        );
        assert_eq!(
            Period::Lifetime.around(anchor, at("2099-01-01T00:00:00Z")),
            (anchor, None)
        );
    }

    #[test]
    fn a_cancelled_subscription_keeps_access_to_the_end_of_its_period() {
        let end = at("2026-02-01T00:00:00Z");
        let state = SubscriptionState::PendingCancellation;
        assert!(state.grants_access(Some(end), at("2026-01-31T23:59:59Z")));
        assert!(!state.grants_access(Some(end), end));
        assert!(!SubscriptionState::Suspended.grants_access(None, end));
    }

    #[test]
    fn a_word_names_its_state() {
        for (state, word) in STATES {
            assert_eq!(
                (SubscriptionState::parse(word), state.as_str()),
                (Ok(state), word)
            );
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{word}\""));
        }
    }

    proptest! {
        #[test]
        fn a_period_holds_its_moment(anchor in 0i64..4_000_000_000, later in 0i64..2_000_000_000, yearly: bool) {
            let moment = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
            let (anchor, now) = (moment(anchor), moment(anchor + later));
            let period = if yearly { Period::Year } else { Period::Month };
            let (start, end) = period.around(anchor, now);
            prop_assert!(start <= now && end.is_some_and(|end| now < end), "{anchor} {now}: {start} {end:?}");
        }
    }
}
