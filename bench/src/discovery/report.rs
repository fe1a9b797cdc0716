//! What was measured, as a table and as JSON.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::rig::machine::Machine;

/// Most milliseconds, at the median, from a change at the agent to the exchange that shows it.
const CHANGE_TARGET: f64 = 40.0;
/// Most CPU milliseconds of an update of the large service.
pub(super) const TABLE_TARGET: f64 = 20.0;
/// The same for a ring, which has 160 places per endpoint.
pub(super) const RING_TARGET: f64 = 150.0;
/// By how many milliseconds the longest exchange beside updates may exceed the longest without: less than any update takes, and
/// more than a machine with two cores needs to run four busy processes in turn.
const WAIT_TARGET: f64 = 10.0;

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(super) machine: Machine,
    pub(super) version: String,
    pub(super) changes: Change,
    pub(super) endpoints: u16,
    pub(super) updates: Vec<Update>,
}

/// Endpoints that came and went, in milliseconds each.
#[derive(Debug, Default, Serialize)]
pub(super) struct Change {
    /// For the agent to answer a registration.
    #[serde(serialize_with = "millis")]
    pub(super) registered: Vec<Duration>,
    /// From the registration's first byte to the first answer of the endpoint.
    #[serde(serialize_with = "millis")]
    pub(super) first: Vec<Duration>,
    /// From the deregistration's first byte to the last request that arrived at the endpoint.
    #[serde(serialize_with = "millis")]
    pub(super) last: Vec<Duration>,
    pub(super) failures: Vec<String>,
}

/// Updates of a large service under one policy.
#[derive(Debug, Serialize)]
pub(super) struct Update {
    pub(super) policy: &'static str,
    /// Most CPU milliseconds.
    pub(super) target: f64,
    /// CPU milliseconds of each.
    #[serde(serialize_with = "millis")]
    pub(super) spent: Vec<Duration>,
    pub(super) without: Waits,
    pub(super) with: Waits,
    pub(super) failures: Vec<String>,
}

/// Exchanges of one kind of window, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Waits {
    count: usize,
    median: f64,
    p99: f64,
    longest: f64,
}

impl Waits {
    pub(super) fn of(mut spans: Vec<Duration>) -> Self {
        spans.sort_unstable();
        Self { count: spans.len(), median: share(&spans, 0.5), p99: share(&spans, 0.99), longest: share(&spans, 1.0) }
    }
}

impl Outcome {
    /// Whether everything that was promised is so.
    pub(crate) fn kept(&self) -> bool {
        self.lines().iter().all(|(_, _, kept)| *kept) && self.failures().is_empty()
    }

    fn failures(&self) -> Vec<&str> {
        let updates = self.updates.iter().flat_map(|update| &update.failures);
        self.changes.failures.iter().chain(updates).map(String::as_str).collect()
    }

    /// What, how much, whether that is as promised.
    fn lines(&self) -> Vec<(String, String, bool)> {
        let mut lines = Vec::new();
        for (what, spans) in
            [("register → first exchange", &self.changes.first), ("deregister → last exchange", &self.changes.last)]
        {
            let mut sorted = spans.clone();
            sorted.sort_unstable();
            let (median, p99) = (share(&sorted, 0.5), share(&sorted, 0.99));
            let text = format!("median {median:.1} ms, p99 {p99:.1} ms (median ≤ {CHANGE_TARGET} ms)");
            lines.push((what.to_owned(), text, median <= CHANGE_TARGET));
        }
        for update in &self.updates {
            let mut sorted = update.spent.clone();
            sorted.sort_unstable();
            let (median, most) = (share(&sorted, 0.5), share(&sorted, 1.0));
            let text = format!("median {median:.1} ms, most {most:.1} ms (median ≤ {} ms)", update.target);
            lines.push((format!("CPU of an update, {}", update.policy), text, median <= update.target));
            let (with, without) = (update.with, update.without);
            let text = format!(
                "{:.1} ms, without {:.1} ms; p99 {:.2} ms, without {:.2} ms (longest ≤ + {WAIT_TARGET} ms)",
                with.longest, without.longest, with.p99, without.p99
            );
            lines.push((
                format!("longest exchange beside, {}", update.policy),
                text,
                with.longest <= without.longest + WAIT_TARGET,
            ));
        }
        lines
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, processor, kernel, load, .. } = &self.machine;
        writeln!(f, "{cores} cores of {processor}, Linux {kernel}, load before {load}")?;
        writeln!(
            f,
            "weir {}: {} endpoints came and went; updates of {} endpoints",
            self.version,
            self.changes.first.len(),
            self.endpoints
        )?;
        for (what, text, kept) in self.lines() {
            writeln!(f, "{} {what:<44} {text}", if kept { '✓' } else { '✗' })?;
        }
        let failures = self.failures();
        let mark = if failures.is_empty() { '✓' } else { '✗' };
        write!(f, "{mark} {:<44} {}", "exchanges that failed", failures.len())?;
        match failures.first() {
            Some(first) => writeln!(f, ", the first: {first}"),
            None => writeln!(f),
        }
    }
}

/// The value, in milliseconds, that this share of the sorted values does not exceed; 0 of none.
pub(crate) fn share(sorted: &[Duration], share: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a list that fits into memory"
    )]
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).map_or(0.0, |span| span.as_secs_f64() * 1000.0)
}

fn millis<S: Serializer>(spans: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(spans.iter().map(|span| span.as_secs_f64() * 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_values_is_one_of_them() {
        let spans: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        for (part, expected) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)] {
            assert!((share(&spans, part) - expected).abs() < 1e-9, "{part}");
        }
        assert!(share(&[], 0.5).abs() < 1e-9);
    }
}
