//! The dashboards of grafana/, as Grafana would read them.
use std::collections::BTreeSet;

use serde_json::Value;

use super::{document, repository};

/// The queries of all panels, with where each stands. Checks on the way what Grafana would stumble over.
pub(crate) fn queries() -> Vec<(String, String)> {
    let source = document("grafana/provisioning/datasources/prometheus.yml");
    let mut uids = BTreeSet::new();
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(repository().join("grafana/dashboards")).unwrap() {
        let dashboard: Value = serde_json::from_str(&document(entry.unwrap().path())).unwrap();
        let title = dashboard["title"].as_str().unwrap();
        assert!(
            uids.insert(dashboard["uid"].to_string()),
            "{title}: its uid is another's"
        );
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{title}: panels share an id");
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            let place = format!("{title} / {}", panel["title"].as_str().unwrap());
            assert_ne!(panel["description"].as_str().unwrap_or_default(), "", "{place}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{place}");
            for target in targets {
                let uid = target["datasource"]["uid"].as_str().unwrap();
                assert!(source.contains(&format!("uid: {uid}\n")), "{place} asks {uid}");
                // Grafana puts four scrapes at least there.
                let query = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
                queries.push((place.clone(), query));
            }
        }
    }
    assert!(uids.len() >= 4, "{uids:?}");
    queries
}
