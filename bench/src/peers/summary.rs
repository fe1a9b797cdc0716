//! From what became of each job to the numbers of one run.
//!
//! In: a trace and its records. Out: a [`Summary`], or why the run has no result. Pure. Percentiles are exact: all latencies are
//! sorted, and the one that so many of all do not exceed is taken. The first tenth of the arrivals does not count: proxies and
//! fleets start empty, and models have learnt nothing.

use std::time::Duration;

use super::endpoint::Plan;
use super::load::Record;
use super::trace::{Class, Trace, to_f64};

/// Share of the span whose arrivals do not count.
pub(crate) const DROPPED: f64 = 0.1;

/// One run of one contender. Times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    /// Answers with status 200 that count.
    pub(crate) answers: usize,
    /// Answers with status 503 that count.
    pub(crate) refused: usize,
    /// Everything else that is not an answer with status 200.
    pub(crate) errors: usize,
    /// The first of them, in words.
    pub(crate) error: Option<String>,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) mean: f64,
    /// The 99th percentile of small photos.
    pub(crate) small_p99: f64,
    /// Mean of latency divided by the job's own work.
    pub(crate) slowdown: f64,
    /// Work of the answers that arrived in the window, as a share of what all endpoints can do in it.
    pub(crate) goodput: f64,
    /// Share of the answers that came from each endpoint.
    pub(crate) shares: Vec<f64>,
    /// Jain's index of the work done per capacity of each endpoint: 1 when all are used alike, 1/n when one does everything.
    pub(crate) jain: f64,
    /// The 99th percentile of how much later than wanted requests were sent.
    pub(crate) late: f64,
}

/// Of a sorted list, the least value that `share` of all do not exceed; `None` of none.
/// Source: the nearest-rank definition.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
    let rank = (share * to_f64(sorted.len())).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// Jain's fairness index of `values`: 1 when all are alike. Source: Jain, Chiu, Hawe, 1984.
pub(crate) fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    if squares > 0.0 { sum * sum / (to_f64(values.len()) * squares) } else { 1.0 }
}

impl Summary {
    /// What `records`, one per job of `trace`, amount to.
    ///
    /// # Errors
    /// Words, when nothing was answered.
    pub(crate) fn new(trace: &Trace, records: &[Record], plans: &[Plan]) -> Result<Self, String> {
        let begin = trace.span.mul_f64(DROPPED);
        let (mut all, mut small, mut late) = (Vec::new(), Vec::new(), Vec::new());
        let (mut refused, mut errors, mut error) = (0, 0, None);
        let (mut slowdown, mut done) = (0.0, 0.0);
        let mut works = vec![0.0; plans.len()];
        let mut answers = vec![0.0; plans.len()];
        for (job, record) in trace.jobs.iter().zip(records) {
            let (work, latency) = (job.work.as_secs_f64(), ms(record.latency));
            let good = matches!(&record.outcome, Ok(answer) if answer.status == 200);
            if good && (begin..trace.span).contains(&(job.at + record.latency)) {
                done += work;
            }
            if job.at < begin {
                continue;
            }
            late.push(ms(record.late));
            match &record.outcome {
                Ok(answer) if answer.status == 200 => {
                    all.push(latency);
                    if job.class == Class::Small {
                        small.push(latency);
                    }
                    slowdown += latency / (work * 1e3).max(1e-3);
                    let place = answer.endpoint.unwrap_or(usize::MAX);
                    if let (Some(works), Some(answers)) = (works.get_mut(place), answers.get_mut(place)) {
                        *works += work;
                        *answers += 1.0;
                    }
                }
                Ok(answer) if answer.status == 503 => refused += 1,
                Ok(answer) => {
                    errors += 1;
                    error.get_or_insert_with(|| format!("an answer had status {}", answer.status));
                }
                Err(words) => {
                    errors += 1;
                    error.get_or_insert_with(|| words.clone());
                }
            }
        }
        for list in [&mut all, &mut small, &mut late] {
            list.sort_by(f64::total_cmp);
        }
        let of = |list: &[f64], share| {
            percentile(list, share).ok_or_else(|| error.clone().unwrap_or("no answer arrived".into()))
        };
        let capacity: f64 = plans.iter().map(Plan::capacity).sum();
        let window = trace.span.saturating_sub(begin).as_secs_f64();
        let named: f64 = answers.iter().sum();
        Ok(Self {
            answers: all.len(),
            refused,
            errors,
            p50: of(&all, 0.5)?,
            p95: of(&all, 0.95)?,
            p99: of(&all, 0.99)?,
            p999: of(&all, 0.999)?,
            mean: all.iter().sum::<f64>() / to_f64(all.len()),
            small_p99: of(&small, 0.99)?,
            slowdown: slowdown / to_f64(all.len()),
            goodput: done / (capacity * window).max(f64::MIN_POSITIVE),
            shares: answers.iter().map(|count| count / named.max(1.0)).collect(),
            jain: jain(&works.iter().zip(plans).map(|(work, plan)| work / plan.capacity()).collect::<Vec<_>>()),
            late: of(&late, 0.99)?,
            error,
        })
    }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::super::client::Answer;
    use super::super::trace::{Job, Picture};
    use super::*;

