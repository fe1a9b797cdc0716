//! A run in a few numbers.

#![expect(clippy::cast_precision_loss, reason = "counts and nanoseconds are far below 2^53")]

use super::engine::Run;
use super::trace::Job;

/// What a run came to. Times in seconds; all but the last four of the answered jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) mean: f64,
    /// Mean of response / work.
    pub(crate) slowdown: f64,
    /// The 99th percentile of the small jobs.
    pub(crate) small: f64,
    /// Refused, of all.
    pub(crate) refused: f64,
    /// Work answered, as a share of the work that arrived.
    pub(crate) done: f64,
    /// The most work that one endpoint did, by the mean.
    pub(crate) most: f64,
    /// Jain's index of the work that endpoints did: 1 when all did the same, 1 / n when one did all.
    pub(crate) jain: f64,
}

impl Figures {
    /// Of all jobs but the first tenth, during which the site fills up.
    pub(crate) fn of(jobs: &[Job], run: &Run) -> Self {
        Self::among(jobs, run, |_| true)
    }

    /// The same of those that `whom` names.
    pub(crate) fn among(jobs: &[Job], run: &Run, whom: impl Fn(&Job) -> bool) -> Self {
        let from = jobs.len() / 10;
        let counted = || jobs.iter().zip(&run.fates).skip(from).filter(|(job, _)| whom(job));
        let answered = || counted().filter_map(|(job, fate)| Some((job, fate.as_ref()?.saturating_sub(job.arrival))));
        let mut times: Vec<u64> = answered().map(|it| it.1).collect();
        let mut small: Vec<u64> = answered().filter(|it| it.0.small).map(|it| it.1).collect();
        times.sort_unstable();
        small.sort_unstable();
        let (all, served) = (counted().count(), times.len());
        let work = |jobs: &mut dyn Iterator<Item = &Job>| jobs.map(|job| job.work as f64).sum::<f64>();
        let shares: f64 = run.shares.iter().map(|&share| share as f64).sum();
        let squares: f64 = run.shares.iter().map(|&share| (share as f64).powi(2)).sum();
        let endpoints = run.shares.len() as f64;
        Self {
            p50: percentile(&times, 0.5),
            p95: percentile(&times, 0.95),
            p99: percentile(&times, 0.99),
            p999: percentile(&times, 0.999),
            mean: times.iter().map(|&time| time as f64).sum::<f64>() / 1e9 / served as f64,
            slowdown: answered().map(|(job, time)| time as f64 / job.work as f64).sum::<f64>() / served as f64,
            small: percentile(&small, 0.99),
            refused: (all - served) as f64 / all as f64,
            done: work(&mut answered().map(|it| it.0)) / work(&mut counted().map(|it| it.0)),
            most: run.shares.iter().copied().max().unwrap_or(0) as f64 * endpoints / shares,
            jain: shares.powi(2) / (endpoints * squares),
        }
    }

    /// Each number's median over several runs.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(field).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            p50: of(|it| it.p50),
            p95: of(|it| it.p95),
            p99: of(|it| it.p99),
            p999: of(|it| it.p999),
            mean: of(|it| it.mean),
            slowdown: of(|it| it.slowdown),
            small: of(|it| it.small),
            refused: of(|it| it.refused),
            done: of(|it| it.done),
            most: of(|it| it.most),
            jain: of(|it| it.jain),
        }
    }

    /// The numbers that a choice is judged by: p50, mean, p99, p99 of the small.
    pub(crate) const fn judged(&self) -> [f64; 4] {
        [self.p50, self.mean, self.p99, self.small]
    }
}

/// The value that this share of the sorted values is at or below, in seconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the values")]
fn percentile(sorted: &[u64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, |&value| value as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=1000).map(|value| value * 1_000_000_000).collect();
        for (share, value) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            assert!((percentile(&values, share) - value).abs() < 1e-9, "{share}");
        }
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn refused_jobs_count_as_work_not_done_and_in_no_time() {
        let job = |arrival| Job { arrival, work: 10, predicted: 10, small: true, class: 0, dice: 0 };
        let jobs: Vec<Job> = (0..4).map(job).collect();
        let run = Run { fates: vec![Some(20), None, Some(32), Some(33)], shares: vec![30, 10] };
        let figures = Figures::of(&jobs, &run);
        let close = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-9, "{value} for {expected}");
        close(figures.refused, 0.25);
        close(figures.done, 0.75);
        close(figures.slowdown, (2.0 + 3.0 + 3.0) / 3.0);
        close(figures.most, 1.5);
        close(figures.jain, 0.8);
    }
}
