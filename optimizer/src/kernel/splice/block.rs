//! One block of coefficients: passed over, read, written, or re-coded.
//!
//! In: bits and tables. Out: bits, coefficients. Cost: passing over is one look-up for up to six symbols (their extra
//! bits are never looked at), about 25 ns a block of a usual photo; reading is one look-up a symbol.
//! A block that a table cannot say is an error before anything of it counts.
//! Source: ITU-T T.81, section F.1.2 and F.2.2.

use super::codes::{Codes, Missing};
use super::writer::Hand;
use crate::kernel::huffman::{Bits, Fault, Table, WINDOW, WINDOWS};

pub(super) const END: u8 = 0x00;
/// Sixteen zeros.
pub(super) const ZEROS: u8 = 0xf0;
/// Bits of an entry of [`Ac::steps`]: how many bits to drop, whether the block ends, how many coefficients to go on.
const STEP_BITS: u16 = 31;
const STEP_ENDS: u16 = 32;
const STEP_ON: u32 = 6;
/// For a window that holds no whole code: further than any block goes.
const NO_STEP: u16 = 64 << STEP_ON;

pub(super) const TOO_FAR: Fault = Fault::Broken("a run of coefficients goes past the end of its block");

/// The coefficients of one block. `coefficients[0]` is not used: [`Block::dc`] may be beyond its range.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Which component of the file it belongs to.
    pub(super) part: usize,
    pub(super) dc: i32,
    /// In zigzag order.
    pub(super) coefficients: [i16; 64],
}

impl Block {
    /// The index of the last coefficient that is not zero, 0 when only the DC coefficient may be.
    fn last(&self) -> usize {
        self.coefficients.iter().skip(1).rposition(|coefficient| *coefficient != 0).map_or(0, |at| at + 1)
    }

    /// How many codes for sixteen zeros may come before the end of the block, without meaning anything.
    pub(super) fn room(&self) -> u32 {
        match self.last() {
            0..=14 => 3,
            15..=30 => 2,
            31..=46 => 1,
            _ => 0,
        }
    }
}

/// A table for DC differences.
pub(super) struct Dc {
    table: Table,
    pub(super) codes: Codes,
    /// By window: the difference, above four bits of how many bits it takes; 0 for more than a window.
    differences: Box<[u16; WINDOWS]>,
}

impl Dc {
    pub(super) fn new(table: Table) -> Self {
        let mut differences = Box::new([0; WINDOWS]);
        for (entry, window) in differences.iter_mut().zip(0_u32..) {
            let (size, length) = table.look_up(window as usize);
            let bits = length + u32::from(size);
            if length > 0 && bits <= WINDOW {
                let raw = (window >> (WINDOW - bits)) & ((1 << size) - 1);
                // A difference of at most eleven bits and a sign.
                let difference = i16::try_from(signed(raw, size)).unwrap_or(0);
                *entry = (difference << 4).cast_unsigned() | u16::try_from(bits).unwrap_or(0);
            }
        }
        Self { codes: Codes::of(&table), table, differences }
    }

    /// Reads a difference.
    #[inline]
    pub(super) fn read(&self, bits: &mut Bits<'_>) -> Result<i32, Fault> {
        bits.fill();
        let entry = self.differences.get(bits.window()).copied().unwrap_or(0);
        if entry != 0 {
            bits.drop_bits(u32::from(entry & 15))?;
            return Ok(i32::from(entry.cast_signed() >> 4));
        }
        let (rest, difference) = self.read_long(*bits)?;
        *bits = rest;
        Ok(difference)
    }

    #[cold]
    #[inline(never)]
    fn read_long<'a>(&self, mut bits: Bits<'a>) -> Result<(Bits<'a>, i32), Fault> {
        let size = self.table.read(&mut bits)?;
        if size > 15 {
            return Err(Fault::Broken("a DC difference is too long"));
        }
        let difference = signed(bits.take(u32::from(size))?, size);
        Ok((bits, difference))
    }
}

/// A table for AC coefficients.
pub(super) struct Ac {
    table: Table,
    pub(super) codes: Codes,
    /// By window: as many symbols as start and have their codes in it, [`NO_STEP`] for none.
    steps: Box<[u16; WINDOWS]>,
}

impl Ac {
    pub(super) fn new(table: Table) -> Self {
        Self { codes: Codes::of(&table), steps: steps(&table), table }
    }

    /// The table alone.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }
}

/// A table for AC coefficients, with their values.
pub(super) struct Values {
    table: Table,
    /// Whether a symbol without a value says how many blocks end.
    runs: bool,
    quick: Box<[u32; WINDOWS]>,
}

/// Set in what [`Values::next`] gives after which the block ends.
pub(super) const ENDS: u32 = 32;
/// Set in an entry of [`Values`] that says nothing, and takes no bits.
const LONG: u32 = 64;

