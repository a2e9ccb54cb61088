//! What the routes, the carrier and the tests share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::book::Book;
use crate::calls::outbound;
use crate::carrier;
use crate::config::{Account, Config};
use crate::faults::Faults;
use crate::media::Shelf;
use crate::script::{Answer, ModelMode, Script};

/// A running simulator without its listener: mount it with [`crate::routes`], or let
/// [`crate::Simulator`] serve it.
#[derive(Debug)]
pub struct State {
    pub(crate) book: Book,
    pub(crate) http: reqwest::Client,
    pub(crate) posting: Semaphore,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    accounts: RwLock<BTreeMap<String, Arc<Account>>>,
    faults: Mutex<Faults>,
    script: Mutex<Script>,
    speech: Mutex<VecDeque<String>>,
    pub(crate) shelf: Shelf,
    base: OnceLock<String>,
}

impl State {
    /// Opens the book and carries on with the messages that were on their way when the last
    /// process died. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the book cannot be opened or read, or no HTTP client can be made.
    pub fn open(config: Config) -> anyhow::Result<Arc<Self>> {
        // Whoever came first has installed one; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .build()
            .context("cannot make an HTTP client")?;
        let accounts = config.accounts.into_iter().map(|a| (a.sid.clone(), Arc::new(a)));
        let state = Arc::new(Self {
            book: Book::open(&config.book, config.log_size)?,
            http,
            posting: Semaphore::new(config.posts_at_once.max(1)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            accounts: RwLock::new(accounts.collect()),
            faults: Mutex::new(config.faults),
            script: Mutex::new(Script::default()),
            speech: Mutex::default(),
            shelf: Shelf::beside(&config.book),
            base: OnceLock::new(),
        });
        carrier::resume(&state);
        outbound::resume(&state);
        Ok(state)
    }

    /// Everything that was received and done.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// How it misbehaves at present; `times` counts down.
    pub fn faults(&self) -> Faults {
        self.lock_faults().clone()
    }

    /// Misbehaves like this from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.lock_faults() = faults;
    }

    /// Answers of the model that come before anything else, in this order.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.lock_script().extend(answers);
    }

    /// What the next recordings say, in this order, whatever they are.
    pub fn script_speech(&self, texts: impl IntoIterator<Item = String>) {
        self.lock_speech().extend(texts);
    }

    /// Where it is reached, without a slash at the end; told once, before anything is attached to a message.
    pub fn set_base(&self, url: impl Into<String>) {
        // Whoever told it first listens there.
        let _ = self.base.set(url.into());
    }

    pub(crate) fn base(&self) -> &str {
        self.base.get().map_or("", String::as_str)
    }

    pub(crate) fn lock_speech(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.speech.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the model answers when its script is empty.
    pub fn set_model(&self, mode: ModelMode) {
        self.lock_script().set_mode(mode);
    }

    /// Adds an account, or replaces the one with its SID.
    pub fn put_account(&self, account: Account) {
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        accounts.insert(account.sid.clone(), Arc::new(account));
    }

    /// Posts an account's inbound messages there from now on.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn set_webhook(&self, sid: &str, url: impl Into<String>) -> anyhow::Result<()> {
        let account = self.account(sid).with_context(|| format!("no account {sid}"))?;
        self.put_account(Account::clone(&account).webhook(url));
        Ok(())
    }

    /// The account with this SID.
    pub fn account(&self, sid: &str) -> Option<Arc<Account>> {
        self.accounts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(sid)
            .cloned()
    }

    /// All accounts, by SID.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.values().cloned().collect()
    }

    /// Waits until the book satisfies `seen`, which is asked again after every change.
    ///
    /// # Errors
    /// If it does not within `timeout`; the error says what the book holds instead.
    pub async fn wait_for(&self, seen: impl Fn(&Book) -> bool, timeout: Duration) -> anyhow::Result<()> {
        let mut changes = self.book.changes();
        let waiting = async {
            // The sender lives in the book, so that `changed` cannot fail before we do.
            while !seen(&self.book) && changes.changed().await.is_ok() {}
        };
        tokio::time::timeout(timeout, waiting).await.with_context(|| {
            format!(
                "not seen within {timeout:?}; the book holds {} messages, {} requests and {} \
                 deliveries",
                self.book.message_count(),
                self.book.requests().len(),
                self.book.deliveries().len(),
            )
        })
    }

    /// Stops what is on its way and waits for it. The listener is not ours to stop.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) fn lock_faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
