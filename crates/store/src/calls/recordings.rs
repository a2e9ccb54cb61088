//! Recordings of calls.
use chrono::{DateTime, Utc};
use recado_domain::{CallId, OwnerId, RecordingStatus};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use super::Call;
use crate::{
    StoreError,
    rows::{Column, Rows},
    statement::{execute, statement, text},
};

/// A recording, and where its audio is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recording {
    /// Twilio's `RE…`.
    pub sid: String,
    /// Of which call.
    pub call: CallId,
    /// The account that it was made in.
    pub account_sid: String,
    /// Twilio's word on it.
    pub status: RecordingStatus,
    /// How long it is, in seconds.
    pub duration: Option<i64>,
    /// The audio, once we keep it.
    pub kept: Option<Kept>,
    /// Whether it was kept, and its time is over.
    pub is_expired: bool,
    /// When it was first heard of.
    pub created_at: DateTime<Utc>,
}

/// Audio that we keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its SHA-256, in hexadecimal digits, by which it is found.
    pub sha256: String,
    /// What it is.
    pub content_type: String,
    /// How large it is.
    pub bytes: i64,
}

#[derive(FromQueryResult)]
struct Row {
    twilio_sid: String,
    call: String,
    account_sid: String,
    status: String,
    duration: Option<i64>,
    sha256: Option<String>,
    content_type: Option<String>,
    bytes: Option<i64>,
    created_at: DateTime<Utc>,
}

const COLUMNS: &str =
    "twilio_sid, call, account_sid, status, duration, sha256, content_type, bytes, created_at";

impl TryFrom<Row> for Recording {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let is_expired = row.sha256.is_none() && row.bytes.is_some();
        let kept = row.sha256.map(|sha256| Kept {
            sha256,
            content_type: row.content_type.unwrap_or_default(),
            bytes: row.bytes.unwrap_or_default(),
        });
        Ok(Self {
            sid: row.twilio_sid,
            call: CallId::from(row.call),
            account_sid: row.account_sid,
            status: RecordingStatus::parse(&row.status)?,
            duration: row.duration,
            kept,
            is_expired,
            created_at: row.created_at,
        })
    }
}

/// Takes in what is said of a recording of a call; the status only rises.
pub(super) async fn hear(
    conn: &impl ConnectionTrait,
    call: &Call,
    account_sid: &str,
    sid: &str,
    status: RecordingStatus,
    duration: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        insert into recordings (twilio_sid, owner, call, account_sid, status, rank, duration, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
        on conflict (twilio_sid) do update set
            status = case when recordings.rank < excluded.rank then excluded.status else recordings.status end,
            rank = case when recordings.rank < excluded.rank then excluded.rank else recordings.rank end,
            duration = coalesce(excluded.duration, recordings.duration),
            updated_at = excluded.updated_at
        where recordings.call = excluded.call";
    let values = vec![
        text(sid),
        text(call.owner.as_str()),
        text(call.id.as_str()),
        text(account_sid),
        text(status.as_str()),
        i64::from(status.rank()).into(),
        duration.into(),
        now.into(),
    ];
    execute(conn, sql, values).await?;
    Ok(())
}

/// The recording of a SID.
///
/// # Errors
/// Those of the database.
pub async fn recording(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    sid: &str,
) -> Result<Option<Recording>, StoreError> {
    let sql = format!("select {COLUMNS} from recordings where twilio_sid = $1 and owner = $2");
    let values = vec![text(sid), text(owner.as_str())];
    let row = Row::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    row.map(Recording::try_from).transpose()
}

/// The recordings of an owner's calls, oldest first.
///
/// # Errors
/// Those of the database.
pub async fn of_calls(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    calls: &[CallId],
) -> Result<Vec<Recording>, StoreError> {
    const CALLS: &[Column] = &[("its_call", "text")];
    let mut rows = Rows::new(CALLS);
    for call in calls {
        rows.push([call.as_str().into()]);
    }
    let sql = format!(
        "select {COLUMNS} from {{rows}} join recordings r on r.call = t.its_call
         where r.owner = $2 order by r.created_at, r.twilio_sid"
    );
    let found: Vec<Row> = rows.query(conn, &sql, vec![text(owner.as_str())]).await?;
    found.into_iter().map(Recording::try_from).collect()
}

/// Notes where the audio of a recording is.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner has no such recording.
pub async fn keep(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    sid: &str,
    kept: &Kept,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        update recordings set sha256 = $3, content_type = $4, bytes = $5, updated_at = $6
        where owner = $1 and twilio_sid = $2";
    let values = vec![
        text(owner.as_str()),
        text(sid),
        text(&kept.sha256),
        text(&kept.content_type),
        kept.bytes.into(),
        now.into(),
    ];
    match execute(conn, sql, values).await? {
        0 => Err(StoreError::NotFound("recording")),
        _ => Ok(()),
    }
}
