//! Requantising: the same coefficients rounded to coarser steps, without a pixel outside the mark.
//!
//! In: a walk. Out: new data. Cost: about that of a transcode: one look-up and one multiplication a coefficient; memory
//! is the new data. A block under the mark is blended in the file's own steps and rounded after.
//! The Huffman tables are those of annex K, as of most encoders: tables made for the file would take a walk more.

use super::annex_k;
use super::block::{self, Block, END, Stop, after, signed};
use super::codes::{Codes, Missing};
use super::drive::{Coding, Pen};
use super::file::Sequential;
use super::fresh::{self, Bodies};
use super::pairs::Pairs;
use super::steps::Steps;
use super::writer::{Hand, Writer};
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
    codes: Vec<(Codes, Codes)>,
    writer: Writer,
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
            both.push((codes(dc)?, codes(ac)?));
        }
        let tables = tables.map(|(dc, ac)| (dc.to_vec(), ac.to_vec())).to_vec();
        // It grows if that is not enough; memory that is not written to is not taken.
        let writer = Writer::with_capacity(file.data.len() + 4096);
        Ok(Self { parts, tables, codes: both, writer })
    }

    /// The segments before the data.
    pub(super) fn head(&self, file: &Sequential<'_>) -> Vec<u8> {
        let quantisers: Vec<_> = self.parts.iter().map(|part| part.steps.new).collect();
        let interval = if file.interval < file.units { file.interval } else { 0 };
        fresh::segments(&file.frame, &quantisers, &self.tables, interval)
    }

    /// The new data, with the end marker.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.writer.marker(jpeg::EOI);
        self.writer.take()
    }
}

/// The coefficients of a block in their new steps.
struct Rounded {
    /// In zigzag order; only those that are not zero count.
    values: [i32; 64],
    /// A bit for each that is not zero.
    nonzero: u64,
}

impl Rounded {
    /// Notes the coefficient at `at`. Most become zero when steps become much coarser, and which of them cannot be
    /// foreseen, so there is no branch.
    #[inline]
    fn note(&mut self, steps: &Steps, value: i32, at: u32) {
        let value = steps.to_new(value, at as usize);
        self.values[at as usize & 63] = value;
        self.nonzero |= u64::from(value != 0) << (at & 63);
    }
}

/// Reads the AC coefficients of a block.
#[inline]
fn read(bits: &mut Bits<'_>, pairs: &Pairs<'_>, steps: &Steps, to: &mut Rounded) -> Result<(), Fault> {
    to.nonzero = 0;
    let mut at = 0;
    loop {
        // Two steps a load: each takes at most a window.
        for _ in 0..2 {
            let pair = pairs.next(bits);
            let next = at + pair.on();
            if pair.used() == 0 || next > 62 {
                // A symbol that is longer, or the last coefficient, after which there is no end code.
                let (rest, next, value) = one(*bits, pairs.table, at)?;
                *bits = rest;
                if let Some(value) = value {
                    to.note(steps, value, next);
                }
                if next > 62 {
                    return Ok(());
                }
                at = next;
                break;
            }
            bits.drop_bits(pair.used())?;
            for (value, on) in pair.values() {
                to.note(steps, value, at + on);
            }
            if pair.ends() {
                return Ok(());
            }
            at = next;
        }
        bits.refill();
    }
}

/// Reads one symbol after the coefficient at `at`. Gives the index it goes on to, above 62 at the end of the block, and the
/// coefficient there if it is not zero.
#[inline(never)]
fn one<'a>(mut bits: Bits<'a>, table: &Table, at: u32) -> Result<(Bits<'a>, u32, Option<i32>), Fault> {
    let symbol = table.read(&mut bits)?;
    let Some(next) = after(symbol, at + 1)? else { return Ok((bits, 64, None)) };
    let size = symbol & 15;
    let value = if size == 0 { None } else { Some(signed(bits.take(u32::from(size))?, size)) };
    Ok((bits, next - 1, value))
}

/// Writes a block whose DC coefficient is `difference` away from the one before.
#[inline]
fn write(to: &mut Hand<'_>, (dc, ac): &(Codes, Codes), difference: i32, rounded: &Rounded) -> Result<(), Missing> {
    block::put_dc(to, dc, difference)?;
    let (mut last, mut rest) = (0, rounded.nonzero);
    while rest != 0 {
        let at = rest.trailing_zeros();
        block::put_ac(to, ac, at - 1 - last, rounded.values[at as usize & 63])?;
        last = at;
        rest &= rest - 1;
    }
    if last < 63 {
        let (code, length) = ac.get(END)?;
        to.put(code, length);
    }
    Ok(())
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
        let Self { parts, codes, writer, .. } = self;
        let mut rounded = Rounded { values: [0; 64], nonzero: 0 };
        let mut own = *bits;
        let done = writer.with(|hand| {
            for _ in 0..units {
                for ((coding, part), dc) in codings.iter().zip(parts.iter_mut()).zip(dc.iter_mut()) {
                    let codes = codes.get(coding.part.min(1)).ok_or(Missing)?;
                    for _ in 0..coding.blocks {
                        own.refill();
                        *dc = dc.wrapping_add(coding.dc.read(&mut own)?);
                        read(&mut own, &part.pairs, &part.steps, &mut rounded)?;
                        let new = part.steps.to_new(*dc, 0);
                        write(hand, codes, new.wrapping_sub(part.dc), &rounded)?;
                        part.dc = new;
                    }
                }
            }
            Ok(())
        });
        *bits = own;
        done
    }

    fn begin(&mut self, _at: Place, _dc: [i32; 3]) {}

    fn block(&mut self, mut block: Block) -> Result<(), Stop> {
        let (Some(part), Some((dc, ac))) = (self.parts.get_mut(block.part), self.codes.get(block.part.min(1))) else {
            return Err(Stop::Missing);
        };
        part.steps.block(&mut block);
        self.writer.with(|hand| block::write(hand, dc, ac, &block, part.dc, 0))?;
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
