//! Campaigns: one message to many people of an owner.
use std::fmt;

use chrono::{DateTime, Utc};
use recado_domain::{CampaignMessage, CampaignState, Channel, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use ulid::Ulid;

use crate::{
    Page, StoreError, page,
    statement::{execute, statement, text, text_or_null},
};

mod going;
mod people;
mod progress;

pub use going::{Going, Report, cancel_ready, forgotten, going, purge, put_back, ready, settle_each, take};
pub use people::{NewPerson, Person, PersonState, Verdict, insert_people, people};
pub use progress::{Progress, progress, progress_of};

/// A campaign. `Debug` leaves out what it says.
#[derive(Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// On which channel it goes.
    pub channel: Channel,
    /// From where, as [`crate::senders::Senders::choose`] reads it.
    pub sender: Option<String>,
    /// What it says.
    pub message: CampaignMessage,
    /// How many people a minute; as fast as limits allow if absent.
    pub pace: Option<u32>,
    /// How far it is.
    pub state: CampaignState,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When its state last changed.
    pub updated_at: DateTime<Utc>,
    /// A hash of what the request asked for, where one named it.
    pub asked: Option<String>,
    /// Before when it writes to nobody, because Twilio took no more that day.
    pub waits_until: Option<DateTime<Utc>>,
}

impl fmt::Debug for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Campaign")
            .field("id", &self.id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// A campaign to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewCampaign<'a> {
    /// What people call it.
    pub name: &'a str,
    /// On which channel it goes.
    pub channel: Channel,
    /// From where.
    pub sender: Option<&'a str>,
    /// What it says.
    pub message: &'a CampaignMessage,
    /// How many people a minute.
    pub pace: Option<u32>,
    /// What names the request for ever: a second one finds the first campaign.
    pub request: Option<&'a str>,
    /// A hash of what the request asked for.
    pub asked: Option<&'a str>,
}

/// Which campaigns.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Only in this state.
    pub state: Option<CampaignState>,
    /// Only with this in the name, in any case.
    pub name: Option<String>,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    name: String,
    channel: String,
    sender: Option<String>,
    message: String,
    pace: Option<i64>,
    state: String,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    asked: Option<String>,
    waits_until: Option<DateTime<Utc>>,
}

const COLUMNS: &str =
    "id, name, channel, sender, message, pace, state, created_at, started_at, finished_at, updated_at,
     asked, waits_until";

/// Makes a draft. `None` if the request has made one before.
///
/// # Errors
/// Those of the database.
pub async fn create(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    new: NewCampaign<'_>,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    let id = format!("cmp_{}", Ulid::generate().to_string().to_lowercase());
    let sql = "
        insert into campaigns (id, owner, name, channel, sender, message, pace, state, request, created_at, updated_at,
            asked)
        values ($1, $2, $3, $4, $5, $6, $7, 'draft', $8, $9, $9, $10) on conflict do nothing";
    let values = vec![
        text(&id),
        text(owner.as_str()),
        text(new.name),
        text(new.channel.as_str()),
        text_or_null(new.sender),
        text(serde_json::to_string(new.message)?),
        new.pace.map(i64::from).into(),
        text_or_null(new.request),
        now.into(),
        text_or_null(new.asked),
    ];
    let inserted = execute(conn, sql, values).await?;
    Ok((inserted > 0).then_some(id))
}

/// The campaign of an id.
///
/// # Errors
/// Those of the database.
pub async fn find(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &str,
) -> Result<Option<Campaign>, StoreError> {
    let sql = format!("select {COLUMNS} from campaigns where owner = $1 and id = $2");
    let values = vec![text(owner.as_str()), text(id)];
    let row = Row::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    row.map(Campaign::try_from).transpose()
}

/// The campaign that a request made.
///
/// # Errors
/// Those of the database.
pub async fn by_request(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    request: &str,
) -> Result<Option<Campaign>, StoreError> {
    let sql = format!("select {COLUMNS} from campaigns where owner = $1 and request = $2");
    let values = vec![text(owner.as_str()), text(request)];
    let row = Row::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    row.map(Campaign::try_from).transpose()
}

/// Campaigns of an owner, newest first; `cursor` is the last page's `next`.
///
/// # Errors
/// Those of the database.
pub async fn list(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    which: &Which,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Campaign>, StoreError> {
    let mut sql = format!("select {COLUMNS} from campaigns where owner = $1");
    let mut values = vec![text(owner.as_str()), page::rows(limit).into()];
    let mut also = |condition: &str, value| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("${}", values.len())));
    };
    if let Some(state) = which.state {
        also(" and state = ?", text(state.as_str()));
    }
    if let Some(name) = &which.name {
        // Not `like`: what people search for may have a % in it.
        also(
            " and replace(lower(name), ?, '') <> lower(name)",
            text(name.to_lowercase()),
        );
    }
    if let Some(cursor) = cursor {
        also(" and id < ?", text(cursor));
    }
    sql.push_str(" order by id desc limit $2");
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let items = rows
        .into_iter()
        .map(Campaign::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Page::of(items, limit, |campaign: &Campaign| campaign.id.clone()))
}

/// Moves a campaign from one of some states to another, and so locks it to the end of the transaction. Returns whether it
/// was in one of them.
///
/// # Errors
/// Those of the database.
pub async fn change(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &str,
    from: &[CampaignState],
    to: CampaignState,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let states: Vec<String> = from.iter().map(|state| format!("'{state}'")).collect();
    let sql = format!(
        "update campaigns set state = $3, updated_at = $4, waits_until = null,
            started_at = case when $3 = 'running' then coalesce(started_at, $4) else started_at end,
            finished_at = case when $3 in ('completed', 'cancelled') then $4 else finished_at end
         where owner = $1 and id = $2 and state in ({})",
        states.join(", ")
    );
    let values = vec![text(owner.as_str()), text(id), text(to.as_str()), now.into()];
    Ok(execute(conn, &sql, values).await? > 0)
}

/// Locks a campaign to the end of the transaction, and returns it.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn lock(conn: &impl ConnectionTrait, owner: &OwnerId, id: &str) -> Result<Campaign, StoreError> {
    let sql = "update campaigns set updated_at = updated_at where owner = $1 and id = $2";
    execute(conn, sql, vec![text(owner.as_str()), text(id)]).await?;
    let found = find(conn, owner, id).await?;
    found.ok_or(StoreError::NotFound("campaign"))
}

impl TryFrom<Row> for Campaign {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            name: row.name,
            channel: Channel::parse(&row.channel)?,
            sender: row.sender,
            message: serde_json::from_str(&row.message)?,
            pace: row.pace.and_then(|pace| u32::try_from(pace).ok()),
            state: CampaignState::parse(&row.state)?,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            updated_at: row.updated_at,
            asked: row.asked,
            waits_until: row.waits_until,
        })
    }
}
