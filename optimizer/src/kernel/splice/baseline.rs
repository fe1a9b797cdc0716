//! Writes the rows of a store as a baseline file, with Huffman tables made for it.
//!
//! In: planes, row by row. Out: tables; data. Cost: one pass over the coefficients that are not zero, which counts their
//! symbols and writes them in the codes of annex K, and one that re-codes these several at a time; memory is twice the data.
//! Tables for the file instead of those of annex K, because the count is cheap here: a progressive file, whose tables
//! were made for it too, grows by 5 % and not by 10.
//! Source: ITU-T T.81, sections F.1.2 and K.2.

use std::collections::VecDeque;

use bytes::Bytes;

use super::annex_k;
use super::block::{Ac, Dc, END, Stop, ZEROS, put_dc, sized};
use super::codes::{Codes, Missing, optimal};
use super::fresh::Bodies;
use super::recoder::Recoder;
use super::store::Plane;
use super::words::{self, WORDS, Words};
use super::writer::{Hand, PART, Writer};
use crate::kernel::huffman::{Bits, Table};
use crate::kernel::jpeg::{self, Frame};

/// How often each symbol comes.
#[derive(Clone)]
struct Counts {
    dc: [u32; 256],
    /// Of those that are not among the words.
    ac: [u32; 256],
    words: [u32; WORDS],
    /// That end before their last coefficient.
    blocks: u32,
}

impl Counts {
    /// Counts a coefficient that is large, or far.
    #[cold]
    #[inline(never)]
    fn long(&mut self, run: u32, value: i16) {
        self.ac[usize::from(ZEROS)] += run / 16;
        let [symbol, ..] = ((run % 16) << 4 | sized(i32::from(value)).0 & 15).to_le_bytes();
        self.ac[usize::from(symbol)] += 1;
    }

    /// How often each symbol for AC coefficients came.
    fn all_ac(&self) -> [u64; 256] {
        let mut counts = self.ac.map(u64::from);
        for (index, count) in self.words.iter().enumerate() {
            if let Some(symbol) = words::symbol(index) {
                counts[usize::from(symbol)] += u64::from(*count);
            }
        }
        counts[usize::from(END)] += u64::from(self.blocks);
        counts
    }
}

/// The tables that the data is first written with.
struct First {
    dc: Dc,
    ac: Ac,
    words: Words,
}

impl First {
    fn new(dc: &[u8], ac: &[u8]) -> Option<Self> {
        let ac = Ac::new(Table::parse(ac)?.0);
        let words = Words::new(ac.codes.clone());
        Some(Self { dc: Dc::new(Table::parse(dc)?.0), ac, words })
    }
}

/// A file that is being written.
pub(super) struct Baseline {
    /// Blocks across and down of each component in a unit.
    factors: Vec<(u32, u32)>,
    /// Units in a row.
    across: u32,
    /// For luma and for chroma.
    tables: [First; 2],
    counts: [Counts; 2],
    writer: Writer,
    /// Rows of units, and their data. The first codes of each are forgotten once it is re-coded.
    parts: VecDeque<(u32, Box<[u8]>)>,
    /// Rows that are not in a part yet.
    rows: u32,
    /// As last written.
    before: [i32; 4],
}

impl Baseline {
    pub(super) fn new(frame: &Frame) -> Result<Self, Missing> {
        let single = frame.components().len() == 1;
        let factors = frame.components().iter().map(|part| if single { (1, 1) } else { (part.across, part.down) });
        let across = if single { 1 } else { frame.most().0 };
        let first = |dc, ac| First::new(dc, ac).ok_or(Missing);
        let none = Counts { dc: [0; 256], ac: [0; 256], words: [0; WORDS], blocks: 0 };
        Ok(Self {
            factors: factors.collect(),
            across: frame.width.div_ceil(8 * across),
            tables: [first(annex_k::DC_LUMA, annex_k::AC_LUMA)?, first(annex_k::DC_CHROMA, annex_k::AC_CHROMA)?],
            counts: [none.clone(), none],
            writer: Writer::default(),
            parts: VecDeque::new(),
            rows: 0,
            before: [0; 4],
        })
    }

