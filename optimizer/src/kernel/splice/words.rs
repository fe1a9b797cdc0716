//! Coefficients with the codes for them, written two at a time.
//!
//! In: the codes of a table for AC coefficients, and coefficients. Out: bits. Cost: 10 us and 4 KiB for the look-up; then
//! one step for a coefficient below 32 after up to fifteen zeros, which are all but a few, and one store for two of them.

use super::block::{END, put_ac, signed};
use super::codes::{Codes, Missing};
use super::writer::Hand;

/// Bits of a value in the look-up, one of them its sign.
const VALUE: u32 = 6;
/// How many runs and values there are in it.
pub(super) const WORDS: usize = 16 << VALUE;
/// Bits of an entry that say how many bits are written; those are above.
const LENGTH: u32 = 5;

/// What a run and a value are written as.
pub(super) struct Words {
    codes: Codes,
    /// By [`index`]; 0 for what has no code.
    quick: Box<[u32; WORDS]>,
}

/// Where in the look-up the coefficient `value` after `run` zeros is; beyond it if it is not there.
#[inline]
pub(super) fn index(run: u32, value: i16) -> usize {
    let value = i32::from(value).wrapping_add(1 << (VALUE - 1)).cast_unsigned();
    // What is beyond the bits of a value makes the index as large.
    (run << VALUE | value & ((1 << VALUE) - 1) | (value >> VALUE) << (VALUE + 4)) as usize
}

/// The symbol of what is at `index` of the look-up; `None` for a value of zero, which none is for.
pub(super) fn symbol(index: usize) -> Option<u8> {
    let value = (index & ((1 << VALUE) - 1)).abs_diff(1 << (VALUE - 1));
    let size = value.checked_ilog2()? + 1;
    u8::try_from((index >> VALUE) << 4 | size as usize).ok()
}

impl Words {
    pub(super) fn new(codes: Codes) -> Self {
        let mut quick = Box::new([0; WORDS]);
        for (number, word) in quick.iter_mut().enumerate() {
            let Some((symbol, (code, length))) = symbol(number).and_then(|symbol| Some((symbol, codes.get(symbol).ok()?)))
            else {
                continue;
            };
            let size = symbol & 15;
            let half = 1 << (VALUE - 1);
            let place = u32::try_from(number & ((1 << VALUE) - 1)).unwrap_or(half);
            // The bits of a number below zero are those of the number less one.
            let raw = if place < half { place.wrapping_sub(half + 1) } else { place - half } & ((1 << size) - 1);
            debug_assert_eq!(signed(raw, size), place.cast_signed() - half.cast_signed());
            *word = (code << size | raw) << LENGTH | (length + u32::from(size));
        }
        Self { codes, quick }
    }

    /// The codes alone.
    pub(super) fn codes(&self) -> &Codes {
        &self.codes
    }

    /// Writes the coefficients of which `nonzero` has a bit, and the end of the block; `each` is told the index of each, or
    /// its run and value.
    #[inline]
    pub(super) fn write(
        &self,
        to: &mut Hand<'_>,
        coefficients: &[i16; 64],
        nonzero: u64,
        mut each: impl FnMut(usize, u32, i16),
    ) -> Result<(), Missing> {
        let (mut last, mut rest) = (0, nonzero & !1);
        let mut next = |to: &mut Hand<'_>, rest: &mut u64| {
            let at = rest.trailing_zeros();
            let (run, value) = (at.wrapping_sub(last + 1), coefficients[at as usize & 63]);
            *rest &= rest.wrapping_sub(1);
            last = at;
            let index = index(run, value);
            each(index, run, value);
            match self.quick.get(index).copied().filter(|word| *word != 0) {
                Some(word) => {
                    to.push(word >> LENGTH, word & ((1 << LENGTH) - 1));
                    Ok(())
                }
                None => self.long(to, run, value),
            }
        };
        while rest != 0 {
            next(to, &mut rest)?;
            if rest != 0 {
                next(to, &mut rest)?;
            }
            to.flush();
        }
        if nonzero >> 63 == 0 {
            let (code, length) = self.codes.get(END)?;
            to.put(code, length);
        }
        Ok(())
    }

    #[inline(never)]
    fn long(&self, to: &mut Hand<'_>, run: u32, value: i16) -> Result<(), Missing> {
        to.flush();
        put_ac(to, &self.codes, run, i32::from(value))
    }
}
