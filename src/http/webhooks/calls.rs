//! Twilio's webhooks about telephone calls: one comes in, one has come further, a recording has come further.
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};
use recado_clients::twilio::{CallForm, RecordingForm, code_label};
use recado_domain::{CallStatus, RecordingStatus};
use recado_engine::{RunId, Start, Storage, Workflow};
use recado_store::{
    StoreError,
    calls::reports::{self, News, Report},
    owners::{self, Voice},
};
use recado_workflows::{KeepRecording, ReceiveCall};
use sea_orm::DatabaseTransaction;

use super::{Webhook, count, in_time, malformed, proved, token, twiml};
use crate::{
    app::{App, RECORDING_PATH},
    http::{Problem, reports::Refused},
};

/// A call comes in: it is in the books before the caller hears anything.
#[handler]
pub(crate) async fn voice(request: &Request, body: Body, Data(app): Data<&App>) -> Result<Response, Problem> {
    let begun = std::time::Instant::now();
    let twiml = in_time(app, request, ring(app, request, body)).await?;
    count("voice", begun);
    Ok(Response::builder().content_type("text/xml").body(twiml))
}

/// How far a call has come.
#[handler]
pub(crate) async fn call_status(
    request: &Request,
    body: Body,
    Data(app): Data<&App>,
) -> Result<Response, Problem> {
    let begun = std::time::Instant::now();
    in_time(app, request, note_call(app, request, body)).await?;
    count("call_status", begun);
    Ok(StatusCode::NO_CONTENT.into())
}

/// How far a recording has come.
#[handler]
pub(crate) async fn recording_status(
    request: &Request,
    body: Body,
    Data(app): Data<&App>,
) -> Result<Response, Problem> {
    let begun = std::time::Instant::now();
    in_time(app, request, note_recording(app, request, body)).await?;
    count("recording_status", begun);
    Ok(StatusCode::NO_CONTENT.into())
}

async fn ring(app: &App, request: &Request, body: Body) -> Result<String, Problem> {
    let proved = proved(app, request, body, Webhook::Inbound).await?;
    let form = CallForm::from_fields(&proved.fields).map_err(|error| malformed(app, request, &error))?;
    let has_ended = CallStatus::parse(&form.call_status).is_ok_and(CallStatus::is_final);
    if has_ended || form.has_recorded {
        // The message has been left, or the caller has gone.
        return Ok(twiml::hang_up());
    }
    let call = ReceiveCall {
        account: form.account_sid,
        sid: form.call_sid,
        from: form.from.unwrap_or_default(),
        to: form.to.unwrap_or_default(),
        form: proved.fields,
    };
    let start = Start {
        key: Some(ReceiveCall::key(&call.account, &call.sid)),
        owner: proved.owner.as_ref().map(ToString::to_string),
        ..Start::default()
    };
    app.engine.start(&call, start).await?;
    let owner = match &proved.owner {
        Some(owner) => owners::find(&app.environment.database, owner).await?,
        None => None,
    };
    // Several owners hold the account, and none this number: the run is parked, so that the operator sees who called.
    let Some(owner) = owner else {
        return Ok(twiml::reject());
    };
    let public = app.config.public_url.as_ref().map(url::Url::as_str);
    let recorded = format!(
        "{}{RECORDING_PATH}",
        public.unwrap_or_default().trim_end_matches('/')
    );
    Ok(twiml::greet(&Voice::of(&owner)?, &recorded))
}

async fn note_call(app: &App, request: &Request, body: Body) -> Result<(), Problem> {
    let fields = proved(app, request, body, Webhook::Status).await?.fields;
    let form = CallForm::from_fields(&fields).map_err(|error| malformed(app, request, &error))?;
    let Ok(status) = CallStatus::parse(&form.call_status) else {
        tracing::warn!(
            status = form.call_status,
            "Twilio reports a status of a call that this build does not know"
        );
        return Ok(());
    };
    let report = Report {
        account_sid: form.account_sid,
        token: token(request),
        call_sid: form.call_sid,
        news: News::Call {
            status,
            duration: form.duration.map(i64::from),
            answered_by: form.answered_by,
            error_code: form.error_code.map(i64::from),
        },
        raw: raw(&fields),
    };
    write_down(app, report).await?;
    let code = code_label(form.error_code.unwrap_or_default());
    metrics::counter!("recado_call_reports_total", "status" => status.as_str(), "code" => code).increment(1);
    Ok(())
}

async fn note_recording(app: &App, request: &Request, body: Body) -> Result<(), Problem> {
    let fields = proved(app, request, body, Webhook::Status).await?.fields;
    let form = RecordingForm::from_fields(&fields).map_err(|error| malformed(app, request, &error))?;
    let Ok(status) = RecordingStatus::parse(&form.recording_status) else {
        tracing::warn!(
            status = form.recording_status,
            "Twilio reports a status of a recording that this build does not know"
        );
        return Ok(());
    };
    let keep = KeepRecording {
        account: form.account_sid.clone(),
        sid: form.recording_sid.clone(),
    };
    let report = Report {
        account_sid: form.account_sid,
        token: token(request),
        call_sid: form.call_sid,
        news: News::Recording {
            sid: form.recording_sid,
            status,
            duration: form.duration.map(i64::from),
            error_code: form.error_code.map(i64::from),
        },
        raw: raw(&fields),
    };
    if status == RecordingStatus::Completed && keep_it(app, keep, report.clone()).await? {
        return Ok(());
    }
    write_down(app, report).await
}

/// Starts the run that fetches a recording, in one commit with the report that it is complete. Where the call is not known
/// yet, that run waits for it. Returns whether this did it; if not, an earlier report has.
async fn keep_it(app: &App, keep: KeepRecording, report: Report) -> Result<bool, Problem> {
    let start = Start {
        key: Some(keep.key()),
        ..Start::default()
    };
    let told = Arc::new(OnceLock::new());
    let tell = told.clone();
    let begun =
        app.engine
            .run_named_after::<Problem, _>(KeepRecording::NAME, start, Duration::ZERO, move |tx| {
                Box::pin(async move {
                    if let Some(run) = apply(tx, &report).await? {
                        let _ = tell.set(run);
                    }
                    serde_json::to_value(&keep).map_err(|error| StoreError::from(error).into())
                })
            });
    let (started, _) = begun.await?;
    if let Some(run) = told.get().filter(|_| started.new) {
        app.engine.wake(run).await;
    }
    Ok(started.new)
}

/// It is on the disk when this returns; a run that asks what became of its call has been told.
async fn write_down(app: &App, report: Report) -> Result<(), Problem> {
    let write = app
        .engine
        .storage()
        .transaction(move |tx| Box::pin(async move { apply(tx, &report).await }));
    if let Some(run) = write.await? {
        app.engine.wake(&run).await;
    }
    Ok(())
}

/// Writes a report down, and returns the run that it tells of its call.
async fn apply(tx: &DatabaseTransaction, report: &Report) -> Result<Option<RunId>, Refused> {
    let call = reports::call_of(tx, report).await?;
    // The run is told first: its row is locked before that of its call, here as in its own steps.
    let is_proof = call.as_ref().is_some_and(|call| call.twilio_sid.is_none());
    let told = match report.token.as_deref().filter(|_| is_proof) {
        Some(token) => Storage::prove(tx, token).await?,
        None => None,
    };
    reports::apply(tx, call.as_ref(), report, chrono::Utc::now()).await?;
    Ok(told)
}

fn raw(fields: &[(String, String)]) -> String {
    serde_json::to_string(fields).unwrap_or_default()
}
