//! What was measured, as text for people.
//!
//! In: an [`Outcome`]. Out: tables in the form of Markdown: on a terminal they can be read, elsewhere pasted. Pure.
//! Every number is the median over the seeds; where it matters most, the least and the greatest stand beside it.

use std::fmt::{self, Write as _};

use super::cores::Discipline;
use super::promise::{GOODPUT, Metric, NEAR, less, ratio};
use super::result::{Cell, Outcome, Run, Table};
use super::summary::{DROPPED, Summary};
use super::title;
use super::trace::{Bytes, FASTER, SMALLER};
use crate::rig::proxy::Kind;
use crate::rounds::{least, median};

/// How late the load may send one request of a hundred, in milliseconds, before the report warns: that much is in the
/// latencies of a contender that is not to blame.
const LATE: f64 = 2.0;
/// Cores that the load and the endpoints may take before the report warns: they run on one thread.
const RIG: f64 = 0.7;

/// Cores that the hypervisor may give to others before the report warns.
const STOLEN: f64 = 0.02;

/// The report, without the configurations.
pub(crate) fn text(outcome: &Outcome) -> String {
    let mut all = String::new();
    // Writing to a String cannot fail.
    write(&mut all, outcome).unwrap_or_default();
    all
}

/// The report and the configurations, as a document.
pub(crate) fn markdown(outcome: &Outcome) -> String {
    format!("# weir and its peers\n\n{}\n## Configurations\n\n{}", text(outcome), configurations(outcome))
}

/// Every configuration, word for word.
pub(crate) fn configurations(outcome: &Outcome) -> String {
    let mut all = String::new();
    for entry in outcome.entries.iter().filter(|entry| !entry.configuration.is_empty()) {
        let (name, proxy, version) = (entry.contender.name, entry.contender.kind.name(), entry.version.as_str());
        let text = entry.configuration.trim_end();
        writeln!(all, "### {name} ({proxy} {version}): {}\n\n```text\n{text}\n```\n", entry.contender.about)
            .unwrap_or_default();
    }
    all
}

fn write(all: &mut String, outcome: &Outcome) -> fmt::Result {
    method(all, outcome)?;
    let (mut kept, mut asked) = (0, 0);
    for table in &outcome.tables {
        writeln!(all, "\n## {}\n", title(&table.conditions))?;
        latencies(all, table)?;
        let mut verdicts = comparisons(all, table)?;
        verdicts.extend(near(all, table)?);
        kept += verdicts.iter().filter(|kept| **kept).count();
        asked += verdicts.len();
        remarks(all, outcome, table)?;
    }
    if asked > 0 {
        writeln!(all, "\nPromises kept: {kept} of {asked}.")?;
    }
    Ok(())
}

fn method(all: &mut String, outcome: &Outcome) -> fmt::Result {
    write!(all, "{}", outcome.machine)?;
    let plans: Vec<String> = outcome
        .plans
        .iter()
        .map(|plan| {
            let slow = if plan.slowness > 1.0 { format!(", {} times slower", plan.slowness) } else { String::new() };
            format!("{} cores, weight {}{slow}", plan.cores, plan.weight)
        })
        .collect();
    writeln!(all, "Endpoints: {}.", plans.join("; "))?;
    if let Some(conditions) = outcome.tables.first().map(|table| &table.conditions) {
        if conditions.real {
            let photos: Vec<String> =
                outcome.photos.iter().map(|(class, work)| format!("{class} {work:.1} ms")).collect();
            let endpoints = match conditions.discipline {
                Discipline::Sharing => "Real optimizers",
                Discipline::Fifo => "Emulated endpoints that work in order",
            };
            writeln!(
                all,
                "{endpoints}; photos take, while all optimizers are busy: {}. Offered work is a share of that.",
                photos.join(", ")
            )?;
        } else {
            let how = match conditions.discipline {
                Discipline::Sharing => "requests share the cores",
                Discipline::Fifo => "one request to a core, in the order of arrival",
            };
            let bytes = match conditions.bytes {
                Bytes::Telling => "Content-Length is proportional to the work",
                Bytes::Misleading => "Content-Length does not tell the work, the image's dimensions do",
            };
            writeln!(
                all,
                "Work is waited for, not done; {how}. 90 % small photos (55 ms), 8 % medium (275 ms), 2 % large (1.1 s), all \
                 times divided by {FASTER}, photos {SMALLER} times smaller; {bytes}."
            )?;
        }
    }
    let seeds: Vec<String> = outcome.seeds.iter().map(u64::to_string).collect();
    writeln!(
        all,
        "Poisson arrivals for {} s, an open loop; latency from the moment at which a request was due; the first {:.0} % dropped. \
         Seeds {}; the same requests for all, in turns; {} thread(s) per proxy. Milliseconds, medians over the seeds \
         (least–greatest).\n",
        outcome.seconds,
        DROPPED * 100.0,
        seeds.join(", "),
        outcome.threads,
    )?;
    for entry in &outcome.entries {
        let contender = entry.contender;
        let version = entry.version.split('-').next().unwrap_or_default();
        writeln!(all, "- {}: {} {version}, {}", contender.name, contender.kind.name(), contender.about)?;
    }
    Ok(())
}

