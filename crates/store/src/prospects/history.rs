//! What went between an owner and a prospect, whichever way.
use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};
use recado_domain::{CallId, CallStatus, Direction, MessageStatus, OwnerId, UnknownWord};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    Page, StoreError,
    calls::{self, Recording},
    page,
    statement::{statement, text},
};

/// By which means somebody is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Medium {
    /// SMS and MMS.
    Sms,
    /// WhatsApp.
    Whatsapp,
    /// A telephone call.
    Call,
}

impl Medium {
    /// The word in JSON and in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
            Self::Call => "call",
        }
    }

    /// The medium of a word.
    ///
    /// # Errors
    /// When the word is none.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "sms" => Ok(Self::Sms),
            "whatsapp" => Ok(Self::Whatsapp),
            "call" => Ok(Self::Call),
            _ => Err(UnknownWord {
                what: "medium",
                word: word.to_owned(),
            }),
        }
    }
}

/// One message or call to or from a prospect. `Debug` leaves out what it says, and who says it.
#[derive(Clone, PartialEq, Eq)]
pub struct Communication {
    /// Its id.
    pub id: String,
    /// By which means.
    pub medium: Medium,
    /// Which way.
    pub direction: Direction,
    /// The owner's address, as Twilio writes it.
    pub ours: String,
    /// The prospect's address, as Twilio writes it.
    pub theirs: String,
    /// What it is: `text`, `media`, `template`, `call`, ….
    pub kind: String,
    /// Its text; of a call none.
    pub body: String,
    /// What else it had: of one of ours a JSON object, of one of theirs Twilio's form as pairs.
    pub form: Option<String>,
    /// Twilio's SID, once known.
    pub twilio_sid: Option<String>,
    /// The run that received, sent or made it.
    pub run: Option<String>,
    /// What Twilio says of it, in its words; `None` before Twilio has it.
    pub status: Option<String>,
    /// Whether it did not get through, and will not.
    pub is_failure: bool,
    /// Twilio's error.
    pub error_code: Option<i64>,
    /// The error in words, where it was heard with the refusal.
    pub error_message: Option<String>,
    /// How long a call was, in seconds.
    pub duration: Option<i64>,
    /// Twilio's word on who answered a call, where that was asked for.
    pub answered_by: Option<String>,
    /// What Twilio charged for it, in millionths of the currency; `None` before it tells.
    pub price: Option<(i64, String)>,
    /// The recordings of a call, oldest first.
    pub recordings: Vec<Recording>,
    /// When it was received, or meant to be sent.
    pub created_at: DateTime<Utc>,
    /// When Twilio was first known to have it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When its status last changed.
    pub updated_at: DateTime<Utc>,
}

impl fmt::Debug for Communication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Communication")
            .field("id", &self.id)
            .field("medium", &self.medium)
            .field("direction", &self.direction)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Which part of a history.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only by these means.
    pub medium: Option<Medium>,
    /// Only with this status, in Twilio's words.
    pub status: Option<String>,
    /// Only from this time on.
    pub since: Option<DateTime<Utc>>,
    /// Only before this time.
    pub before: Option<DateTime<Utc>>,
    /// Only with this in the text, in any case.
    pub text: Option<String>,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    medium: String,
    direction: String,
    our_address: String,
    contact_address: String,
    kind: String,
    body: String,
    form: Option<String>,
    twilio_sid: Option<String>,
    run: Option<String>,
    status: Option<String>,
    error_code: Option<i64>,
    error_message: Option<String>,
    duration: Option<i64>,
    answered_by: Option<String>,
    price: Option<i64>,
    price_unit: Option<String>,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

const MESSAGES: &str = "
    select m.id, c.channel as medium, m.direction, c.our_address, c.contact_address, m.kind, m.body, m.form,
        m.twilio_sid, m.run, m.status, m.error_code, m.error_message, cast(null as bigint) as duration,
        cast(null as text) as answered_by, m.price, m.price_unit, m.created_at, m.sent_at, m.updated_at
    from conversations c join messages m on m.conversation = c.id and m.owner = c.owner
    where c.owner = $1 and c.contact in
        (select contact from prospect_addresses where owner = $1 and prospect = $2)";

