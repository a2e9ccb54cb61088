//! Owners, the tenants.
use chrono::{DateTime, Utc};
use recado_domain::{Address, OwnerId, UnknownSend};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, QueryOrder};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use entity::Model as Owner;

use crate::{
    QuietHours, Secret, StoreError, accounts, plans,
    statement::{execute, statement, text, without_nul},
    subscriptions::{self, Period, SubscriptionState},
};

mod voice;
mod way_out;

pub use voice::{LONGEST_GREETING, LONGEST_VOICEMAIL, SHORTEST_VOICEMAIL, Voice, set_voice};
pub use way_out::{SmsSender, TEXT, UnfitWayOut, WayOut, any_way_out, set_way_out};

/// The owner of the account in the environment.
pub const DEFAULT: &str = "default";

const NOTICE_OVER_QUOTA: &str = "Recebemos sua mensagem, mas não conseguimos responder por aqui agora. \
                                 Entraremos em contato assim que possível.";
const HANDOFF_NOTICE: &str = "Vou chamar alguém da equipe para continuar com você. Só um momento, por favor.";

/// Private, so that nobody outside can ask without a tenant.
mod entity {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    /// An organisation.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, DeriveEntityModel)]
    #[sea_orm(table_name = "owners")]
    pub struct Model {
        /// An `OwnerId`.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        /// As people know it.
        pub name: String,
        /// The language in which it is spoken to, as in `pt`.
        pub language: String,
        /// What a contact is told when the plan's quota is used up.
        pub notice_over_quota: String,
        /// What a contact is told when a person takes over.
        pub handoff_notice: String,
        /// Further settings, a JSON object.
        pub settings: String,
        /// When it was created.
        pub created_at: ChronoDateTimeUtc,
        /// What becomes of a message of which nobody can tell whether it was sent, an `UnknownSend`.
        pub unknown_send: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An owner's further settings; what is absent is as for everybody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How long a contact must have written nothing before an agent is asked, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_period: Option<f64>,
    /// How many messages may go to one prospect within a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prospect_limit: Option<u32>,
    /// What somebody who calls hears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<Voice>,
    /// Whether WhatsApp contacts see that their message was read and that an answer is being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typing: Option<bool>,
    /// How many messages may go from one sender within a minute; without limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_limit: Option<u32>,
    /// How many messages may go in all within a minute; without limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_limit: Option<u32>,
    /// The hours in which nothing goes of the owner's own accord.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
    /// What goes where WhatsApp takes no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_out: Option<WayOut>,
    /// What another version knows.
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Settings {
    /// When the quiet hours end in which `at` lies; `None` where it lies in none.
    ///
    /// # Errors
    /// When the hours or their zone cannot be read.
    pub fn quiet_until(&self, at: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, StoreError> {
        let end = self.quiet_hours.as_ref().map(|hours| hours.end(at)).transpose();
        let end = end.map_err(|error| StoreError::Corrupt {
            what: "quiet hours",
            problem: error.to_string(),
        })?;
        Ok(end.flatten())
    }
}

impl Owner {
    /// The owner's further settings.
    ///
    /// # Errors
    /// When they are no JSON object, or the quiet period is no number of seconds.
    pub fn settings(&self) -> Result<Settings, StoreError> {
        Ok(serde_json::from_str(&self.settings)?)
    }
}

/// The longest quiet period, in seconds.
pub const LONGEST_QUIET_PERIOD: f64 = 60.0;

/// Sets how long a contact of this owner must have written nothing before an agent is asked, in seconds, [`LONGEST_QUIET_PERIOD`]
/// at most; `None` is as for everybody. Returns whether there is such an owner. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn set_quiet_period(
    conn: &impl ConnectionTrait,
    id: &OwnerId,
    seconds: Option<f64>,
) -> Result<bool, StoreError> {
    let seconds = seconds.map(|seconds| seconds.clamp(0.0, LONGEST_QUIET_PERIOD));
    change(conn, id, |settings| settings.quiet_period = seconds).await
}

/// The highest limit of messages to one prospect within a minute.
pub const HIGHEST_PROSPECT_LIMIT: u32 = 600;

/// Sets how many messages this owner may send to one prospect within a minute, from 1 to [`HIGHEST_PROSPECT_LIMIT`];
/// `None` is as for everybody. Returns whether there is such an owner. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn set_prospect_limit(
    conn: &impl ConnectionTrait,
    id: &OwnerId,
    per_minute: Option<u32>,
) -> Result<bool, StoreError> {
    let per_minute = per_minute.map(|limit| limit.clamp(1, HIGHEST_PROSPECT_LIMIT));
    change(conn, id, |settings| settings.prospect_limit = per_minute).await
}

/// Whether contacts of an owner see that an answer is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// They do, and that their message was read.
    Shown,
    /// They see nothing before the answer.
    Hidden,
}

/// Sets whether WhatsApp contacts of this owner see that their message was read and that an answer is being written.
/// Returns whether there is such an owner. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn set_typing(
    conn: &impl ConnectionTrait,
    id: &OwnerId,
    typing: Typing,
) -> Result<bool, StoreError> {
    let shown = (typing == Typing::Shown).then_some(true);
    change(conn, id, |settings| settings.typing = shown).await
}

/// The highest limit of messages of one sender, or of all senders, within a minute.
pub const HIGHEST_SEND_LIMIT: u32 = 100_000;

