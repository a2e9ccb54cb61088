//! What a loaded Recado tells of itself, and what a real Prometheus makes of it: docs/METRICS.md, the dashboards and
//! the alerts of grafana/.
#![expect(clippy::unwrap_used, reason = "tests")]
mod dashboards;
mod exposition;
mod families;
mod prometheus;
mod sources;
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
#[path = "../world/mod.rs"]
mod world;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use recado_simulator::CreateFault;
use recado_testkit::{Backend, Process, eventually, free_port};

use self::{
    exposition::Exposition,
    families::{Documented, Owner},
    prometheus::{Found, Prometheus},
    world::{Answered, PATIENCE, Worker, World, contact, webhook::Webhook},
};

/// A front end and a worker, as they are in production.
struct Loaded {
    world: World,
    _front: Process,
    front_url: String,
    worker: Worker,
}

impl Loaded {
    async fn started() -> Self {
        let addr = format!("127.0.0.1:{}", free_port());
        let world = World::new(Backend::Postgres).await.set("METRICS_ADDR", &addr);
        let front = world.serve().await;
        let worker = world.worker().await;
        Self {
            world,
            _front: front,
            front_url: format!("http://{addr}"),
            worker,
        }
    }

    async fn metrics(&self, base: &str) -> Exposition {
        let answered = Answered::of(self.world.client.get(format!("{base}/metrics")))
            .await
            .unwrap();
        assert_eq!(answered.status, 200, "{}", answered.text);
        Exposition::read(&answered.text)
    }

