//! What was measured, as text for people.
//!
//! In: results. Out: tables in the form of Markdown, so that they can be pasted where they are quoted. Pure.

use std::fmt::{self, Display, Formatter};

use crate::idle::{self, Idle};
use crate::overhead::{Overhead, Row, Table};
use crate::rig::machine::Machine;
use crate::rig::proxy::Kind;
use crate::rounds::{Ratio, Sample, least, median};

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, kernel, congestion, load } = self;
        writeln!(
            f,
            "{cores} cores, {processor}, Linux {kernel}, TCP {congestion}; load average before the run {load:.2}"
        )
    }
}

impl Display for Overhead {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.machine)?;
        for table in &self.tables {
            let Table { case, connections, rounds, .. } = table;
            let (title, name, seconds) = (case.title(), case.name(), self.seconds);
            writeln!(f, "\n{name}: {title}, {connections} connections, {rounds} rounds of {seconds} s each\n")?;
            write!(f, "{table}")?;
        }
        Ok(())
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| proxy          | µs CPU/request: median |   least | load's µs | requests/s | core busy | by others | RSS after | rounds |\n\
             |----------------|-----------------------:|--------:|----------:|-----------:|----------:|----------:|----------:|-------:|"
        )?;
        for row in &self.rows {
            let rounds = format!("{}/{}", row.samples.iter().flatten().count(), self.rounds);
            writeln!(
                f,
                "| {:<14} | {:>22} | {:>7} | {:>9} | {:>10} | {:>9} | {:>9} | {:>9} | {rounds:>6} |",
                name(row.kind, &row.version),
                or_none(middle(row, |sample| sample.micros), |micros| format!("{micros:.1}")),
                or_none(least(row.samples.iter().flatten().map(|sample| sample.micros)), |micros| format!(
                    "{micros:.1}"
                )),
                or_none(middle(row, |sample| sample.load_micros), |micros| format!("{micros:.1}")),
                or_none(middle(row, |sample| sample.rate), |rate| format!("{rate:.0}")),
                or_none(middle(row, |sample| sample.busy), percent),
                or_none(middle(row, |sample| sample.others), percent),
                or_none(row.resident, megabytes),
            )?;
        }
        writeln!(f)?;
        let (nginx, haproxy) = self.case.targets();
        for (peer, target) in [(Kind::Nginx, nginx), (Kind::Haproxy, haproxy)] {
            if let Some(Ratio { median, least, greatest, rounds }) = self.ratio(peer) {
                let verdict = if median <= target { "met" } else { "MISSED" };
                let of = format!("median of {rounds} rounds, {least:.2} to {greatest:.2}");
                writeln!(f, "- weir / {}: {median:.2} ({of}); target at most {target}: {verdict}", peer.name())?;
            }
        }
        for kind in [Kind::Permits, Kind::Queue, Kind::NoRecent] {
            if let Some((median, least, greatest)) = self.beyond(kind) {
                let name = kind.name();
                writeln!(f, "- {name} − weir: {median:+.1} µs (round by round, {least:+.1} to {greatest:+.1})")?;
            }
        }
        for row in &self.rows {
            for fault in &row.faults {
                writeln!(f, "- no result of {} in {fault}", row.kind.name())?;
            }
        }
        Ok(())
    }
}

