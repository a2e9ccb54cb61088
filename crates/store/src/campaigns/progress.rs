//! How many people of a campaign have been written to.
use std::collections::HashMap;

use recado_domain::OwnerId;
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use super::people::PersonState;
use crate::{
    StoreError,
    rows::{Column, Rows},
    statement::text,
};

/// How many people a campaign has, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// All.
    pub total: u64,
    /// Those that can be written to and were not yet.
    pub ready: u64,
    /// Those that cannot be written to; they never were.
    pub invalid: u64,
    /// Those whose message is on its way to Twilio.
    pub taken: u64,
    /// Those whose message Twilio took.
    pub sent: u64,
    /// Those whose message Twilio did not take.
    pub failed: u64,
    /// Those whose message waits for a person to decide.
    pub held: u64,
    /// Those who are not written to any more.
    pub cancelled: u64,
}

#[derive(FromQueryResult)]
struct Count {
    campaign: String,
    state: String,
    count: i64,
}

/// The progress of a campaign.
///
/// # Errors
/// Those of the database.
pub async fn progress(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    campaign: &str,
) -> Result<Progress, StoreError> {
    let mut found = progress_of(conn, owner, &[campaign]).await?;
    Ok(found.remove(campaign).unwrap_or_default())
}

/// The progress of each of some campaigns, by one statement; one without people is absent.
///
/// # Errors
/// Those of the database.
pub async fn progress_of(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    campaigns: &[&str],
) -> Result<HashMap<String, Progress>, StoreError> {
    const ASKED: &[Column] = &[("asked", "text")];
    let sql = "
        select r.campaign, r.state, count(*) as count from {rows} join campaign_rows r on r.campaign = t.asked
        where r.owner = $2 group by r.campaign, r.state";
    let mut rows = Rows::new(ASKED);
    for campaign in campaigns {
        rows.push([(*campaign).into()]);
    }
    let counts: Vec<Count> = rows.query(conn, sql, vec![text(owner.as_str())]).await?;
    let mut found: HashMap<String, Progress> = HashMap::new();
    for Count {
        campaign,
        state,
        count,
    } in counts
    {
        let count = u64::try_from(count).unwrap_or_default();
        let progress = found.entry(campaign).or_default();
        progress.total += count;
        *match PersonState::parse(&state)? {
            PersonState::Ready => &mut progress.ready,
            PersonState::Invalid => &mut progress.invalid,
            PersonState::Taken => &mut progress.taken,
            PersonState::Sent => &mut progress.sent,
            PersonState::Failed => &mut progress.failed,
            PersonState::Held => &mut progress.held,
            PersonState::Cancelled => &mut progress.cancelled,
        } = count;
    }
    Ok(found)
}
