//! Requantising: the same coefficients rounded to coarser steps, without a pixel outside the mark.
//!
//! In: a walk. Out: new data. Cost: about that of a transcode: one look-up and one multiplication a coefficient; memory
//! is the new data. A block under the mark is blended in the file's own steps and rounded after.
//! The Huffman tables are those of annex K, as of most encoders: tables made for the file would take a walk more.

use super::annex_k;
use super::block::{self, Block, END, Stop, TOO_FAR, Values, after, signed};
use super::codes::{Codes, Missing};
use super::drive::{Coding, Pen};
use super::file::Sequential;
use super::fresh::{self, Bodies};
use super::steps::Steps;
use super::writer::Writer;
use crate::kernel::huffman::{Bits, Fault, Place, Table};
use crate::kernel::jpeg;
use crate::plan::Quality;

/// What one component is read and written with.
struct Part<'a> {
    values: Values<'a>,
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
            parts.push(Part { values: ac.values(), steps: Steps::new(part.quantiser, quality, number), dc: 0 });
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

/// Reads a block and writes it in other steps; gives back its DC difference as read.
#[inline]
fn requantise(
    bits: &mut Bits<'_>,
    coding: &Coding<'_>,
    part: &mut Part<'_>,
    (dc, ac): &(Codes, Codes),
    before: i32,
    to: &mut Writer,
) -> Result<i32, Stop> {
    let sum = before.wrapping_add(coding.dc.read(bits)?);
    let new = part.steps.to_new(sum, 0);
    block::put_dc(to, dc, new.wrapping_sub(part.dc))?;
    part.dc = new;
    let (mut at, mut last) = (1, 0);
    while at < 64 {
        bits.fill();
        let entry = part.values.entry(bits);
        let value = if entry != 0 {
            bits.drop_bits(entry & 31)?;
            at += (entry >> 8 & 15) + 1;
            if at > 64 {
                return Err(TOO_FAR.into());
            }
            entry.cast_signed() >> 16
        } else {
            let symbol = part.values.table.read(bits)?;
            let Some(next) = after(symbol, at)? else { break };
            at = next;
            let size = symbol & 15;
            if size == 0 {
                continue;
            }
            signed(bits.take(u32::from(size))?, size)
        };
        let value = part.steps.to_new(value, (at - 1) as usize);
        if value == 0 {
            continue;
        }
        block::put_ac(to, ac, at - 2 - last, value)?;
        last = at - 1;
    }
    if last < 63 {
        let (code, length) = ac.get(END)?;
        to.put(code, length);
    }
    Ok(sum)
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
        for _ in 0..units {
            for ((coding, part), dc) in codings.iter().zip(&mut self.parts).zip(dc.iter_mut()) {
                let codes = self.codes.get(coding.part.min(1)).ok_or(Missing)?;
                for _ in 0..coding.blocks {
                    *dc = requantise(bits, coding, part, codes, *dc, &mut self.writer)?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, _at: Place, _dc: [i32; 3]) {}

    fn block(&mut self, mut block: Block) -> Result<(), Stop> {
        let (Some(part), Some((dc, ac))) = (self.parts.get_mut(block.part), self.codes.get(block.part.min(1))) else {
            return Err(Stop::Missing);
        };
        part.steps.block(&mut block);
        block::write(&mut self.writer, dc, ac, &block, part.dc, 0)?;
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
