//! Chance from a seed.
//!
//! In: a seed. Out: the same numbers for the same seed. Why: proxies that lost the same agent must not return to it in
//! step, and a test must know what comes.
//! Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Between half of `span` and all of it, uniform to a thousandth.
    pub(crate) fn half_to_all_of(&mut self, span: Duration) -> Duration {
        let thousandths = u32::try_from(500 + self.roll() % 501).unwrap_or(1000);
        span.saturating_mul(thousandths) / 1000
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
