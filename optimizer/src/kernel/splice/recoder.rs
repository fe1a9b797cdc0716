//! Symbols of one Huffman table to those of another, several at once.
//!
//! In: a file's table and the codes it is to have. Out: bits to bits, the same coefficients. Cost: 50 us and 32 KiB for the
//! look-up; then one step for as many symbols as fit into a window with all their bits, about two in a usual photo.

use super::block::{Ac, END, Stop, after};
use super::codes::Codes;
use super::writer::{Hand, Page, Tip};
use crate::kernel::huffman::{Bits, Table, WINDOW, WINDOWS};

/// What a window is to become. The default is for a window that holds no whole symbol.
#[derive(Clone, Copy, Default)]
struct Step {
    /// What is written: the low `written` bits, at most [`MOST`].
    bits: u32,
    written: u8,
    /// Bits of the window that this stands for; 0 only by default.
    used: u8,
    /// Coefficients to go on.
    on: u8,
    /// Whether the block ends.
    ends: bool,
}

/// Most bits a step writes, as many as [`Hand::put`] takes.
const MOST: u8 = 32;

impl Step {
    /// This and then `next`, if that is not too much.
    fn then(self, next: Self) -> Self {
        let written = self.written + next.written;
        if written > MOST || self.written == MOST {
            return self;
        }
        let bits = self.bits << next.written | next.bits;
        // A window has twelve symbols at most, of one bit, each for sixteen coefficients.
        Self { bits, written, used: self.used + next.used, on: self.on + next.on, ends: next.ends }
    }
}

/// Re-codes the AC coefficients of blocks.
pub(super) struct Recoder<'a> {
    table: &'a Table,
    codes: Codes,
    /// By window.
    steps: Box<[Step]>,
}

impl<'a> Recoder<'a> {
    /// From the symbols of `ac` to `codes`.
    pub(super) fn new(ac: &'a Ac, codes: Codes) -> Self {
        let table = ac.table();
        // For windows of `bits` bits from index `2^bits` on: what follows a symbol was found before.
        let mut all = vec![Step::default(); 2 * WINDOWS];
        for bits in 1..=WINDOW {
            for window in 0..1_usize << bits {
                let (symbol, length) = table.look_up(window << (WINDOW - bits));
                let size = u32::from(symbol & 15);
                if length == 0 || length + size > bits {
                    continue;
                }
                let left = bits - length - size;
                let ends = size == 0 && symbol >> 4 < 15;
                // Other symbols without extra bits end the block too, for every decoder.
                let Ok((code, long)) = codes.get(if ends { END } else { symbol }) else { continue };
                let raw = u32::try_from(window >> left).unwrap_or(0) & ((1 << size) - 1);
                let count = |bits: u32| u8::try_from(bits).unwrap_or(0);
                let step = Step {
                    bits: code << size | raw,
                    written: count(long + size),
                    used: count(length + size),
                    on: if ends { 0 } else { (symbol >> 4) + 1 },
                    ends,
                };
                let rest = all[(1 << left) | (window & ((1 << left) - 1))];
                all[(1 << bits) | window] = if ends { step } else { step.then(rest) };
            }
        }
        Self { table, codes, steps: all.split_off(WINDOWS).into_boxed_slice() }
    }

    /// Re-codes the coefficients of the block that is next.
    #[inline]
    pub(super) fn block(&self, bits: &mut Bits<'_>, to: &mut Hand<'_>) -> Result<(), Stop> {
        bits.refill();
        let mut at = 1;
        loop {
            // Two steps a load: each takes at most a window.
            for _ in 0..2 {
                let step = self.steps.get(bits.window()).copied().unwrap_or_default();
                let next = at + u32::from(step.on);
                if step.used == 0 || next > 63 {
                    // A symbol that is longer, or the last coefficient, after which there is no end code.
                    (*bits, at, to.tip) = self.one(*bits, at, to.tip, to.page)?;
                    if at > 63 {
                        return Ok(());
                    }
                    break;
                }
                bits.drop_bits(u32::from(step.used))?;
                to.put(step.bits, u32::from(step.written));
                if step.ends {
                    return Ok(());
                }
                at = next;
            }
            bits.refill();
        }
    }

    /// Re-codes one symbol; gives the index after it, 64 at the end of the block.
    #[inline(never)]
    fn one<'b>(&self, mut bits: Bits<'b>, at: u32, tip: Tip, page: &mut Page) -> Result<(Bits<'b>, u32, Tip), Stop> {
        let mut to = Hand { tip, page };
        let symbol = self.table.read(&mut bits)?;
        let next = after(symbol, at)?;
        let symbol = if next.is_none() { END } else { symbol };
        let size = u32::from(symbol & 15);
        let (code, length) = self.codes.get(symbol)?;
        to.put(code << size | bits.take(size)?, length + size);
        Ok((bits, next.unwrap_or(64), to.tip))
    }
}
