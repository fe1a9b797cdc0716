//! The walk over a file, the same for splicing and for transcoding.
//!
//! In: a file, the mark, a [`Pen`] that writes. Out: what the pen wrote. Cost: that of the scan.
//! The walk goes to the end even if the mark is at the top: a file that ends early is an error wherever it is marked.

use super::block::{self, Ac, Block, Dc, Stop};
use super::file::Sequential;
use super::ink::Ink;
use crate::kernel::huffman::{Bits, Fault, Place};

/// No DC coefficient beside a mark is larger: what samples of 8 bits give is at most 1,024. From there to what a mark makes
/// there always is a difference that a table can say; beyond, decoders do not agree, since libjpeg keeps 16 bits.
const MOST_DC: u32 = 16_383;
const TOO_LARGE: Fault = Fault::Broken("a DC coefficient is larger than any samples give");

/// What one component of a unit is coded with.
#[derive(Clone, Copy)]
pub(super) struct Coding<'a> {
    pub(super) part: usize,
    /// Blocks in a unit.
    pub(super) blocks: u32,
    pub(super) dc: &'a Dc,
    pub(super) ac: &'a Ac,
}

/// Writes the new data.
pub(super) trait Pen {
    /// Goes on after a restart marker.
    fn restart(&mut self, number: u32);
    /// Reads `units` units that stay as they are, and adds up their DC differences.
    fn pass(&mut self, bits: &mut Bits<'_>, codings: &[Coding<'_>], units: u32, dc: &mut [i32; 3]) -> Result<(), Stop>;
    /// Blocks that may have changed follow, from this place of the data on.
    fn begin(&mut self, at: Place, dc: [i32; 3]);
    /// The next of them.
    fn block(&mut self, block: Block) -> Result<(), Stop>;
    /// No more of them; the data goes on at this place, if not at a restart marker or the end.
    fn end(&mut self, at: Place, last: bool) -> Result<(), Stop>;
    /// A restart marker or the end follows.
    fn close(&mut self, at: Place);
}

/// Reads `file` to its end, blends `ink`, and gives back what follows the data.
pub(super) fn drive<'a>(
    file: &Sequential<'a>,
    ink: Option<&Ink>,
    spans: &[std::ops::Range<u32>],
    pen: &mut impl Pen,
) -> Result<&'a [u8], Stop> {
    let none = Fault::Broken("a scan uses a table that is not there");
    let mut codings = Vec::with_capacity(3);
    for (number, part) in file.parts.iter().enumerate() {
        let dc = file.dc.get(part.dc).and_then(Option::as_ref).ok_or(none)?;
        let ac = file.ac.get(part.ac).and_then(Option::as_ref).ok_or(none)?;
        codings.push(Coding { part: number, blocks: part.across * part.down, dc, ac });
    }
    let mut bits = Bits::new(file.data);
    let mut spans = spans.iter().peekable();
    let mut first = 0;
    while first < file.units {
        let end = first.saturating_add(file.interval).min(file.units);
        if first > 0 {
            let number = first / file.interval - 1;
            bits.restart(number)?;
            pen.restart(number);
        }
        let mut dc = [0; 3];
        let mut at = first;
        while let Some(span) = spans.next_if(|span| span.start < end) {
            pen.pass(&mut bits, &codings, span.start - at, &mut dc)?;
            if dc.iter().any(|dc| dc.unsigned_abs() > MOST_DC) {
                return Err(TOO_LARGE.into());
            }
            pen.begin(bits.place(), dc);
            for unit in span.clone() {
                one(file, ink, &codings, unit, &mut bits, &mut dc, pen)?;
            }
            at = span.end;
            pen.end(bits.place(), at == end)?;
        }
        pen.pass(&mut bits, &codings, end - at, &mut dc)?;
        pen.close(bits.place());
        first = end;
    }
    Ok(bits.rest())
}

/// Reads one unit, blends, and gives its blocks to the pen.
fn one(
    file: &Sequential<'_>,
    ink: Option<&Ink>,
    codings: &[Coding<'_>],
    unit: u32,
    bits: &mut Bits<'_>,
    dc: &mut [i32; 3],
    pen: &mut impl Pen,
) -> Result<(), Stop> {
    let (column, row) = (unit % file.across, unit / file.across);
    for (coding, (part, dc)) in codings.iter().zip(file.parts.iter().zip(dc)) {
        for down in 0..part.down {
            for across in 0..part.across {
                let mut block = block::read(bits, coding.dc, coding.ac, coding.part, *dc)?;
                *dc = block.dc;
                if dc.unsigned_abs() > MOST_DC {
                    return Err(TOO_LARGE.into());
                }
                if let Some(ink) = ink {
                    ink.blend(
                        file,
                        part,
                        (column * part.across + across) * 8,
                        (row * part.down + down) * 8,
                        &mut block,
                    );
                }
                pen.block(block)?;
            }
        }
    }
    Ok(())
}
