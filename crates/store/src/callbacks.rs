//! Twilio's status callbacks: in any order, without a time, sometimes before the message they speak of.
//!
//! Has no tenant, because a callback names none: the message tells whose it is, and counts only if that owner
//! holds the account whose signature the callback bears.
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use recado_domain::{MessageId, MessageStatus, OwnerId};
use sea_orm::ConnectionTrait;
use ulid::Ulid;

use crate::{
    StoreError,
    messages::{self, Message, Report},
    rows::{Column, Rows, number, time},
};

mod orphans;
mod refused;

use orphans::keep_orphans;
pub(crate) use orphans::{Sought, adopt};
pub use orphans::{adopt_all, purge};
pub use refused::{Undelivered, undelivered};

/// One callback, its signature checked.
#[derive(Clone, Copy)]
pub struct Callback<'a> {
    /// The account that signed it.
    pub account_sid: &'a str,
    /// Our token, where its URL carried one.
    pub token: Option<&'a str>,
    /// Twilio's SID of the message.
    pub sid: &'a str,
    /// What it reports.
    pub status: MessageStatus,
    /// Twilio's error, if any.
    pub error_code: Option<i64>,
    /// What it says besides, as JSON.
    pub raw: &'a str,
}

/// What became of a callback; whatever it is, the callback is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The message has a new status, SID or error.
    Updated(OwnerId, MessageId),
    /// It said nothing new.
    Unchanged(OwnerId, MessageId),
    /// The message of this token is known under another SID, so Twilio has it twice. Nothing is changed.
    OtherSid(OwnerId, MessageId),
    /// Its message is unknown yet; it is applied when that appears.
    Orphan,
}

/// Callbacks that were heard, and the messages that they speak of.
pub struct Heard<'a> {
    callbacks: Vec<(Callback<'a>, DateTime<Utc>)>,
    messages: Vec<Option<Message>>,
}

impl<'a> Heard<'a> {
    /// Finds out of which messages callbacks speak, by one statement: by SID, else by token, since Twilio's SID says more
    /// than a token that anybody may have seen.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn find(
        conn: &impl ConnectionTrait,
        callbacks: Vec<(Callback<'a>, DateTime<Utc>)>,
    ) -> Result<Self, StoreError> {
        let messages = messages_of(conn, &callbacks).await?;
        Ok(Self { callbacks, messages })
    }

    /// The tokens of messages of which these callbacks are the first proof that Twilio has them, each once and sorted:
    /// none where that is known already, where the token is nobody's, or where its owner does not hold the account that
    /// signed.
    pub fn proofs(&self) -> impl Iterator<Item = &'a str> {
        let each = self.callbacks.iter().zip(&self.messages);
        let tokens: BTreeSet<&'a str> = each
            .filter(|(_, message)| {
                message
                    .as_ref()
                    .is_some_and(|message| message.twilio_sid.is_none())
            })
            .filter_map(|((callback, _), _)| callback.token)
            .collect();
        tokens.into_iter()
    }

    /// Applies the callbacks in their order: the status only rises, an error code is never cleared. Two statements, one
    /// more where messages are unknown. Needs a transaction.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn apply(self, conn: &impl ConnectionTrait) -> Result<Vec<Applied>, StoreError> {
        let each = || self.callbacks.iter().zip(&self.messages);
        let orphans = each().filter(|(_, message)| message.is_none());
        keep_orphans(conn, orphans.map(|((callback, at), _)| (callback, *at))).await?;
        keep_events(conn, each()).await?;
        let said: Vec<_> = each()
            .filter_map(|((callback, at), message)| Some((message.clone()?, callback.report(), *at)))
            .collect();
        let mut heard = messages::report_each(conn, &said).await?.into_iter();
        let applied = self.messages.into_iter().map(|message| match message {
            None => Applied::Orphan,
            Some(Message { owner, id, .. }) => match heard.next() {
                Some(messages::Heard::News) => Applied::Updated(owner, id),
                Some(messages::Heard::OtherSid) => Applied::OtherSid(owner, id),
                Some(messages::Heard::Nothing) | None => Applied::Unchanged(owner, id),
            },
        });
        Ok(applied.collect())
    }
}

