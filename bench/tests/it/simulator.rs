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

/// The CSV of a run of `seconds` with further arguments.
fn figures_of(seconds: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("figures.csv").display().to_string();
    sim(seconds, &[arguments, &["--csv", &csv]].concat());
    std::fs::read_to_string(&csv).unwrap()
}

/// That the first choice has of each number at most so much of what the second has, and at least so much.
fn between(text: &str, one: &str, other: &str, bounds: &[(&str, f64, f64)]) {
    for &(column, low, high) in bounds {
        let found = ratio(text, one, other, column);
        assert!((low..=high).contains(&found), "{column} of `{one}` is {found:.2} of `{other}`, not {low} to {high}");
    }
}

const DEFAULT: &str = "the same, +1 small";
const LEAST: &str = "least connections";

#[test]
fn permits_without_room_for_small_ones_cost_them_their_tail_at_low_load() {
    let text = figures("base", "70");
    between(&text, "permits, smallest", LEAST, &[("small_p99", 1.2, 1.7), ("p99", 0.8, 1.0)]);
    between(&text, DEFAULT, LEAST, &[("small_p99", 0.8, 1.05), ("p99", 0.85, 1.0)]);
}

#[test]
fn first_come_first_served_is_bad_for_all_but_the_largest_and_least_work_for_everybody() {
    let text = figures("base", "85");
    between(&text, "permits, fifo", LEAST, &[("small_p99", 2.0, 9.0), ("p99", 0.5, 0.95)]);
    between(&text, "least work", LEAST, &[("p50", 1.1, 9.0), ("small_p99", 1.1, 9.0), ("mean", 1.1, 9.0)]);
}

#[test]
fn a_small_one_beside_the_permits_is_worth_most_while_more_than_one_waits() {
    let under_way = ["--scenario", "capacity", "--turnaround", "1.6", "--loads"];
    for (load, bounds) in [
        ("70", [("p50", 0.9, 1.0), ("p99", 0.9, 1.0), ("small_p99", 0.95, 1.2), ("mean", 0.9, 1.0)]),
        ("95", [("p50", 0.85, 1.0), ("p99", 0.85, 1.05), ("small_p99", 0.7, 1.0), ("mean", 0.85, 1.0)]),
    ] {
        let text = figures_of("600", &[&under_way[..], &[load]].concat());
        between(&text, "1, and 1 small extra", "the same, always", &bounds);
    }
}

#[test]
fn the_time_under_way_costs_strict_permits_most() {
    let run = |turnaround| figures_of("600", &["--scenario", "base", "--loads", "95", "--turnaround", turnaround]);
    let (none, some) = (run("0"), run("1.6"));
    let longer = |choice| figure(&some, choice, "mean") / figure(&none, choice, "mean");
    assert!(longer("permits, smallest") > 1.1 && longer("permits, classes") > 1.1, "{}", longer("permits, smallest"));
    assert!(longer(DEFAULT) < 1.1 && longer(LEAST) < 1.1, "{}", longer(DEFAULT));
    between(&some, DEFAULT, "permits, classes", &[("p50", 0.5, 0.85), ("mean", 0.6, 0.9), ("small_p99", 0.4, 0.85)]);
}

#[test]
fn behind_several_proxies_the_queue_stays_ahead_of_least_connections() {
    let text = figures("proxies", "95");
    // Two of them, which is the first table of the file.
    between(&text, DEFAULT, LEAST, &[("mean", 0.4, 0.9), ("small_p99", 0.2, 0.85)]);
}

#[test]
fn with_a_thousand_endpoints_nobody_queues_and_two_draws_miss_the_idle_ones() {
    let text = figures_of("100", &["--scenario", "fleet", "--loads", "95"]);
    between(&text, DEFAULT, LEAST, &[("p50", 0.98, 1.02), ("p99", 0.98, 1.02), ("mean", 0.98, 1.02)]);
    between(&text, "p2c", LEAST, &[("p50", 1.15, 3.0)]);
}

#[test]
fn where_one_endpoint_is_slow_latency_helps_those_who_choose_at_once_and_the_queue_more() {
    let text = figures("slow", "95");
    between(&text, DEFAULT, LEAST, &[("p50", 0.3, 0.8), ("p99", 0.3, 0.8), ("mean", 0.3, 0.8)]);
    let text = figures("slow", "85");
    between(&text, "peak-ewma", LEAST, &[("small_p99", 0.5, 1.0)]);
}

#[test]
fn beyond_what_can_be_done_few_are_refused_and_the_rest_is_in_time() {
    let text = figures("base", "105");
    assert!(figure(&text, DEFAULT, "refused") < 0.02, "{}", figure(&text, DEFAULT, "refused"));
    assert!(figure(&text, DEFAULT, "small_p99") < 2.0, "{}", figure(&text, DEFAULT, "small_p99"));
    assert!(figure(&text, LEAST, "small_p99") > 2.0 * figure(&text, DEFAULT, "small_p99"));
}

#[test]
fn in_bursts_the_queue_is_worth_the_most_to_the_median() {
    let text = figures("bursts", "95");
    between(&text, DEFAULT, LEAST, &[("p50", 0.1, 0.6), ("p99", 0.5, 0.95), ("mean", 0.3, 0.8)]);
}

/// The numbers of a row of a table.
fn row(text: &str, name: &str) -> Vec<f64> {
    let row = text.lines().find(|line| line.split('|').nth(1).is_some_and(|cell| cell.trim() == name));
    let cells = row.unwrap().split('|').skip(2).filter(|cell| !cell.trim().is_empty());
    cells.map(|cell| cell.trim().trim_end_matches('%').trim().parse().unwrap()).collect()
}

#[test]
fn naive_modulo_moves_three_quarters_of_the_keys_and_a_ring_about_the_quarter_that_it_must() {
    let text = sim("10", &["--scenario", "rings"]);
    assert!((74.0..76.0).contains(&row(&text, "hash mod N")[0]), "{text}");
    for choice in ["ring,  160 pl.", "ring, 1000 pl.", "maglev", "slots"] {
        assert!((22.0..28.0).contains(&row(&text, choice)[0]), "{choice} in {text}");
    }
    // Busiest by the mean of 64 endpoints.
    assert!(row(&text, "1")[4] > 4.0 && row(&text, "160")[4] < 1.3, "{text}");
}

#[test]
fn a_smaller_factor_than_seven_lengthens_the_tail_of_all_and_a_larger_one_that_of_small_ones() {
    let text = sim("400", &["--scenario", "tune", "--loads", "95"]);
    // p50, mean, p99, small p99, as ratios; the first table has exact predictions.
    let [none, seven, fifteen, fifty] = ["0", "7", "15", "50"].map(|factor| row(&text, factor));
    assert!(none[2] > 1.1 * seven[2], "{text}");
    assert!((0.75..1.15).contains(&(fifteen[2] / seven[2])), "{text}");
    assert!(none[3] < fifteen[3] && fifteen[3] < fifty[3], "{text}");
}

#[test]
fn shedding_keeps_the_interactive_in_time_and_all_of_the_capacity_at_work() {
    let text = sim("300", &["--scenario", "overload"]);
    // Interactive p50, p99, refused, the same of the batch, and what was done of what can be.
    let without = row(&text, "fifo, timeout");
    let with = row(&text, "fifo, timeout and target");
    assert!(without[0] > 3.0, "without a target the interactive wait nearly as long as anybody may: {text}");
    assert!(with[0] < 1.0 && with[1] < 2.5 && with[2] < 2.5, "{text}");
    assert!(with[6] > 95.0 && without[6] > 95.0, "all of the capacity is used: {text}");
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
