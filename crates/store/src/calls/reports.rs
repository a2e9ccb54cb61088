//! What Twilio reports of calls and their recordings: in any order, without a time, sometimes before the call's row.
//!
//! Has no tenant, because a report names none: the call tells whose it is, and the report counts only if that owner
//! holds the account whose signature it bears. Every report is kept.
use chrono::{DateTime, Utc};
use recado_domain::{CallStatus, RecordingStatus};
use sea_orm::{ConnectionTrait, FromQueryResult};
use ulid::Ulid;

use super::{Call, one, recordings};
use crate::{
    StoreError, dialect,
    statement::{execute, statement, text, text_or_null},
};

/// One report, its signature checked.
#[derive(Clone)]
pub struct Report {
    /// The account that signed it.
    pub account_sid: String,
    /// Our token, where its URL carried one.
    pub token: Option<String>,
    /// Twilio's SID of the call.
    pub call_sid: String,
    /// What it tells.
    pub news: News,
    /// The form, whole, as JSON.
    pub raw: String,
}

/// What a report tells.
#[derive(Clone)]
pub enum News {
    /// How far the call has come.
    Call {
        /// Its status.
        status: CallStatus,
        /// How long it was, in seconds; with its end.
        duration: Option<i64>,
        /// Who answered.
        answered_by: Option<String>,
        /// Twilio's error, if any.
        error_code: Option<i64>,
    },
    /// How far a recording of it has come.
    Recording {
        /// Twilio's `RE…`.
        sid: String,
        /// Its status.
        status: RecordingStatus,
        /// How long it is, in seconds.
        duration: Option<i64>,
        /// Twilio's error, if any.
        error_code: Option<i64>,
    },
}

/// What is said of a call; what is absent says nothing.
#[derive(Clone, Copy, Default)]
pub(crate) struct Said<'a> {
    pub(crate) sid: Option<&'a str>,
    pub(crate) status: Option<CallStatus>,
    pub(crate) duration: Option<i64>,
    pub(crate) answered_by: Option<&'a str>,
    pub(crate) error_code: Option<i64>,
}

/// The call that a report speaks of: by SID, else by token. Where it is none, whoever is just storing it is waited for, so
/// that the two cannot miss each other; who stores it later finds the report. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn call_of(conn: &impl ConnectionTrait, report: &Report) -> Result<Option<Call>, StoreError> {
    if let Some(call) = known(conn, report).await? {
        return Ok(Some(call));
    }
    hold(conn, &report.call_sid).await?;
    known(conn, report).await
}

/// Holds a call that is not in the books yet, to the end of the transaction.
pub(super) async fn hold(conn: &impl ConnectionTrait, sid: &str) -> Result<(), StoreError> {
    Ok(dialect::hold(conn, &format!("call/{sid}")).await?)
}

async fn known(conn: &impl ConnectionTrait, report: &Report) -> Result<Option<Call>, StoreError> {
    let holds = "owner in (select a.owner from channel_accounts a where a.twilio_account_sid = $2)";
    let values = |name: &str| vec![text(name), text(&report.account_sid)];
    let known = one(
        conn,
        &format!("where twilio_sid = $1 and {holds}"),
        values(&report.call_sid),
    )
    .await?;
    match (known, report.token.as_deref()) {
        (None, Some(token)) => one(conn, &format!("where token = $1 and {holds}"), values(token)).await,
        (known, _) => Ok(known),
    }
}

/// The recording of a SID, and its call, where Twilio has both in this account.
///
/// # Errors
/// Those of the database.
pub async fn call_of_recording(
    conn: &impl ConnectionTrait,
    account_sid: &str,
    sid: &str,
) -> Result<Option<(Call, recordings::Recording)>, StoreError> {
    let condition =
        "where id = (select r.call from recordings r where r.twilio_sid = $1 and r.account_sid = $2)";
    let Some(call) = one(conn, condition, vec![text(sid), text(account_sid)]).await? else {
        return Ok(None);
    };
    let recording = recordings::recording(conn, &call.owner, sid).await?;
    Ok(recording.map(|recording| (call, recording)))
}

/// Keeps a report, and applies it to the call that [`call_of`] found: a status only rises, an error code is never
/// cleared. One without a call is applied when that appears. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn apply(
    conn: &impl ConnectionTrait,
    call: Option<&Call>,
    report: &Report,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "
        insert into call_events (id, call, owner, account_sid, token, call_sid, recording_sid, status, duration,
            answered_by, error_code, raw, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let (recording, status, duration, answered_by, error_code) = match &report.news {
        News::Call {
            status,
            duration,
            answered_by,
            error_code,
        } => (
            None,
            status.as_str(),
            duration,
            answered_by.as_deref(),
            error_code,
        ),
        News::Recording {
            sid,
            status,
            duration,
            error_code,
        } => (Some(sid.as_str()), status.as_str(), duration, None, error_code),
    };
    let values = vec![
        text(Ulid::generate().to_string()),
        text_or_null(call.map(|call| call.id.as_str())),
        text_or_null(call.map(|call| call.owner.as_str())),
        text(&report.account_sid),
        text_or_null(report.token.as_deref()),
        text(&report.call_sid),
        text_or_null(recording),
        text(status),
        (*duration).into(),
        text_or_null(answered_by),
        (*error_code).into(),
        text(&report.raw),
        now.into(),
    ];
    execute(conn, sql, values).await?;
    match call {
        Some(call) => take_in(conn, call, report, now).await,
        None => Ok(()),
    }
}

