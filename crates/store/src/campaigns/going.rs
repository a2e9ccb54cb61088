//! The people of a campaign who are being written to.
use chrono::{DateTime, Utc};
use recado_domain::OwnerId;
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value as Json;

use super::people::{COLUMNS, Person, PersonState, Row, people};
use crate::{
    StoreError,
    rows::{Column, Rows},
    statement::{execute, statement, text},
};

/// What became of a person's message.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Whose campaign.
    pub owner: &'a OwnerId,
    /// The campaign.
    pub campaign: &'a str,
    /// The person.
    pub n: i64,
    /// What became of it.
    pub state: PersonState,
    /// The run that sends it.
    pub run: Option<&'a str>,
    /// Twilio's SID of it.
    pub sid: Option<&'a str>,
    /// Twilio's error code.
    pub error_code: Option<i64>,
    /// Why it was not sent.
    pub error_message: Option<&'a str>,
}

/// The first people who can be written to.
///
/// # Errors
/// Those of the database.
pub async fn ready(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    campaign: &str,
    most: u32,
) -> Result<Vec<Person>, StoreError> {
    let page = people(conn, owner, campaign, Some(PersonState::Ready), None, most.into()).await?;
    Ok(page.items)
}

/// People who were taken by a run that has ended before it could have them written to.
///
/// # Errors
/// Those of the database.
pub async fn forgotten(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    campaign: &str,
    most: u32,
) -> Result<Vec<Person>, StoreError> {
    let sql = format!(
        "select {COLUMNS} where r.campaign = $1 and r.owner = $2 and r.state = 'taken' and r.run is null
         order by r.n limit $3"
    );
    let values = vec![text(campaign), text(owner.as_str()), i64::from(most).into()];
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    rows.into_iter().map(Person::try_from).collect()
}

/// Takes people who can be written to, so that nobody takes them again.
///
/// # Errors
/// Those of the database.
pub async fn take(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    campaign: &str,
    people: &[i64],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        update campaign_rows set state = 'taken', run = null, updated_at = $4 from {rows}
        where campaign = $2 and owner = $3 and n = cast(t.picked as bigint) and state = 'ready'";
    let values = vec![text(campaign), text(owner.as_str()), now.into()];
    picked(people).execute(conn, sql, values).await?;
    Ok(())
}

const PICKED: &[Column] = &[("picked", "bigint")];

fn picked(people: &[i64]) -> Rows {
    let mut rows = Rows::new(PICKED);
    for n in people {
        rows.push([(*n).into()]);
    }
    rows
}

/// How many people's messages have not come to their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Going {
    /// They are on their way.
    pub taken: u64,
    /// They have been for long: their runs wait for something.
    pub held: u64,
}

#[derive(FromQueryResult)]
struct Count {
    state: String,
    count: i64,
}

/// How many people's messages have not come to their end, once those are counted as held that have been on their way since
/// before `since`. Their runs write down by themselves what becomes of them, whenever that is.
///
/// # Errors
/// Those of the database.
pub async fn going(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    campaign: &str,
    since: DateTime<Utc>,
) -> Result<Going, StoreError> {
    let hold = "
        update campaign_rows set state = 'held'
        where campaign = $1 and owner = $2 and state = 'taken' and run is not null and updated_at < $3";
    let values = vec![text(campaign), text(owner.as_str()), since.into()];
    execute(conn, hold, values).await?;
    let sql = "
        select state, count(*) as count from campaign_rows
        where campaign = $1 and owner = $2 and state in ('taken', 'held') group by state";
    let values = vec![text(campaign), text(owner.as_str())];
    let rows = Count::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let mut going = Going::default();
    for Count { state, count } in rows {
        let place = match PersonState::parse(&state)? {
            PersonState::Held => &mut going.held,
            _ => &mut going.taken,
        };
        *place = u64::try_from(count).unwrap_or_default();
    }
    Ok(going)
}

