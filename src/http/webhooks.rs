//! Twilio's webhooks: proved, written down, acknowledged. They carry their own proof.
use std::{future::Future, time::Duration};

use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};
use recado_activities::may_go_otherwise;
use recado_clients::twilio::{self, FormError, InboundForm, StatusForm};
use recado_domain::{MessageStatus, OwnerId};
use recado_engine::{Start, Started};
use recado_store::{accounts::Signers, owners};
use recado_workflows::{InboundMessage, SendInstead};
use url::Url;

use super::{BODY_LIMIT, Problem, rejected::Reason, reports::Report};
use crate::app::App;

pub(super) mod calls;
pub(crate) mod twiml;

/// Twilio sends some fifty fields at most.
const FIELDS: usize = 300;
/// How long Twilio is kept waiting for a database that is away; it gives up after 15 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// An inbound message: one commit, one run, whatever happens afterwards.
#[handler]
pub(crate) async fn inbound(
    request: &Request,
    body: Body,
    Data(app): Data<&App>,
) -> Result<Response, Problem> {
    let begun = std::time::Instant::now();
    in_time(app, request, receive(app, request, body)).await?;
    count("inbound", begun);
    Ok(Response::builder().content_type("text/xml").body("<Response/>"))
}

/// What became of a message of ours.
#[handler]
pub(crate) async fn status(
    request: &Request,
    body: Body,
    Data(app): Data<&App>,
) -> Result<Response, Problem> {
    let begun = std::time::Instant::now();
    in_time(app, request, note(app, request, body)).await?;
    count("status", begun);
    Ok(StatusCode::NO_CONTENT.into())
}

/// Tells the trace of a run of a webhook that came for it. A caller's own trace is linked, never joined.
fn trace(
    webhook: &'static str,
    request: &Request,
    started: &Started,
    arrived: chrono::DateTime<chrono::Utc>,
) {
    drop(tracing::info_span!(
        target: "recado::trace", parent: None, "webhook",
        otel.name = format!("webhook {webhook}"), otel.kind = "server", run.id = %started.run,
        begun = arrived.timestamp_micros(), repeated = !started.new, link = request.header("traceparent"),
    ));
}

/// Counts a webhook that was taken.
fn count(webhook: &'static str, begun: std::time::Instant) {
    metrics::counter!("recado_webhooks_accepted_total", "webhook" => webhook).increment(1);
    metrics::histogram!("recado_webhook_ack_seconds", "webhook" => webhook)
        .record(begun.elapsed().as_secs_f64());
}

async fn receive(app: &App, request: &Request, body: Body) -> Result<(), Problem> {
    let arrived = chrono::Utc::now();
    let proved = proved(app, request, body, Webhook::Inbound).await?;
    let form = InboundForm::from_fields(&proved.fields).map_err(|error| malformed(app, request, &error))?;
    let start = Start {
        key: Some(InboundMessage::key(&form.account_sid, &form.message_sid)),
        // The run resolves it by itself; what is known now lets its owner's share of the workers count from the start.
        owner: proved.owner.map(|owner| owner.to_string()),
        ..Start::default()
    };
    let call = InboundMessage {
        account: form.account_sid,
        sid: form.message_sid,
        service: form.messaging_service_sid,
        from: form.from,
        to: form.to,
        body: form.body,
        media: form.num_media,
        profile_name: form.profile_name,
        opt_out_type: form.opt_out_type,
        received_at: None,
        form: form.fields,
    };
    let start = Start {
        lane: Some(call.lane()),
        ..start
    };
    let started = app.engine.start(&call, start).await?;
    trace("inbound", request, &started, arrived);
    Ok(())
}

async fn note(app: &App, request: &Request, body: Body) -> Result<(), Problem> {
    let fields = proved(app, request, body, Webhook::Status).await?.fields;
    let form = StatusForm::from_fields(&fields).map_err(|error| malformed(app, request, &error))?;
    let raw = besides(&fields);
    let Ok(reported) = MessageStatus::parse(&form.message_status) else {
        // New ones arrive unannounced: it is acknowledged, and told to the operator instead of to Twilio.
        tracing::warn!(
            status = form.message_status,
            "Twilio reports a status that this build does not know"
        );
        return Ok(());
    };
    let report = Report {
        account_sid: form.account_sid,
        token: token(request),
        sid: form.message_sid,
        status: reported,
        error_code: form.error_code.map(i64::from),
        raw,
        at: chrono::Utc::now(),
    };
    let is_lost = matches!(reported, MessageStatus::Failed | MessageStatus::Undelivered);
    if is_lost && form.error_code.is_some_and(may_go_otherwise) {
        send_instead(app, &report).await?;
    }
    app.reports.write(&app.engine, report).await?;
    let code = twilio::code_label(form.error_code.unwrap_or_default());
    metrics::counter!("recado_status_reports_total", "status" => reported.as_str(), "code" => code)
        .increment(1);
    Ok(())
}