fn latencies(all: &mut String, table: &Table) -> fmt::Result {
    let name = table.cells.iter().map(|cell| cell.contender.name.len()).max().unwrap_or(0).max(9);
    writeln!(
        all,
        "| {:<name$} | p50              | p99               | small p99         | mean             |    p95 |  p99.9 | slowdown | goodput | refused | errors | Jain | shares               | proxy µs | late | runs |\n\
         |{:-<width$}|------------------|-------------------|-------------------|------------------|-------:|-------:|---------:|--------:|--------:|-------:|-----:|----------------------|---------:|-----:|-----:|",
        "contender",
        "",
        width = name + 2,
    )?;
    for cell in &table.cells {
        let middle = |of: &dyn Fn(&Summary) -> f64| median(cell.values(|run| Some(of(&run.summary))));
        let ranged = |metric: Metric| range(&cell.values(|run| Some(metric.of(&run.summary))));
        #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
        let (refused, errors) = (middle(&|summary| summary.refused as f64), middle(&|summary| summary.errors as f64));
        writeln!(
            all,
            "| {:<name$} | {:<16} | {:<17} | {:<17} | {:<16} | {:>6} | {:>6} | {:>8} | {:>7} | {:>7} | {:>6} | {:>4} | {:<20} | {:>8} | {:>4} | {:>4} |",
            cell.contender.name,
            ranged(Metric::P50),
            ranged(Metric::P99),
            ranged(Metric::SmallP99),
            ranged(Metric::Mean),
            number(middle(&|summary| summary.p95), 0),
            number(middle(&|summary| summary.p999), 0),
            number(middle(&|summary| summary.slowdown), 2),
            number(middle(&|summary| summary.goodput), 3),
            number(refused, 0),
            number(errors, 0),
            number(middle(&|summary| summary.jain), 2),
            shares(cell),
            number(median(cell.values(|run| run.proxy_micros)), 0),
            number(middle(&|summary| summary.late), 1),
            format!("{}/{}", cell.runs.iter().flatten().count(), cell.runs.len()),
        )?;
    }
    Ok(())
}

