//! A JPEG as splicing needs it: everything before its one scan.
//!
//! In: a file whose header says that it is of this kind. Out: a [`Sequential`]. Cost: O(bytes before the scan), and 0.1 ms
//! for the look-up tables.
//! Taken: 8 bits, Huffman coded, not progressive, one scan of all components; grey or YCbCr, factors that divide.

use super::block::{Ac, Dc};
use crate::kernel::huffman::{Fault, Scan, Tables};
use crate::kernel::jpeg::{self, Frame, Segments, corrupt};
use crate::refusal::Refusal;

/// The order in which coefficients are stored: for each, its index row by row.
#[rustfmt::skip]
pub(super) const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// One component.
pub(super) struct Part {
    /// Blocks in a unit.
    pub(super) across: u32,
    pub(super) down: u32,
    /// Pixels under one sample each way.
    pub(super) wide: u32,
    pub(super) high: u32,
    /// Numbers of its tables.
    pub(super) dc: usize,
    pub(super) ac: usize,
    /// In zigzag order; none is zero.
    pub(super) quantiser: [u16; 64],
    /// See [`Part::reciprocal`].
    pub(super) reciprocals: [u32; 64],
}

impl Part {
    /// What to multiply with, and shift right by 32, to divide by eight times `step`.
    pub(super) fn reciprocal(step: u16) -> u32 {
        (1 << 29) / u32::from(step.max(1)) + 1
    }
}

/// A segment before the scan.
#[derive(Clone, Debug)]
pub(super) struct Piece<'a> {
    pub(super) marker: u8,
    pub(super) body: &'a [u8],
    /// Where in the file it is, marker included.
    pub(super) range: std::ops::Range<usize>,
}

/// A file that can be spliced.
pub(super) struct Sequential<'a> {
    /// The segments between the start of the image and its data, the scan header last.
    pub(super) head: Vec<Piece<'a>>,
    /// The entropy-coded data and all that follows.
    pub(super) data: &'a [u8],
    /// Where that starts.
    pub(super) data_at: usize,
    /// One or three.
    pub(super) parts: Vec<Part>,
    pub(super) dc: [Option<Dc>; 4],
    pub(super) ac: [Option<Ac>; 4],
    /// Units between two restart markers; all of them when there are none.
    pub(super) interval: u32,
    /// Units in a row.
    pub(super) across: u32,
    /// Units of the picture.
    pub(super) units: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) frame: Frame,
}

