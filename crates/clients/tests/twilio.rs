//! Requests to a Twilio that misbehaves: what is sent, and what is made of the answers.

mod server;

use std::time::Duration;

use chrono::{DateTime, Utc};
use recado_clients::twilio::{
    Client, CreateMessage, Credentials, ErrorClass, ListMessages, Message, Sender, Template, TwilioError,
    Uncertainty,
};
use serde_json::{Value, json};
use server::{Server, Step, nobody};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "c0ffee-token";
const TO: &str = "whatsapp:+5511987654321";
const TEXT: &str = "Olá & até já";

fn credentials() -> Credentials {
    Credentials {
        account_sid: ACCOUNT.to_owned(),
        auth_token: TOKEN.into(),
    }
}

fn client(url: &str) -> Client {
    Client::new(url, Duration::from_secs(10)).expect("a client")
}

fn text() -> CreateMessage {
    CreateMessage {
        to: TO.to_owned(),
        sender: Sender::Number("whatsapp:+14155238886".to_owned()),
        body: TEXT.to_owned(),
        media_urls: Vec::new(),
        template: None,
        status_callback: Some("https://recado.example/status?token=1".to_owned()),
    }
}

fn message(sid: &str, created: &str) -> Value {
    json!({
        "sid": sid, "status": "queued", "to": TO, "from": "whatsapp:+14155238886", "body": TEXT,
        "direction": "outbound-api", "date_created": created, "date_sent": null, "error_code": null, "num_media": "0",
    })
}

fn page(messages: Vec<Value>, next: Option<&str>) -> Step {
    Step::answer(200, json!({"messages": messages, "next_page_uri": next}))
}

fn noon() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2025-11-21T12:00:00.700Z")
        .expect("a date")
        .with_timezone(&Utc)
}

async fn sent(step: Step) -> Result<Message, TwilioError> {
    let server = Server::follow([step]).await;
    let result = client(&server.url).create_message(&credentials(), &text()).await;
    assert_eq!(
        server.seen().len(),
        1,
        "a send must never be repeated by the client"
    );
    result
}

async fn listed(server: &Server) -> Result<Vec<String>, TwilioError> {
    let wanted = ListMessages {
        to: Some(TO.to_owned()),
        from: None,
        sent_after: noon(),
    };
    let messages = client(&server.url).list_messages(&credentials(), &wanted).await?;
    Ok(messages.into_iter().map(|message| message.sid).collect())
}

