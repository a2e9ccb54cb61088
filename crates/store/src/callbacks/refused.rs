//! Messages of ours that Twilio took and could not deliver.
use chrono::{DateTime, Utc};
use recado_domain::OwnerId;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    StoreError,
    statement::{statement, text},
};

/// A message that was not delivered. `Debug` leaves out what it says, and to whom.
#[derive(Clone, FromQueryResult)]
pub struct Undelivered {
    owner: String,
    /// Which part of a split text, from 0.
    pub part: i64,
    /// Its text; of a template what that went instead of.
    pub body: String,
    /// Whether it is a template.
    pub is_template: bool,
    /// What it had beside its text, a JSON object.
    form: Option<String>,
    /// Our address, as Twilio writes it.
    pub ours: String,
    /// The contact's.
    pub theirs: String,
    /// Twilio's error.
    pub error_code: Option<i64>,
    /// When it was meant to be sent.
    pub created_at: DateTime<Utc>,
}

impl std::fmt::Debug for Undelivered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Undelivered")
            .field("owner", &self.owner)
            .field("error_code", &self.error_code)
            .finish_non_exhaustive()
    }
}

impl Undelivered {
    /// Whose it is.
    pub fn owner(&self) -> OwnerId {
        OwnerId::from(self.owner.as_str())
    }

    /// Where Twilio fetched what was attached.
    pub fn media_urls(&self) -> Vec<String> {
        let form: Option<serde_json::Value> = self
            .form
            .as_deref()
            .and_then(|form| serde_json::from_str(form).ok());
        let urls = form.and_then(|mut form| serde_json::from_value(form["media_urls"].take()).ok());
        urls.unwrap_or_default()
    }
}

/// The message of a SID, where it was reported as not delivered; its owner holds the account.
///
/// # Errors
/// Those of the database.
pub async fn undelivered(
    conn: &impl ConnectionTrait,
    account_sid: &str,
    sid: &str,
) -> Result<Option<Undelivered>, StoreError> {
    let sql = "
        select m.owner, m.part, m.body, m.kind = 'template' as is_template, m.form, c.our_address as ours,
            c.contact_address as theirs, m.error_code, m.created_at
        from messages m join conversations c on c.id = m.conversation and c.owner = m.owner
        where m.twilio_sid = $1 and m.direction = 'outbound' and m.status in ('failed', 'undelivered')
            and m.owner in (select a.owner from channel_accounts a where a.twilio_account_sid = $2)";
    let values = vec![text(sid), text(account_sid)];
    Ok(Undelivered::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?)
}