/// Ratios of weir's rows to the peers', and whether each promise was kept.
fn comparisons(all: &mut String, table: &Table) -> Result<Vec<bool>, fmt::Error> {
    let (ours, peers): (Vec<&Cell>, Vec<&Cell>) =
        table.cells.iter().partition(|cell| cell.contender.kind == Kind::Weir);
    let promised = ours.iter().any(|cell| cell.contender.promised);
    // Real work is noisy: the order of all is asked for, and in how many seeds it is that.
    let real = table.conditions.real;
    let mut verdicts = Vec::new();
    for our in ours.into_iter().filter(|cell| real || cell.contender.promised || !promised) {
        let others = || table.cells.iter().filter(|cell| cell.contender.name != our.contender.name);
        let theirs: Vec<&Cell> = if real { others().collect() } else { peers.clone() };
        if !theirs.is_empty() {
            writeln!(
                all,
                "\n| {:<20} | p50     | p99     | small p99 | mean    |\n|----------------------|---------|---------|-----------|---------|",
                format!("{} /", our.contender.name)
            )?;
        }
        for their in &theirs {
            let mut words = Vec::new();
            for metric in Metric::ALL {
                let found = ratio(&our.summaries(), &their.summaries(), metric);
                let target = table.conditions.target(their.contender, metric);
                let mark = match (found, target) {
                    (Some(found), Some(target)) => {
                        verdicts.push(found <= target);
                        if found <= target { " ✓" } else { " ✗" }
                    }
                    _ => "",
                };
                let (less, of) = less(&our.summaries(), &their.summaries(), metric);
                let seeds = if real { format!(", {less} of {of}") } else { String::new() };
                words.push(format!("{}{mark}{seeds}", number(found, 2)));
            }
            if let [p50, p99, small, mean] = words.as_slice() {
                writeln!(all, "| {:<20} | {p50:<7} | {p99:<7} | {small:<9} | {mean:<7} |", their.contender.name)?;
            }
        }
        if let Some(goodput) =
            median(our.values(|run| Some(run.summary.goodput))).filter(|_| table.conditions.overloaded())
        {
            let kept = goodput >= GOODPUT;
            verdicts.push(kept);
            let mark = if kept { "✓" } else { "✗" };
            writeln!(
                all,
                "\n- {}: goodput {goodput:.3} of the capacity, at least {GOODPUT}: {mark}",
                our.contender.name
            )?;
        }
    }
    Ok(verdicts)
}

/// How far weir's rows are from the simulator's on the same requests, and whether each promise about that was kept.
fn near(all: &mut String, table: &Table) -> Result<Vec<bool>, fmt::Error> {
    let mut verdicts = Vec::new();
    let cells: Vec<&Cell> = table.cells.iter().filter(|cell| cell.simulated.iter().any(Option::is_some)).collect();
    if cells.is_empty() {
        return Ok(verdicts);
    }
    all.push_str(
        "\n| real / simulated     | p50     | p99     | small p99 | mean    |\n|----------------------|---------|---------|-----------|---------|\n",
    );
    for cell in cells {
        let simulated: Vec<_> = cell.simulated.iter().map(Option::as_ref).collect();
        let mut words = Vec::new();
        for metric in Metric::ALL {
            let found = ratio(&cell.summaries(), &simulated, metric);
            let kept = found.map(|found| (1.0 - NEAR..=1.0 + NEAR).contains(&found));
            let kept = kept.filter(|_| cell.contender.promised && !table.conditions.overloaded());
            verdicts.extend(kept);
            let mark = kept.map_or("", |kept| if kept { " ✓" } else { " ✗" });
            words.push(format!("{}{mark}", number(found, 2)));
        }
        if let [p50, p99, small, mean] = words.as_slice() {
            writeln!(all, "| {:<20} | {p50:<7} | {p99:<7} | {small:<9} | {mean:<7} |", cell.contender.name)?;
        }
    }
    Ok(verdicts)
}

/// Runs without a result, and runs that say less than they seem to.
fn remarks(all: &mut String, outcome: &Outcome, table: &Table) -> fmt::Result {
    let mut lines = Vec::new();
    for cell in &table.cells {
        let name = cell.contender.name;
        for (run, seed) in cell.runs.iter().zip(&outcome.seeds) {
            match run {
                Err(words) => lines.push(format!("- no result of {name} with seed {seed}: {}", words.trim_end())),
                Ok(run) => {
                    if let Some(error) = &run.summary.error {
                        let errors = run.summary.errors;
                        lines.push(format!("- {name}, seed {seed}: {errors} errors, the first: {}", error.trim_end()));
                    }
                }
            }
        }
        let most = |of: &dyn Fn(&Run) -> Option<f64>| cell.values(of).into_iter().fold(0.0, f64::max);
        let (late, cores) = (most(&|run| Some(run.summary.late)), most(&|run| run.rig_cores));
        let stolen = most(&|run| run.stolen);
        if stolen > STOLEN {
            lines.push(format!("- {name}: the hypervisor took up to {stolen:.2} cores"));
        }
        if late > LATE {
            lines.push(format!("- {name}: the load was late, one request of a hundred by {late:.1} ms and more"));
        }
        if cores > RIG {
            lines.push(format!("- {name}: load and endpoints took {cores:.2} cores, and have one thread"));
        }
    }
    if !lines.is_empty() {
        writeln!(all, "\n{}", lines.join("\n"))?;
    }
    Ok(())
}

