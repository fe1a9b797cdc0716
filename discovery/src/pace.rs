//! When the next probe starts.
//!
//! In: a seed and an interval. Out: pauses of the interval ± 10 %, uniform, the same for the same seed.
//! Why spread: probes of many proxies or endpoints that start together would else stay together, and hit in bursts.
//! Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use weir_snapshot::Millis;

/// The pauses of one endpoint's probes.
#[derive(Debug)]
pub(crate) struct Pace {
    state: u64,
    interval: Duration,
}

/// The spread, in thousandths of the interval to either side.
const SPREAD: u64 = 100;

impl Pace {
    /// Seeded by what names the endpoint: no chance from outside, and no two endpoints alike.
    pub(crate) fn new(seed: impl Hash, interval: Millis) -> Self {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        Self { state: hasher.finish(), interval: interval.duration() }
    }

    /// From one probe's start to the next one's.
    pub(crate) fn next(&mut self) -> Duration {
        let thousandths = 1000 - SPREAD + self.random() % (2 * SPREAD + 1);
        let nanos = self.interval.as_nanos() * u128::from(thousandths) / 1000;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pause_is_within_a_tenth_of_the_interval_and_they_fill_that_range() {
        let mut pace = Pace::new("optimizers", Millis::from_secs(10));
        let pauses: Vec<_> = (0..1000).map(|_| pace.next()).collect();
        assert!(pauses.iter().all(|pause| (Duration::from_secs(9)..=Duration::from_secs(11)).contains(pause)));
        assert!(pauses.iter().min() < Some(&Duration::from_millis(9100)));
        assert!(pauses.iter().max() > Some(&Duration::from_millis(10_900)));
        let mean = pauses.iter().sum::<Duration>() / 1000;
        assert!(mean.abs_diff(Duration::from_secs(10)) < Duration::from_millis(100), "{mean:?}");
    }

    #[test]
    fn the_same_endpoint_has_the_same_pace_and_another_one_has_another() {
        let pauses = |seed| {
            let mut pace = Pace::new(seed, Millis::from_secs(10));
            std::array::from_fn::<_, 8, _>(|_| pace.next())
        };
        assert_eq!(pauses(("s", 1)), pauses(("s", 1)));
        assert_ne!(pauses(("s", 1)), pauses(("s", 2)));
    }
}
