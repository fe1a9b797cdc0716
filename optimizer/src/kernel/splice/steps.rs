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
    /// For a whole block at once.
    lanes: Lanes,
}

/// Coefficients that are rounded together.
const ROW: usize = 16;

/// What a block is rounded with eight coefficients at a time, in numbers of sixteen bits.
struct Lanes {
    own: [u16; 64],
    /// The own step times 2^16 by the new one, rounded down.
    factors: [u16; 64],
    /// Half the new step.
    halves: [u16; 64],
    /// Whether twice a new step is less than 2^15.
    fit: bool,
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
        Self::between(own, new)
    }

    /// From `own` to `new`, none of which is finer.
    fn between(own: [u16; 64], new: [u16; 64]) -> Self {
        let factors = std::array::from_fn(|at| {
            let reciprocal = (1 << 32) / i64::from(new[at].max(1)) + 1;
            (reciprocal * i64::from(own[at]), reciprocal * i64::from(new[at] / 2))
        });
        let factor = |at: usize| (u32::from(own[at]) << 16) / u32::from(new[at].max(1));
        let factors16 = std::array::from_fn(|at| u16::try_from(factor(at)).unwrap_or(u16::MAX));
        let fit = new.iter().all(|step| *step < 1 << 14);
        Self { new, factors, lanes: Lanes { own, factors: factors16, halves: new.map(|step| step / 2), fit } }
    }

    /// A block up to its last coefficient that is not zero, or further, but not its DC coefficient; and a bit for each of
    /// them that is not zero.
    ///
    /// Cost: about ten cycles for sixteen, however many are not zero. A compiler makes eight at a time of it, on every
    /// processor.
    #[inline]
    pub(super) fn round(&self, block: &mut [i16; 64], last: u32) -> u64 {
        if !self.lanes.fit {
            return self.round_wide(block);
        }
        let mut nonzero = 0;
        for row in 0..=(last as usize & 63) / ROW {
            nonzero |= self.round_row(block, row) << (ROW * row);
        }
        nonzero & !1
    }

    /// Row `row` of a block.
    #[inline]
    fn round_row(&self, block: &mut [i16; 64], row: usize) -> u64 {
        let Lanes { own, factors, halves, .. } = &self.lanes;
        let (Some(block), Some(own), Some(factors), Some(halves), Some(new)) = (
            block.as_chunks_mut::<ROW>().0.get_mut(row),
            own.as_chunks::<ROW>().0.get(row),
            factors.as_chunks::<ROW>().0.get(row),
            halves.as_chunks::<ROW>().0.get(row),
            self.new.as_chunks::<ROW>().0.get(row),
        ) else {
            return 0;
        };
        let mut some = [0_u8; ROW];
        for at in 0..ROW {
            let value = block[at];
            let (size, sign) = (value.unsigned_abs(), value >> 15);
            // At most one too few: the factor is less than 2^-16 too small, and a value less than 2^15.
            let low = ((u32::from(size) * u32::from(factors[at])) >> 16) as u16;
            // Less than two steps, and so right, though the products are not.
            let left = size.wrapping_mul(own[at]).wrapping_sub(low.wrapping_mul(new[at])).wrapping_add(halves[at]);
            let steps = low.wrapping_add(u16::from(left.cast_signed() >= new[at].cast_signed()));
            block[at] = (steps.cast_signed() ^ sign).wrapping_sub(sign);
            some[at] = u8::from(steps != 0);
        }
        bits(&some)
    }

    /// With steps that no encoder of 8-bit samples writes.
    #[cold]
    fn round_wide(&self, block: &mut [i16; 64]) -> u64 {
        for (at, value) in block.iter_mut().enumerate() {
            *value = self.short(*value, at);
        }
        block.iter().zip(0..).fold(0, |bits, (value, at)| bits | u64::from(*value != 0) << at) & !1
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

/// A bit for each byte, all of which are 0 or 1.
#[inline]
fn bits(bytes: &[u8; ROW]) -> u64 {
    let (eights, _) = bytes.as_chunks::<8>();
    eights.iter().rev().fold(0, |bits, eight| {
        // The product has each of them in its top byte, at its place, and no two bits at one.
        bits << 8 | u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
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

    #[test]
    fn a_block_at_once_is_rounded_as_by_division_for_all_that_a_file_can_say() {
        let steps =
            [(1, 1), (1, 2), (1, 3), (2, 3), (3, 7), (7, 200), (254, 255), (255, 255), (9_999, 16_383), (1, 65_535)];
        for (own, new) in steps {
            let steps = Steps::between([own; 64], [new; 64]);
            for first in (-32_767..=32_767_i16).step_by(64) {
                let values: [i16; 64] = std::array::from_fn(|at| first.saturating_add(i16::try_from(at).unwrap()));
                let mut block = values;
                let nonzero = steps.round(&mut block, 63);
                for (at, (value, found)) in values.into_iter().zip(block).enumerate().skip(1) {
                    let size = u32::from(value.unsigned_abs()) * u32::from(own) + u32::from(new / 2);
                    let exact = i32::try_from(size / u32::from(new)).unwrap() * i32::from(value.signum());
                    assert_eq!(i32::from(found), exact, "{value} of {own} in {new}");
                    assert_eq!(nonzero >> at & 1 == 1, exact != 0, "{value} of {own} in {new}");
                }
                assert_eq!(nonzero & 1, 0);
            }
        }
    }
}