    /// Messages that are answered, one that Twilio refuses to send, and a webhook that nobody signed.
    async fn load(&self) {
        for number in 0..3 {
            self.world.say(&contact(number), "Oi!").await;
            self.world.say(&contact(number), "Tudo bem?").await;
        }
        for number in 0..3 {
            self.world.answered(&contact(number), 2).await;
        }
        self.world
            .misbehave(|faults| faults.twilio.create = CreateFault::Refuse(30007));
        let sid = self.world.say(&contact(7), "Oi?").await;
        self.world.until(&sid, "parked").await;
        self.world.misbehave(|_| ());
        let unsigned = Webhook {
            signature: None,
            ..Webhook::new(&self.world, 9, "let me in")
        };
        assert_eq!(unsigned.post(&self.world).await.status, 403);
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn document(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a program writes that must succeed.
fn told_by(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}: run scripts/setup test"));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}{complaint}");
    assert_eq!(
        complaint.to_lowercase().matches("warning").count(),
        0,
        "{complaint}"
    );
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_family_is_there_from_the_start_and_no_other_ever() {
    let loaded = Loaded::started().await;
    let documented = Documented::all(&document("docs/METRICS.md"));
    let (front, worker) = (&loaded.front_url, &loaded.worker.url);
    for (url, owner) in [(front, Owner::Front), (worker, Owner::Worker)] {
        let first = loaded.metrics(url).await;
        for family in documented.iter().filter(|family| family.is_had_by(owner)) {
            let series = first.series_of(&family.name);
            assert!(
                !series.is_empty(),
                "{} is missing at the start of {owner:?}",
                family.name
            );
            assert!(first.is_described(&family.name), "{} has no help", family.name);
        }
    }
    loaded.load().await;
    for url in [front, worker] {
        let now = loaded.metrics(url).await;
        for (name, kind) in now.kinds() {
            let family = documented.iter().find(|family| family.name == name);
            let family = family.unwrap_or_else(|| panic!("{name} is not in docs/METRICS.md"));
            assert_eq!(family.kind, kind, "{name}");
            for labels in now.series_of(name) {
                family.check(labels);
            }
        }
    }
    let sends = loaded.metrics(worker).await;
    let filtered = |(name, value): &(String, String)| name == "code" && value == "30007";
    let count = sends.value("recado_sends_total", |labels| labels.iter().any(filtered));
    assert!(count > 0.0, "the refusal is counted by its code");
}

#[test]
fn whatever_a_line_of_ours_measures_is_documented_and_nothing_else() {
    let documented = Documented::all(&document("docs/METRICS.md"));
    let documented = documented.into_iter().map(|family| (family.name, family.kind));
    assert_eq!(sources::measured(), documented.collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_and_every_alert_has_a_number_in_a_real_prometheus() {
    let loaded = Loaded::started().await;
    let prometheus = Prometheus::start(&[&loaded.front_url, &loaded.worker.url]).await;
    // What is counted before the first look is no increase.
    prometheus
        .finds("count(process_start_time_seconds)", |number| number == 2.0)
        .await;
    loaded.load().await;

    let alerts = prometheus.alerts().await;
    assert!(!alerts.is_empty());
    let mut queries: Vec<_> = dashboards::queries();
    for alert in &alerts {
        let (number, _) = alert.compared();
        queries.push((format!("alert {}", alert.name), number.to_owned()));
        alert.check_runbook();
    }
    let mut missing = Vec::new();
    let all_there = eventually(PATIENCE * 10, async || {
        let mut without = Vec::new();
        for (place, query) in &queries {
            match prometheus.ask(query).await {
                Found::Number(_) => {}
                nothing => without.push(format!("{place}: {query}: {nothing:?}")),
            }
        }
        missing = without;
        missing.is_empty().then_some(())
    });
    let patient = tokio::time::timeout(PATIENCE, all_there).await;
    assert!(patient.is_ok(), "no number for:\n{}", missing.join("\n"));
    prometheus.evaluates_all().await;
    let parked = "max(recado_runs_open{state=\"parked\"})";
    prometheus.finds(parked, |number| number > 0.0).await;
}

#[test]
fn each_alert_fires_once_and_none_fires_while_all_is_well() {
    let promtool = |arguments: &[&str]| {
        let mut promtool = Command::new("promtool");
        told_by(promtool.args(arguments).current_dir(repository().join("grafana")));
    };
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts.test.yml"]);
    let (rules, tests) = (
        document("grafana/alerts.yml"),
        document("grafana/alerts.test.yml"),
    );
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels:");
        assert!(tests.contains(&fires), "nothing makes {alert} fire");
        let silent = format!("alertname: {alert}, exp_alerts: []");
        assert!(tests.contains(&silent), "nothing shows that {alert} is silent");
    }
}

#[test]
fn the_containers_are_described_and_find_their_files() {
    let settings =
        ["PUBLIC_URL", "ADMIN_TOKEN", "SECRET_KEY"].map(|name| (name, "https://recado.example.com"));
    let mut compose = Command::new("docker-compose");
    // Nothing of ours may reach it but this.
    let kept = ["PATH", "HOME"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    compose.env_clear().envs(kept);
    compose.envs(settings).current_dir(repository());
    let described = told_by(compose.args(["--profile", "monitoring", "--profile", "pgadmin", "config"]));
    for service in ["prometheus", "grafana", "otel-collector", "zipkin", "pgadmin"] {
        assert!(
            described.contains(&format!("\n  {service}:\n")),
            "{service}: {described}"
        );
    }
    let written = document("docker-compose.yml");
    let mounted = written
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ./"));
    let mounted: Vec<_> = mounted.filter_map(|mount| mount.split(':').next()).collect();
    assert!(mounted.len() >= 6, "{mounted:?}");
    for path in mounted {
        assert!(
            repository().join(path).exists(),
            "{path} is mounted and is not there"
        );
    }
    // Prometheus looks for these, at the port that METRICS_ADDR has there.
    let scraped = document("grafana/prometheus.yml");
    assert!(scraped.contains("names: [serve, worker]\n        type: A\n        port: 9000\n"));
    assert!(described.contains("METRICS_ADDR: 0.0.0.0:9000"));
}
