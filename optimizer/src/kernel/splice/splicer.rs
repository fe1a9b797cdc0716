//! Splicing: new data where the mark is, the file's own everywhere else.
//!
//! In: a walk. Out: ranges of the file and new bytes between them. Cost: that of the scan; memory is the new bytes, and
//! at most [`MOST_BLOCKS`] blocks.
//! New blocks take another number of bits than the old ones did, and what follows would have to move by some bits. So
//! codes for sixteen zeros are put before the end codes of new blocks, where they mean nothing (T.81, figure F.13:
//! a decoder goes on by sixteen and meets the end code): their number is chosen so that the data goes on at the bit of
//! its byte where it went on before, and the rest of the file is a copy. Where that cannot be, the bits move.

use super::block::{self, Block, Stop};
use super::codes::Missing;
use super::drive::{Coding, Pen};
use super::file::Sequential;
use super::pieces::Pieces;
use super::writer::Writer;
use crate::kernel::huffman::{Bits, Place, data_byte};

/// New blocks kept at most before they are written.
const MOST_BLOCKS: usize = 2048;
/// How many stay for the choice of the codes that keep the bit of the byte.
const CHOICE: usize = 256;
/// New bytes are handed over in about this many, so that they are never in a buffer that grows and in a copy.
const CHUNK: usize = 128 << 10;
/// A code for sixteen zeros.
const ZEROS: u8 = 0xf0;

/// The pen that splices.
pub(super) struct Splicer<'a> {
    file: &'a Sequential<'a>,
    pieces: Pieces,
    /// Where what is not written yet begins. Its bit is 0 unless `moved`.
    from: Place,
    /// The data goes on at another bit of its byte than before.
    moved: bool,
    writer: Writer,
    blocks: Vec<Block>,
    /// As last written.
    dc: [i32; 3],
    /// Length of the code for sixteen zeros in each AC table, 0 for none.
    zeros: [u32; 4],
}

/// How many codes for sixteen zeros to add to the blocks of each AC table.
type Zeros = [u32; 4];

impl<'a> Splicer<'a> {
    pub(super) fn new(file: &'a Sequential<'a>, pieces: Pieces) -> Self {
        let writer = Writer::default();
        let zeros = std::array::from_fn(|table| file.ac[table].as_ref().map_or(0, |ac| ac.codes.length(ZEROS)));
        Self { file, pieces, from: Place::default(), moved: false, writer, blocks: Vec::new(), dc: [0; 3], zeros }
    }

    /// Never puts zeros before end codes.
    #[cfg(test)]
    pub(super) fn move_bits(&mut self) {
        self.zeros = [0; 4];
    }

    /// The pieces of the new file, after the last [`Pen::close`].
    pub(super) fn finish(self) -> Pieces {
        let mut pieces = self.pieces;
        pieces.make(vec![0xff, crate::kernel::jpeg::EOI]);
        pieces
    }

    fn keep(&mut self, to: usize) {
        let at = self.file.data_at;
        self.pieces.keep(at + self.from.byte..at + to);
    }

    fn hand_over(&mut self) {
        // A copy as long as it is: an allocator would keep all of a buffer that grew and was cut.
        self.pieces.make(self.writer.copied().into_vec());
    }

    /// Writes the bits of the file up to `to` that are not written yet, at another bit of their bytes.
    fn shift(&mut self, to: Place) {
        let data = self.file.data;
        while to.byte - self.from.byte.min(to.byte) > CHUNK {
            let mut byte = self.from.byte + CHUNK;
            // Not between a byte of ones and what is stuffed after it.
            while byte < to.byte && data.get(byte - 1) == Some(&0xff) {
                byte += 1;
            }
            let next = Place { byte, bit: 0 };
            self.writer.copy(data, self.from, next);
            self.from = next;
            self.hand_over();
        }
        self.writer.copy(data, self.from, to);
        self.from = to;
    }

