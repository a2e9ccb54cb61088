//! How many people of a campaign have been written to.
use recado_domain::OwnerId;
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use super::people::PersonState;
use crate::{
    StoreError,
    statement::{statement, text},
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
    let sql = "
        select state, count(*) as count from campaign_rows where campaign = $1 and owner = $2 group by state";
    let values = vec![text(campaign), text(owner.as_str())];
    let counts = Count::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let mut progress = Progress::default();
    for Count { state, count } in counts {
        let count = u64::try_from(count).unwrap_or_default();
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
    Ok(progress)
}
