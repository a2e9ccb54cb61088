//! A real Prometheus, with the alerts of grafana/.
use std::process::Command;

use recado_testkit::{Process, eventually, free_port};
use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, document, repository, told_by};

/// It looks often, so that a test need not wait long.
const CONFIG: &str = "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}
rule_files: [RULES]
scrape_configs:
  - job_name: recado
    static_configs: [{targets: [TARGETS]}]
";

pub(crate) struct Prometheus {
    _process: Process,
    _dir: TempDir,
    client: reqwest::Client,
    url: String,
}

/// What a query comes to.
#[derive(Debug)]
pub(crate) enum Found {
    /// One of its numbers.
    Number(f64),
    /// Series, and none of them a number.
    NotANumber,
    Nothing,
}

/// A rule that tells somebody.
pub(crate) struct Alert {
    pub(crate) name: String,
    query: String,
    /// `ok` once it was evaluated.
    pub(crate) health: String,
    runbook: String,
}

impl Prometheus {
    /// Starts one that looks at these.
    pub(crate) async fn start(urls: &[&str]) -> Self {
        let dir = TempDir::with_prefix("recado-prometheus-").unwrap();
        let targets: Vec<_> = urls
            .iter()
            .map(|url| format!("'{}'", url.trim_start_matches("http://")))
            .collect();
        let rules = repository().join("grafana/alerts.yml");
        let config = CONFIG
            .replace("TARGETS", &targets.join(", "))
            .replace("RULES", &format!("'{}'", rules.display()));
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let addr = format!("127.0.0.1:{}", free_port());
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", dir.path().join("data").display()),
            format!("--web.listen-address={addr}"),
        ];
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        told_by(Command::new("prometheus").arg("--version"));
        let mut process = Process::spawn("prometheus", &arguments, &[]);
        let url = format!("http://{addr}");
        process.wait_for_http(&format!("{url}/-/ready"), PATIENCE).await;
        Self {
            _process: process,
            _dir: dir,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            url,
        }
    }

    /// The answer to a query now.
    ///
    /// # Panics
    /// When the query errs.
    pub(crate) async fn ask(&self, query: &str) -> Found {
        let data = self.get("/api/v1/query", &[("query", query)]).await;
        let numbers: Vec<f64> = match &data["resultType"] {
            Value::String(kind) if kind == "vector" => {
                let series = data["result"].as_array().unwrap();
                series.iter().map(|one| number(&one["value"][1])).collect()
            }
            kind => panic!("{query} is a {kind}"),
        };
        match numbers.iter().copied().find(|number| number.is_finite()) {
            Some(number) => Found::Number(number),
            None if numbers.is_empty() => Found::Nothing,
            None => Found::NotANumber,
        }
    }

    /// Waits until a query comes to what is wanted.
    pub(crate) async fn finds(&self, query: &str, wanted: impl Fn(f64) -> bool) {
        let mut last = Found::Nothing;
        let found = eventually(PATIENCE * 10, async || {
            last = self.ask(query).await;
            matches!(last, Found::Number(number) if wanted(number)).then_some(())
        });
        let found = tokio::time::timeout(PATIENCE, found).await;
        assert!(found.is_ok(), "{query} comes to {last:?}");
    }

    /// The alerts that it has loaded.
    pub(crate) async fn alerts(&self) -> Vec<Alert> {
        let data = self.get("/api/v1/rules", &[("type", "alert")]).await;
        let groups = data["groups"].as_array().unwrap().iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let alerts = rules.map(|rule| Alert {
            name: text(&rule["name"]),
            query: text(&rule["query"]),
            health: text(&rule["health"]),
            runbook: text(&rule["annotations"]["runbook_url"]),
        });
        alerts.collect()
    }

    /// Waits until it has evaluated every alert without an error.
    pub(crate) async fn evaluates_all(&self) {
        let mut ill = Vec::new();
        let evaluated = eventually(PATIENCE * 10, async || {
            let alerts = self.alerts().await.into_iter();
            ill = alerts
                .filter(|alert| alert.health != "ok")
                .map(|alert| alert.name)
                .collect();
            ill.is_empty().then_some(())
        });
        let evaluated = tokio::time::timeout(PATIENCE, evaluated).await;
        assert!(evaluated.is_ok(), "{ill:?}");
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let request = self.client.get(format!("{}{path}", self.url)).query(parameters);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{parameters:?}: {answer}");
        answer["data"].clone()
    }
}

impl Alert {
    /// The number that it looks at, and the threshold. Each alert is such a comparison, so that its number can be seen
    /// while all is well.
    pub(crate) fn compared(&self) -> (&str, f64) {
        let query = &self.query;
        let compared = query.rsplit_once(" > ").or_else(|| query.rsplit_once(" < "));
        let threshold = compared.and_then(|(number, threshold)| Some((number, threshold.parse().ok()?)));
        threshold.unwrap_or_else(|| panic!("{} does not end in a comparison: {query}", self.name))
    }

    /// Its page says what it means, how to see it, and how to mend it.
    pub(crate) fn check_runbook(&self) {
        assert_eq!(self.runbook, format!("docs/runbooks/{}.md", self.name));
        let page = document(&self.runbook);
        for heading in ["What it means", "How to see it", "How to mend it"] {
            assert!(
                page.contains(&format!("## {heading}\n")),
                "{}: {heading}",
                self.runbook
            );
        }
    }
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}
