//! Chance that comes out the same on every machine and with every version of every library.
//!
//! In: a seed. Out: numbers of three distributions. Cost: a few arithmetic operations each, nothing allocated.
//! Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014; normal numbers by
//! Box and Muller, "A note on the generation of random normal deviates", 1958.

/// A seeded sequence.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The sequence of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform over all of `u64`.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform over more than 0 to 1 inclusive, so that its logarithm exists.
    pub(crate) fn unit(&mut self) -> f64 {
        /// 2^-53.
        const STEP: f64 = f64::EPSILON / 2.0;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let high = ((self.roll() >> 11) + 1) as f64;
        high * STEP
    }

    /// Uniform over `low` to `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    /// Log-normal with this mean; `spread` is the standard deviation of its logarithm.
    pub(crate) fn lognormal(&mut self, mean: f64, spread: f64) -> f64 {
        let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        mean * (spread * normal - spread * spread / 2.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut dice = Dice::new(1_234_567);
        let found: Vec<u64> = (0..3).map(|_| dice.roll()).collect();
        assert_eq!(found, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn means_are_what_was_asked_for() {
        let mut dice = Dice::new(1);
        let count = 200_000;
        let mean = |sum: f64| sum / f64::from(count);
        // Three standard errors of the widest of them are 0.007.
        assert!((mean((0..count).map(|_| dice.exponential()).sum()) - 1.0).abs() < 0.01);
        assert!((mean((0..count).map(|_| dice.lognormal(1.0, 0.25)).sum()) - 1.0).abs() < 0.01);
        assert!((mean((0..count).map(|_| dice.between(0.5, 1.5)).sum()) - 1.0).abs() < 0.01);
    }
}
