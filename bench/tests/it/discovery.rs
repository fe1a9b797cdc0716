//! `discovery` against a real Consul: not how fast it is, only that all of it is measured.

use std::path::Path;

use weir_testkit::Consul;

use super::{BENCH, bench};

#[test]
fn endpoints_that_come_and_go_and_updates_under_every_policy_are_measured() {
    let Some(consul) = Consul::program() else { return };
    // Built with all the other programs before the tests run.
    assert!(Path::new(BENCH).with_file_name("weir").is_file(), "build it: cargo build -p weir");
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("result.json").display().to_string();
    let consul = consul.display().to_string();
    let short = ["discovery", "--changes", "2", "--endpoints", "70", "--updates", "2"];
    let output = bench(&[&short[..], &["--consul", &consul, "--json", &json]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    // Whether promises are kept is not for a build for tests on a busy machine to say.
    assert!(text.contains("register → first exchange") && text.contains("✓ exchanges that failed"), "{output:?}");
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    for row in ["registered", "first", "last"] {
        assert_eq!(result["changes"][row].as_array().unwrap().len(), 2, "{result}");
    }
    assert!(result["changes"]["first"][0].as_f64().unwrap() > 0.0, "{result}");
    let updates = result["updates"].as_array().unwrap();
    assert_eq!(updates.len(), 4);
    for update in updates {
        assert!(update["spent"].as_array().unwrap().iter().all(|spent| spent.as_f64().unwrap() > 0.0), "{update}");
        assert!(update["with"]["count"].as_u64().unwrap() > 0, "{update}");
        assert!(update["failures"].as_array().unwrap().is_empty(), "{update}");
    }
}

#[test]
fn a_weir_that_is_not_there_is_an_error_before_anything_is_started() {
    let output = bench(&["discovery", "--weir", "/nowhere/weir"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no weir at `/nowhere/weir`"), "{output:?}");
}
