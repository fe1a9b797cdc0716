//! Coefficients with their values, two at once.
//!
//! In: a Huffman table. Out: for the next twelve bits up to two coefficients, and whether the block ends after them.
//! Cost: 20 us and 32 KiB for the look-up; then one step for one or two symbols, without asking which.

use super::block::signed;
use crate::kernel::huffman::{Bits, Fault, Table, WINDOW, WINDOWS};

/// What a window says. From the bottom: seven bits of how many bits it takes, 0 for a window that holds no whole symbol
/// (if it holds a code, then how many coefficients to go on is not 0, and what follows is its length and its value's);
/// one of whether the block ends; eight of how many coefficients to go on; eight each of how far on the two values are; and
/// these of sixteen bits. A value that is not there is 0, and one coefficient farther than the others.
#[derive(Clone, Copy, Default)]
pub(super) struct Pair(u64);

impl Pair {
    fn of(one: One) -> Self {
        Self::made(one, one, None)
    }

    /// `one` and then `next`.
    fn and(one: One, next: One) -> Self {
        let both = One { used: one.used + next.used, on: one.on + next.on, ends: next.ends, value: 0 };
        // The end of the block has no value.
        Self::made(both, one, Some(next).filter(|next| !next.ends))
    }

    fn made(all: One, one: One, next: Option<One>) -> Self {
        let first = if one.ends { one.on + 1 } else { one.on };
        let second = if next.is_some() { all.on } else { all.on + 1 };
        let values = [one.value, next.map_or(0, |next| next.value)].map(|value| u64::from(value.cast_unsigned()));
        let bytes = u32::from_le_bytes([all.used | u8::from(all.ends) << 7, all.on, first, second]);
        Self(u64::from(bytes) | values[0] << 32 | values[1] << 48)
    }

    /// Bits it takes; 0 when it is nothing.
    #[inline]
    pub(super) fn used(self) -> u32 {
        (self.0 & 0x7f) as u32
    }

    /// A code whose value is longer than the window: its length, and that of its value.
    fn wide(on: u8, length: u8, size: u8) -> Self {
        Self(u64::from(u32::from_le_bytes([0, on, length, size])))
    }

    /// Whether it is no more than a code, and that of a value.
    #[inline]
    pub(super) fn is_wide(self) -> bool {
        self.on() != 0 && self.used() == 0
    }

    /// Reads the value of a code that [`Pair::is_wide`]; of 27 bits at most, which are loaded.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "fifteen bits and a sign")]
    pub(super) fn value(self, bits: &mut Bits<'_>) -> Result<i16, Fault> {
        let (length, size) = ((self.0 >> 16 & 0xff) as u32, (self.0 >> 24 & 0xff) as u32);
        bits.drop_bits(length)?;
        // The sign is the upper bit; the bits of a number below zero are those of the number less one.
        let raw = bits.take_loaded(size)?;
        let half = 1_u64 << size >> 1;
        let value = if raw < half { raw.wrapping_sub((1 << size) - 1) } else { raw };
        Ok(value as i16)
    }

    /// Whether the block ends after it.
    #[inline]
    pub(super) fn ends(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Coefficients to go on.
    #[inline]
    pub(super) fn on(self) -> u32 {
        (self.0 >> 8 & 0xff) as u32
    }

    /// The values, and how many coefficients on each is.
    #[inline]
    pub(super) fn values(self) -> [(i16, u32); 2] {
        let value = |at: u32| ((self.0 >> at & 0xffff) as u16).cast_signed();
        [(value(32), (self.0 >> 16 & 0xff) as u32), (value(48), (self.0 >> 24 & 0xff) as u32)]
    }
}

/// One symbol with its value.
#[derive(Clone, Copy)]
struct One {
    used: u8,
    on: u8,
    value: i16,
    ends: bool,
}

impl One {
    /// The one at the top of a window of which `bits` bits are known.
    fn read(table: &Table, window: usize, bits: u32) -> Option<Self> {
        let (symbol, length) = table.look_up(window);
        let size = u32::from(symbol & 15);
        let used = length + size;
        if length == 0 || used > bits {
            return None;
        }
        let raw = u32::try_from(window).ok()? >> (WINDOW - used) & ((1 << size) - 1);
        let ends = size == 0 && symbol >> 4 < 15;
        let value = i16::try_from(signed(raw, symbol & 15)).ok()?;
        Some(Self { used: u8::try_from(used).ok()?, on: if ends { 0 } else { (symbol >> 4) + 1 }, value, ends })
    }
}

/// A table for AC coefficients.
pub(super) struct Pairs<'a> {
    /// For what is longer than a window.
    pub(super) table: &'a Table,
    pairs: Box<[Pair; WINDOWS]>,
}

