//! The real binary against the real nginx and HAProxy: not how fast they are, only that they are measured and ended.

#![expect(clippy::unwrap_used, reason = "test code: a failed expectation is a failed test")]

mod discovery;
mod kernel;
mod peers;
mod reload;

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

/// A short simulation: the table, without the line that says what is being done.
fn sim(seconds: &str, arguments: &[&str]) -> String {
    let output = bench(&[&["sim", "--seconds", seconds, "--seeds", "1"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A column of one contender's row of the CSV, at the only load there is.
fn figure(csv: &str, choice: &str, column: &str) -> f64 {
    let mut lines = csv.lines();
    let index = lines.next().unwrap().split(',').position(|name| name == column).unwrap();
    let row = lines.find(|line| line.contains(&format!("\"{choice}\""))).unwrap();
    // The names of choices have commas of their own.
    let (_, numbers) = row.rsplit_once("\",").unwrap();
    numbers.split(',').nth(index - 4).unwrap().parse().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let run = |seed| {
        let csv = folder.path().join("figures.csv");
        let shown = csv.display().to_string();
        let text = sim("60", &["--scenario", "base,proxies,dead", "--loads", "85", "--seed", seed, "--csv", &shown]);
        (text, std::fs::read_to_string(csv).unwrap())
    };
    let first = run("7");
    assert_eq!(first, run("7"));
    assert_ne!(first.1, run("8").1);
}

/// The claims of `docs/benchmarks.md`, with room for the noise of one short run.
#[test]
fn smallest_first_with_room_for_small_ones_keeps_what_the_documentation_says() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("figures.csv").display().to_string();
    let (best, base) = ("the same, +1 small", "least connections");
    for (scenario, load, bounds) in [
        ("base", "95", [("p50", 0.65), ("mean", 0.70), ("p99", 0.70), ("small_p99", 0.60)]),
        ("error", "95", [("p50", 0.70), ("mean", 0.70), ("p99", 0.70), ("small_p99", 0.70)]),
        ("base", "70", [("p50", 1.05), ("mean", 1.05), ("p99", 1.05), ("small_p99", 1.05)]),
        ("slow", "85", [("p50", 1.0), ("mean", 0.90), ("p99", 0.90), ("small_p99", 0.70)]),
    ] {
        sim("300", &["--scenario", scenario, "--loads", load, "--csv", &csv]);
        let text = std::fs::read_to_string(&csv).unwrap();
        for (column, most) in bounds {
            let ratio = figure(&text, best, column) / figure(&text, base, column);
            assert!(ratio <= most, "{scenario} at {load} %: {column} is {ratio:.2} of least connections, not {most}");
        }
    }
    sim("300", &["--scenario", "base", "--loads", "105", "--csv", &csv]);
    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(figure(&text, best, "done") * 1.05 >= 0.97, "goodput of what can be done");
}

#[test]
fn a_trace_that_cannot_be_read_is_an_error_that_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.csv");
    std::fs::write(&path, "0,0.1\nnonsense\n").unwrap();
    let output = bench(&["sim", "--trace", &path.display().to_string()]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("trace.csv:2:"), "{text}");
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
