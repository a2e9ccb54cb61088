//! How often a prospect may be written to, whichever process is asked.
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use recado_domain::OwnerId;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    StoreError,
    rows::{Column, Rows},
};

/// How many messages to one prospect are taken within [`WINDOW`], where the owner says nothing else.
pub const PER_MINUTE: u32 = 10;

/// The time in which messages to one prospect are counted.
pub const WINDOW: TimeDelta = TimeDelta::minutes(1);

/// How many of the messages that somebody wants to send to a prospect may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// So many, the first of them.
    pub count: usize,
    /// Where that is not all: after which time one more may go.
    pub retry_after: Option<Duration>,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    recent: String,
}

/// Counts messages to prospects, as many to each as `wanted` says, and tells how many of them may go where `per_minute`
/// may within [`WINDOW`]. What may not go is not counted. A prospect that nobody heard of is created. Locks the prospects to the end of the transaction that
/// this needs, so that two processes count one after the other.
///
/// # Errors
/// Those of the database.
pub async fn admit(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    wanted: &BTreeMap<String, usize>,
    per_minute: u32,
    now: DateTime<Utc>,
) -> Result<HashMap<String, Admitted>, StoreError> {
    const LOCKED: &[Column] = &[("owner", "text"), ("id", "text")];
    const COUNTED: &[Column] = &[("its_owner", "text"), ("its_id", "text"), ("its_recent", "text")];
    let lock = "
        insert into prospects (owner, id, created_at) select owner, id, $2 from {rows} where true
        on conflict (owner, id) do update set recent = prospects.recent
        returning id, recent";
    let count = "
        update prospects set recent = t.its_recent from {rows} where owner = t.its_owner and id = t.its_id";
    let mut rows = Rows::new(LOCKED);
    for id in wanted.keys() {
        rows.push([owner.as_str().into(), id.as_str().into()]);
    }
    let locked: Vec<Row> = rows.query(conn, lock, vec![now.into()]).await?;
    let (mut admitted, mut rows) = (HashMap::new(), Rows::new(COUNTED));
    for Row { id, recent } in locked {
        let mut recent: Vec<i64> = serde_json::from_str(&recent)?;
        let answer = take(
            &mut recent,
            wanted.get(&id).copied().unwrap_or_default(),
            per_minute,
            now,
        );
        rows.push([
            owner.as_str().into(),
            id.as_str().into(),
            serde_json::to_string(&recent)?.into(),
        ]);
        admitted.insert(id, answer);
    }
    rows.execute(conn, count, vec![]).await?;
    Ok(admitted)
}

/// Adds as many of `wanted` as fit to those of the last minute.
fn take(recent: &mut Vec<i64>, wanted: usize, per_minute: u32, now: DateTime<Utc>) -> Admitted {
    let now = now.timestamp_millis();
    let window = WINDOW.num_milliseconds();
    recent.retain(|at| now - at < window);
    recent.sort_unstable();
    let count = wanted.min((per_minute as usize).saturating_sub(recent.len()));
    recent.extend(std::iter::repeat_n(now, count));
    // One more fits when there are fewer than may be; after a lower limit, that is not yet so with the oldest gone.
    let in_excess = recent.len().saturating_sub(per_minute as usize);
    let leaves = recent.get(in_excess).copied().unwrap_or(now);
    let millis = u64::try_from(leaves + window - now).unwrap_or_default();
    Admitted {
        count,
        retry_after: (count < wanted).then(|| Duration::from_millis(millis)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_go_in_a_minute_and_one_more_when_the_first_is_a_minute_old() {
        let start = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let mut recent = Vec::new();
        let at = |seconds| start + TimeDelta::seconds(seconds);
        assert_eq!(take(&mut recent, 4, 10, at(0)).count, 4);
        let some = take(&mut recent, 7, 10, at(20));
        assert_eq!((some.count, some.retry_after), (6, Some(Duration::from_secs(40))));
        let none = take(&mut recent, 1, 10, at(59));
        assert_eq!((none.count, none.retry_after), (0, Some(Duration::from_secs(1))));
        assert_eq!(take(&mut recent, 4, 10, at(60)).count, 4);
        assert_eq!(recent.len(), 10);
        let lowered = take(&mut recent, 1, 5, at(61));
        assert_eq!(
            lowered.retry_after,
            Some(Duration::from_secs(19)),
            "until five of the six of the 20th second are left"
        );
    }
}
