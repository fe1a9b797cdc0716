//! Coefficients with their values, two at once.
//!
//! In: a Huffman table. Out: for the next twelve bits up to two coefficients, and whether the block ends after them.
//! Cost: 20 us and 32 KiB for the look-up; then one step for one or two symbols, without asking which.

use super::block::signed;
use crate::kernel::huffman::{Bits, Table, WINDOW, WINDOWS};

/// What a window says. From the bottom: seven bits of how many bits it takes, 0 for a window that holds no whole symbol;
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
    pub(super) fn values(self) -> [(i32, u32); 2] {
        let value = |at: u32| i32::from(((self.0 >> at & 0xffff) as u16).cast_signed());
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
            let Some(one) = One::read(table, window, WINDOW) else { continue };
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