    #[test]
    fn a_percentile_is_the_least_value_that_so_many_do_not_exceed() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        let found: Vec<_> = [0.0, 0.01, 0.5, 0.99, 0.999, 1.0].map(|share| percentile(&hundred, share)).into();
        assert_eq!(found, [1.0, 1.0, 50.0, 99.0, 100.0, 100.0].map(Some));
        assert_eq!(percentile(&[7.0], 0.99), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn jain_is_one_for_equals_and_a_share_for_one_that_does_everything() {
        assert!((jain(&[3.0, 3.0, 3.0]) - 1.0).abs() < 1e-12);
        assert!((jain(&[5.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-12);
        assert!((jain(&[0.0, 0.0]) - 1.0).abs() < 1e-12);
    }

    /// Eleven jobs of 10 ms, one each 100 ms; the outcome of each is `outcome(number)`.
    fn summary(outcome: impl Fn(u64) -> (u64, Result<u16, &'static str>)) -> Result<Summary, String> {
        let picture = Picture::Drawn { width: 1, height: 1, bytes: 0 };
        let ms = Duration::from_millis;
        let job = |number: u64| Job { at: ms(number * 100), class: Class::Small, work: ms(10), picture };
        let trace = Trace { jobs: (0..11).map(job).collect(), span: ms(1100) };
        let record = |number| {
            let (latency, result) = outcome(number);
            let endpoint = usize::try_from(number % 2).ok();
            let outcome = result.map(|status| Answer { status, endpoint, work: None }).map_err(str::to_owned);
            Record { latency: ms(latency), late: Duration::ZERO, outcome }
        };
        let records: Vec<_> = (0..11).map(record).collect();
        Summary::new(&trace, &records, &[Plan { cores: 1, weight: 1, slowness: 1.0 }; 2])
    }

    #[test]
    fn the_first_tenth_does_not_count() {
        // Only the first two arrive in it, at 0 and 100 ms of the first 110.
        let found = summary(|number| (if number < 2 { 900 } else { 20 }, Ok(200))).unwrap();
        assert_eq!((found.answers, found.errors, found.refused), (9, 0, 0));
        assert!((found.p999 - 20.0).abs() < 1e-9 && (found.mean - 20.0).abs() < 1e-9);
        assert!((found.slowdown - 2.0).abs() < 1e-9);
    }

    #[test]
    fn refusals_and_errors_are_counted_apart_and_have_no_latency() {
        let found = summary(|number| match number {
            5 => (1, Ok(503)),
            6 => (1, Ok(502)),
            7 => (1, Err("broken")),
            _ => (30, Ok(200)),
        });
        let found = found.unwrap();
        assert_eq!((found.answers, found.refused, found.errors), (6, 1, 2));
        assert!((found.p50 - 30.0).abs() < 1e-9);
        assert_eq!(found.error.as_deref(), Some("an answer had status 502"));
    }

    #[test]
    fn goodput_is_the_work_that_came_back_within_the_window() {
        // Nine jobs of 10 ms in 990 ms of two cores; the last one comes back too late, one from before counts.
        let found = summary(|number| (if number == 10 || number == 1 { 150 } else { 20 }, Ok(200))).unwrap();
        assert!((found.goodput - 0.09 / 1.98).abs() < 1e-9, "{}", found.goodput);
        assert!((found.shares[0] - 5.0 / 9.0).abs() < 1e-9, "{:?}", found.shares);
    }

    #[test]
    fn a_run_without_an_answer_has_no_result_but_a_reason() {
        assert_eq!(summary(|_| (1, Err("cannot connect"))), Err("cannot connect".to_owned()));
    }
}