impl Display for Idle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let connections = self.connections;
        writeln!(f, "{}\n{connections} idle connections, each after one GET\n", self.machine)?;
        writeln!(
            f,
            "| proxy          | RSS before |  RSS after | bytes per connection |\n\
             |----------------|-----------:|-----------:|---------------------:|"
        )?;
        let measured = |row: &idle::Row| row.memory.as_ref().ok().copied();
        for row in &self.rows {
            writeln!(
                f,
                "| {:<14} | {:>10} | {:>10} | {:>20} |",
                name(row.kind, &row.version),
                or_none(measured(row), |memory| megabytes(memory.before)),
                or_none(measured(row), |memory| megabytes(memory.after)),
                or_none(measured(row), |memory| memory.each(connections).to_string()),
            )?;
        }
        writeln!(f)?;
        if let Some(weir) = self.rows.iter().find(|row| row.kind == Kind::Weir).and_then(measured) {
            // In all, as users see it, not only what the connections add.
            let target = idle::TARGET.saturating_mul(u64::try_from(connections).unwrap_or(u64::MAX));
            let verdict = if weir.after <= target { "met" } else { "MISSED" };
            writeln!(f, "- weir: {} in all; target at most {}: {verdict}", megabytes(weir.after), megabytes(target))?;
        }
        for row in &self.rows {
            if let Err(fault) = &row.memory {
                writeln!(f, "- no result of {}: {}", row.kind.name(), fault.trim_end())?;
            }
        }
        Ok(())
    }
}

/// Name and version without the distribution's suffix, which the JSON has.
fn name(kind: Kind, version: &str) -> String {
    format!("{} {}", kind.name(), version.split('-').next().unwrap_or_default())
}

fn middle(row: &Row, of: impl Fn(&Sample) -> f64) -> Option<f64> {
    median(row.samples.iter().flatten().map(of))
}

fn or_none<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), show)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Decimal megabytes with one digit.
fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;

    fn row(kind: Kind, micros: &[Option<f64>]) -> Row {
        let sample = |micros| Sample {
            requests: 1,
            micros,
            load_micros: 15.0,
            rate: 40_000.0,
            busy: 0.9,
            others: 0.05,
            reconnects: 0,
        };
        let samples: Vec<_> = micros.iter().map(|micros| micros.map(sample)).collect();
        let faults =
            samples.iter().filter(|sample| sample.is_none()).map(|_| "round 2: an answer had status 502".to_owned());
        Row {
            kind,
            version: "1.2.3-4+deb12".to_owned(),
            configuration: String::new(),
            faults: faults.collect(),
            samples,
            resident: Some(13_456_789),
        }
    }

    #[test]
    fn a_table_shows_medians_ratios_verdicts_and_failed_rounds() {
        let rows = vec![
            row(Kind::Weir, &[Some(20.0), None, Some(24.0)]),
            row(Kind::Nginx, &[Some(16.0), Some(16.0), Some(16.0)]),
            row(Kind::Haproxy, &[Some(10.0), Some(10.0), Some(10.0)]),
        ];
        let text = Table { case: Case::Small, connections: 64, rounds: 3, rows }.to_string();
        for line in [
            "| weir 1.2.3     |                   22.0 |    20.0 |      15.0 |      40000 |      90 % |       5 % |   13.4 MB |    2/3 |",
            "- weir / nginx: 1.38 (median of 2 rounds, 1.25 to 1.50); target at most 1.6: met",
            "- weir / HAProxy: 2.20 (median of 2 rounds, 2.00 to 2.40); target at most 1.6: MISSED",
            "- no result of weir in round 2: an answer had status 502",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
        }
    }

    #[test]
    fn memory_is_judged_by_all_that_weir_takes() {
        let text = |after| {
            let row = |kind, memory| idle::Row { kind, version: String::new(), memory };
            let rows = vec![
                row(Kind::Weir, Ok(idle::Memory { before: 10_000_000, after })),
                row(Kind::Haproxy, Err("it ended".to_owned())),
            ];
            let [processor, kernel, congestion] = ["any", "6", "cubic"].map(str::to_owned);
            let machine = Machine { cores: 2, processor, kernel, congestion, load: 0.5 };
            Idle { machine, connections: 10_000, rows }.to_string()
        };
        assert!(text(150_000_000).contains("- weir: 150.0 MB in all; target at most 150.0 MB: met"));
        assert!(text(150_000_000).contains("|                14000 |"));
        assert!(text(150_000_001).contains("MISSED"));
        assert!(text(1).contains("- no result of HAProxy: it ended"));
    }
}
