//! Names of metrics in rules, dashboards and pages, held against the contract.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::{below, ending, one, text};

/// Labels by metric, those of a histogram's own series included: the page, which another test holds against the code.
fn contract() -> BTreeMap<String, BTreeSet<String>> {
    let mut contract = BTreeMap::new();
    let page = text("docs/reference/metrics.md");
    for row in page.lines().filter(|line| line.starts_with("| `weir_")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, kind, labels, ..] = *cells else { panic!("{row}") };
        let name = name.trim_matches('`');
        let more = |more: &[&str]| -> BTreeSet<String> {
            let labels = labels.split(',').map(|label| label.trim().trim_matches('`'));
            labels.chain(more.iter().copied()).map(str::to_owned).collect()
        };
        if kind == "histogram" {
            for end in ["_bucket", "_sum", "_count"] {
                contract.insert(format!("{name}{end}"), more(&["le", "instance", "job"]));
            }
        }
        contract.insert(name.to_owned(), more(&["instance", "job"]));
    }
    assert!(contract.len() > 30);
    contract
}

/// Every word of letters, digits, `_` and `:` with what follows it.
fn words(mut text: &str) -> Vec<(&str, &str)> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let mut words = Vec::new();
    while let Some(begin) = text.find(is_part) {
        let (_, rest) = text.split_at(begin);
        let (word, rest) = rest.split_at(rest.find(|letter| !is_part(letter)).unwrap_or(rest.len()));
        words.push((word, rest));
        text = rest;
    }
    words
}

/// The names of labels in the braces that `rest` begins with.
fn matched(rest: &str) -> Vec<&str> {
    let Some(inside) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { return Vec::new() };
    // A value may hold a comma, no value here holds a quote.
    let outside = inside.0.split('"').step_by(2);
    outside
        .map(|part| part.trim_matches([',', ' ']).trim_end_matches(['=', '!', '~']))
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn the_reader_of_labels_sees_each() {
    assert_eq!(matched("{a=\"1,2\", b!~\"x|y\",c=\"\"} > 1"), ["a", "b", "c"]);
    assert_eq!(matched("[5m]"), [""; 0]);
    assert_eq!(
        words("sum(a_b{c=\"d\"})").into_iter().map(|(word, _)| word).collect::<Vec<_>>(),
        ["sum", "a_b", "c", "d"]
    );
}

#[test]
fn every_metric_and_label_in_deploy_and_docs_is_in_the_contract() {
    let contract = contract();
    // Crates, and the beginning of a name in a pattern for grep.
    let others =
        ["weir_balance", "weir_snapshot", "weir_config", "weir_discovery", "weir_proxy", "weir_optimizer", "weir_"];
    let recorded: BTreeSet<String> = one("deploy/prometheus/recording.yml")["groups"][0]["rules"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|rule| rule["record"].as_str().unwrap().to_owned())
        .collect();
    let files: Vec<String> = [below("deploy"), below("docs")].concat();
    let mut seen = BTreeSet::new();
    for file in ending(&files, &[".yml", ".yaml", ".json", ".md"]) {
        let text = text(file).replace("\\\"", "\"");
        for (word, rest) in words(&text) {
            let word = word.split("::").next().unwrap().trim_end_matches(':');
            let is_recorded = word.contains(":weir_");
            // The optimizer has metrics of its own.
            if word.starts_with("weir_optimizer_") {
                continue;
            }
            if !(word.starts_with("weir_") || is_recorded) || others.contains(&word) || rest.starts_with('*') {
                continue;
            }
            if is_recorded {
                assert!(recorded.contains(word), "{file}: `{word}` is not recorded");
                continue;
            }
            let labels = contract.get(word).unwrap_or_else(|| panic!("{file}: there is no metric `{word}`"));
            for label in matched(rest) {
                assert!(labels.contains(label), "{file}: `{word}` has no label `{label}`");
            }
            seen.insert(word.to_owned());
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn the_dashboard_asks_only_for_what_there_is_and_each_panel_has_a_place_of_its_own() {
    let dashboard: serde_json::Value = serde_json::from_str(&text("deploy/grafana/weir.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let place = ["x", "y"].map(|axis| panel["gridPos"][axis].as_u64().unwrap());
        assert!(places.insert(place), "{}", panel["title"]);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap();
            assert!(expr.contains("weir_"), "{expr}");
            assert_eq!(expr.matches('(').count(), expr.matches(')').count(), "{expr}");
            assert_eq!(target["datasource"]["uid"], "prometheus");
        }
    }
    assert_eq!(one("deploy/compose/grafana/datasource.yaml")["datasources"][0]["uid"].as_str(), Some("prometheus"));
}