/// Writes down what became of people's messages, of any campaigns. One who is not on the way any more stays as it is.
///
/// # Errors
/// Those of the database.
pub async fn settle_each(
    conn: &impl ConnectionTrait,
    reports: &[Report<'_>],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    const SETTLED: &[Column] = &[
        ("its_owner", "text"),
        ("its_campaign", "text"),
        ("its_n", "bigint"),
        ("its_state", "text"),
        ("its_run", "text"),
        ("its_sid", "text"),
        ("its_code", "bigint"),
        ("its_message", "text"),
    ];
    let sql = "
        update campaign_rows set state = t.its_state, run = t.its_run, sid = t.its_sid, error_code = t.its_code,
            error_message = t.its_message, updated_at = $2
        from {rows}
        where campaign = t.its_campaign and owner = t.its_owner and n = cast(t.its_n as bigint)
            and state in ('taken', 'held')";
    let mut sorted: Vec<&Report<'_>> = reports.iter().collect();
    sorted.sort_by_key(|report| (report.campaign, report.n));
    let mut rows = Rows::new(SETTLED);
    for report in sorted {
        rows.push([
            report.owner.as_str().into(),
            report.campaign.into(),
            report.n.into(),
            report.state.as_str().into(),
            Json::from(report.run),
            Json::from(report.sid),
            Json::from(report.error_code),
            Json::from(report.error_message),
        ]);
    }
    rows.execute(conn, sql, vec![now.into()]).await?;
    Ok(())
}

/// Has a person written to again, by another run, whom Twilio took no message for that day: nobody of the campaign before
/// `until`. Where the campaign was cancelled meanwhile, the person is as everybody else. Needs a transaction.
///
/// # Errors
/// Those of the database; [`StoreError::NotFound`].
pub async fn put_back(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    campaign: &str,
    n: i64,
    (until, now): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), StoreError> {
    // Whoever cancels waits for this, or this for them.
    let state = match super::lock(conn, owner, campaign).await?.state.is_final() {
        true => PersonState::Cancelled,
        false => PersonState::Ready,
    };
    let sql = "
        update campaign_rows set state = $5, tries = tries + 1, run = null, updated_at = $4
        where campaign = $1 and owner = $2 and n = $3 and state in ('taken', 'held')";
    let values = vec![
        text(campaign),
        text(owner.as_str()),
        n.into(),
        now.into(),
        text(state.as_str()),
    ];
    execute(conn, sql, values).await?;
    let sql = "update campaigns set waits_until = $3 where owner = $1 and id = $2";
    let values = vec![text(owner.as_str()), text(campaign), until.into()];
    execute(conn, sql, values).await?;
    Ok(())
}

/// Writes to nobody any more who was not written to yet.
///
/// # Errors
/// Those of the database.
pub async fn cancel_ready(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    campaign: &str,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let sql = "
        update campaign_rows set state = 'cancelled', updated_at = $3
        where campaign = $1 and owner = $2 and state = 'ready'";
    let values = vec![text(campaign), text(owner.as_str()), now.into()];
    Ok(execute(conn, sql, values).await?)
}

/// Forgets the people of campaigns that ended before `before`, and of drafts that were made before then, at most `most` of
/// them; then the campaigns themselves. Returns how many people and campaigns those were. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn purge(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    before: DateTime<Utc>,
    most: u64,
) -> Result<u64, StoreError> {
    const OLD: &str = "owner = $1 and (finished_at < $2 or (state = 'draft' and updated_at < $2))";
    let rows = format!(
        "delete from campaign_rows where (campaign, n) in
             (select r.campaign, r.n from campaign_rows r join campaigns c on c.id = r.campaign and c.owner = r.owner
              where c.id in (select id from campaigns where {OLD}) order by r.campaign, r.n limit $3)"
    );
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let values = vec![text(owner.as_str()), before.into(), most.into()];
    let gone = execute(conn, &rows, values).await?;
    let campaigns = format!(
        "delete from campaigns where {OLD} and not exists (select 1 from campaign_rows r where r.campaign = campaigns.id)"
    );
    let values = vec![text(owner.as_str()), before.into()];
    Ok(gone + execute(conn, &campaigns, values).await?)
}
