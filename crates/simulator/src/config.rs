//! What a simulator is told when it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use crate::faults::Faults;

/// How a simulator starts. [`Config::new`] has good values for everything but the book.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes any free one. Unused when the routes are mounted.
    pub addr: SocketAddr,
    /// The append-only JSON-lines file; it is created, or read back if it exists.
    pub book: PathBuf,
    /// The accounts that exist at start; [`crate::State::put_account`] adds more.
    pub accounts: Vec<Account>,
    /// How to misbehave from the start.
    pub faults: Faults,
    /// How many requests and deliveries are kept in memory; the file keeps all.
    pub log_size: usize,
    /// How many status callbacks are on their way at once.
    pub posts_at_once: usize,
}

impl Config {
    /// Loopback, any port, no account, no fault.
    pub fn new(book: impl Into<PathBuf>) -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            book: book.into(),
            accounts: Vec::new(),
            faults: Faults::default(),
            log_size: 10_000,
            posts_at_once: 64,
        }
    }

    /// Adds an account.
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }
}

/// A Twilio account as Twilio knows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// `AC…`; also the user of basic auth. Absent in the JSON of `PUT …/accounts/{sid}`.
    #[serde(default)]
    pub sid: String,
    /// The password of basic auth and the key of every signature.
    pub auth_token: SecretString,
    /// Where inbound messages are posted, with its `#rc=…` fragment if any.
    #[serde(default)]
    pub webhook_url: Option<String>,
    /// Where it is asked what to do with an inbound call.
    #[serde(default)]
    pub voice_url: Option<String>,
    /// Where the end of an inbound call is posted.
    #[serde(default)]
    pub call_status_url: Option<String>,
    /// The senders it owns, E.164. A plain number also owns its `whatsapp:` form. Empty: any.
    #[serde(default)]
    pub numbers: Vec<String>,
}

impl Account {
    /// An account without a webhook that may send from any number.
    pub fn new(sid: impl Into<String>, auth_token: impl Into<SecretString>) -> Self {
        Self {
            sid: sid.into(),
            auth_token: auth_token.into(),
            webhook_url: None,
            voice_url: None,
            call_status_url: None,
            numbers: Vec::new(),
        }
    }

    /// Where its inbound messages are posted.
    #[must_use]
    pub fn webhook(mut self, url: impl Into<String>) -> Self {
        self.webhook_url = Some(url.into());
        self
    }

    /// Where it is asked what to do with an inbound call, and where the end of such a call is posted.
    #[must_use]
    pub fn voice(mut self, asked: impl Into<String>, ended: impl Into<String>) -> Self {
        self.voice_url = Some(asked.into());
        self.call_status_url = Some(ended.into());
        self
    }

    /// Adds a number that it owns.
    #[must_use]
    pub fn number(mut self, number: impl Into<String>) -> Self {
        self.numbers.push(number.into());
        self
    }

    /// Whether it may send from `address`.
    pub(crate) fn owns(&self, address: &str) -> bool {
        let plain = crate::address::without_channel(address);
        self.numbers.is_empty() || self.numbers.iter().any(|n| n == address || n == plain)
    }
}
