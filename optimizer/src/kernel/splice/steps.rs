//! Coefficients in other steps: what makes a JPEG smaller when a quality is asked for.
//!
//! In: the steps of a file, a quality. Out: the steps to write with, and coefficients rounded to them. Cost: a
//! multiplication a coefficient.
//! A step is never finer than the file's own: that would take bytes and show nothing more, since what the file's
//! encoder rounded away is gone. So a quality above the file's own gives the file's own.
//! Source: ITU-T T.81, tables K.1 and K.2; `jpeg_quality_scaling` and `jpeg_add_quant_table` of libjpeg.

use super::block::Block;
use super::file::ZIGZAG;
use crate::plan::Quality;

/// Table K.1, row by row.
#[rustfmt::skip]
const LUMA: [u16; 64] = [
    16, 11, 10, 16,  24,  40,  51,  61,
    12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56,
    14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77,
    24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103,  99,
];

/// Table K.2.
#[rustfmt::skip]
const CHROMA: [u16; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
];

/// From the steps of a component to coarser ones, in zigzag order.
pub(super) struct Steps {
    /// What is written.
    pub(super) new: [u16; 64],
    /// What a coefficient is multiplied by, and what is added before it is shifted right by 32: the own step, and half the
    /// new one, times 2^32 by the new step, and one.
    factors: [(i64, i64); 64],
}

/// `quality`, if it makes a step of a file with these coarser; `None` when the file is as coarse already, and nothing of it
/// need be rounded.
pub(super) fn coarser<'a>(quality: Quality, own: impl Iterator<Item = &'a [u16; 64]>) -> Option<Quality> {
    own.enumerate().any(|(part, own)| Steps::new(*own, quality, part).new != *own).then_some(quality)
}

/// For each component with steps `own`, to `quality`.
pub(super) fn all(own: &[[u16; 64]], quality: Quality) -> Vec<Steps> {
    own.iter().enumerate().map(|(part, own)| Steps::new(*own, quality, part)).collect()
}

impl Steps {
    /// `own` has no step of zero; `part` is 0 for luma.
    pub(super) fn new(own: [u16; 64], quality: Quality, part: usize) -> Self {
        let standard = if part == 0 { LUMA } else { CHROMA };
        let quality = u32::from(quality.get());
        let percent = if quality < 50 { 5_000 / quality } else { 200 - 2 * quality };
        let new = std::array::from_fn(|at| {
            let step = (u32::from(standard[usize::from(ZIGZAG[at])]) * percent + 50) / 100;
            own[at].max(u16::try_from(step.clamp(1, 255)).unwrap_or(255))
        });
        let factors = std::array::from_fn(|at| {
            let reciprocal = (1 << 32) / i64::from(new[at].max(1)) + 1;
            (reciprocal * i64::from(own[at]), reciprocal * i64::from(new[at] / 2))
        });
        Self { new, factors }
    }

    /// A coefficient in the new steps, to the nearest; halves away from zero.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "64 bits less the 32 that are shifted out")]
    pub(super) fn to_new(&self, value: i32, at: usize) -> i32 {
        let (factor, half) = self.factors[at & 63];
        // Which sign it is cannot be foreseen, so there is no branch: a shift rounds down, what is added to a negative
        // one is as much more, and the sign is taken off again.
        let sign = i64::from(value >> 31);
        // Exact for all that 8-bit samples give; a hostile DC sum may wrap, and is not a picture anyway.
        let steps = i64::from(value).wrapping_mul(factor).wrapping_add(half ^ sign) >> 32;
        (steps - sign) as i32
    }

    /// A stored coefficient in the new steps.
    #[inline]
    pub(super) fn short(&self, value: i16, at: usize) -> i16 {
        i16::try_from(self.to_new(i32::from(value), at)).unwrap_or(i16::MAX)
    }

    /// All of a block.
    pub(super) fn block(&self, block: &mut Block) {
        block.dc = self.to_new(block.dc, 0);
        for (at, value) in block.coefficients.iter_mut().enumerate().skip(1) {
            if *value != 0 {
                *value = self.short(*value, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quality_is_nothing_to_do_for_a_file_that_is_as_coarse() {
        let of = |quality| Steps::new([1; 64], Quality::near(quality), 0).new;
        for own in 1..=100 {
            for asked in 1..=100 {
                let coarser = coarser(Quality::near(asked), [of(own)].iter()).is_some();
                assert_eq!(coarser, of(asked) != of(own) && asked < own, "{asked} of {own}");
            }
        }
        // A component that is finer is enough.
        assert!(coarser(Quality::near(50), [[255; 64], [1; 64]].iter()).is_some());
    }

    #[test]
    fn a_coefficient_is_rounded_as_by_division() {
        for (own, quality) in [(1, 1), (1, 50), (2, 75), (3, 90), (16, 30), (255, 100), (17, 85)] {
            let steps = Steps::new([own; 64], Quality::near(quality), 0);
            for at in 0..64 {
                assert!(steps.new[at] >= own);
                let step = i32::from(steps.new[at]);
                for value in -2048..=2048_i32 {
                    let exact = (value.abs() * i32::from(own) + step / 2) / step * value.signum();
                    assert_eq!(steps.to_new(value, at), exact, "{value} of {own} in {step}");
                }
            }
        }
    }
}
