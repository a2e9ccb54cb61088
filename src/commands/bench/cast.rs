//! Who takes part in a measurement, and what they are told.
use std::path::Path;

use serde_json::json;

use super::{
    contacts::Account,
    process::{Environment, Process},
};
use crate::config::Config;

/// The operator's token.
pub(super) const ADMIN: &str = "bench";
/// The account of the owner `default`.
pub(super) const DEFAULT: Account = Account {
    sid: "AC0be00000000000000000000000000001",
    token: "the-token-of-the-bench",
    number: "+14155238886",
};
/// One that the seed gives to another owner.
pub(super) const OTHER: Account = Account {
    sid: "AC5eed0000000000000000000000000001",
    token: "5eed0000000000000000000000000001",
    number: "+551130000001",
};

/// What is started to be measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cast {
    /// Worker processes beside a `serve`; without any, one `serve --worker` does all.
    pub(super) workers: u64,
    /// Whether Twilio reports what becomes of answers.
    pub(super) callbacks: Callbacks,
}

/// Whether the simulated Twilio reports what becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callbacks {
    /// Sent, delivered, read: as Twilio does.
    Posted,
    /// Nothing.
    Silent,
}

/// Starts the simulated Twilio.
///
/// # Errors
/// When it does not come up.
pub(super) async fn start_twilio(
    port: u16,
    book: &Path,
    callbacks: Callbacks,
    http: &reqwest::Client,
) -> anyhow::Result<Process> {
    let (url, port) = (format!("http://127.0.0.1:{port}"), port.to_string());
    let book = book.display().to_string();
    let accounts =
        [DEFAULT, OTHER].map(|account| format!("{}:{}:{}", account.sid, account.token, account.number));
    let mut arguments = vec!["simulated-twilio", "--port", &port, "--book", &book];
    for account in &accounts {
        arguments.extend(["--account", account]);
    }
    let simulator = Process::twilio(&arguments, &url, http).await?;
    if callbacks == Callbacks::Silent {
        let faults = json!({"callbacks": {"none": true}});
        let set = http.put(format!("{url}/_simulator/faults")).json(&faults);
        set.send().await?.error_for_status()?;
    }
    Ok(simulator)
}

/// What the processes are told.
pub(super) fn environment(config: &Config, database: &str, address: &str, twilio: &str) -> Environment {
    vec![
        ("DATABASE_URL", database.to_owned()),
        ("REDIS_URL", config.redis_url.clone().unwrap_or_default()),
        ("HTTP_ADDR", address.trim_start_matches("http://").to_owned()),
        ("PUBLIC_URL", address.to_owned()),
        (
            "SECRET_KEY",
            "recado bench: everything here is simulated".to_owned(),
        ),
        ("ADMIN_TOKEN", ADMIN.to_owned()),
        ("TWILIO_ACCOUNT_SID", DEFAULT.sid.to_owned()),
        ("TWILIO_AUTH_TOKEN", DEFAULT.token.to_owned()),
        ("TWILIO_PHONE_NUMBER", DEFAULT.number.to_owned()),
        ("TWILIO_WHATSAPP_NUMBER", DEFAULT.number.to_owned()),
        ("TWILIO_API_URL", twilio.to_owned()),
        ("OPENAI_API_KEY", String::new()),
        ("GROQ_API_KEY", String::new()),
        ("GEMINI_API_KEY", String::new()),
        ("OLLAMA_URL", String::new()),
        // That a pool is waited for is what overload means, and is measured.
        ("LOG", "warn,sqlx=error".to_owned()),
    ]
}
