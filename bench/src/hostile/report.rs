//! What is said at the end.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::rig::machine::Machine;

/// Answers of one kind, by status; 0 stands for none.
pub(crate) type Counts = BTreeMap<u16, u64>;

/// All that was seen.
#[derive(Debug, Serialize)]
pub(crate) struct Hostile {
    pub(crate) machine: Machine,
    /// The optimizer under load.
    pub(crate) program: String,
    pub(crate) seconds: f64,
    /// Good requests there are to choose from.
    pub(crate) requests: usize,
    /// Answers to good requests, by status. A 412 was asked for.
    pub(crate) good: Counts,
    /// Answers to hostile requests, by kind and status.
    pub(crate) bad: BTreeMap<&'static str, Counts>,
    /// Most resident memory, in bytes.
    pub(crate) peak: u64,
    /// What it must not be more than.
    pub(crate) bound: u64,
    /// What was wrong; nothing, if all is well.
    pub(crate) faults: Vec<String>,
}

impl fmt::Display for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |counts: &Counts| counts.values().sum::<u64>();
        let shown = |counts: &Counts| {
            let each = counts.iter().map(|(status, count)| match status {
                0 => format!("none: {count}"),
                status => format!("{status}: {count}"),
            });
            each.collect::<Vec<_>>().join(", ")
        };
        let hostile: u64 = self.bad.values().map(sum).sum();
        let good = sum(&self.good);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = 100.0 * hostile as f64 / (good + hostile).max(1) as f64;
        writeln!(
            f,
            "{}, {} cores, {:.0} s, `{}`",
            self.machine.processor, self.machine.cores, self.seconds, self.program
        )?;
        writeln!(f, "good: {good} of {} kinds ({})", self.requests, shown(&self.good))?;
        writeln!(f, "hostile: {hostile} ({share:.1} %)\n")?;
        writeln!(f, "| hostile | requests | answers |\n|---|---|---|")?;
        for (kind, counts) in &self.bad {
            writeln!(f, "| {kind} | {} | {} |", sum(counts), shown(counts))?;
        }
        writeln!(f, "\npeak memory: {} MiB of at most {} MiB", self.peak >> 20, self.bound >> 20)?;
        match self.faults.as_slice() {
            [] => writeln!(f, "no fault: the same process runs, is healthy and idle, and every good picture was right"),
            faults => {
                writeln!(f, "{} FAULTS", faults.len())?;
                faults.iter().take(20).try_for_each(|fault| writeln!(f, "- {fault}"))
            }
        }
    }
}
