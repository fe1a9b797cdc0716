//! How fast an endpoint answers: what is remembered of that, and how it ages.
//!
//! In: the time of an answer, or the time since the endpoint was last asked. Out: an estimate, or what it still counts.
//! Cost: a few multiplications.
//!
//! **Smoothing** ([`smoothed`]): an answer slower than the estimate raises it at once, the peak; faster ones lower it, half
//! of the way for each [`HALF_LIFE`] between answers. Source: Finagle's and Linkerd's peak-EWMA.
//!
//! **Ageing** ([`Latency::aged`]): the estimate of an endpoint in use counts in full; it is halved for every half-life in
//! which the endpoint was not asked, as nginx's `least_time` does. So however slow an endpoint once was, it is asked again,
//! after a half-life × log2 of how many times dearer it was. Without this one bad hour lasts for ever (traefik#12306).
//! The age is counted from the last *pick*, not from the last answer: what is old buys one exchange, and no more until that
//! is answered or as much time passes again. Nor can an endpoint starve behind an exchange that lasts for hours. The
//! same holds without an estimate: the endpoint is asked at once, and then counts as [`UNKNOWN`] until it answers.

use crate::Nanos;

/// The time in which memory fades by half. Finagle's decay time, and nginx's `fail_timeout`.
const HALF_LIFE: u64 = 10_000_000_000;

/// What an endpoint that has not answered yet counts as: longer than nearly all exchanges, so that it gets one at a time
/// while others have shown that they are faster.
const UNKNOWN: u64 = 10_000_000_000;

/// How fast an endpoint answers, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The smoothed time to the head of an answer, nothing taken off for age; `None` before the first answer.
    pub estimate: Option<Nanos>,
    /// How long ago the endpoint was last given an exchange; [`Nanos`] of `u64::MAX` when it never was.
    pub unasked: Nanos,
}

impl Latency {
    /// Never asked.
    pub const UNKNOWN: Self = Self { estimate: None, unasked: Nanos(u64::MAX) };

    /// What the estimate counts: 512 times its nanoseconds, halved for each half-life that the endpoint was not asked.
    pub(crate) fn aged(self) -> u128 {
        faded(self.estimate.map_or(UNKNOWN, |Nanos(nanos)| nanos), self.unasked)
    }
}

/// The estimate after an answer that took `sample`; `since` is the time from the answer before it, and `estimate` what that
/// left behind. Never less than both nor more than both.
pub fn smoothed(estimate: Option<Nanos>, sample: Nanos, since: Nanos) -> Nanos {
    let Some(gap) = estimate.and_then(|Nanos(nanos)| nanos.checked_sub(sample.0)) else { return sample };
    let left = u64::try_from(faded(gap, since) >> 9).unwrap_or(gap);
    Nanos(sample.0.saturating_add(left))
}

/// 512 × nanoseconds, halved for each half-life; linear in between.
fn faded(nanos: u64, age: Nanos) -> u128 {
    let halvings = u32::try_from(age.0 / HALF_LIFE).unwrap_or(u32::MAX);
    // In parts of 2^-32: at a thousand answers a second each fades by little, and that must not be lost.
    let part = ((age.0 % HALF_LIFE) << 24) / HALF_LIFE;
    let factor = (1_u128 << 25) - u128::from(part);
    ((u128::from(nanos) * factor) >> 16).checked_shr(halvings).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aged(nanos: u64, unasked: u64) -> u128 {
        Latency { estimate: Some(Nanos(nanos)), unasked: Nanos(unasked) }.aged()
    }

    #[test]
    fn an_estimate_is_halved_in_each_half_life_without_a_jump() {
        assert_eq!(aged(1_000_000, 0), 512_000_000);
        assert_eq!(aged(1_000_000, HALF_LIFE), 256_000_000);
        assert_eq!(aged(1_000_000, 3 * HALF_LIFE), 64_000_000);
        assert!(aged(1_000_000, HALF_LIFE - 1) - aged(1_000_000, HALF_LIFE) <= 1_000);
        assert_eq!(aged(u64::MAX, u64::MAX), 0);
    }

    #[test]
    fn a_slower_answer_is_the_new_estimate_and_a_faster_one_pulls_it_half_way_in_a_half_life() {
        let after = |millis: u64, since| smoothed(Some(Nanos(100)), Nanos(millis), Nanos(since)).0;
        assert_eq!(after(300, 0), 300);
        assert_eq!(after(20, 0), 100);
        assert_eq!(after(20, HALF_LIFE), 60);
        assert_eq!(after(20, 100 * HALF_LIFE), 20);
        assert_eq!(smoothed(None, Nanos(7), Nanos(0)), Nanos(7));
    }

    #[test]
    fn a_thousand_answers_a_second_lower_an_estimate_as_much_as_one_in_ten_seconds_does_and_a_bit_more() {
        let step = Nanos(1_000_000);
        let after = (0..10_000).fold(Nanos(1_000_000_000), |all, _| smoothed(Some(all), Nanos(1_000_000), step));
        // Compounded, a half becomes 1 / sqrt(e).
        assert!((600_000_000..615_000_000).contains(&after.0), "{after:?}");
    }

    proptest::proptest! {
        #[test]
        fn an_estimate_never_grows_by_age(nanos: u64, younger in 0..100 * HALF_LIFE, more in 0..100 * HALF_LIFE) {
            proptest::prop_assert!(aged(nanos, younger + more) <= aged(nanos, younger));
        }

        #[test]
        fn smoothing_stays_between_the_estimate_and_the_sample(estimate: u64, sample: u64, since: u64) {
            let Nanos(after) = smoothed(Some(Nanos(estimate)), Nanos(sample), Nanos(since));
            proptest::prop_assert!((sample.min(estimate)..=sample.max(estimate)).contains(&after));
        }
    }
}
