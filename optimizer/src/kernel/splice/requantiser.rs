//! Requantising: the same coefficients rounded to coarser steps, without a pixel outside the mark.
//!
//! In: a walk. Out: new data. Cost: half as much again as a transcode: a look-up for one or two coefficients read, eight
//! of them rounded at a time, a look-up for each that is left; memory is the new data. A block under the mark is blended in
//! the file's own steps and rounded after.
//! The Huffman tables are those of annex K, as of most encoders: tables made for the file would take a walk more.

use bytes::Bytes;

use super::annex_k;
use super::block::{self, Block, Stop, after, signed};
use super::codes::{Codes, Missing};
use super::drive::{Coding, Pen};
use super::file::Sequential;
use super::fresh::{self, Bodies};
use super::pairs::Pairs;
use super::steps::Steps;
use super::words::Words;
use super::writer::Writer;
use crate::kernel::huffman::{Bits, Fault, Place, Table};
use crate::kernel::jpeg;
use crate::plan::Quality;

/// What one component is read and written with.
struct Part<'a> {
    pairs: Pairs<'a>,
    steps: Steps,
    /// As last written.
    dc: i32,
}

/// The pen that requantises.
pub(super) struct Requantiser<'a> {
    parts: Vec<Part<'a>>,
    tables: Vec<Bodies>,
    /// For DC and AC, of luma and of chroma.
    codes: Vec<(Codes, Words)>,
    passing: Vec<Passing>,
    writer: Writer,
    /// What was written before.
    data: Vec<Bytes>,
}

impl<'a> Requantiser<'a> {
    pub(super) fn new(file: &'a Sequential<'a>, quality: Quality) -> Result<Self, Fault> {
        let none = Fault::Broken("a scan uses a table that is not there");
        let mut parts = Vec::with_capacity(3);
        for (number, part) in file.parts.iter().enumerate() {
            let ac = file.ac.get(part.ac).and_then(Option::as_ref).ok_or(none)?;
            parts.push(Part {
                pairs: Pairs::new(ac.table()),
                steps: Steps::new(part.quantiser, quality, number),
                dc: 0,
            });
        }
        let tables = [(annex_k::DC_LUMA, annex_k::AC_LUMA), (annex_k::DC_CHROMA, annex_k::AC_CHROMA)];
        let codes = |body: &[u8]| Table::parse(body).map(|(table, _)| Codes::of(&table)).ok_or(none);
        let mut both = Vec::with_capacity(2);
        for (dc, ac) in tables {
            both.push((codes(dc)?, Words::new(codes(ac)?)));
        }
        let tables = tables.map(|(dc, ac)| (dc.to_vec(), ac.to_vec())).to_vec();
        Ok(Self {
            parts,
            tables,
            codes: both,
            passing: Vec::new(),
            writer: Writer::with_capacity(file.data.len()),
            data: Vec::new(),
        })
    }

    /// The segments before the data.
    pub(super) fn head(&self, file: &Sequential<'_>) -> Vec<u8> {
        let quantisers: Vec<_> = self.parts.iter().map(|part| part.steps.new).collect();
        let interval = if file.interval < file.units { file.interval } else { 0 };
        fresh::segments(&file.frame, &quantisers, &self.tables, interval)
    }

    /// The new data, with the end marker.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.writer.marker(jpeg::EOI);
        self.data.push(self.writer.take().into());
        self.data
    }
}

/// A block that is on its way.
struct Passing {
    /// Which component it belongs to.
    part: usize,
    /// From the DC coefficient of the one before, in new steps.
    difference: i32,
    /// The index of the last coefficient that is not zero, or a larger one.
    last: u32,
    /// In zigzag order, first in the old steps and then in the new ones.
    coefficients: [i16; 64],
}

/// How many blocks are on their way at once, or those of one unit. Each loop over them is small, and what one has
/// stored is in the cache when the next loads it.
const BATCH: usize = 16;

/// Reads the AC coefficients of a block; gives the index of the last that is not zero, or a larger one.
#[inline]
fn read(bits: &mut Bits<'_>, pairs: &Pairs<'_>, to: &mut [i16; 64]) -> Result<u32, Fault> {
    *to = [0; 64];
    let mut at = 0;
    loop {
        bits.refill();
        // Three steps a load: each takes at most a window, but for the last, which takes 27 bits at most.
        for _ in 0..3 {
            let pair = pairs.next(bits);
            let next = at + pair.on();
            if pair.used() == 0 || next > 62 {
                if pair.is_wide() && next <= 62 {
                    to[next as usize & 63] = pair.value(bits)?;
                    at = next;
                    break;
                }
                // A code that is longer, or the last coefficient, after which there is no end code.
                let (rest, next, value) = one(*bits, pairs.table, at)?;
                *bits = rest;
                if let Some(coefficient) = to.get_mut(next as usize) {
                    *coefficient = value;
                }
                if next > 62 {
                    // The last coefficient, or an end code.
                    return Ok(if next == 63 { next } else { at });
                }
                at = next;
                break;
            }
            bits.drop_bits(pair.used())?;
            for (value, on) in pair.values() {
                to[(at + on) as usize & 63] = value;
            }
            at = next;
            if pair.ends() {
                return Ok(at);
            }
        }
    }
}