impl<'a> Sequential<'a> {
    /// Reads what comes before the scan of `bytes`, whose header says that it is of this kind.
    ///
    /// # Errors
    /// For segments that no way of reading the file would take.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut segments = Segments::new(bytes);
        let mut head = Vec::new();
        let mut frame = None;
        let mut tables = Tables::default();
        let mut quantisers = [None; 4];
        let mut interval = 0;
        let scan = loop {
            let segment = segments.next()?;
            let end = bytes.len() - segments.rest().len();
            let start = end - segment.body.len() - 4;
            head.push(Piece { marker: segment.marker, body: segment.body, range: start..end });
            match segment.marker {
                jpeg::DQT => jpeg::quantisers(segment.body, &mut quantisers)?,
                jpeg::DHT => tables.read(segment.body)?,
                jpeg::DRI => interval = jpeg::restart_interval(segment.body)?,
                jpeg::EOI => return Err(corrupt("it has no picture")),
                jpeg::SOS => break segment.body,
                marker if jpeg::is_frame(marker) && frame.is_some() => return Err(corrupt("it has two frame headers")),
                marker if jpeg::is_frame(marker) => frame = Some(Frame::parse(marker, segment.body)?),
                _ => {}
            }
        };
        let frame = frame.ok_or_else(|| corrupt("its data comes before its dimensions"))?;
        let scan = Scan::parse(scan, &frame)?;
        let count = frame.components().len();
        let in_order = scan.count == count && scan.parts.iter().take(count).map(|part| part.0).eq(0..count);
        if frame.progressive || !in_order {
            return Err(corrupt("its header is another than the one that was read"));
        }
        let quantiser = |component: &jpeg::Component| {
            let table = quantisers.get(usize::from(component.quantiser)).copied().flatten();
            table.filter(|steps| steps.iter().all(|step| *step > 0))
        };
        let Some(used) = frame.components().iter().map(quantiser).collect::<Option<Vec<_>>>() else {
            return Err(corrupt("a quantisation table is missing, or has a step of zero"));
        };
        let mut parts = parts(&frame, &used);
        for (part, (_, dc, ac)) in parts.iter_mut().zip(&scan.parts) {
            (part.dc, part.ac) = (*dc, *ac);
        }
        let (across, units) = units(&frame);
        let used = |number: usize, of: fn(&Part) -> usize| parts.iter().any(|part| of(part) == number);
        let mut number = 0..;
        let dc = tables.dc.map(|table| {
            let number = number.next();
            table.filter(|_| number.is_some_and(|number| used(number, |part| part.dc))).map(Dc::new)
        });
        let mut number = 0..;
        let ac = tables.ac.map(|table| {
            let number = number.next();
            table.filter(|_| number.is_some_and(|number| used(number, |part| part.ac))).map(Ac::new)
        });
        let data = segments.rest();
        let file = Self {
            head,
            data,
            data_at: bytes.len() - data.len(),
            parts,
            dc,
            ac,
            interval: if interval == 0 { units } else { interval },
            across,
            units,
            width: frame.width,
            height: frame.height,
            frame,
        };
        // Before a mask is made for a picture that cannot be there.
        if file.least_bits() > 8 * data.len() as u64 {
            return Err(Fault::Ends.into());
        }
        Ok(file)
    }

    /// A file with such a frame that is still to be written: no data, no tables.
    pub(super) fn planned(frame: Frame, quantisers: &[[u16; 64]]) -> Self {
        let (across, units) = units(&frame);
        Self {
            head: Vec::new(),
            data: &[],
            data_at: 0,
            parts: parts(&frame, quantisers),
            dc: Default::default(),
            ac: Default::default(),
            interval: units,
            across,
            units,
            width: frame.width,
            height: frame.height,
            frame,
        }
    }

    /// The fewest bits that so many units can take.
    fn least_bits(&self) -> u64 {
        let of = |part: &Part| {
            let dc = self.dc.get(part.dc).and_then(Option::as_ref).map_or(1, |dc| dc.codes.shortest());
            let ac = self.ac.get(part.ac).and_then(Option::as_ref).map_or(1, |ac| ac.codes.shortest());
            u64::from(part.across * part.down * (dc + ac))
        };
        self.parts.iter().map(of).sum::<u64>() * u64::from(self.units)
    }

    /// Pixels across and down of a unit.
    pub(super) fn unit(&self) -> (u32, u32) {
        let side = |of: fn(&Part) -> u32| self.parts.iter().map(of).max().unwrap_or(1) * 8;
        (side(|part| part.across * part.wide), side(|part| part.down * part.high))
    }

    /// Passes over what follows the scan, up to the end marker.
    ///
    /// # Errors
    /// When the file ends without one, or has a late height. Another scan, of a picture that is already whole, is
    /// passed over as libjpeg does.
    pub(super) fn ends_after(rest: &[u8]) -> Result<(), Refusal> {
        let mut segments = Segments::new(rest);
        segments.resume(rest);
        loop {
            match segments.next()?.marker {
                jpeg::EOI => return Ok(()),
                jpeg::DNL => return Err(corrupt("its height comes after its data, and before it too")),
                _ => {}
            }
        }
    }
}

/// Units in a row, and of the picture.
fn units(frame: &Frame) -> (u32, u32) {
    let (across, down) = if frame.components().len() == 1 { (1, 1) } else { frame.most() };
    let across = frame.width.div_ceil(8 * across);
    (across, across * frame.height.div_ceil(8 * down))
}

/// The components, without numbers of tables. There is a quantiser for each.
fn parts(frame: &Frame, quantisers: &[[u16; 64]]) -> Vec<Part> {
    let single = frame.components().len() == 1;
    let (most_across, most_down) = if single { (1, 1) } else { frame.most() };
    let part = |(component, quantiser): (&jpeg::Component, &[u16; 64])| {
        // The blocks of a single component come one by one, whatever its factors.
        let (across, down) = if single { (1, 1) } else { (component.across, component.down) };
        let (wide, high) = (most_across / across, most_down / down);
        let (quantiser, reciprocals) = (*quantiser, quantiser.map(Part::reciprocal));
        Part { across, down, wide, high, dc: 0, ac: 0, quantiser, reciprocals }
    };
    frame.components().iter().zip(quantisers).map(part).collect()
}
