//! The real binary against the real nginx and HAProxy: not how fast they are, only that they are measured and ended.

#![expect(clippy::unwrap_used, reason = "test code: a failed expectation is a failed test")]

mod discovery;
mod kernel;
mod peers;
mod reload;
mod simulator;

use std::path::Path;
use std::process::{Command, Output};

use weir_testkit::{Process, Signal, require};

const BENCH: &str = env!("CARGO_BIN_EXE_weir-bench");

fn bench(arguments: &[&str]) -> Output {
    Command::new(BENCH).args(arguments).output().unwrap()
}

/// Arguments of the shortest overhead run, on the one core that every machine has.
const SHORT: [&str; 9] = ["overhead", "--rounds", "1", "--seconds", "0.1", "--proxy-core", "0", "--load-core", "0"];

/// Children of this process's child `pid`, and theirs.
fn descendants(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = text.split_whitespace().map(|child| child.parse().unwrap());
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

#[test]
fn each_peer_gets_a_row_per_case_and_every_round_is_in_the_json() {
    let peers: Vec<_> = ["nginx", "haproxy"].into_iter().filter(|name| require(name).is_some()).collect();
    if peers.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("result.json").display().to_string();
    let output = bench(&[&SHORT[..], &["--proxies", &peers.join(","), "--show-configs", "--json", &json]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    for (number, case) in ["small", "large"].into_iter().enumerate() {
        for (place, peer) in peers.iter().enumerate() {
            let row = &result["tables"][number]["rows"][place];
            assert_eq!(row["kind"], *peer);
            assert!(row["samples"][0]["requests"].as_u64().unwrap() > 0, "{row}");
            assert!(row["samples"][0]["micros"].as_f64().unwrap() > 0.0, "{row}");
            assert!(row["faults"].as_array().unwrap().is_empty(), "{row}");
            assert!(text.to_lowercase().contains(&format!("# {peer} in case {case}")), "{text}");
        }
    }
}

#[test]
fn idle_connections_are_held_open_until_memory_is_read() {
    if require("nginx").is_none() {
        return;
    }
    let output = bench(&["idle", "--proxies", "nginx", "--connections", "200"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("200 idle connections"), "{text}");
    assert!(!text.contains("no result"), "{text}");
}

#[test]
fn an_interrupted_run_leaves_no_proxy_behind() {
    if require("nginx").is_none() {
        return;
    }
    let mut arguments = SHORT.to_vec();
    arguments.extend(["--proxies", "nginx", "--rounds", "1000"]);
    // Given twice, an option is refused: the first one has to go.
    arguments.drain(1..3);
    let mut process = Process::start(BENCH, arguments);
    process.wait_for_line("small, round 1 of 1000");
    let children = descendants(process.pid());
    assert!(!children.is_empty(), "nginx runs as its child");
    process.signal(Signal::INT);
    process.wait_for_line("error: interrupted");
    assert_eq!(process.wait(weir_testkit::PATIENCE).code(), Some(1), "{}", process.output());
    for child in children {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "still there: {stat}");
    }
}

#[test]
fn a_weir_that_is_not_there_is_an_error_that_says_how_to_build_it() {
    assert!(!Path::new("/nowhere/weir").exists());
    let output = bench(&["overhead", "--weir", "/nowhere/weir"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("no weir at `/nowhere/weir`") && text.contains("--profile dist"), "{text}");
}

#[test]
fn a_core_that_is_not_there_is_an_error_that_names_the_option() {
    if require("nginx").is_none() {
        return;
    }
    let output = bench(&["overhead", "--proxies", "nginx", "--load-core", "1000"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("core 1000") && text.contains("--load-core"), "{text}");
}

#[test]
fn an_optimizer_under_hostile_files_lives_within_its_memory_and_every_good_picture_is_right() {
    // Built with all the other programs before the tests run.
    let optimizer = Path::new(BENCH).with_file_name("weir-optimizer");
    assert!(optimizer.is_file(), "build it: cargo build -p weir-optimizer");
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("result.json").display().to_string();
    let output = bench(&["hostile", "--seconds", "4", "--json", &json]);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert!(result["good"]["200"].as_u64().unwrap() > 10 && !result["bad"].as_object().unwrap().is_empty(), "{result}");
    assert!(result["peak"].as_u64().unwrap() <= result["bound"].as_u64().unwrap(), "{result}");
}
