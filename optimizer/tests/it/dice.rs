//! Chance that is the same in every run.

/// A generator of numbers.
/// Source: Marsaglia, "Xorshift RNGs", 2003.
pub(crate) struct Dice(u64);

impl Dice {
    /// `seed` must not be zero.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    /// Any byte.
    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).unwrap()
    }
}
