//! `reload` against a real weir: not how fast it is, only that all of it is measured and nothing fails.

use std::path::Path;

use super::{BENCH, bench};

#[test]
fn reloads_beside_exchanges_and_reloads_of_many_services_are_measured() {
    // Built with all the other programs before the tests run.
    assert!(Path::new(BENCH).with_file_name("weir").is_file(), "build it: cargo build -p weir");
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("result.json").display().to_string();
    let short = ["reload", "--pairs", "1", "--reloads", "2", "--clients", "2", "--services", "20", "--large", "1"];
    let output = bench(&[&short[..], &["--json", &json]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    // Whether promises about time are kept is not for a build for tests on a busy machine to say.
    assert!(text.contains("✓ exchanges that failed"), "{output:?}");
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(result["reloads"].as_u64(), Some(2), "{result}");
    assert!(result["pairs"][0]["with"]["count"].as_u64().unwrap() > 0, "{result}");
    for large in result["large"].as_array().unwrap() {
        assert_eq!(large["took"].as_array().unwrap().len(), 1, "{large}");
    }
}
