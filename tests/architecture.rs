//! Who may know whom: the crate graph of ARCHITECTURE.md, and what must not be in it.

#![expect(clippy::unwrap_used, reason = "test code: a failed expectation is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// For each crate of ours, the others of ours that it may depend on, tests aside.
const MAY_KNOW: [(&str, &[&str]); 11] = [
    ("weir-balance", &[]),
    ("weir-snapshot", &["weir-balance"]),
    ("weir-config", &["weir-balance", "weir-snapshot"]),
    ("weir-import", &["weir-snapshot"]),
    ("weir-consul", &[]),
    ("weir-discovery", &["weir-balance", "weir-snapshot", "weir-config", "weir-consul"]),
    ("weir-proxy", &["weir-balance", "weir-snapshot"]),
    ("weir-optimizer", &["weir-consul"]),
    ("weir-testkit", &[]),
    ("weir-bench", &["weir-balance", "weir-optimizer", "weir-testkit"]),
    ("weir", &["weir-config", "weir-discovery", "weir-import", "weir-optimizer", "weir-proxy", "weir-snapshot"]),
];

fn metadata() -> serde_json::Value {
    // For this platform alone: what others need besides is not downloaded by a build, and this must work offline.
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", "host-tuple"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn dependencies(metadata: &serde_json::Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let of = |package: &serde_json::Value| {
        let normal = |dependency: &&serde_json::Value| dependency["kind"].as_str() != Some("dev");
        package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(normal)
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect()
    };
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(package["id"].as_str().unwrap()))
        .map(|package| (package["name"].as_str().unwrap().to_owned(), of(package)))
        .collect()
}

#[test]
fn each_crate_knows_only_the_crates_it_may_know() {
    let all = dependencies(&metadata());
    assert_eq!(all.len(), MAY_KNOW.len(), "a crate is missing from MAY_KNOW: {:?}", all.keys());
    for (name, allowed) in MAY_KNOW {
        let ours = all[name].iter().filter(|dependency| all.contains_key(*dependency));
        let strangers: Vec<_> = ours.filter(|dependency| !allowed.contains(&dependency.as_str())).collect();
        assert!(strangers.is_empty(), "{name} must not know {strangers:?}");
    }
}

#[test]
fn pingora_lives_in_proxy_alone_and_balance_has_no_runtime() {
    for (name, dependencies) in dependencies(&metadata()) {
        let pingora = dependencies.iter().any(|dependency| dependency.starts_with("pingora"));
        assert_eq!(pingora, name == "weir-proxy", "{name}");
    }
    let balance = &dependencies(&metadata())["weir-balance"];
    for banned in ["tokio", "serde", "rand", "futures", "tracing", "metrics", "arc-swap"] {
        assert!(!balance.contains(banned), "weir-balance must not know {banned}");
    }
}

#[test]
fn no_second_tls_provider_gets_in() {
    let metadata = metadata();
    let packages: BTreeSet<&str> =
        metadata["packages"].as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap()).collect();
    for banned in ["aws-lc-rs", "aws-lc-sys", "openssl-sys"] {
        assert!(!packages.contains(banned), "{banned} is in the tree");
    }
}
