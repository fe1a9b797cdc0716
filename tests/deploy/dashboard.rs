//! The dashboard and the rules, answered by a real Prometheus that asks a real weir.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use weir_testkit::{Endpoint, Process, Raw, Reply, Weir, eventually, free_port, require};

use crate::files::{at, text};

/// What a weir has nothing to say about as long as all is well with its listeners, its retries and its sources.
const QUIET: [&str; 3] = ["weir_accept_errors_total", "weir_retry_budget_empty_total", "weir_discovery_failures_total"];

/// The expressions of a panel and of those in it, with the dashboard's variables filled in.
fn expressions(panels: &Value, all: &mut Vec<String>) {
    for panel in panels.as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = target["expr"].as_str().unwrap();
            all.push(text.replace("$service", ".*").replace("$__rate_interval", "1m"));
        }
        expressions(&panel["panels"], all);
    }
}

/// How many series the answer has, or what Prometheus says of the expression.
fn series(prometheus: SocketAddr, expression: &str) -> Result<usize, String> {
    let mut query = String::new();
    for byte in expression.bytes() {
        write!(query, "%{byte:02X}").unwrap();
    }
    let response = Raw::get(prometheus, &format!("/api/v1/query?query={query}"));
    let answer: Value = serde_json::from_str(&response.text()).map_err(|error| error.to_string())?;
    match answer["status"].as_str() {
        Some("success") => Ok(answer["data"]["result"].as_array().map_or(0, Vec::len)),
        _ => Err(answer["error"].to_string()),
    }
}

#[test]
fn each_panel_of_the_dashboard_shows_something_when_prometheus_asks_a_weir_that_works() {
    let Some(program) = require("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at_folder = |name: &str| folder.path().join(name);
    let (endpoint, gone) = (Endpoint::replying(Reply::new(200)), Endpoint::absent());
    let list = at_folder("endpoints.toml");
    std::fs::write(&list, format!("endpoints = [\"{}\", \"{gone}\"]", endpoint.address())).unwrap();
    let weir = Weir::start(
        env!("CARGO_BIN_EXE_weir"),
        &format!(
            "[server]\nshutdown_delay = \"0s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\npath = \"/photo\"\nservice = \"s\"\n\
             [[service]]\nname = \"s\"\npolicy = \"round-robin\"\nqueue = {{ capacity = 4 }}\n\
             file = {{ path = \"{}\" }}\n",
            list.display()
        ),
    );
    let port = free_port();
    let rules: Vec<String> = ["recording.yml", "alerts.yml"]
        .map(|file| format!("\"{}\"", at(&format!("deploy/prometheus/{file}")).display()))
        .into();
    let config = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{}]\nscrape_configs:\n\
         - job_name: weir\n  static_configs: [{{ targets: [\"{}\"] }}]\n",
        rules.join(", "),
        weir.admin()
    );
    std::fs::write(at_folder("prometheus.yml"), config).unwrap();
    let _prometheus = Process::start(
        program,
        [
            format!("--config.file={}", at_folder("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", at_folder("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--log.level=warn".to_owned(),
        ],
    );
    let prometheus = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("Prometheus listens", || Raw::try_connect(prometheus, Duration::from_secs(1)).is_ok());
    // It listens before it has read what it kept, and until then answers 503 without any JSON.
    eventually("Prometheus is ready", || Raw::get(prometheus, "/-/ready").status == 200);

    let mut all = Vec::new();
    expressions(&serde_json::from_str::<Value>(&text("deploy/grafana/weir.json")).unwrap()["panels"], &mut all);
    assert!(all.len() > 25, "{all:?}");
    let loud: Vec<&String> = all.iter().filter(|text| !QUIET.iter().any(|quiet| text.contains(quiet))).collect();
    let silent = || -> BTreeSet<&str> {
        // Something to show: answers, retries, an endpoint that is gone, and a path that no route has.
        for target in ["/photo", "/photo", "/photo", "/none"] {
            Raw::get(weir.address(), target);
        }
        // An answer that is none shows nothing either.
        loud.iter().filter(|text| series(prometheus, text).unwrap_or(0) == 0).map(|text| text.as_str()).collect()
    };
    // A rate needs two answers of weir, and what rules record those before.
    let recorded = "service_endpoint:weir_residence_seconds:avg5m";
    eventually("weir has answered twice", || silent().len() < loud.len() / 2);
    eventually("the rules have recorded", || {
        !silent().contains(recorded) && series(prometheus, recorded).unwrap_or(0) > 0
    });
    eventually("each panel has something to show", || {
        let silent = silent();
        eprintln!("nothing to show: {silent:#?}");
        silent.is_empty()
    });
    for text in &all {
        series(prometheus, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}
