//! The rows of a campaign: one person each.
use std::fmt;

use chrono::{DateTime, Utc};
use recado_domain::{Fields, OwnerId, UnknownWord};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value as Json;

use crate::{
    Page, StoreError, page,
    rows::{Column, Rows},
    statement::{statement, text},
};

/// What became of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonState {
    /// Can be written to.
    Ready,
    /// Cannot, and never was.
    Invalid,
    /// The message is on its way to Twilio.
    Taken,
    /// Twilio took the message.
    Sent,
    /// Twilio did not take it.
    Failed,
    /// A person must decide about the run that sends it.
    Held,
    /// Is not written to any more.
    Cancelled,
}

impl PersonState {
    const ALL: [Self; 7] = [
        Self::Ready,
        Self::Invalid,
        Self::Taken,
        Self::Sent,
        Self::Failed,
        Self::Held,
        Self::Cancelled,
    ];

    /// The word in the database, in JSON and in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Invalid => "invalid",
            Self::Taken => "taken",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of a word.
    ///
    /// # Errors
    /// When the word is none.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        let unknown = || UnknownWord {
            what: "row state",
            word: word.to_owned(),
        };
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(unknown)
    }
}

/// Whether a person can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Ready,
    /// No.
    Invalid {
        /// Why.
        problem: String,
        /// The field whose value is wrong.
        field: Option<String>,
    },
}

/// A person to be written to. `Debug` leaves out who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct NewPerson {
    /// Where, as Twilio writes it; as it was given where it cannot be read.
    pub address: String,
    /// Who, as the owner says.
    pub prospect: String,
    /// What was given for this person.
    pub fields: Fields,
    /// Whether this person can be written to.
    pub verdict: Verdict,
}

impl fmt::Debug for NewPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPerson")
            .field("verdict", &self.verdict)
            .finish_non_exhaustive()
    }
}

/// A person of a campaign. `Debug` leaves out who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// The how-manieth, from 1.
    pub n: i64,
    /// Where.
    pub address: String,
    /// Who, as the owner says.
    pub prospect: String,
    /// What was given for this person.
    pub fields: Fields,
    /// What became of the person.
    pub state: PersonState,
    /// Why an invalid one is.
    pub problem: Option<String>,
    /// The field whose value is wrong.
    pub field: Option<String>,
    /// Twilio's error code, also one that came later.
    pub error_code: Option<i64>,
    /// Why the message was not sent.
    pub error_message: Option<String>,
    /// The run that sends the message.
    pub run: Option<String>,
    /// Twilio's SID of the message.
    pub sid: Option<String>,
    /// What Twilio said of it last.
    pub delivery: Option<String>,
    /// How often Twilio took no more that day.
    pub tries: i64,
    /// When its state last changed.
    pub updated_at: DateTime<Utc>,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("n", &self.n)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(FromQueryResult)]
pub(super) struct Row {
    n: i64,
    address: String,
    prospect: String,
    fields: String,
    state: String,
    problem: Option<String>,
    field: Option<String>,
    error_code: Option<i64>,
    error_message: Option<String>,
    run: Option<String>,
    sid: Option<String>,
    delivery: Option<String>,
    tries: i64,
    updated_at: DateTime<Utc>,
}

pub(super) const COLUMNS: &str = "r.n, r.address, r.prospect, r.fields, r.state, r.problem, r.field,
    coalesce(m.error_code, r.error_code) as error_code, r.error_message, r.run, r.sid, m.status as delivery, r.tries, r.updated_at
    from campaign_rows r left join messages m on m.twilio_sid = r.sid and m.owner = r.owner";

/// Adds people to a draft, numbered from `first`.
///
/// # Errors
/// Those of the database.
pub async fn insert_people(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    campaign: &str,
    first: i64,
    people: &[NewPerson],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    const NEW: &[Column] = &[
        ("n", "bigint"),
        ("address", "text"),
        ("prospect", "text"),
        ("fields", "text"),
        ("state", "text"),
        ("problem", "text"),
        ("field", "text"),
    ];
    let sql = "
        insert into campaign_rows (campaign, n, owner, address, prospect, fields, state, problem, field, updated_at)
        select $2, n, $3, address, prospect, fields, state, problem, field, $4 from {rows} where true";
    let mut rows = Rows::new(NEW);
    for (n, person) in (first..).zip(people) {
        let (state, problem, field) = match &person.verdict {
            Verdict::Ready => (PersonState::Ready, None, None),
            Verdict::Invalid { problem, field } => {
                (PersonState::Invalid, Some(problem.as_str()), field.as_deref())
            }
        };
        rows.push([
            n.into(),
            person.address.as_str().into(),
            person.prospect.as_str().into(),
            serde_json::to_string(&person.fields)?.into(),
            state.as_str().into(),
            Json::from(problem),
            Json::from(field),
        ]);
    }
    rows.execute(conn, sql, vec![text(campaign), text(owner.as_str()), now.into()])
        .await?;
    Ok(())
}

/// People of a campaign, in their order; `cursor` is the last page's `next`.
///
/// # Errors
/// Those of the database.
pub async fn people(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    campaign: &str,
    state: Option<PersonState>,
    cursor: Option<i64>,
    limit: u64,
) -> Result<Page<Person>, StoreError> {
    let mut sql = format!("select {COLUMNS} where r.campaign = $1 and r.owner = $2 and r.n > $3");
    let mut values = vec![
        text(campaign),
        text(owner.as_str()),
        cursor.unwrap_or_default().into(),
        page::rows(limit).into(),
    ];
    if let Some(state) = state {
        values.push(text(state.as_str()));
        sql.push_str(" and r.state = $5");
    }
    sql.push_str(" order by r.n limit $4");
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let items = rows.into_iter().map(Person::try_from).collect::<Result<_, _>>()?;
    Ok(Page::of(items, limit, |person: &Person| person.n.to_string()))
}

impl TryFrom<Row> for Person {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            n: row.n,
            address: row.address,
            prospect: row.prospect,
            fields: serde_json::from_str(&row.fields)?,
            state: PersonState::parse(&row.state)?,
            problem: row.problem,
            field: row.field,
            error_code: row.error_code,
            error_message: row.error_message,
            run: row.run,
            sid: row.sid,
            delivery: row.delivery,
            tries: row.tries,
            updated_at: row.updated_at,
        })
    }
}