impl<'a> Callback<'a> {
    fn report(&self) -> Report<'a> {
        Report {
            sid: Some(self.sid),
            status: self.status,
            error_code: self.error_code,
            error_message: None,
        }
    }
}

/// Applies one callback, see [`Heard::apply`]. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn apply(
    conn: &impl ConnectionTrait,
    callback: &Callback<'_>,
    now: DateTime<Utc>,
) -> Result<Applied, StoreError> {
    let heard = Heard::find(conn, vec![(*callback, now)]).await?;
    let applied = heard.apply(conn).await?;
    Ok(applied.into_iter().next().unwrap_or(Applied::Orphan))
}

async fn messages_of(
    conn: &impl ConnectionTrait,
    callbacks: &[(Callback<'_>, DateTime<Utc>)],
) -> Result<Vec<Option<Message>>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("n", "bigint"),
        ("its_sid", "text"),
        ("its_token", "text"),
        ("its_account", "text"),
    ];
    // The weaker way comes first, so that the stronger one overwrites what it found.
    let columns = messages::COLUMNS;
    let holds =
        "owner in (select a.owner from channel_accounts a where a.twilio_account_sid = t.its_account)";
    let sql = format!(
        "select t.n, cast(1 as bigint) as strength, {columns} from {{rows}}
             join messages on token = t.its_token where {holds}
         union all
         select t.n, cast(2 as bigint) as strength, {columns} from {{rows}}
             join messages on twilio_sid = t.its_sid where {holds}
         order by strength"
    );
    let mut rows = Rows::new(COLUMNS);
    for (place, (callback, _)) in callbacks.iter().enumerate() {
        rows.push([
            number(place),
            callback.sid.into(),
            callback.token.into(),
            callback.account_sid.into(),
        ]);
    }
    let mut found = vec![None; callbacks.len()];
    for (n, message) in messages::numbered(conn, rows, &sql).await? {
        if let Some(place) = usize::try_from(n).ok().and_then(|n| found.get_mut(n)) {
            *place = Some(message);
        }
    }
    // A SID may be told by an earlier one of them.
    for place in 0..found.len() {
        let earlier = (0..place).find(|earlier| {
            let ((one, _), (other, _)) = (&callbacks[*earlier], &callbacks[place]);
            (one.sid, one.account_sid) == (other.sid, other.account_sid) && found[*earlier].is_some()
        });
        if found[place].is_none() {
            found[place] = earlier.and_then(|earlier| found[earlier].clone());
        }
    }
    Ok(found)
}

async fn keep_events<'a>(
    conn: &impl ConnectionTrait,
    each: impl Iterator<Item = (&'a (Callback<'a>, DateTime<Utc>), &'a Option<Message>)>,
) -> Result<(), StoreError> {
    const COLUMNS: &[Column] = &[
        ("id", "text"),
        ("message", "text"),
        ("owner", "text"),
        ("status", "text"),
        ("error_code", "bigint"),
        ("raw", "text"),
        ("at", "timestamptz"),
    ];
    let sql = "
        insert into message_events (id, message, owner, status, error_code, raw, at)
        select id, message, owner, status, error_code, raw, at from {rows}";
    let mut rows = Rows::new(COLUMNS);
    for ((callback, at), message) in each {
        let Some(message) = message else { continue };
        let is_other = message
            .twilio_sid
            .as_deref()
            .is_some_and(|sid| sid != callback.sid);
        let besides = match is_other {
            true => serde_json::json!({ "MessageSid": callback.sid, "besides": callback.raw }).to_string(),
            false => callback.raw.to_owned(),
        };
        rows.push([
            Ulid::generate().to_string().into(),
            message.id.as_str().into(),
            message.owner.as_str().into(),
            callback.status.as_str().into(),
            callback.error_code.into(),
            besides.into(),
            time(*at),
        ]);
    }
    rows.execute(conn, sql, vec![]).await?;
    Ok(())
}
