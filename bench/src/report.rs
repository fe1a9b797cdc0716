//! What was measured, as text for people.
//!
//! In: results. Out: tables in the form of Markdown, so that they can be pasted where they are quoted. Pure.

use std::fmt::{self, Display, Formatter};

use crate::idle::{self, Idle};
use crate::overhead::{Overhead, Row, Table};
use crate::rig::machine::Machine;
use crate::rig::proxy::Kind;
use crate::rounds::{Sample, least, median};

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, kernel, load } = self;
        writeln!(f, "{cores} cores, {processor}, Linux {kernel}; load average before the run {load:.2}")
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
            "| proxy          | µs CPU/request: median |   least | requests/s | core busy | by others | RSS after | rounds |\n\
             |----------------|-----------------------:|--------:|-----------:|----------:|----------:|----------:|-------:|"
        )?;
        for row in &self.rows {
            let rounds = format!("{}/{}", row.samples.iter().flatten().count(), self.rounds);
            writeln!(
                f,
                "| {:<14} | {:>22} | {:>7} | {:>10} | {:>9} | {:>9} | {:>9} | {rounds:>6} |",
                format!("{} {}", row.kind.name(), row.version),
                or_none(middle(row, |sample| sample.micros), |micros| format!("{micros:.1}")),
                or_none(least(row.samples.iter().flatten().map(|sample| sample.micros)), |micros| format!(
                    "{micros:.1}"
                )),
                or_none(middle(row, |sample| sample.rate), |rate| format!("{rate:.0}")),
                or_none(middle(row, |sample| sample.busy), percent),
                or_none(middle(row, |sample| sample.others), percent),
                or_none(row.resident, megabytes),
            )?;
        }
        writeln!(f)?;
        let (nginx, haproxy) = self.case.targets();
        for (peer, target) in [(Kind::Nginx, nginx), (Kind::Haproxy, haproxy)] {
            if let Some(ratio) = self.ratio(peer) {
                let verdict = if ratio.median <= target { "met" } else { "MISSED" };
                writeln!(
                    f,
                    "weir / {:<8} {:.2} (median of {} rounds, {:.2} to {:.2}); target at most {target}: {verdict}",
                    peer.name(),
                    ratio.median,
                    ratio.rounds,
                    ratio.least,
                    ratio.greatest
                )?;
            }
        }
        for row in &self.rows {
            for fault in &row.faults {
                writeln!(f, "no result of {} in {fault}", row.kind.name())?;
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
        for row in &self.rows {
            let name = format!("{} {}", row.kind.name(), row.version);
            let (before, after, each) = (megabytes(row.before), megabytes(row.after), row.each(connections));
            writeln!(f, "| {name:<14} | {before:>10} | {after:>10} | {each:>20} |")?;
        }
        if let Some(weir) = self.rows.iter().find(|row| row.kind == Kind::Weir) {
            // In all, as users see it, not only what the connections add.
            let target = idle::TARGET.saturating_mul(u64::try_from(connections).unwrap_or(u64::MAX));
            let verdict = if weir.after <= target { "met" } else { "MISSED" };
            writeln!(f, "\nweir: {} in all; target at most {}: {verdict}", megabytes(weir.after), megabytes(target))?;
        }
        Ok(())
    }
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