/// The median of `values` with the least and the greatest.
fn range(values: &[f64]) -> String {
    let all = || values.iter().copied();
    match (median(all()), least(all()), least(all().map(|value| -value))) {
        (Some(median), Some(least), Some(greatest)) if values.len() > 1 => {
            format!("{median:.1} ({least:.1}–{:.1})", -greatest)
        }
        (middle, ..) => number(middle, 1),
    }
}

/// The share of each endpoint in percent, medians over the seeds.
fn shares(cell: &Cell) -> String {
    let count = cell.summaries().into_iter().flatten().map(|summary| summary.shares.len()).max().unwrap_or(0);
    let share = |place: usize| median(cell.values(|run: &Run| run.summary.shares.get(place).copied()));
    let words: Vec<String> = (0..count).map(|place| number(share(place).map(|share| share * 100.0), 0)).collect();
    words.join("/")
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::contender::all;
    use super::super::fleet::Scenario;
    use super::super::promise::Conditions;
    use super::super::result::Entry;
    use super::*;
    use crate::rig::machine::Machine;

    fn summary(factor: f64) -> Summary {
        Summary {
            answers: 1000,
            refused: 0,
            errors: 0,
            error: None,
            p50: 20.0 * factor,
            p95: 80.0 * factor,
            p99: 200.0 * factor,
            p999: 400.0 * factor,
            mean: 30.0 * factor,
            small_p99: 50.0 * factor,
            slowdown: 2.0 * factor,
            goodput: 0.95,
            shares: vec![0.25; 4],
            jain: 0.99,
            late: 0.2,
        }
    }

    /// weir-lc at half of nginx's latencies; HAProxy without a result for the second seed.
    pub(crate) fn outcome() -> Outcome {
        let run = |factor| {
            Ok(Run {
                summary: summary(factor),
                proxy_micros: Some(80.0),
                rig_cores: Some(0.1),
                stolen: None,
                extra: Some(0),
            })
        };
        let contender = |name: &str| all().find(|contender| contender.name == name).unwrap();
        let cell = |name, runs: Vec<_>| {
            let simulated = (name == "weir-lc").then(|| summary(0.8));
            Cell { contender: contender(name), simulated: vec![simulated; runs.len()], runs }
        };
        let entry =
            |name| Entry { contender: contender(name), version: "1.2.3-4".into(), configuration: "text\n".into() };
        let conditions = Conditions {
            scenario: Scenario::Steady,
            bytes: Bytes::Telling,
            discipline: Discipline::Sharing,
            real: false,
            load: 0.95,
        };
        let cells = vec![
            cell("weir-lc", vec![run(1.0), run(1.0)]),
            cell("nginx", vec![run(2.0), run(1.9)]),
            cell("haproxy-class", vec![run(0.5), Err("502; and \"more\"".into())]),
        ];
        let [processor, kernel, congestion] = ["any", "6", "cubic"].map(str::to_owned);
        Outcome {
            machine: Machine { cores: 2, processor, kernel, congestion, load: 0.5 },
            seconds: 30.0,
            seeds: vec![1, 2],
            plans: Scenario::Steady.plans(4, 2),
            threads: 1,
            photos: Vec::new(),
            entries: vec![entry("weir-lc"), entry("nginx"), entry("haproxy-class")],
            tables: vec![Table { conditions, cells }],
        }
    }

    #[test]
    fn a_report_shows_medians_ratios_verdicts_and_failed_runs() {
        let text = markdown(&outcome());
        for line in [
            "| nginx                | 0.51 ✓  | 0.51 ✓  | 0.51 ✓    | 0.51 ✓  |",
            "| haproxy-class        | 2.00 ✗  | 2.00 ✗  | 2.00 ✗    | 2.00 ✗  |",
            "| weir-lc              | 1.25    | 1.25    | 1.25      | 1.25    |",
            "- no result of haproxy-class with seed 2: 502; and \"more\"",
            "Promises kept: 4 of 8.",
            "### nginx (nginx 1.2.3-4): least_conn",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
        }
        assert!(text.contains("| nginx         | 39.0 (38.0–40.0)"), "{text}");
        assert!(text.contains("|  1/2 |"), "{text}");
    }
}
