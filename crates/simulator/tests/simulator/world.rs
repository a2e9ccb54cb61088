//! A simulator with one account, and a client that knows nothing but HTTP.

use std::time::Duration;

use recado_simulator::{Account, Book, Config, Simulator};
use reqwest::Response;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub(crate) const TOKEN: &str = "12345";
pub(crate) const OURS: &str = "+14155550100";
pub(crate) const CONTACT: &str = "+5511987654321";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) http: reqwest::Client,
    folder: TempDir,
}

impl World {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let simulator = Simulator::start(config(&folder)).await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            simulator,
            http,
            folder,
        })
    }

    /// The simulator dies and another one takes its place.
    pub(crate) async fn restart(self) -> anyhow::Result<Self> {
        let Self {
            simulator,
            http,
            folder,
        } = self;
        simulator.shutdown().await;
        let simulator = Simulator::start(config(&folder)).await?;
        Ok(Self {
            simulator,
            http,
            folder,
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.url())
    }

    pub(crate) async fn create(&self, form: &[(&str, &str)]) -> reqwest::Result<Response> {
        let url = self.url(&format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json"));
        self.http
            .post(url)
            .basic_auth(ACCOUNT, Some(TOKEN))
            .form(form)
            .send()
            .await
    }

    /// Sends a text to the contact and expects it to be taken.
    pub(crate) async fn send(&self, body: &str) -> anyhow::Result<Value> {
        let answer = self
            .create(&[("To", CONTACT), ("From", OURS), ("Body", body)])
            .await?;
        anyhow::ensure!(answer.status() == 201, "{}", answer.status());
        Ok(answer.json().await?)
    }

    /// `GET` with our credentials.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self
            .http
            .get(self.url(path))
            .basic_auth(ACCOUNT, Some(TOKEN))
            .send()
            .await?;
        Ok(answer.json().await?)
    }

    pub(crate) async fn list(&self, query: &str) -> anyhow::Result<Value> {
        self.get(&format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json?{query}"))
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> reqwest::Result<Response> {
        self.http.put(self.url(path)).json(body).send().await
    }

    pub(crate) async fn see(&self, seen: impl Fn(&Book) -> bool) -> anyhow::Result<()> {
        self.simulator.wait_for(seen, PATIENCE).await
    }
}

fn config(folder: &TempDir) -> Config {
    Config::new(folder.path().join("book.jsonl"))
        .account(Account::new(ACCOUNT, TOKEN).number(OURS))
        .account(Account::new("AC_other", "other").number("+14155550199"))
}