async fn take_in(
    conn: &impl ConnectionTrait,
    call: &Call,
    report: &Report,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let said = match &report.news {
        News::Call {
            status,
            duration,
            answered_by,
            error_code,
        } => Said {
            sid: Some(&report.call_sid),
            status: Some(*status),
            duration: *duration,
            answered_by: answered_by.as_deref(),
            error_code: *error_code,
        },
        News::Recording { .. } => Said {
            sid: Some(&report.call_sid),
            ..Said::default()
        },
    };
    // Of another call than ours: our token was made known to somebody, and nothing is changed.
    if !hear(conn, call, &said, now).await? {
        return Ok(());
    }
    match &report.news {
        News::Call { .. } => Ok(()),
        News::Recording {
            sid,
            status,
            duration,
            ..
        } => recordings::hear(conn, call, &report.account_sid, sid, *status, *duration, now).await,
    }
}

/// Takes in what is said of a call, in one statement that lets the status only rise. Returns whether it is this call
/// that the SID names.
pub(crate) async fn hear(
    conn: &impl ConnectionTrait,
    call: &Call,
    said: &Said<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    if let Some(sid) = said.sid {
        let sql = "select 1 from calls where twilio_sid = $1 and id <> $2";
        let values = vec![text(sid), text(call.id.as_str())];
        if conn.query_one_raw(statement(conn, sql, values)).await?.is_some() {
            return Ok(false);
        }
    }
    // A refusal of ours has no rank: what Twilio says of the call afterwards is news.
    let sql = "
        update calls set
            twilio_sid = coalesce(twilio_sid, $3),
            sent_at = case when $3 is null then sent_at else coalesce(sent_at, $9) end,
            status = case when rank < $5 then $4 else status end,
            rank = case when rank < $5 then $5 else rank end,
            duration = coalesce($6, duration),
            answered_by = coalesce($7, answered_by),
            error_code = coalesce($8, error_code),
            updated_at = $9
        where owner = $1 and id = $2 and (twilio_sid is null or $3 is null or twilio_sid = $3)";
    let values = vec![
        text(call.owner.as_str()),
        text(call.id.as_str()),
        text_or_null(said.sid),
        text_or_null(said.status.map(CallStatus::as_str)),
        i64::from(said.status.map_or(0, CallStatus::rank)).into(),
        said.duration.into(),
        text_or_null(said.answered_by),
        said.error_code.into(),
        now.into(),
    ];
    Ok(execute(conn, sql, values).await? > 0)
}

#[derive(FromQueryResult)]
struct Orphan {
    id: String,
    account_sid: String,
    token: Option<String>,
    call_sid: String,
    recording_sid: Option<String>,
    status: String,
    duration: Option<i64>,
    answered_by: Option<String>,
    error_code: Option<i64>,
    at: DateTime<Utc>,
}

const ORPHAN: &str = "o.id, o.account_sid, o.token, o.call_sid, o.recording_sid, o.status, o.duration, o.answered_by, o.error_code, o.at";

/// Applies the reports that came before this call's row, or before its SID was known.
pub(crate) async fn adopt(
    conn: &impl ConnectionTrait,
    call: &Call,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = format!(
        "select {ORPHAN} from call_events o
         join channel_accounts a on a.owner = $1 and a.twilio_account_sid = o.account_sid
         where o.call is null and (o.call_sid = $2 or o.token = $3) order by o.id"
    );
    let values = vec![
        text(call.owner.as_str()),
        text_or_null(call.twilio_sid.as_deref()),
        text_or_null(call.token.as_deref()),
    ];
    let orphans = Orphan::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    for orphan in orphans {
        orphan.join(conn, call, now).await?;
    }
    Ok(())
}

/// Applies the reports of calls that have appeared, at most 500; returns how many. A report may come
/// between the row of a call and the SID in it, so that this is run from time to time. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn adopt_all(conn: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let sql = format!(
        "select {ORPHAN} from call_events o
         join calls c on c.twilio_sid = o.call_sid or c.token = o.token
         join channel_accounts a on a.owner = c.owner and a.twilio_account_sid = o.account_sid
         where o.call is null order by o.id limit 500"
    );
    let orphans = Orphan::find_by_statement(statement(conn, sql, vec![]))
        .all(conn)
        .await?;
    let mut adopted = 0;
    for orphan in orphans {
        if let Some(call) = call_of(conn, &orphan.report()?).await? {
            orphan.join(conn, &call, now).await?;
            adopted += 1;
        }
    }
    Ok(adopted)
}

/// Drops the reports from before `before` whose calls were never ours.
///
/// # Errors
/// Those of the database.
pub async fn purge(conn: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from call_events where call is null and at < $1";
    Ok(execute(conn, sql, vec![before.into()]).await?)
}

impl Orphan {
    fn report(&self) -> Result<Report, StoreError> {
        let news = match &self.recording_sid {
            None => News::Call {
                status: CallStatus::parse(&self.status)?,
                duration: self.duration,
                answered_by: self.answered_by.clone(),
                error_code: self.error_code,
            },
            Some(sid) => News::Recording {
                sid: sid.clone(),
                status: RecordingStatus::parse(&self.status)?,
                duration: self.duration,
                error_code: self.error_code,
            },
        };
        Ok(Report {
            account_sid: self.account_sid.clone(),
            token: self.token.clone(),
            call_sid: self.call_sid.clone(),
            news,
            raw: String::new(),
        })
    }

    /// Gives the report to its call, unless somebody else has.
    async fn join(
        &self,
        conn: &impl ConnectionTrait,
        call: &Call,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let sql = "update call_events set call = $2, owner = $3 where id = $1 and call is null";
        let values = vec![text(&self.id), text(call.id.as_str()), text(call.owner.as_str())];
        match execute(conn, sql, values).await? {
            0 => Ok(()),
            _ => take_in(conn, call, &self.report()?, now.max(self.at)).await,
        }
    }
}
