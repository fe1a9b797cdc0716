//! Prometheus' own word on configuration, rules and alerts.

use std::collections::BTreeSet;
use std::process::Command;

use weir_testkit::require;
use yaml_rust2::Yaml;

use crate::files::{at, get, one, text, word};

#[track_caller]
fn promtool(arguments: &[&str]) {
    let Some(program) = require("promtool") else { return };
    let out = Command::new(program).args(arguments).current_dir(at("deploy/prometheus")).output().unwrap();
    let said = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(out.status.success(), "promtool {arguments:?}:\n{said}");
}

#[test]
fn promtool_accepts_the_rules() {
    promtool(&["check", "rules", "recording.yml", "alerts.yml"]);
}

#[test]
fn promtool_accepts_the_configurations() {
    promtool(&["check", "config", "prometheus.yml", "compose.yml"]);
}

#[test]
fn each_alert_fires_on_what_it_is_about_and_none_on_a_weir_that_is_well() {
    promtool(&["test", "rules", "alerts_test.yml"]);
}

fn alerts() -> Vec<Yaml> {
    one("deploy/prometheus/alerts.yml")["groups"][0]["rules"].as_vec().unwrap().clone()
}

#[test]
fn each_alert_has_a_test_in_which_it_fires() {
    let tests = one("deploy/prometheus/alerts_test.yml");
    let cases = tests["tests"].as_vec().unwrap().iter().filter_map(|test| test["alert_rule_test"].as_vec()).flatten();
    let fired: BTreeSet<&str> = cases
        .filter(|case| case["exp_alerts"].as_vec().is_some_and(|alerts| !alerts.is_empty()))
        .map(|case| word(case, "alertname"))
        .collect();
    let alerts = alerts();
    let all: BTreeSet<&str> = alerts.iter().map(|alert| word(alert, "alert")).collect();
    assert!(all.len() > 10);
    assert_eq!(all.symmetric_difference(&fired).collect::<Vec<_>>(), [&""; 0]);
}

#[test]
fn each_alert_says_how_bad_it_is_and_names_a_runbook_that_names_it() {
    for alert in alerts() {
        let name = word(&alert, "alert");
        assert!(matches!(word(&alert, "labels.severity"), "page" | "ticket"), "{name}");
        assert!(!word(&alert, "annotations.summary").is_empty(), "{name}");
        let page = word(&alert, "annotations.runbook");
        assert!(text(page).contains(name), "{page} does not say `{name}`");
    }
}

#[test]
fn prometheus_in_a_cluster_asks_the_port_that_the_pods_name() {
    let config = one("deploy/kubernetes/prometheus.yml");
    assert_eq!(word(&config, "scrape_configs.0.kubernetes_sd_configs.0.namespaces.names.0"), "weir");
    assert_eq!(get(&config, "rule_files"), get(&one("deploy/prometheus/prometheus.yml"), "rule_files"));
}
