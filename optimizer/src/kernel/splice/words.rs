//! Coefficients with the codes for them, written two at a time.
//!
//! In: the codes of a table for AC coefficients, and coefficients. Out: bits. Cost: 10 us and 4 KiB for the look-up; then
//! one step for a coefficient below 32 after up to fifteen zeros, which are all but a few, and one store for two of them.

#[cfg(test)]
use super::block::sized;
use super::block::{END, put_ac, signed};
use super::codes::{Codes, Missing};
use super::writer::{Hand, Page, Tip};

/// Bits of a value in the look-up, one of them its sign.
const VALUE: u32 = 6;
/// How many runs and values have an entry in it.
pub(super) const WORDS: usize = 16 << VALUE;
/// How many there are. Runs beyond those are there and have none, so that nobody asks how long one is.
const ALL: usize = 64 << VALUE;
/// Bits of an entry that say how many bits are written; those are above.
const LENGTH: u32 = 5;

/// What a run and a value are written as.
pub(super) struct Words {
    codes: Codes,
    /// By [`index`]; 0 for what has no code, or not one alone.
    quick: Box<[u32; ALL]>,
}

/// Where in the look-up the coefficient `value` after `run` zeros, at most 63, is; beyond it if it is not there.
#[inline]
fn index(run: u32, value: i16) -> usize {
    let value = i32::from(value).wrapping_add(1 << (VALUE - 1)).cast_unsigned();
    if value < 1 << VALUE { (run << VALUE | value) as usize } else { usize::MAX }
}

/// The symbol of what is at `index` of the look-up; `None` for a value of zero, which none is for.
pub(super) fn symbol(index: usize) -> Option<u8> {
    let value = (index & ((1 << VALUE) - 1)).abs_diff(1 << (VALUE - 1));
    let size = value.checked_ilog2()? + 1;
    u8::try_from((index >> VALUE) << 4 | size as usize).ok()
}

impl Words {
    pub(super) fn new(codes: Codes) -> Self {
        let mut quick = Box::new([0; ALL]);
        for (number, word) in quick.iter_mut().enumerate().take(WORDS) {
            let Some((symbol, (code, length))) =
                symbol(number).and_then(|symbol| Some((symbol, codes.get(symbol).ok()?)))
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
        let (mut before, mut rest) = (1, nonzero & !1);
        while rest != 0 {
            self.one(to, coefficients, &mut before, &mut rest, &mut each)?;
            if rest != 0 {
                self.one(to, coefficients, &mut before, &mut rest, &mut each)?;
            }
            to.flush();
        }
        if nonzero >> 63 == 0 {
            let (code, length) = self.codes.get(END)?;
            to.put(code, length);
        }
        Ok(())
    }

    #[expect(clippy::inline_always, reason = "a call would put all that a loop has in registers into memory")]
    #[inline(always)]
    fn one(
        &self,
        to: &mut Hand<'_>,
        coefficients: &[i16; 64],
        before: &mut u32,
        rest: &mut u64,
        each: &mut impl FnMut(usize, u32, i16),
    ) -> Result<(), Missing> {
        let at = rest.trailing_zeros();
        let (run, value) = (at.wrapping_sub(*before), coefficients[at as usize & 63]);
        *before = at + 1;
        *rest &= rest.wrapping_sub(1);
        let index = index(run, value);
        each(index, run, value);
        let word = self.quick.get(index).copied().unwrap_or(0);
        if word == 0 {
            to.tip = self.long(to.tip, to.page, run, value)?;
        } else {
            to.push(word >> LENGTH, word & ((1 << LENGTH) - 1));
        }
        Ok(())
    }

    // The tip by value, so that it is in registers beside the call.
    #[cold]
    #[inline(never)]
    fn long(&self, tip: Tip, page: &mut Page, run: u32, value: i16) -> Result<Tip, Missing> {
        let mut to = Hand { tip, page };
        to.flush();
        put_ac(&mut to, &self.codes, run, i32::from(value))?;
        Ok(to.tip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::huffman::Table;
    use crate::kernel::splice::annex_k;
    use crate::kernel::splice::writer::Writer;

    #[test]
    fn every_run_and_value_is_written_as_by_its_code_alone() {
        for body in [annex_k::AC_LUMA, annex_k::AC_CHROMA] {
            let codes = || Codes::of(&Table::parse(body).unwrap().0);
            let words = Words::new(codes());
            for at in 1..64_u32 {
                for value in (-1023..=1023_i16).filter(|value| *value != 0) {
                    let mut block = [0; 64];
                    block[at as usize] = value;
                    let (mut one, mut other) = (Writer::default(), Writer::default());
                    one.with(|hand| words.write(hand, &block, 1 << at, |_, _, _| {})).unwrap();
                    other.with(|hand| put_ac(hand, &codes(), at - 1, i32::from(value))).unwrap();
                    if at < 63 {
                        let (code, length) = codes().get(END).unwrap();
                        other.put(code, length);
                    }
                    one.pad();
                    other.pad();
                    assert_eq!(one.take(), other.take(), "{at} {value}");
                }
            }
        }
    }

    #[test]
    fn the_symbol_of_an_index_is_that_of_its_run_and_value() {
        for run in 0..16 {
            for value in -32..32 {
                let (size, _) = sized(i32::from(value));
                let found = symbol(index(run, value)).map(u32::from);
                assert_eq!(found, (value != 0).then_some(run << 4 | size));
            }
        }
    }
}