impl<'a> Pairs<'a> {
    #[expect(
        clippy::large_stack_arrays,
        reason = "32 KiB, once for a table, and a look-up in an array has no bound to check"
    )]
    pub(super) fn new(table: &'a Table) -> Self {
        let mut pairs = Box::new([Pair::default(); WINDOWS]);
        for (window, pair) in pairs.iter_mut().enumerate() {
            let Some(one) = One::read(table, window, WINDOW) else {
                let (symbol, length) = table.look_up(window);
                if length > 0 && symbol & 15 > 0 {
                    *pair = Pair::wide((symbol >> 4) + 1, u8::try_from(length).unwrap_or(0), symbol & 15);
                }
                continue;
            };
            *pair = Pair::of(one);
            let used = u32::from(one.used);
            if !one.ends
                && let Some(next) = One::read(table, window << used & (WINDOWS - 1), WINDOW - used)
            {
                *pair = Pair::and(one, next);
            }
        }
        Self { table, pairs }
    }

    /// What is next.
    #[inline]
    pub(super) fn next(&self, bits: &Bits<'_>) -> Pair {
        self.pairs.get(bits.window()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::splice::annex_k;

    #[test]
    fn a_pair_says_what_its_symbols_say_one_by_one() {
        for body in [annex_k::AC_LUMA, annex_k::AC_CHROMA] {
            let (table, _) = Table::parse(body).unwrap();
            let pairs = Pairs::new(&table);
            let (mut both, mut wide) = (0, 0);
            for window in 0..u16::try_from(WINDOWS).unwrap() {
                // No byte of ones, since none is stuffed.
                let data = [(window << 4).to_be_bytes()[0], (window << 4).to_be_bytes()[1], 0, 0, 0, 0, 0, 0];
                if data.contains(&0xff) {
                    continue;
                }
                let mut bits = Bits::new(&data);
                bits.refill();
                let pair = pairs.next(&bits);
                if pair.is_wide() {
                    let mut other = bits;
                    let value = pair.value(&mut other).unwrap();
                    let symbol = table.read(&mut bits).unwrap();
                    let raw = bits.take(u32::from(symbol & 15)).unwrap();
                    assert_eq!((i32::from(value), other.place()), (signed(raw, symbol & 15), bits.place()));
                    assert_eq!(pair.on(), u32::from(symbol >> 4) + 1);
                    wide += 1;
                    continue;
                }
                let (mut at, mut found, mut used, mut ends) = (0, Vec::new(), 0, false);
                while used < pair.used() {
                    let before = bits.place();
                    let symbol = table.read(&mut bits).unwrap();
                    let (run, size) = (u32::from(symbol >> 4), symbol & 15);
                    ends = size == 0 && run < 15;
                    at += if ends { 0 } else { run + 1 };
                    let value = signed(bits.take(u32::from(size)).unwrap(), size);
                    found.extend((value != 0).then_some((i16::try_from(value).unwrap(), at)));
                    let after = bits.place();
                    used += u32::try_from(8 * (after.byte - before.byte)).unwrap() + after.bit - before.bit;
                }
                assert_eq!((used, at, ends), (pair.used(), pair.on(), pair.ends()), "{window:b}");
                let told: Vec<_> = pair.values().into_iter().filter(|(value, _)| *value != 0).collect();
                assert_eq!(told, found, "{window:b}");
                // A value that is not there is on none that is.
                let (first, second) = (pair.values()[0].1, pair.values()[1].1);
                assert!(pair.used() == 0 || first != second || pair.ends(), "{window:b}");
                both += usize::from(found.len() == 2);
            }
            assert!(both > 100 && wide > 50, "{both} {wide}");
        }
    }
}
