//! When to look up again. Pure: chance comes from a seed.
//!
//! In: what a round brought. Out: the pause before the next. Why spread downwards: proxies that started together must
//! not ask together, and no answer is used for longer than it holds.

use std::hash::Hash;
use std::time::Duration;

use weir_snapshot::Millis;

/// First pause after a failure; it doubles. A round that fails has already waited for its resolvers.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause after failures: what a returning resolver costs at most, beyond its absence.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause of all: what is configured beyond it could overflow a clock.
const LONGEST: Duration = Duration::from_hours(24);
/// A name without endpoints is looked at this often at least: whoever waits for the first one waits for us.
const LONGEST_EMPTY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Pace {
    dice: crate::pace::Pace,
    failures: u32,
    least: Duration,
    most: Duration,
}

impl Pace {
    /// Pauses of `least` to `most` after answers, neither beyond a day.
    pub(crate) fn new(seed: impl Hash, least: Duration, most: Duration) -> Self {
        let (least, most) = (least.min(LONGEST), most.min(LONGEST));
        Self { dice: crate::pace::Pace::new(seed, Millis::from_secs(1)), failures: 0, least, most }
    }

    /// After an answer that holds for `ttl` seconds.
    pub(crate) fn answered(&mut self, ttl: Option<u32>, empty: bool) -> Duration {
        self.failures = 0;
        self.held(ttl, empty)
    }

    /// After no answer.
    pub(crate) fn failed(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.spread(pause)
    }

    /// After an answer in which something is missing.
    pub(crate) fn partly(&mut self, ttl: Option<u32>) -> Duration {
        let pause = self.failed();
        pause.min(self.held(ttl, false)).max(self.least)
    }

    fn held(&mut self, ttl: Option<u32>, empty: bool) -> Duration {
        let most = if empty { self.most.min(LONGEST_EMPTY) } else { self.most };
        let pause = ttl.map_or(most, |seconds| Duration::from_secs(seconds.into()).min(most));
        self.spread(pause).max(self.least)
    }

    /// Between four fifths of `span` and all of it.
    fn spread(&mut self, span: Duration) -> Duration {
        span.mul_f64(self.dice.next().as_secs_f64() / 1.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new("shop", Duration::from_secs(1), Duration::from_mins(1))
    }

    #[test]
    fn an_answer_is_never_used_for_longer_than_it_holds_nor_asked_for_more_often_than_allowed() {
        let mut pace = pace();
        for (ttl, empty, least, most) in [
            (Some(30), false, 24_000, 30_000),
            (Some(0), false, 1000, 1000),
            (Some(86_400), false, 48_000, 60_000),
            (Some(3600), true, 8000, 10_000),
            (None, true, 8000, 10_000),
            (Some(u32::MAX), false, 48_000, 60_000),
        ] {
            let pauses: Vec<_> = (0..200).map(|_| pace.answered(ttl, empty)).collect();
            let within = Duration::from_millis(least)..=Duration::from_millis(most);
            assert!(pauses.iter().all(|pause| within.contains(pause)), "{ttl:?}: {pauses:?}");
            assert!(least == most || pauses.iter().any(|pause| *pause != pauses[0]), "{ttl:?}: not spread");
        }
    }

    #[test]
    fn no_configured_pause_is_too_long_to_wait_for() {
        let mut pace = Pace::new("shop", Duration::MAX, Duration::MAX);
        assert_eq!(pace.answered(None, false), LONGEST);
    }

    #[test]
    fn pauses_after_failures_grow_to_seconds_and_an_answer_ends_that() {
        let mut pace = pace();
        let pauses: Vec<_> = (0..100).map(|_| pace.failed()).collect();
        assert!(pauses[0] <= FIRST_PAUSE && pauses[4] > Duration::from_secs(3), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
        pace.answered(Some(1), false);
        assert!(pace.failed() <= FIRST_PAUSE);
    }
}