impl Values {
    /// With `runs`, a symbol without a value is how many blocks end, as in a progressive file; else it ends one.
    pub(super) fn new(table: Table, runs: bool) -> Self {
        let mut quick = Box::new([LONG; WINDOWS]);
        for (entry, window) in quick.iter_mut().zip(0_u32..) {
            let (symbol, length) = table.look_up(window as usize);
            let more = extra(symbol, runs);
            let bits = length + more;
            if length > 0 && bits <= WINDOW {
                *entry = meant(symbol, runs, window >> (WINDOW - bits) & ((1 << more) - 1)) | bits;
            }
        }
        Self { table, runs, quick }
    }

    /// What is next, of at least twelve bits that were loaded: for a coefficient the zeros before it from bit 8 on, and its
    /// value in the upper 16, 0 for sixteen zeros; at the end of a block [`ENDS`], and in the upper 16 how many blocks end
    /// after it.
    #[inline]
    pub(super) fn next(&self, bits: &mut Bits<'_>) -> Result<u32, Fault> {
        let entry = self.quick.get(bits.window()).copied().unwrap_or(LONG);
        if entry & LONG == 0 {
            bits.drop_bits(entry & 31)?;
            return Ok(entry);
        }
        let (rest, long) = self.long(*bits)?;
        *bits = rest;
        Ok(long)
    }

    // By value, so that the fast way needs no address.
    #[cold]
    #[inline(never)]
    fn long<'a>(&self, mut bits: Bits<'a>) -> Result<(Bits<'a>, u32), Fault> {
        let symbol = self.table.read(&mut bits)?;
        let meant = meant(symbol, self.runs, bits.take(extra(symbol, self.runs))?);
        bits.refill();
        Ok((bits, meant))
    }
}

/// How many bits follow `symbol`.
fn extra(symbol: u8, runs: bool) -> u32 {
    let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    if size == 0 && run < 15 && runs { run } else { size }
}

/// What [`Values::next`] says of `symbol` and the bits that follow it.
fn meant(symbol: u8, runs: bool, raw: u32) -> u32 {
    match (u32::from(symbol >> 4), symbol & 15) {
        (15, 0) => 15 << 8,
        (run, 0) if runs => ((1 << run) - 1 + raw) << 16 | ENDS,
        (_, 0) => ENDS,
        (run, size) => signed(raw, size).cast_unsigned() << 16 | run << 8,
    }
}

/// The steps of each window. What follows a symbol in it was found before, for windows of fewer bits.
fn steps(table: &Table) -> Box<[u16; WINDOWS]> {
    // For windows of `bits` bits from index `2^bits` on.
    let mut all = vec![0_u16; 2 * WINDOWS];
    for bits in 1..=WINDOW {
        for window in 0..1_usize << bits {
            let (symbol, length) = table.look_up(window << (WINDOW - bits));
            if length == 0 || length > bits {
                continue;
            }
            let (run, size) = (u16::from(symbol >> 4), u32::from(symbol & 15));
            // At most 27 bits and 12 * 16 coefficients in all, so that the parts of a sum do not run into one another.
            let used = length + size;
            let own = u16::try_from(used).unwrap_or(0);
            all[(1 << bits) | window] = if size == 0 && run < 15 {
                own | STEP_ENDS
            } else {
                let own = own | (run + 1) << STEP_ON;
                let left = bits.saturating_sub(used);
                own + all[(1 << left) | (window & ((1 << left) - 1))]
            };
        }
    }
    let mut steps = Box::new([NO_STEP; WINDOWS]);
    for (step, found) in steps.iter_mut().zip(&all[WINDOWS..]) {
        if *found != 0 {
            *step = *found;
        }
    }
    steps
}

/// The number that `size` bits stand for.
#[inline]
pub(super) fn signed(raw: u32, size: u8) -> i32 {
    let raw = raw.cast_signed();
    let half = 1 << size >> 1;
    if raw < half { raw - (1 << size) + 1 } else { raw }
}

/// How many bits a number takes, and the bits.
#[inline]
pub(super) fn sized(value: i32) -> (u32, u32) {
    // Without a branch, since signs cannot be foreseen: the added bit is there for the zero.
    let size = (u64::from(value.unsigned_abs()) << 1 | 1).ilog2();
    let raw = value.wrapping_add(value >> 31).cast_unsigned();
    (size, u32::try_from(u64::from(raw) & ((1 << size) - 1)).unwrap_or(0))
}

/// Passes over a block and gives back its DC difference.
#[inline]
pub(super) fn skip(bits: &mut Bits<'_>, dc: &Dc, ac: &Ac) -> Result<i32, Fault> {
    bits.refill();
    let difference = dc.read(bits)?;
    let mut at = 1;
    loop {
        // Two steps a load: each takes at most 27 bits, and a few in all but the strangest files.
        for _ in 0..2 {
            let step = ac.steps.get(bits.window()).copied().unwrap_or(NO_STEP);
            let next = at + u32::from(step >> STEP_ON);
            if next > 63 || !bits.has(u32::from(step & STEP_BITS)) {
                // A long code; or the last coefficient, after which the next block begins without an end code; or more
                // than is left of a load after a DC difference.
                (*bits, at) = skip_one(*bits, ac, at)?;
                if at > 63 {
                    return Ok(difference);
                }
                break;
            }
            bits.drop_bits(u32::from(step & STEP_BITS))?;
            if step & STEP_ENDS != 0 {
                return Ok(difference);
            }
            at = next;
        }
        bits.refill();
    }
}

