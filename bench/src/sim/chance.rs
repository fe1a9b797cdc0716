//! Numbers that look random and are the same for the same seed, on every machine and in every version.
//!
//! Source: `SplitMix64` (Steele, Lea, Flood 2014). Not a library, because those may change their streams.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of this seed; `part` gives each use of one seed a stream of its own, so that a change of one use does
    /// not show in the others.
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        let mut chance = Self(seed ^ part.wrapping_mul(0xD129_0D5B_4A21_83F7));
        chance.bits();
        chance
    }

    /// Uniform over `u64`.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// Uniform over `(0, 1)`: a logarithm of it is finite.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn share(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Uniform between the two.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// Exponential with this mean.
    pub(crate) fn wait(&mut self, mean: f64) -> f64 {
        -self.share().ln() * mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_is_the_published_one() {
        let mut chance = Chance(0);
        assert_eq!([chance.bits(), chance.bits()], [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4]);
    }

    #[test]
    fn shares_and_waits_have_their_means() {
        let mut chance = Chance::new(1, 0);
        let shares: f64 = (0..100_000).map(|_| chance.share()).sum();
        let waits: f64 = (0..100_000).map(|_| chance.wait(3.0)).sum();
        assert!((shares / 100_000.0 - 0.5).abs() < 0.01 && (waits / 100_000.0 - 3.0).abs() < 0.05);
    }
}
