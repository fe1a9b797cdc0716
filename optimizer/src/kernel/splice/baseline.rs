//! Writes all coefficients of a store as a baseline file, with Huffman tables made for it.
//!
//! In: planes. Out: tables; data. Cost: two passes over the coefficients that are not zero, one to count and one to
//! write; memory is the new data, whose size is known when it is begun.
//! Tables for the file instead of those of annex K, because the count is cheap here: a progressive file, whose tables
//! were made for it too, grows by 5 % and not by 10.
//! Source: ITU-T T.81, sections F.1.2 and K.2.

use super::block::{END, ZEROS, put_ac, put_dc, sized};
use super::codes::{Codes, Missing, optimal};
use super::fresh::Bodies;
use super::store::Plane;
use super::writer::Writer;
use crate::kernel::huffman::Table;
use crate::kernel::jpeg::{self, Frame};

/// How often each symbol comes.
struct Counts {
    dc: [u64; 256],
    ac: [u64; 256],
    /// Bits of values, without those of codes.
    extra: u64,
}

/// Calls `each` with every block in the order of an interleaved scan: which component, its DC difference, its
/// coefficients and which of them are not zero.
#[inline]
fn blocks(
    frame: &Frame,
    planes: &[Plane],
    mut each: impl FnMut(usize, i32, &[i16; 64], u64) -> Result<(), Missing>,
) -> Result<(), Missing> {
    let single = planes.len() == 1;
    let (across, down) = if single { (1, 1) } else { frame.most() };
    let (across, down) = (frame.width.div_ceil(8 * across), frame.height.div_ceil(8 * down));
    let mut before = [0_i32; 4];
    for row in 0..down {
        for column in 0..across {
            for (number, (plane, (component, before))) in
                planes.iter().zip(frame.components().iter().zip(&mut before)).enumerate()
            {
                let (wide, high) = if single { (1, 1) } else { (component.across, component.down) };
                for y in row * high..(row + 1) * high {
                    for x in column * wide..(column + 1) * wide {
                        let at = (y * plane.across + x) as usize;
                        let (Some(block), Some(nonzero)) = (plane.blocks.get(at), plane.nonzero.get(at)) else {
                            return Err(Missing);
                        };
                        if x >= plane.own.0 || y >= plane.own.1 {
                            // Nobody sees it: the fewest bits.
                            each(number, 0, block, 0)?;
                            continue;
                        }
                        let dc = i32::from(block[0]);
                        each(number, dc - *before, block, *nonzero)?;
                        *before = dc;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Tables for luma and for chroma, and about how many bytes the data will take.
pub(super) fn tables(frame: &Frame, planes: &[Plane]) -> Result<(Vec<Bodies>, u64), Missing> {
    let none = || Counts { dc: [0; 256], ac: [0; 256], extra: 0 };
    let mut all = [none(), none()];
    blocks(frame, planes, |part, difference, block, mut nonzero| {
        let counts = &mut all[part.min(1)];
        let (size, _) = sized(difference);
        // More than samples of 8 bits give: written, it would be refused by other decoders, and by this one.
        if size > 11 {
            return Err(Missing);
        }
        counts.dc[size as usize & 255] += 1;
        counts.extra += u64::from(size);
        let mut last = 0;
        while nonzero != 0 {
            let at = nonzero.trailing_zeros();
            let mut run = at - last - 1;
            while run > 15 {
                counts.ac[usize::from(ZEROS)] += 1;
                run -= 16;
            }
            let (size, _) = sized(i32::from(block[at as usize & 63]));
            if size > 10 {
                return Err(Missing);
            }
            counts.ac[(run << 4 | size) as usize & 255] += 1;
            counts.extra += u64::from(size);
            last = at;
            nonzero &= nonzero - 1;
        }
        if last < 63 {
            counts.ac[usize::from(END)] += 1;
        }
        Ok(())
    })?;
    let mut bits = 0;
    let mut bodies = Vec::with_capacity(2);
    for counts in all.iter().take(planes.len().min(2)) {
        let mut body = |counts: &[u64; 256]| {
            let body = optimal(counts);
            let codes = Codes::of(&Table::parse(&body).ok_or(Missing)?.0);
            bits +=
                counts.iter().zip(0..=255).map(|(count, symbol)| count * u64::from(codes.length(symbol))).sum::<u64>();
            Ok(body)
        };
        bodies.push((body(&counts.dc)?, body(&counts.ac)?));
        bits += counts.extra;
    }
    Ok((bodies, bits / 8))
}

/// The data of `planes`, with its end marker; `bytes` is about how many there are.
pub(super) fn data(frame: &Frame, planes: &[Plane], tables: &[Bodies], bytes: u64) -> Result<Vec<u8>, Missing> {
    let mut codes = Vec::with_capacity(2);
    for (dc, ac) in tables {
        let code = |body: &[u8]| Some(Codes::of(&Table::parse(body)?.0));
        codes.push((code(dc).ok_or(Missing)?, code(ac).ok_or(Missing)?));
    }
    // Room for stuffing: one byte in 256, if the data is like any other.
    let bytes = usize::try_from(bytes).unwrap_or(0);
    let mut to = Writer::with_capacity(bytes + bytes / 64 + 4096);
    to.with(|hand| {
        blocks(frame, planes, |part, difference, block, mut nonzero| {
            let (dc, ac) = codes.get(part.min(1)).ok_or(Missing)?;
            put_dc(hand, dc, difference)?;
            let mut last = 0;
            while nonzero != 0 {
                let at = nonzero.trailing_zeros();
                put_ac(hand, ac, at - last - 1, i32::from(block[at as usize & 63]))?;
                last = at;
                nonzero &= nonzero - 1;
            }
            if last < 63 {
                let (code, length) = ac.get(END)?;
                hand.put(code, length);
            }
            Ok(())
        })
    })?;
    to.pad();
    to.marker(jpeg::EOI);
    Ok(to.take())
}