/// Passes over one symbol; gives the index after it, 64 at the end of the block.
#[cold]
#[inline(never)]
fn skip_one<'a>(mut bits: Bits<'a>, ac: &Ac, at: u32) -> Result<(Bits<'a>, u32), Fault> {
    let symbol = ac.table.read(&mut bits)?;
    let Some(next) = after(symbol, at)? else { return Ok((bits, 64)) };
    bits.take(u32::from(symbol & 15))?;
    Ok((bits, next))
}

/// The index after what `symbol` stands for, `None` at the end of the block.
#[inline]
pub(super) fn after(symbol: u8, at: u32) -> Result<Option<u32>, Fault> {
    match (u32::from(symbol >> 4), symbol & 15) {
        // These may reach past the end in files that decoders read all the same.
        (15, 0) => Ok(Some(at + 16)),
        (_, 0) => Ok(None),
        (run, _) if at + run > 63 => Err(TOO_FAR),
        (run, _) => Ok(Some(at + run + 1)),
    }
}

/// Reads a block; its DC coefficient is the sum of `before` and its difference.
pub(super) fn read(bits: &mut Bits<'_>, dc: &Dc, ac: &Ac, part: usize, before: i32) -> Result<Block, Fault> {
    let mut block = Block { part, dc: before.wrapping_add(dc.read(bits)?), coefficients: [0; 64] };
    let mut at = 1;
    while at < 64 {
        let symbol = ac.table.read(bits)?;
        let Some(next) = after(symbol, at)? else { break };
        let size = symbol & 15;
        if size > 0 {
            let value = signed(bits.take(u32::from(size))?, size);
            block.coefficients[(next - 1) as usize & 63] = i16::try_from(value).unwrap_or(0);
        }
        at = next;
    }
    Ok(block)
}

/// Writes a DC difference.
#[inline]
pub(super) fn put_dc(to: &mut Hand<'_>, dc: &Codes, difference: i32) -> Result<(), Missing> {
    let (size, raw) = sized(difference);
    let (code, length) =
        u8::try_from(size).ok().filter(|size| *size <= 15).ok_or(Missing).and_then(|size| dc.get(size))?;
    to.put(code << size | raw, length + size);
    Ok(())
}

/// Writes a coefficient that is not zero, after `run` that are.
#[expect(clippy::inline_always, reason = "a call would put all that a loop has in registers into memory")]
#[inline(always)]
pub(super) fn put_ac(to: &mut Hand<'_>, ac: &Codes, mut run: u32, value: i32) -> Result<(), Missing> {
    while run > 15 {
        let (code, length) = ac.get(ZEROS)?;
        to.put(code, length);
        run -= 16;
    }
    let (size, raw) = sized(value);
    if size > 15 {
        return Err(Missing);
    }
    let [symbol, ..] = (run << 4 | size).to_le_bytes();
    let (code, length) = ac.get(symbol)?;
    to.put(code << size | raw, length + size);
    Ok(())
}

/// Writes a block, with `zeros` codes for sixteen zeros before its end code; no more than [`Block::room`].
pub(super) fn write(
    to: &mut Hand<'_>,
    dc: &Codes,
    ac: &Codes,
    block: &Block,
    before: i32,
    zeros: u32,
) -> Result<(), Missing> {
    put_dc(to, dc, block.dc.wrapping_sub(before))?;
    let last = block.last();
    let mut run = 0;
    for coefficient in block.coefficients.iter().take(last + 1).skip(1) {
        if *coefficient == 0 {
            run += 1;
            continue;
        }
        put_ac(to, ac, run, i32::from(*coefficient))?;
        run = 0;
    }
    if last < 63 {
        for _ in 0..zeros {
            let (code, length) = ac.get(ZEROS)?;
            to.put(code, length);
        }
        let (code, length) = ac.get(END)?;
        to.put(code, length);
    }
    Ok(())
}

/// Why a file is not done this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The file is broken, for every way.
    Fault(Fault),
    /// A table lacks a symbol.
    Missing,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Missing> for Stop {
    fn from(_: Missing) -> Self {
        Self::Missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_its_bits_and_back() {
        for value in -32_767..=32_767 {
            let (size, raw) = sized(value);
            assert_eq!(signed(raw, u8::try_from(size).unwrap()), value);
        }
    }

    #[test]
    fn zeros_fit_before_the_end_code_and_never_instead_of_it() {
        let mut block = Block { part: 0, dc: 0, coefficients: [0; 64] };
        assert_eq!(block.room(), 3);
        for (last, room) in [(14, 3), (15, 2), (30, 2), (31, 1), (46, 1), (47, 0), (63, 0)] {
            block.coefficients = [0; 64];
            block.coefficients[last] = -1;
            assert_eq!((block.last(), block.room()), (last, room));
        }
    }
}
