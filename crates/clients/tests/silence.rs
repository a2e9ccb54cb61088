//! What people say, their numbers, and what proves who we are, stay out of the log and out of errors. On its own,
//! because the subscriber is the process's.

mod server;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recado_clients::models::{Completion, Provider, Providers, Role, Turn, Vendor};
use recado_clients::twilio::{Client, CreateMessage, Credentials, Sender};
use serde_json::json;
use server::{Seen, Server, Step, nobody};

const TEXT: &str = "meu segredo";
const TOLD: &str = "segredo";
const NUMBER: &str = "5511987654321";
const KEY: &str = "c0ffee-key";
const PATIENCE: Duration = Duration::from_millis(500);
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("UTF-8")
    }
}

fn steps() -> Vec<Step> {
    let echo = json!({"error": {"message": TEXT, "type": TEXT, "code": 7}, "choices": TEXT, "message": format!("+{NUMBER}")});
    let mut steps: Vec<Step> = [200, 400, 401, 429, 500]
        .into_iter()
        .map(|status| Step::answer(status, &echo))
        .collect();
    steps.extend([
        Step::answer(200, TEXT),
        Step::answer(500, TEXT),
        Step::HangUp,
        Step::Cut,
        Step::Silence,
    ]);
    steps
}

async fn ask_a_model(url: &str) -> String {
    let user = Turn {
        role: Role::User,
        text: TEXT.to_owned(),
    };
    let completion = Completion {
        system: TEXT.to_owned(),
        turns: vec![user],
        json: false,
        max_tokens: 9,
    };
    let provider = Provider {
        base_url: url.to_owned(),
        ..Vendor::OpenAi.provider(Some(KEY.into()))
    };
    let providers = Providers::new(vec![provider], PATIENCE).expect("providers");
    let error = providers.complete(&completion).await.expect_err("no reply");
    format!(
        "{completion:?} {:?} {providers:?} {error} {error:?}\n",
        completion.turns
    )
}

async fn ask_twilio(url: &str) -> String {
    let credentials = Credentials {
        account_sid: ACCOUNT.to_owned(),
        auth_token: KEY.into(),
    };
    let to = format!("+{NUMBER}");
    let message = CreateMessage {
        to,
        sender: Sender::Number(NUMBER.to_owned()),
        body: TEXT.to_owned(),
        media_urls: Vec::new(),
        template: None,
        status_callback: None,
    };
    let client = Client::new(url, PATIENCE).expect("a client");
    let error = client
        .create_message(&credentials, &message)
        .await
        .expect_err("no message");
    format!(
        "{message:?} {:?} {client:?} {:?} {error} {error:?}\n",
        message.sender, credentials.auth_token
    )
}

fn was_told(seen: &Seen) -> bool {
    seen.line.starts_with("POST ") && seen.header("authorization").is_some() && seen.body.contains(TOLD)
}

#[tokio::test]
async fn neither_logs_nor_errors_repeat_texts_numbers_or_keys() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let mut told = String::new();
    let mut seen: Vec<Seen> = Vec::new();
    for step in steps() {
        let server = Server::follow([step]).await;
        told += &ask_a_model(&server.url).await;
        seen.extend(server.seen());
    }
    for step in steps() {
        let server = Server::follow([step]).await;
        told += &ask_twilio(&server.url).await;
        seen.extend(server.seen());
    }
    told += &ask_a_model(&nobody().await).await;
    told += &ask_twilio(&nobody().await).await;
    told += &log.text();
    assert!(
        told.contains("a model provider gave no answer"),
        "the log was not captured: {told}"
    );
    assert!(
        seen.iter().all(was_told),
        "what must not be told was not even sent"
    );
    for secret in [TOLD, NUMBER, KEY] {
        let line = told.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was told");
    }
}