#[tokio::test]
async fn a_text_is_sent_as_twilio_wants_it() {
    let server = Server::follow([Step::answer(
        201,
        message("SM1", "Fri, 21 Nov 2025 12:00:01 +0000"),
    )])
    .await;
    let created = client(&server.url)
        .create_message(&credentials(), &text())
        .await
        .expect("sent");
    assert_eq!((created.sid.as_str(), created.status.as_str()), ("SM1", "queued"));
    let seen = &server.seen()[0];
    assert_eq!(
        seen.line,
        format!("POST /2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    );
    assert_eq!(
        seen.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert!(
        seen.header("authorization")
            .is_some_and(|value| value.starts_with("Basic "))
    );
    let form: Vec<(String, String)> = serde_urlencoded::from_str(&seen.body).expect("a form");
    let expected = [
        ("To", TO),
        ("From", "whatsapp:+14155238886"),
        ("Body", TEXT),
        ("StatusCallback", "https://recado.example/status?token=1"),
    ];
    assert_eq!(
        form,
        expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
}

#[tokio::test]
async fn a_messaging_service_sends_in_place_of_a_number() {
    let server = Server::follow([Step::answer(201, message("SM1", ""))]).await;
    let by_service = CreateMessage {
        sender: Sender::Service("MG1".to_owned()),
        status_callback: None,
        ..text()
    };
    client(&server.url)
        .create_message(&credentials(), &by_service)
        .await
        .expect("sent");
    let body = &server.seen()[0].body;
    assert!(
        body.contains("MessagingServiceSid=MG1")
            && !body.contains("From=")
            && !body.contains("StatusCallback")
    );
}

#[tokio::test]
async fn media_and_templates_have_exactly_twilios_parameters() {
    let server = Server::follow([
        Step::answer(201, message("SM1", "")),
        Step::answer(201, message("SM2", "")),
    ])
    .await;
    let media = CreateMessage {
        body: String::new(),
        media_urls: vec!["https://a.example/1".to_owned(), "https://a.example/2".to_owned()],
        ..text()
    };
    let template = CreateMessage {
        body: String::new(),
        template: Some(Template {
            sid: "HX1".to_owned(),
            variables: Some("{\"1\":\"Ana\"}".to_owned()),
        }),
        ..text()
    };
    for message in [&media, &template] {
        let sent = client(&server.url).create_message(&credentials(), message).await;
        sent.expect("sent");
    }
    let names = |place: usize| -> Vec<String> {
        let form: Vec<(String, String)> =
            serde_urlencoded::from_str(&server.seen()[place].body).expect("a form");
        form.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(0), ["To", "From", "MediaUrl", "MediaUrl", "StatusCallback"]);
    assert_eq!(
        names(1),
        ["To", "From", "ContentSid", "ContentVariables", "StatusCallback"]
    );
}

#[tokio::test]
async fn a_refusal_is_definite_and_has_its_class() {
    let body = json!({"code": 21211, "message": "The 'To' number whatsapp:+5511987654321 is not valid.", "status": 400});
    let error = sent(Step::answer(400, body)).await.expect_err("refused");
    assert!(!error.may_have_happened());
    assert_eq!(error.class(), ErrorClass::Permanent);
    assert!(matches!(
        &error,
        TwilioError::Refused {
            status: 400,
            code: Some(21211),
            ..
        }
    ));
    assert!(
        error.to_string().contains("21211") && !error.to_string().contains("5511987654321"),
        "{error}"
    );
}

#[tokio::test]
async fn too_many_requests_wait_as_long_as_twilio_asks() {
    let limited = Step::Answer(
        429,
        vec![("Retry-After", "7".to_owned())],
        json!({"code": 20429}).to_string(),
    );
    let error = sent(limited).await.expect_err("refused");
    assert!(!error.may_have_happened());
    assert_eq!(
        (error.class(), error.retry_after()),
        (ErrorClass::BackOff, Some(Duration::from_secs(7)))
    );
}

#[tokio::test]
async fn a_refusal_without_a_document_goes_by_its_status() {
    let error = sent(Step::answer(429, "<html>slow down</html>"))
        .await
        .expect_err("refused");
    assert_eq!(error.class(), ErrorClass::BackOff);
    let error = sent(Step::answer(401, "")).await.expect_err("refused");
    assert_eq!(error.class(), ErrorClass::Configuration);
    let error = sent(Step::answer(400, json!({"code": 1})))
        .await
        .expect_err("refused");
    assert_eq!(error.class(), ErrorClass::Retry);
}

#[tokio::test]
async fn a_refused_connection_certainly_sent_nothing() {
    let result = client(&nobody().await)
        .create_message(&credentials(), &text())
        .await;
    let error = result.expect_err("nobody there");
    assert!(matches!(error, TwilioError::Unreachable { .. }), "{error}");
    assert!(!error.may_have_happened());
}

#[tokio::test]
async fn whatever_else_goes_wrong_may_have_happened() {
    let after = Duration::from_secs(2);
    let overloaded = Step::Answer(503, vec![("Retry-After", "2".to_owned())], String::new());
    let moved = Step::Answer(307, vec![("Location", "/elsewhere".to_owned())], String::new());
    let server_error = |status, retry_after| Uncertainty::ServerError { status, retry_after };
    for (step, expected) in [
        (Step::answer(500, "boom"), server_error(500, None)),
        (overloaded, server_error(503, Some(after))),
        (moved, server_error(307, None)),
        (Step::answer(201, "<html>"), Uncertainty::Unreadable),
        (
            Step::answer(201, json!({"status": "queued"})),
            Uncertainty::Unreadable,
        ),
    ] {
        let error = sent(step).await.expect_err("no message");
        assert!(error.may_have_happened());
        assert_eq!(error, TwilioError::Unknown(expected));
    }
    for step in [Step::HangUp, Step::Cut] {
        let error = sent(step).await.expect_err("no message");
        assert!(
            matches!(error, TwilioError::Unknown(Uncertainty::Interrupted { .. })),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_leaves_it_open() {
    let server = Server::follow([Step::Silence]).await;
    let hasty = Client::new(&server.url, Duration::from_millis(300)).expect("a client");
    let error = hasty
        .create_message(&credentials(), &text())
        .await
        .expect_err("no answer");
    assert_eq!(error, TwilioError::Unknown(Uncertainty::TimedOut));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn no_error_and_no_debug_tells_token_number_or_account() {
    let mut told = format!("{:?} {:?} {:?}", credentials().auth_token, text(), text().sender);
    let wanted = ListMessages {
        to: Some(TO.to_owned()),
        from: None,
        sent_after: noon(),
    };
    told += &format!("{wanted:?} {:?}", client("https://api.twilio.com"));
    for step in [
        Step::HangUp,
        Step::Cut,
        Step::answer(500, TEXT),
        Step::answer(400, json!({"message": TO})),
        Step::answer(200, TEXT),
    ] {
        let error = sent(step).await.expect_err("no message");
        told += &format!("{error} {error:?}");
    }
    let refused = client(&nobody().await)
        .list_messages(&credentials(), &wanted)
        .await
        .expect_err("nobody there");
    told += &format!("{refused} {refused:?}");
    for secret in [TOKEN, "5511987654321", ACCOUNT, "até"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[tokio::test]
async fn a_listing_follows_its_pages_until_all_of_one_is_older() {
    let next = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json?PageSize=1000&Page=1&PageToken=PA1");
    let older = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json?PageSize=1000&Page=2&PageToken=PA2");
    let server = Server::follow([
        page(
            vec![message("SM3", "Fri, 21 Nov 2025 12:00:05 +0000")],
            Some(&next),
        ),
        page(
            vec![
                message("SM3", "Fri, 21 Nov 2025 12:00:05 +0000"),
                message("SM2", "Fri, 21 Nov 2025 12:00:00 +0000"),
                message("SM1", "Wed, 19 Nov 2025 09:00:00 +0000"),
            ],
            Some(&older),
        ),
        page(
            vec![message("SM0", "Tue, 18 Nov 2025 09:00:00 +0000")],
            Some(&older),
        ),
    ])
    .await;
    assert_eq!(listed(&server).await.expect("a listing"), ["SM3", "SM2"]);
    assert_eq!(server.seen().len(), 3);
    assert_eq!(server.seen()[1].line, format!("GET {next}"));
}

#[tokio::test]
async fn a_message_not_yet_sent_is_found_because_no_date_is_asked_for() {
    let mut dateless = message("SM2", "");
    dateless["date_created"] = Value::Null;
    let server = Server::follow([page(
        vec![dateless, message("SM1", "Fri, 21 Nov 2025 12:00:00 +0000")],
        None,
    )])
    .await;
    assert_eq!(listed(&server).await.expect("a listing"), ["SM2", "SM1"]);
    let line = &server.seen()[0].line;
    let expected = format!(
        "GET /2010-04-01/Accounts/{ACCOUNT}/Messages.json?PageSize=1000&To=whatsapp%3A%2B5511987654321"
    );
    assert_eq!(*line, expected);
}

#[tokio::test]
async fn a_clock_that_is_a_little_ahead_hides_no_message() {
    let server = Server::follow([page(
        vec![
            message("SM2", "Fri, 21 Nov 2025 11:59:56 +0000"),
            message("SM1", "Fri, 21 Nov 2025 11:59:54 +0000"),
        ],
        None,
    )])
    .await;
    assert_eq!(listed(&server).await.expect("a listing"), ["SM2"]);
}

#[tokio::test]
async fn a_listing_that_leads_elsewhere_or_breaks_off_is_an_error_and_not_a_short_listing() {
    let first = || vec![message("SM1", "Fri, 21 Nov 2025 12:00:05 +0000")];
    let foreign = Server::follow([page(
        first(),
        Some("https://evil.example/2010-04-01/Accounts.json"),
    )])
    .await;
    assert_eq!(
        listed(&foreign).await,
        Err(TwilioError::Unknown(Uncertainty::Unreadable))
    );
    let next = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json?Page=1");
    let broken = Server::follow([page(first(), Some(&next)), Step::answer(500, "")]).await;
    assert!(listed(&broken).await.is_err());
}

#[tokio::test]
async fn a_listing_without_end_is_given_up() {
    let next = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json?Page=1");
    let endless = (0..50).map(|_| {
        page(
            vec![message("SM1", "Fri, 21 Nov 2025 12:00:05 +0000")],
            Some(&next),
        )
    });
    let server = Server::follow(endless).await;
    let error = listed(&server).await.expect_err("endless");
    assert!(
        matches!(
            error,
            TwilioError::Unknown(Uncertainty::TooManyPages { pages: 10 })
        ),
        "{error}"
    );
    assert_eq!(server.seen().len(), 10);
}

#[tokio::test]
async fn a_message_and_the_account_can_be_looked_up() {
    let account = json!({"sid": ACCOUNT, "friendly_name": "Padaria", "status": "active", "type": "Trial", "subresource_uris": {}});
    let not_found = json!({"code": 20404, "message": "The requested resource was not found", "status": 404});
    let mut failed = message("SM1", "Fri, 21 Nov 2025 12:00:05 +0000");
    failed["error_code"] = json!(30007);
    let server = Server::follow([
        Step::answer(200, failed),
        Step::answer(404, not_found),
        Step::answer(200, account),
    ])
    .await;
    let client = client(&server.url);
    let message = client
        .fetch_message(&credentials(), "SM1")
        .await
        .expect("a message");
    assert_eq!(message.error_code, Some(30007));
    let error = client
        .fetch_message(&credentials(), "SM2")
        .await
        .expect_err("none");
    assert_eq!(error.class(), ErrorClass::Permanent);
    let account = client.fetch_account(&credentials()).await.expect("an account");
    assert_eq!(
        (account.friendly_name.as_str(), account.kind.as_str()),
        ("Padaria", "Trial")
    );
    assert_eq!(
        server.seen()[0].line,
        format!("GET /2010-04-01/Accounts/{ACCOUNT}/Messages/SM1.json")
    );
    assert_eq!(
        server.seen()[2].line,
        format!("GET /2010-04-01/Accounts/{ACCOUNT}.json")
    );
}