/// Reads one symbol after the coefficient at `at`. Gives the index it goes on to, above 62 at the end of the block, and the
/// coefficient there, or a zero.
#[inline(never)]
fn one<'a>(mut bits: Bits<'a>, table: &Table, at: u32) -> Result<(Bits<'a>, u32, i16), Fault> {
    let symbol = table.read(&mut bits)?;
    // The index of the DC coefficient, which is not looked at.
    let Some(next) = after(symbol, at + 1)? else { return Ok((bits, 64, 0)) };
    let size = symbol & 15;
    let value = if size == 0 { 0 } else { signed(bits.take(u32::from(size))?, size) };
    // Of fifteen bits and a sign at most.
    Ok((bits, next - 1, i16::try_from(value).unwrap_or(0)))
}

/// Rounds and writes blocks.
// A function of its own: where bits are read and written there are not enough registers for both.
#[inline(never)]
fn write(
    parts: &[Part<'_>],
    codes: &[(Codes, Words)],
    blocks: &mut [Passing],
    writer: &mut Writer,
) -> Result<(), Missing> {
    writer.with(|hand| {
        for block in blocks {
            let part = parts.get(block.part).ok_or(Missing)?;
            let (dc, words) = codes.get(block.part.min(1)).ok_or(Missing)?;
            let nonzero = part.steps.round(&mut block.coefficients, block.last);
            block::put_dc(hand, dc, block.difference)?;
            words.write(hand, &block.coefficients, nonzero, |_, _, _| {})?;
        }
        Ok(())
    })
}

impl Pen for Requantiser<'_> {
    fn restart(&mut self, number: u32) {
        // 0 to 7.
        self.writer.marker(0xd0 + (number % 8) as u8);
        for part in &mut self.parts {
            part.dc = 0;
        }
    }

    fn pass(&mut self, bits: &mut Bits<'_>, codings: &[Coding<'_>], units: u32, dc: &mut [i32; 3]) -> Result<(), Stop> {
        let Self { parts, codes, writer, passing, data, .. } = self;
        let each: usize = codings.iter().map(|coding| coding.blocks as usize).sum();
        let batch = (BATCH / each.max(1)).max(1);
        passing.resize_with(batch * each, || Passing { part: 0, difference: 0, last: 0, coefficients: [0; 64] });
        let mut own = *bits;
        let mut left = units as usize;
        while left > 0 {
            let now = left.min(batch);
            left -= now;
            let mut next = passing.iter_mut();
            for _ in 0..now {
                for ((coding, part), dc) in codings.iter().zip(parts.iter_mut()).zip(dc.iter_mut()) {
                    for block in next.by_ref().take(coding.blocks as usize) {
                        *dc = dc.wrapping_add(coding.dc.read(&mut own)?);
                        let new = part.steps.to_new(*dc, 0);
                        block.difference = new.wrapping_sub(part.dc);
                        part.dc = new;
                        block.part = coding.part;
                        block.last = read(&mut own, &part.pairs, &mut block.coefficients)?;
                    }
                }
            }
            write(parts, codes, passing.get_mut(..now * each).unwrap_or_default(), writer)?;
            data.extend(writer.part());
        }
        *bits = own;
        Ok(())
    }

    fn begin(&mut self, _at: Place, _dc: [i32; 3]) {}

    fn block(&mut self, mut block: Block) -> Result<(), Stop> {
        let (Some(part), Some((dc, ac))) = (self.parts.get_mut(block.part), self.codes.get(block.part.min(1))) else {
            return Err(Stop::Missing);
        };
        part.steps.block(&mut block);
        self.writer.with(|hand| block::write(hand, dc, ac.codes(), &block, part.dc, 0))?;
        part.dc = block.dc;
        Ok(())
    }

    fn end(&mut self, _at: Place, _last: bool) -> Result<(), Stop> {
        Ok(())
    }

    fn close(&mut self, _at: Place) {
        self.writer.pad();
    }
}
