//! From rounds to numbers: medians, minima, and ratios round by round.
//!
//! In: one sample per proxy and round, or none where a round failed. Out: what the table says. Pure. A ratio is the
//! median of the ratios of the rounds, since both sides of one round had the same neighbours on the machine, and the
//! whole run did not.

use std::time::Duration;

use serde::Serialize;

/// What one proxy did in one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// Answers within the window, each of them checked.
    pub(crate) requests: u64,
    /// CPU time of the proxy, its threads and children, per request, in microseconds.
    pub(crate) micros: f64,
    /// CPU time of the load and the endpoint per request, in microseconds: what a proxy saves at their cost shows here.
    pub(crate) load_micros: f64,
    /// Answers per second.
    pub(crate) rate: f64,
    /// Share of the window in which the proxy's core was busy with the proxy, 0 to 1.
    pub(crate) busy: f64,
    /// Share of the window in which the proxy's core was busy with anything else, 0 to 1.
    pub(crate) others: f64,
    /// Connections that the proxy closed, as announced, and that were opened again.
    pub(crate) reconnects: u64,
}

/// What was counted in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Answers.
    pub(crate) requests: u64,
    /// Connections opened again.
    pub(crate) reconnects: u64,
    /// CPU time of the proxy.
    pub(crate) proxy: Duration,
    /// CPU time of the load and the endpoint.
    pub(crate) load: Duration,
    /// How long the proxy's core was busy, with whatever.
    pub(crate) core: Duration,
    /// How long the window was.
    pub(crate) window: Duration,
}

impl Sample {
    /// What `counted` amounts to; `None` when no answer arrived.
    pub(crate) fn new(counted: &Counted) -> Option<Self> {
        let Counted { requests, reconnects, proxy, load, core, window } = *counted;
        if requests == 0 || window.is_zero() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
        let count = requests as f64;
        let [proxy, load, core, window] = [proxy, load, core, window].map(|span| span.as_secs_f64());
        Some(Self {
            requests,
            micros: proxy * 1e6 / count,
            load_micros: load * 1e6 / count,
            rate: count / window,
            busy: proxy / window,
            others: ((core - proxy) / window).max(0.0),
            reconnects,
        })
    }
}

/// The middle of `values`, or the mean of the two in the middle; `None` of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut all: Vec<f64> = values.into_iter().collect();
    all.sort_by(f64::total_cmp);
    let upper = all.get(all.len() / 2)?;
    let lower = all.get((all.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// The least of `values`; `None` of none.
pub(crate) fn least(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    values.into_iter().min_by(f64::total_cmp)
}

/// How much CPU time one proxy took, as a multiple of another's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ratio {
    /// Median over the rounds in which both have a result.
    pub(crate) median: f64,
    /// The least of them.
    pub(crate) least: f64,
    /// The greatest of them.
    pub(crate) greatest: f64,
    /// How many rounds.
    pub(crate) rounds: usize,
}

impl Ratio {
    /// Of `ours` to `theirs`, round by round; `None` when no round has both.
    pub(crate) fn new(ours: &[Option<Sample>], theirs: &[Option<Sample>]) -> Option<Self> {
        let pairs =
            ours.iter().zip(theirs).filter_map(|(ours, theirs)| Some(ours.as_ref()?.micros / theirs.as_ref()?.micros));
        let all: Vec<f64> = pairs.collect();
        Some(Self {
            median: median(all.iter().copied())?,
            least: least(all.iter().copied())?,
            greatest: -least(all.iter().map(|ratio| -ratio))?,
            rounds: all.len(),
        })
    }
}

/// The order of `count` proxies in `round`: each comes first in turn, and every other time through, all is reversed, so
/// that none always follows the same one.
pub(crate) fn order(count: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).map(|place| (place + round) % count).collect();
    if (round / count.max(1)) % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(micros: [Option<f64>; 4]) -> [Option<Sample>; 4] {
        let sample =
            |micros| Sample { requests: 1, micros, load_micros: 1.0, rate: 1.0, busy: 1.0, others: 0.0, reconnects: 0 };
        micros.map(|micros| micros.map(sample))
    }

    #[test]
    fn a_median_lies_in_the_middle_whatever_the_order() {
        assert_eq!(median([3.0, 1.0, 100.0]), Some(3.0));
        assert_eq!(median([4.0, 1.0, 100.0, 2.0]), Some(3.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_ratio_compares_only_rounds_in_which_both_have_a_result() {
        let ours = samples([Some(20.0), None, Some(30.0), Some(40.0)]);
        let theirs = samples([Some(10.0), Some(1.0), Some(10.0), None]);
        let ratio = Ratio::new(&ours, &theirs);
        assert_eq!(ratio, Some(Ratio { median: 2.5, least: 2.0, greatest: 3.0, rounds: 2 }));
        assert_eq!(Ratio::new(&ours, &samples([None; 4])), None);
    }

    fn counted(requests: u64) -> Counted {
        let ms = Duration::from_millis;
        Counted { requests, reconnects: 3, proxy: ms(1_000), load: ms(1_500), core: ms(1_100), window: ms(2_000) }
    }

    #[test]
    fn a_round_without_an_answer_has_no_result() {
        assert_eq!(Sample::new(&counted(0)), None);
    }

    #[test]
    fn cpu_time_is_divided_by_the_answers_and_the_rest_of_the_core_belongs_to_others() {
        let sample = Sample::new(&counted(50_000)).unwrap();
        let found = [sample.micros, sample.load_micros, sample.rate, sample.busy, sample.others];
        for (found, expected) in found.into_iter().zip([20.0, 30.0, 25_000.0, 0.5, 0.05]) {
            assert!((found - expected).abs() < 1e-6, "{sample:?}");
        }
    }

    #[test]
    fn six_rounds_of_three_proxies_see_every_order_once() {
        let all: std::collections::BTreeSet<_> = (0..6).map(|round| order(3, round)).collect();
        assert_eq!(all.len(), 6);
        let firsts: Vec<_> = (0..3).map(|round| order(3, round)[0]).collect();
        assert_eq!(firsts, [0, 1, 2]);
    }
}