    /// Writes row `row` of the picture.
    ///
    /// # Errors
    /// For a coefficient that is larger than samples of 8 bits give: written, it would be refused by other decoders, and
    /// by this one.
    #[inline(never)]
    pub(super) fn row(&mut self, row: u32, planes: &[Plane]) -> Result<(), Missing> {
        let Self { factors, across, tables, counts, writer, before, .. } = self;
        writer.with(|hand| {
            for column in 0..*across {
                for (number, (plane, ((wide, high), before))) in
                    planes.iter().zip(factors.iter().zip(before.iter_mut())).enumerate()
                {
                    let (tables, counts) = (&tables[number.min(1)], &mut counts[number.min(1)]);
                    let lines = plane.lines(row);
                    for y in 0..*high {
                        for x in column * wide..(column + 1) * wide {
                            let at = (y * plane.across + x) as usize;
                            let (Some(block), Some(nonzero)) = (plane.blocks.get(at), plane.nonzero.get(at)) else {
                                return Err(Missing);
                            };
                            if x >= plane.own.0 || y >= lines {
                                // Nobody sees it: the fewest bits.
                                write(hand, tables, counts, 0, block, 0)?;
                                continue;
                            }
                            let dc = i32::from(block[0]);
                            write(hand, tables, counts, dc - *before, block, *nonzero)?;
                            *before = dc;
                        }
                    }
                }
            }
            Ok(())
        })?;
        self.rows += 1;
        if self.writer.len() >= PART {
            self.part();
        }
        Ok(())
    }

    fn part(&mut self) {
        self.writer.pad();
        self.parts.push_back((self.rows, self.writer.copied()));
        self.rows = 0;
    }

    /// The tables for luma and for chroma, and the data, with its end marker.
    pub(super) fn finish(mut self) -> Result<(Vec<Bodies>, Vec<Bytes>), Stop> {
        self.part();
        let mut bodies = Vec::with_capacity(2);
        let mut codes = Vec::with_capacity(2);
        for (counts, first) in self.counts.iter().zip(&self.tables).take(self.factors.len()) {
            let (dc, ac) = (optimal(&counts.dc.map(u64::from)), optimal(&counts.all_ac()));
            let code = |body: &[u8]| Table::parse(body).map(|(table, _)| Codes::of(&table)).ok_or(Missing);
            codes.push((&first.dc, code(&dc)?, Recoder::new(&first.ac, code(&ac)?)));
            bodies.push((dc, ac));
        }
        let mut writer = std::mem::take(&mut self.writer);
        let mut data = Vec::new();
        while let Some((rows, part)) = self.parts.pop_front() {
            let mut bits = Bits::new(&part);
            writer.with(|hand| {
                for _ in 0..rows * self.across {
                    for (number, (wide, high)) in self.factors.iter().enumerate() {
                        let (dc, codes, recoder) = codes.get(number.min(1)).ok_or(Missing)?;
                        for _ in 0..wide * high {
                            put_dc(hand, codes, dc.read(&mut bits)?)?;
                            recoder.block(&mut bits, hand)?;
                        }
                    }
                }
                Ok::<_, Stop>(())
            })?;
            data.push(Bytes::from(writer.copied()));
        }
        writer.pad();
        writer.marker(jpeg::EOI);
        data.push(Bytes::from(writer.take()));
        Ok((bodies, data))
    }
}

/// Writes and counts a block.
#[inline]
fn write(
    to: &mut Hand<'_>,
    tables: &First,
    counts: &mut Counts,
    difference: i32,
    block: &[i16; 64],
    nonzero: u64,
) -> Result<(), Missing> {
    let (size, _) = sized(difference);
    counts.dc[size as usize & 255] += 1;
    put_dc(to, &tables.dc.codes, difference)?;
    counts.blocks += u32::from(nonzero >> 63 == 0);
    tables.words.write(to, block, nonzero, |index, run, value| match counts.words.get_mut(index) {
        Some(count) => *count += 1,
        None => counts.long(run, value),
    })
}
