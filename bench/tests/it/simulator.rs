//! `weir-bench sim`: that it is reproducible, and that what `docs/benchmarks.md` says of its tables is so.

use super::bench;

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
    let scenarios = ["--scenario", "base,proxies,dead,cold", "--loads", "70,85"];
    let run = |seed| {
        let [csv, markdown] = ["figures.csv", "tables.md"].map(|name| folder.path().join(name));
        let [csv_path, markdown_path, pictures] =
            [&csv, &markdown, folder.path()].map(|path| path.display().to_string());
        let files = ["--csv", &csv_path, "--markdown", &markdown_path, "--svg", &pictures];
        let text = sim("60", &[&scenarios[..], &["--seed", seed], &files].concat());
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        (text, read("figures.csv"), read("tables.md"), read("sim-base.svg"), read("sim-cold.svg"))
    };
    let first = run("7");
    assert_eq!(first, run("7"));
    assert_eq!(first.0.trim_end(), first.2.trim_end());
    assert!(first.3.starts_with("<svg ") && first.3.contains(">p2c</text>"), "{}", first.3);
    assert_ne!(first.1, run("8").1);
}

#[test]
fn a_simulation_says_how_far_it_is_without_a_terminal_in_lines() {
    let output = bench(&["sim", "--seconds", "10", "--seeds", "2", "--loads", "50", "--scenario", "base,rings"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "simulating base\nsimulating rings\n");
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

/// What one choice has of a number, by what another one has.
fn ratio(text: &str, one: &str, other: &str, column: &str) -> f64 {
    figure(text, one, column) / figure(text, other, column)
}

/// The CSV of a short run.
fn figures(scenario: &str, load: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("figures.csv").display().to_string();
    sim("400", &["--scenario", scenario, "--loads", load, "--csv", &csv]);
    std::fs::read_to_string(&csv).unwrap()
}

#[test]
fn two_random_choices_lose_to_looking_at_all_of_four_endpoints() {
    let text = figures("base", "85");
    for choice in ["p2c", "peak-ewma"] {
        for column in ["p50", "p99", "mean"] {
            let ratio = ratio(&text, choice, "least connections", column);
            assert!((1.02..1.4).contains(&ratio), "{choice}: {column} is {ratio:.2} of least connections");
        }
    }
}

#[test]
fn interrupting_would_take_much_off_the_mean_and_the_tail_of_small_ones_but_nothing_off_the_tail_of_all() {
    let text = figures("base", "95");
    let of = |column| ratio(&text, "interrupting", "the same, +1 small", column);
    assert!((0.5..0.85).contains(&of("mean")), "{:.2}", of("mean"));
    assert!(of("small_p99") < 0.5, "{:.2}", of("small_p99"));
    assert!(ratio(&text, "interrupting", "permits, smallest", "p99") > 1.0);
}

#[test]
fn while_an_endpoint_is_cold_the_queue_keeps_small_ones_from_it() {
    let text = figures("cold", "85");
    let of = |column| ratio(&text, "the same, +1 small", "least connections", column);
    for (column, most) in [("p50", 0.95), ("mean", 0.80), ("p99", 0.85), ("small_p99", 0.60)] {
        assert!(of(column) <= most, "{column} is {:.2} of least connections, not {most}", of(column));
    }
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
