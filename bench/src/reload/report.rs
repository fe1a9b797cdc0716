//! What was measured, as a table and as JSON.

use std::fmt;

use serde::Serialize;

use crate::discovery::client::Seen;
use crate::discovery::share;
use crate::rig::machine::Machine;

/// The p99 with reloads, by that without, at most: the median of the pairs.
const P99_TARGET: f64 = 1.1;
/// Memory after the last pair, by that after the first, at most.
const MEMORY_TARGET: f64 = 1.1;
/// Most milliseconds of a large reload, from reading the file to its being published.
const LARGE_TARGET: u32 = 150;
/// By how many milliseconds the longest exchange beside large reloads may exceed the longest without: far less than such a
/// reload takes, and more than a machine with two cores needs to run three busy processes in turn.
const WAIT_TARGET: f64 = 20.0;

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(super) machine: Machine,
    pub(super) version: String,
    pub(super) clients: u16,
    /// Files written.
    pub(super) reloads: u16,
    /// Reloads that weir did.
    pub(super) applied: usize,
    pub(super) pairs: Vec<Pair>,
    /// Bytes after each pair.
    pub(super) resident: Vec<u64>,
    pub(super) large: Vec<Large>,
}

/// A run with reloads and one without.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    pub(super) with: Waits,
    pub(super) without: Waits,
}

/// Reloads of a large configuration.
#[derive(Debug, Serialize)]
pub(super) struct Large {
    pub(super) services: u16,
    /// Whether all services change each time, or one.
    pub(super) all: bool,
    /// Milliseconds of each.
    pub(super) took: Vec<u32>,
    pub(super) with: Waits,
    pub(super) without: Waits,
}

/// Exchanges of one kind, in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Waits {
    count: usize,
    median: f64,
    p99: f64,
    longest: f64,
    failures: Vec<String>,
}

impl Waits {
    pub(super) fn of(seen: Seen) -> Self {
        let Seen { mut spans, failures, .. } = seen;
        spans.sort_unstable();
        let [median, p99, longest] = [0.5, 0.99, 1.0].map(|part| share(&spans, part));
        Self { count: spans.len(), median, p99, longest, failures }
    }
}

impl Outcome {
    /// Whether everything that was promised is so.
    pub(crate) fn kept(&self) -> bool {
        self.lines().iter().all(|(_, _, kept)| *kept)
    }

    /// What, how much, whether that is as promised.
    fn lines(&self) -> Vec<(String, String, bool)> {
        let runs = self.pairs.iter().flat_map(|pair| [&pair.with, &pair.without]);
        let all: Vec<&Waits> = runs.chain(self.large.iter().flat_map(|large| [&large.with, &large.without])).collect();
        let failures: Vec<&String> = all.iter().flat_map(|waits| &waits.failures).collect();
        let exchanges: usize = all.iter().map(|waits| waits.count).sum();
        let first = failures.first().map_or(String::new(), |first| format!(", the first: {first}"));
        let mut lines = vec![
            (
                "reloads".to_owned(),
                format!("{} files written, {} applied", self.reloads, self.applied),
                self.applied == usize::from(self.reloads),
            ),
            (
                "exchanges that failed".to_owned(),
                format!("{} of {exchanges}{first}", failures.len()),
                failures.is_empty(),
            ),
        ];
        let p99 = |of: fn(&Pair) -> f64| median(self.pairs.iter().map(of).collect());
        let (with, without) = (p99(|pair| pair.with.p99), p99(|pair| pair.without.p99));
        let ratio = p99(|pair| pair.with.p99 / pair.without.p99);
        let text = format!("{ratio:.2} × ({with:.2} ms, {without:.2} ms without; ≤ {P99_TARGET})");
        lines.push(("p99 with reloads, median of pairs".to_owned(), text, ratio <= P99_TARGET));
        let mib = |bytes: u64| {
            #[expect(clippy::cast_precision_loss, reason = "a process has far less than 2^52 bytes")]
            let bytes = bytes as f64;
            bytes / f64::from(1 << 20)
        };
        let (early, late) = (self.resident.first(), self.resident.last());
        let (early, late) = (mib(early.copied().unwrap_or_default()), mib(late.copied().unwrap_or_default()));
        let text = format!("{early:.1} MiB after the first pair, {late:.1} MiB after the last");
        lines.push(("resident memory".to_owned(), text, late <= early * MEMORY_TARGET));
        for large in &self.large {
            let which = if large.all { "all" } else { "one" };
            let mut took = large.took.clone();
            took.sort_unstable();
            let most = took.last().copied().unwrap_or_default();
            let middle = took.get(took.len() / 2).copied().unwrap_or_default();
            let what = format!("reload of {} services, {which} changed", large.services);
            lines.push((what, format!("median {middle} ms, most {most} ms (≤ {LARGE_TARGET})"), most <= LARGE_TARGET));
            let (with, without) = (&large.with, &large.without);
            let text = format!(
                "{:.1} ms, without {:.1} ms; p99 {:.2} ms, without {:.2} ms (longest ≤ + {WAIT_TARGET} ms)",
                with.longest, without.longest, with.p99, without.p99
            );
            let what = "longest exchange beside it".to_owned();
            lines.push((what, text, with.longest <= without.longest + WAIT_TARGET));
        }
        lines
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, processor, kernel, load, .. } = &self.machine;
        writeln!(f, "{cores} cores of {processor}, Linux {kernel}, load before {load}")?;
        writeln!(f, "weir {}: {} clients, {} pairs", self.version, self.clients, self.pairs.len())?;
        for (what, text, kept) in self.lines() {
            writeln!(f, "{} {what:<44} {text}", if kept { '✓' } else { '✗' })?;
        }
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
