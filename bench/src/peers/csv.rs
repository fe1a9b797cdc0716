//! One line per run, for whoever wants to draw conclusions of their own.

use std::fmt::Write as _;

use super::result::{Cell, Outcome, Run, Table};

const HEAD: &str = "scenario,bytes,discipline,real,load,contender,version,seed,answers,refused,errors,p50_ms,p95_ms,p99_ms,\
p99.9_ms,mean_ms,small_p99_ms,slowdown,goodput,jain,shares,proxy_us_per_request,rig_cores,stolen_cores,extra_jobs,late_p99_ms,fault\n";

/// All runs, a head first.
pub(crate) fn text(outcome: &Outcome) -> String {
    let mut all = HEAD.to_owned();
    for table in &outcome.tables {
        for cell in &table.cells {
            for (run, seed) in cell.runs.iter().zip(&outcome.seeds) {
                line(&mut all, outcome, table, cell, *seed, run).unwrap_or_default();
            }
        }
    }
    all
}

fn line(
    all: &mut String,
    outcome: &Outcome,
    table: &Table,
    cell: &Cell,
    seed: u64,
    run: &Result<Run, String>,
) -> std::fmt::Result {
    let conditions = &table.conditions;
    let entry = outcome.entries.iter().find(|entry| entry.contender == cell.contender);
    let version = entry.map_or("", |entry| entry.version.as_str());
    let (bytes, discipline) = (format!("{:?}", conditions.bytes), format!("{:?}", conditions.discipline));
    let (bytes, discipline) = (bytes.to_lowercase(), discipline.to_lowercase());
    let (scenario, real, load, name) =
        (conditions.scenario.name(), conditions.real, conditions.load, cell.contender.name);
    write!(all, "{scenario},{bytes},{discipline},{real},{load:.3},{name},{version},{seed},")?;
    match run {
        Ok(Run { summary, proxy_micros, rig_cores, stolen, extra }) => {
            let shares: Vec<String> = summary.shares.iter().map(|share| format!("{share:.4}")).collect();
            write!(all, "{},{},{},", summary.answers, summary.refused, summary.errors)?;
            for value in [summary.p50, summary.p95, summary.p99, summary.p999, summary.mean, summary.small_p99] {
                write!(all, "{value:.3},")?;
            }
            write!(all, "{:.3},{:.4},{:.4},{},", summary.slowdown, summary.goodput, summary.jain, shares.join(" "))?;
            let or_empty = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.3}"));
            let extra = extra.map_or_else(String::new, |extra| extra.to_string());
            write!(
                all,
                "{},{},{},{extra},{:.3},",
                or_empty(*proxy_micros),
                or_empty(*rig_cores),
                or_empty(*stolen),
                summary.late
            )?;
            let error = summary.error.as_deref().unwrap_or_default();
            writeln!(all, "{}", quoted(error))
        }
        Err(words) => writeln!(all, ",,,,,,,,,,,,,,,,,,{}", quoted(words)),
    }
}

/// `words` as one field on one line; nothing when there are none.
fn quoted(words: &str) -> String {
    if words.is_empty() {
        return String::new();
    }
    let line: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("\"{}\"", line.join("; ").replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::outcome;
    use super::*;

    #[test]
    fn every_run_is_a_line_with_as_many_fields_as_the_head() {
        let text = text(&outcome());
        let lines: Vec<&str> = text.lines().collect();
        // A head, and two seeds of three contenders.
        assert_eq!(lines.len(), 7, "{text}");
        let fields = |line: &str| line.split(',').count();
        for line in &lines {
            assert_eq!(fields(line), fields(lines[0]), "{line}");
        }
        assert!(text.contains("\"502; and \"\"more\"\"\""), "{text}");
    }
}
