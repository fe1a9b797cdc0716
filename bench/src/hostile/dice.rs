//! Chance that is the same in every run.

/// A generator of numbers.
/// Source: Marsaglia, "Xorshift RNGs", 2003.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// One of many generators that have nothing in common.
    pub(crate) fn new(number: u64) -> Self {
        Self((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`; 0 when there are none.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (sides.max(1) as u64)).unwrap_or(0)
    }

    /// One of `things`.
    pub(crate) fn pick<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        let at = self.roll(things.len());
        things.get(at)
    }
}