/// What a report of a message says besides what its row and its message's keep: three of them come for each message, and
/// say the same of it. From which number it went only they tell where a messaging service chose it.
fn besides(fields: &[(String, String)]) -> String {
    const KEPT: [&str; 8] = [
        "AccountSid",
        "ApiVersion",
        "ErrorCode",
        "MessageSid",
        "MessageStatus",
        "SmsSid",
        "SmsStatus",
        "To",
    ];
    let is_chosen = fields.iter().any(|(name, _)| name == "MessagingServiceSid");
    let is_kept = |name: &str| KEPT.contains(&name) || (name == "From" && !is_chosen);
    let besides = fields.iter().filter(|(name, _)| !is_kept(name));
    serde_json::to_string(&besides.collect::<Vec<_>>()).unwrap_or_default()
}

/// Starts the run that sends it otherwise, where its owner may want that: once, and before Twilio is told that the report
/// is written down. It waits for the report to be in the books.
async fn send_instead(app: &App, report: &Report) -> Result<(), Problem> {
    if !owners::any_way_out(&app.environment.database, &report.account_sid).await? {
        return Ok(());
    }
    let call = SendInstead {
        account: report.account_sid.clone(),
        sid: report.sid.clone(),
    };
    let start = Start {
        key: Some(call.key()),
        ..Start::default()
    };
    app.engine.start(&call, start).await?;
    Ok(())
}

/// Our token, which the URL that we gave Twilio carries.
fn token(request: &Request) -> Option<String> {
    let query = request.uri().query()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "token")
        .map(|(_, token)| token.into_owned())
}

/// A webhook whose signature is that of its account.
struct Proved {
    fields: Vec<(String, String)>,
    /// Whose account or number it reached, where that is one owner's.
    owner: Option<OwnerId>,
}

/// What a webhook tells of, and so where it says which address of ours it concerns.
#[derive(Clone, Copy)]
enum Webhook {
    /// In `To`.
    Inbound,
    /// Nowhere: the message or call tells, and all of an account's are signed alike.
    Status,
}

async fn proved(app: &App, request: &Request, body: Body, webhook: Webhook) -> Result<Proved, Problem> {
    let path = request.original_uri().path();
    let reject = |reason: Reason, detail: &str| {
        app.rejected.push(path, reason, detail);
        Problem::new(
            StatusCode::FORBIDDEN,
            "the signature is missing or wrong, or nobody here holds the account",
        )
    };
    let body = body.into_bytes_limit(BODY_LIMIT).await.map_err(|_| {
        app.rejected.push(
            path,
            Reason::Malformed,
            "the body is larger than 1 MiB, or broke off",
        );
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 1 MiB, or broke off",
        )
    })?;
    let fields = twilio::parse_form(&body, FIELDS).map_err(|error| malformed(app, request, &error))?;
    let Some(signature) = request.header("X-Twilio-Signature") else {
        return Err(reject(Reason::Unsigned, "there is no X-Twilio-Signature"));
    };
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let ours = match webhook {
        Webhook::Inbound => field("To"),
        Webhook::Status => "",
    };
    let signers = app.environment.signers(field("AccountSid"), ours).await?;
    let Signers { tokens, owner } = &*signers;
    if tokens.is_empty() {
        return Err(reject(Reason::UnknownAccount, "no owner holds this account"));
    }
    if !twilio::verify(tokens, &signed_url(app, request), &fields, signature) {
        return Err(reject(
            Reason::WrongSignature,
            "signed with another token, or for another URL than PUBLIC_URL and this path",
        ));
    }
    Ok(Proved {
        fields,
        owner: owner.clone(),
    })
}

/// The URL as Twilio knows it: the public one, whatever proxies made of it.
fn signed_url(app: &App, request: &Request) -> String {
    let public = app
        .config
        .public_url
        .as_ref()
        .map(Url::as_str)
        .unwrap_or_default();
    let path = request
        .original_uri()
        .path_and_query()
        .map(|path| path.as_str())
        .unwrap_or_default();
    format!("{}{path}", public.trim_end_matches('/'))
}

fn malformed(app: &App, request: &Request, error: &FormError) -> Problem {
    app.rejected.push(
        request.original_uri().path(),
        Reason::Malformed,
        error.to_string(),
    );
    match error {
        FormError::Missing { field } | FormError::Malformed { field } => {
            Problem::unprocessable(*field, error.to_string())
        }
        FormError::NotUtf8 | FormError::TooManyFields { .. } => Problem::bad_request(error.to_string()),
    }
}

/// Waits for the database as long as Twilio waits for us; then asks Twilio to come again.
async fn in_time<T>(
    app: &App,
    request: &Request,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(problem)) => Err(problem),
        Err(_) => {
            app.rejected.push(
                request.original_uri().path(),
                Reason::DatabaseAway,
                "the database did not answer within 10 s",
            );
            Err(Problem::away())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_what_nothing_else_tells() {
        let fields = [
            ("MessageSid", "SM1"),
            ("To", "+5511987654321"),
            ("MessageStatus", "read"),
            ("EventType", "READ"),
        ];
        let mut fields = fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        fields.push(("From".to_owned(), "+14155238886".to_owned()));
        assert_eq!(besides(&fields), r#"[["EventType","READ"]]"#);
        fields.push(("MessagingServiceSid".to_owned(), "MG1".to_owned()));
        assert!(besides(&fields).contains("+14155238886"));
    }
}
