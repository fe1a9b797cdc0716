//! Transcoding: the same coefficients with Huffman tables that have a code for everything.
//!
//! In: a walk. Out: new data. Cost: about twice a scan, no transform outside the mark; memory is the new data.
//! For files whose own tables lack a symbol that the mark needs. Their other symbols keep codes of about the old
//! lengths, so the file grows by little more than the mark.

use bytes::Bytes;

use super::block::{self, Ac, Block, Dc, Stop};
use super::codes::{Codes, all_ac, all_dc};
use super::drive::{Coding, Pen};
use super::file::Sequential;
use super::recoder::Recoder;
use super::writer::Writer;
use crate::kernel::huffman::{Bits, Fault, Place, Table};
use crate::kernel::jpeg;

const NO_TABLE: Fault = Fault::Broken("a scan uses a table that is not there");

/// A completed table, and the body of the DHT segment that says so.
struct Completed {
    codes: Codes,
    body: Vec<u8>,
}

impl Completed {
    /// `class` is 0 for DC, 1 for AC.
    fn of(codes: &Codes, besides: impl Iterator<Item = u8>, class: u8, number: usize) -> Option<Self> {
        let listed = codes.completed(besides);
        let (table, _) = Table::parse(&listed)?;
        let head = class << 4 | u8::try_from(number).ok()?;
        Some(Self { codes: Codes::of(&table), body: [&[head], &listed[..]].concat() })
    }
}

/// The pen that transcodes.
pub(super) struct Transcoder<'a> {
    file: &'a Sequential<'a>,
    tables_dc: [Option<Completed>; 4],
    tables_ac: [Option<Completed>; 4],
    /// By the number of the AC table.
    recoders: [Option<Recoder<'a>>; 4],
    writer: Writer,
    /// What was written before.
    data: Vec<Bytes>,
    dc: [i32; 3],
}

/// Units that are written before it is asked whether they fill a part: a few kilobytes.
const SOME: u32 = 64;

impl<'a> Transcoder<'a> {
    /// For differences `beyond` those of a baseline file, or not.
    pub(super) fn new(file: &'a Sequential<'a>, beyond: bool) -> Self {
        let dc = |number: usize| {
            let own: &Dc = file.dc.get(number)?.as_ref()?;
            Completed::of(&own.codes, all_dc(beyond), 0, number)
        };
        let ac = |number: usize| {
            let own: &Ac = file.ac.get(number)?.as_ref()?;
            Completed::of(&own.codes, all_ac(), 1, number)
        };
        let writer = Writer::with_capacity(file.data.len());
        let tables_ac = std::array::from_fn(ac);
        let recoder = |number: usize| {
            let codes = tables_ac.get(number)?.as_ref()?.codes.clone();
            Some(Recoder::new(file.ac.get(number)?.as_ref()?, codes))
        };
        let recoders = std::array::from_fn(recoder);
        Self { file, tables_dc: std::array::from_fn(dc), tables_ac, recoders, writer, data: Vec::new(), dc: [0; 3] }
    }

    /// The DHT segment of the new tables.
    pub(super) fn tables(&self) -> Vec<u8> {
        let bodies: Vec<&[u8]> =
            self.tables_dc.iter().chain(&self.tables_ac).flatten().map(|table| &table.body[..]).collect();
        let body = bodies.concat();
        // At most eight tables of 273 bytes.
        let length = u16::try_from(body.len() + 2).unwrap_or(u16::MAX).to_be_bytes();
        [&[0xff, jpeg::DHT], &length[..], &body].concat()
    }

    /// The new data, with the end marker.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.writer.marker(jpeg::EOI);
        self.data.push(self.writer.take().into());
        self.data
    }

    fn codes(&self, part: usize) -> Result<(&Codes, &Codes), Fault> {
        let codes = self.file.parts.get(part).and_then(|part| {
            let dc = self.tables_dc.get(part.dc)?.as_ref()?;
            let ac = self.tables_ac.get(part.ac)?.as_ref()?;
            Some((&dc.codes, &ac.codes))
        });
        codes.ok_or(NO_TABLE)
    }
}

impl Pen for Transcoder<'_> {
    fn restart(&mut self, number: u32) {
        // 0 to 7.
        self.writer.marker(0xd0 + (number % 8) as u8);
        self.dc = [0; 3];
    }

    fn pass(&mut self, bits: &mut Bits<'_>, codings: &[Coding<'_>], units: u32, dc: &mut [i32; 3]) -> Result<(), Stop> {
        let (mut writer, mut data) = (std::mem::take(&mut self.writer), std::mem::take(&mut self.data));
        let mut coders = Vec::with_capacity(3);
        for coding in codings {
            let recoder = self.file.parts.get(coding.part).and_then(|part| self.recoders.get(part.ac)?.as_ref());
            coders.push((self.codes(coding.part)?.0, recoder.ok_or(NO_TABLE)?));
        }
        let mut own = *bits;
        let mut left = units;
        while left > 0 {
            let now = left.min(SOME);
            left -= now;
            writer.with(|hand| {
                for _ in 0..now {
                    for ((coding, (codes, recoder)), dc) in codings.iter().zip(&coders).zip(dc.iter_mut()) {
                        for _ in 0..coding.blocks {
                            let difference = coding.dc.read(&mut own)?;
                            block::put_dc(hand, codes, difference)?;
                            recoder.block(&mut own, hand)?;
                            *dc = dc.wrapping_add(difference);
                        }
                    }
                }
                Ok::<_, Stop>(())
            })?;
            data.extend(writer.part());
        }
        *bits = own;
        (self.writer, self.data) = (writer, data);
        Ok(())
    }

    fn begin(&mut self, _at: Place, dc: [i32; 3]) {
        self.dc = dc;
    }

    fn block(&mut self, block: Block) -> Result<(), Stop> {
        let mut writer = std::mem::take(&mut self.writer);
        let (dc, ac) = self.codes(block.part)?;
        let before = self.dc[block.part];
        writer.with(|hand| block::write(hand, dc, ac, &block, before, 0))?;
        self.dc[block.part] = block.dc;
        self.writer = writer;
        Ok(())
    }

    fn end(&mut self, _at: Place, _last: bool) -> Result<(), Stop> {
        Ok(())
    }

    fn close(&mut self, _at: Place) {
        self.writer.pad();
    }
}