    /// Writes the first `count` blocks that are kept.
    fn write(&mut self, count: usize, mut zeros: Zeros) -> Result<(), Missing> {
        let blocks = self.blocks.get(..count).unwrap_or_default();
        let (dcs, writer) = (&mut self.dc, &mut self.writer);
        for block in blocks {
            let Some(part) = self.file.parts.get(block.part) else { continue };
            let (Some(Some(dc)), Some(Some(ac))) = (self.file.dc.get(part.dc), self.file.ac.get(part.ac)) else {
                continue;
            };
            let more = zeros[part.ac & 3].min(block.room());
            zeros[part.ac & 3] -= more;
            writer.with(|hand| block::write(hand, &dc.codes, &ac.codes, block, dcs[block.part], more))?;
            dcs[block.part] = block.dc;
        }
        Ok(())
    }

    /// The fewest bits of zeros that move the phase on by `by` bits.
    fn choose(&self, by: u32) -> Option<Zeros> {
        let mut room = [0_u32; 4];
        for block in &self.blocks {
            let Some(part) = self.file.parts.get(block.part) else { continue };
            room[part.ac & 3] += block.room();
        }
        let most = |table: usize| if self.zeros[table] == 0 { 0 } else { room[table].min(7) };
        let mut best: Option<(u32, Zeros)> = None;
        // Of four tables a file uses two at most in practice; others have no room and cost no turn.
        for a in 0..=most(0) {
            for b in 0..=most(1) {
                for c in 0..=most(2) {
                    for d in 0..=most(3) {
                        let zeros = [a, b, c, d];
                        let bits: u32 = zeros.iter().zip(self.zeros).map(|(count, length)| count * length).sum();
                        if bits % 8 == by && best.is_none_or(|(fewest, _)| bits < fewest) {
                            best = Some((bits, zeros));
                        }
                    }
                }
            }
        }
        best.map(|(_, zeros)| zeros)
    }
}

impl Pen for Splicer<'_> {
    fn restart(&mut self, _number: u32) {
        // The marker is copied with what comes before or after it.
        self.dc = [0; 3];
    }

    #[inline]
    fn pass(&mut self, bits: &mut Bits<'_>, codings: &[Coding<'_>], units: u32, dc: &mut [i32; 3]) -> Result<(), Stop> {
        let mut own = *bits;
        for _ in 0..units {
            for (coding, dc) in codings.iter().zip(dc.iter_mut()) {
                for _ in 0..coding.blocks {
                    *dc = dc.wrapping_add(block::skip(&mut own, coding.dc, coding.ac)?);
                }
            }
        }
        *bits = own;
        Ok(())
    }

    fn begin(&mut self, at: Place, dc: [i32; 3]) {
        self.dc = dc;
        if self.moved {
            self.shift(at);
        } else {
            self.keep(at.byte);
            self.writer.copy(self.file.data, Place { byte: at.byte, bit: 0 }, at);
        }
    }

    fn block(&mut self, block: Block) -> Result<(), Stop> {
        self.blocks.push(block);
        if self.blocks.len() >= MOST_BLOCKS {
            let count = MOST_BLOCKS - CHOICE;
            self.write(count, [0; 4])?;
            self.blocks.drain(..count);
            if self.writer.len() >= CHUNK {
                self.hand_over();
            }
        }
        Ok(())
    }

    fn end(&mut self, at: Place, last: bool) -> Result<(), Stop> {
        let (mark, dc) = (self.writer.mark(), self.dc);
        self.write(self.blocks.len(), [0; 4])?;
        self.moved = !last && self.writer.phase() != at.bit;
        if self.moved
            && let Some(zeros) = self.choose((8 + at.bit - self.writer.phase()) % 8)
        {
            self.writer.go_back(mark);
            self.dc = dc;
            self.write(self.blocks.len(), zeros)?;
            self.moved = self.writer.phase() != at.bit;
        }
        self.blocks.clear();
        self.from = at;
        if self.moved {
            return Ok(());
        }
        if last {
            self.writer.pad();
            self.from = at.rounded_up(self.file.data);
        } else if at.bit > 0 {
            let (_, next) = data_byte(self.file.data, at.byte);
            self.from = Place { byte: next, bit: 0 };
            self.writer.copy(self.file.data, at, self.from);
        }
        self.hand_over();
        Ok(())
    }

    fn close(&mut self, at: Place) {
        let end = at.rounded_up(self.file.data);
        if self.moved {
            self.shift(at);
            self.writer.pad();
            self.hand_over();
            self.moved = false;
        } else {
            self.keep(end.byte);
        }
        self.from = end;
    }
}