/// Sets how many messages may go from each sender, and in all, within a minute, from 1 to [`HIGHEST_SEND_LIMIT`]; `None`
/// is without limit. Returns whether there is such an owner. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn set_send_limits(
    conn: &impl ConnectionTrait,
    id: &OwnerId,
    per_sender: Option<u32>,
    in_all: Option<u32>,
) -> Result<bool, StoreError> {
    let bounded = |limit: Option<u32>| limit.map(|limit| limit.clamp(1, HIGHEST_SEND_LIMIT));
    change(conn, id, |settings| {
        settings.sender_limit = bounded(per_sender);
        settings.owner_limit = bounded(in_all);
    })
    .await
}

/// Sets the hours in which nothing goes of this owner's own accord, which are checked. Returns whether there is such an
/// owner. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn set_quiet_hours(
    conn: &impl ConnectionTrait,
    id: &OwnerId,
    hours: Option<QuietHours>,
) -> Result<bool, StoreError> {
    change(conn, id, |settings| settings.quiet_hours = hours).await
}

/// Changes one of an owner's further settings, and keeps the others.
async fn change(
    conn: &impl ConnectionTrait,
    id: &OwnerId,
    change: impl FnOnce(&mut Settings),
) -> Result<bool, StoreError> {
    let Some(owner) = find(conn, id).await? else {
        return Ok(false);
    };
    let mut settings = owner.settings()?;
    change(&mut settings);
    let settings = serde_json::to_string(&settings)?;
    let sql = "update owners set settings = $2 where id = $1";
    conn.execute_raw(statement(conn, sql, vec![text(id.as_str()), text(settings)]))
        .await?;
    Ok(true)
}

/// Creates an owner with the notices everyone begins with. Returns whether it is new; one that exists stays as it is.
///
/// # Errors
/// Those of the database.
pub async fn create(
    conn: &impl ConnectionTrait,
    id: &OwnerId,
    name: &str,
    language: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let owner = entity::ActiveModel {
        id: Set(id.to_string()),
        name: Set(without_nul(name)),
        language: Set(without_nul(language)),
        notice_over_quota: Set(NOTICE_OVER_QUOTA.to_owned()),
        handoff_notice: Set(HANDOFF_NOTICE.to_owned()),
        settings: Set("{}".to_owned()),
        created_at: Set(now),
        unknown_send: Set(UnknownSend::default().to_string()),
    };
    let insert = entity::Entity::insert(owner).on_conflict_do_nothing();
    Ok(
        matches!(insert.exec_without_returning(conn).await?, sea_orm::TryInsertResult::Inserted(rows) if rows > 0),
    )
}

/// The owner of an id.
///
/// # Errors
/// Those of the database.
pub async fn find(conn: &impl ConnectionTrait, id: &OwnerId) -> Result<Option<Owner>, StoreError> {
    Ok(entity::Entity::find_by_id(id.as_str()).one(conn).await?)
}

/// What the owner wants done with a message of which nobody can tell whether it was sent.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such owner.
pub async fn unknown_send(conn: &impl ConnectionTrait, id: &OwnerId) -> Result<UnknownSend, StoreError> {
    let sql = "select unknown_send from owners where id = $1";
    let row = conn
        .query_one_raw(statement(conn, sql, vec![text(id.as_str())]))
        .await?
        .ok_or(StoreError::NotFound("owner"))?;
    Ok(UnknownSend::parse(&row.try_get::<String>("", "unknown_send")?)?)
}

/// Sets it, also for messages that are being asked about already.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such owner.
pub async fn set_unknown_send(
    conn: &impl ConnectionTrait,
    id: &OwnerId,
    policy: UnknownSend,
) -> Result<(), StoreError> {
    let sql = "update owners set unknown_send = $2 where id = $1";
    match execute(conn, sql, vec![text(id.as_str()), text(policy.as_str())]).await? {
        0 => Err(StoreError::NotFound("owner")),
        _ => Ok(()),
    }
}

/// All owners, for the operator.
///
/// # Errors
/// Those of the database.
pub async fn list(conn: &impl ConnectionTrait) -> Result<Vec<Owner>, StoreError> {
    Ok(entity::Entity::find()
        .order_by_asc(entity::Column::Id)
        .all(conn)
        .await?)
}

/// The Twilio account in the environment.
#[derive(Debug)]
pub struct DefaultAccount<'a> {
    /// Twilio's `AC…`.
    pub sid: &'a str,
    /// Its auth token.
    pub token: &'a SecretString,
    /// The addresses at which it is reached.
    pub numbers: &'a [Address],
}

/// Gives the account in the environment to the owner `default`, who is created on the unlimited plan, unless
/// another owner holds it already. Run at every start: a new token replaces the old one, new numbers are added.
/// Returns whether `default` holds the account. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn claim_default(
    conn: &impl ConnectionTrait,
    secret: &Secret,
    account: &DefaultAccount<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = "select 1 from channel_accounts where twilio_account_sid = $1 and owner <> $2";
    let others = conn
        .query_one_raw(statement(conn, sql, vec![text(account.sid), text(DEFAULT)]))
        .await?;
    if others.is_some() {
        return Ok(false);
    }
    let owner = OwnerId::from(DEFAULT);
    plans::install(conn).await?;
    create(conn, &owner, "Default", "pt", now).await?;
    subscriptions::begin(
        conn,
        &owner,
        plans::UNLIMITED,
        Period::Lifetime,
        SubscriptionState::Active,
        now,
    )
    .await?;
    accounts::put(conn, secret, &owner, account.sid, account.token, now).await?;
    for number in account.numbers {
        accounts::add_number(conn, &owner, account.sid, number, now).await?;
    }
    Ok(true)
}