const CALLS: &str = "
    select l.id, 'call' as medium, l.direction, l.our_address, l.contact_address, 'call' as kind, '' as body, l.form,
        l.twilio_sid, l.run, l.status, l.error_code, l.error_message, l.duration, l.answered_by, l.price, l.price_unit, l.created_at,
        l.sent_at, l.updated_at
    from calls l
    where l.owner = $1 and l.contact in
        (select contact from prospect_addresses where owner = $1 and prospect = $2)";

/// What went between an owner and a prospect at all of its addresses, newest first; `cursor` is the last page's `next`.
///
/// # Errors
/// Those of the database.
pub async fn history(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    prospect: &str,
    filter: Filter,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Communication>, StoreError> {
    let mut values = vec![text(owner.as_str()), text(prospect), page::rows(limit).into()];
    let from = match filter.medium {
        None => format!("{MESSAGES} union all {CALLS}"),
        Some(Medium::Call) => CALLS.to_owned(),
        Some(channel) => {
            values.push(text(channel.as_str()));
            format!("{MESSAGES} and c.channel = ${}", values.len())
        }
    };
    let mut sql = format!("select * from ({from}) went where true");
    let mut also = |condition: &str, value| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("${}", values.len())));
    };
    if let Some(status) = &filter.status {
        also(" and status = ?", text(status));
    }
    if let Some(since) = filter.since {
        also(" and created_at >= ?", since.into());
    }
    if let Some(before) = filter.before {
        also(" and created_at < ?", before.into());
    }
    if let Some(words) = &filter.text {
        // Not `like`: what people search for may have a % in it.
        also(
            " and replace(lower(body), ?, '') <> lower(body)",
            text(words.to_lowercase()),
        );
    }
    if let Some(cursor) = cursor {
        values.push(text(cursor));
        let place = values.len();
        sql.push_str(&format!(
            " and (created_at, id) < (
                 select created_at, id from messages where owner = $1 and id = ${place}
                 union all select created_at, id from calls where owner = $1 and id = ${place})"
        ));
    }
    sql.push_str(" order by created_at desc, id desc limit $3");
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let items = rows
        .into_iter()
        .map(Communication::try_from)
        .collect::<Result<_, _>>()?;
    let mut page = Page::of(items, limit, |item: &Communication| item.id.clone());
    add_recordings(conn, owner, &mut page.items).await?;
    Ok(page)
}

async fn add_recordings(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    items: &mut [Communication],
) -> Result<(), StoreError> {
    let is_call = |item: &&Communication| item.medium == Medium::Call;
    let ids: Vec<_> = items
        .iter()
        .filter(is_call)
        .map(|item| CallId::from(item.id.as_str()))
        .collect();
    let mut by_call: HashMap<String, Vec<Recording>> = HashMap::new();
    for recording in calls::of_calls(conn, owner, &ids).await? {
        by_call
            .entry(recording.call.to_string())
            .or_default()
            .push(recording);
    }
    for item in items {
        item.recordings = by_call.remove(&item.id).unwrap_or_default();
    }
    Ok(())
}

impl TryFrom<Row> for Communication {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let medium = Medium::parse(&row.medium)?;
        let status = row.status.as_deref();
        let is_failure = match (medium, status) {
            (_, None) => false,
            (Medium::Call, Some(status)) => matches!(
                CallStatus::parse(status)?,
                CallStatus::Failed | CallStatus::Canceled
            ),
            (_, Some(status)) => matches!(
                MessageStatus::parse(status)?,
                MessageStatus::Failed | MessageStatus::Undelivered
            ),
        };
        Ok(Self {
            id: row.id,
            medium,
            direction: Direction::parse(&row.direction)?,
            ours: row.our_address,
            theirs: row.contact_address,
            kind: row.kind,
            body: row.body,
            form: row.form,
            twilio_sid: row.twilio_sid,
            run: row.run,
            status: row.status,
            is_failure,
            error_code: row.error_code,
            error_message: row.error_message,
            duration: row.duration,
            answered_by: row.answered_by,
            price: row.price.zip(row.price_unit),
            recordings: Vec::new(),
            created_at: row.created_at,
            sent_at: row.sent_at,
            updated_at: row.updated_at,
        })
    }
}
