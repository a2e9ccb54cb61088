//! What Twilio said of messages, as it came.
use chrono::{DateTime, Utc};
use recado_domain::{MessageId, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{StoreError, rows::Rows, statement::text};

/// A status callback.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct StatusEvent {
    /// The message that it was about.
    pub message: String,
    /// The status in it.
    pub status: String,
    /// Twilio's error, if it had one.
    pub error_code: Option<i64>,
    /// When it came.
    pub at: DateTime<Utc>,
}

/// The callbacks of these messages, in the order in which they came.
///
/// # Errors
/// Those of the database.
pub async fn status_events(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    messages: &[MessageId],
) -> Result<Vec<StatusEvent>, StoreError> {
    let mut asked = Rows::new(&[("message", "text")]);
    for message in messages {
        asked.push([message.as_str().into()]);
    }
    let sql = "select e.message, e.status, e.error_code, e.at
        from {rows} join message_events e on e.message = t.message and e.owner = $2
        order by e.message, e.id";
    Ok(asked.query(conn, sql, vec![text(owner.as_str())]).await?)
}
