//! The program's own API, as an operator uses it.
use recado_testkit::eventually;
use serde_json::Value;

use super::{ACCOUNT, ADMIN, PATIENCE, World};

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answered {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self {
            status,
            headers,
            text: response.text().await?,
        })
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Asserts that it is a problem of this status, and returns what it says.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(
            (self.status, self.header("content-type")),
            (status, "application/problem+json"),
            "{}",
            self.text
        );
        let body = self.json();
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        body
    }
}

impl World {
    /// A request below `/api/v1` with the operator's token.
    pub(crate) fn api(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}/api/v1{path}", self.url))
            .bearer_auth(ADMIN)
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        Answered::of(self.api(reqwest::Method::GET, path)).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str) -> Answered {
        Answered::of(self.api(reqwest::Method::POST, path)).await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answered {
        let request = self.api(reqwest::Method::PUT, path).json(&body);
        Answered::of(request).await.unwrap()
    }

    /// All runs (500 at most), newest first.
    pub(crate) async fn runs(&self) -> Vec<Value> {
        let answered = self.get("/runs?limit=500").await;
        assert_eq!(answered.status, 200, "{}", answered.text);
        answered.json()["items"].as_array().unwrap().clone()
    }

    /// The run of a message, once it is in `state`.
    pub(crate) async fn until(&self, sid: &str, state: &str) -> Value {
        let key = format!("{ACCOUNT}:{sid}");
        let mut last = Value::Null;
        let found = tokio::time::timeout(
            PATIENCE,
            eventually(std::time::Duration::MAX, async || {
                let answered = Answered::of(self.api(reqwest::Method::GET, "/runs?limit=500"))
                    .await
                    .ok()?;
                let runs: Value = serde_json::from_str(&answered.text).ok()?;
                last = runs["items"]
                    .as_array()?
                    .iter()
                    .find(|run| run["key"] == key.as_str())?
                    .clone();
                (last["state"] == state).then(|| last.clone())
            }),
        );
        match found.await {
            Ok(run) => run,
            Err(_) => panic!("the run of {sid} does not become {state}: {last}"),
        }
    }

    /// The outcome of the run of a message.
    pub(crate) async fn outcome(&self, sid: &str) -> String {
        self.until(sid, "completed").await["outcome"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The journal of a run: kind and activity of each event.
    pub(crate) async fn journal(&self, run: &Value) -> Vec<(String, String)> {
        let shown = self
            .get(&format!("/runs/{}", run["id"].as_str().unwrap()))
            .await
            .json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = shown["journal"].as_array().unwrap();
        events
            .iter()
            .map(|event| (text(&event["kind"]), text(&event["name"])))
            .collect()
    }
}
