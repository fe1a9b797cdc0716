//! A JPEG as splicing needs it: everything before its one scan.
//!
//! In: a file whose header was read. Out: a [`Sequential`], or nothing when the file is of another kind, which is not an
//! error. Cost: O(bytes before the scan), and 0.1 ms for the look-up tables.
//! Taken: 8 bits, Huffman coded, not progressive, one scan of all components; grey or YCbCr, factors 1 and 2.

use super::block::{Ac, Dc};
use crate::kernel::Header;
use crate::kernel::huffman::{Fault, Scan, Tables};
use crate::kernel::jpeg::{self, Frame, Segments};
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
    /// Pixels under one sample, 1 or 2 each way.
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
}

impl<'a> Sequential<'a> {
    /// Reads what comes before the scan of `bytes`. `None` for a file of another kind.
    ///
    /// # Errors
    /// For segments that no way of reading the file would take.
    pub(super) fn read(bytes: &'a [u8], header: &Header) -> Result<Option<Self>, Refusal> {
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
                jpeg::EOI => return Ok(None),
                jpeg::SOS => break segment.body,
                marker if jpeg::is_frame(marker) && frame.is_some() => return Ok(None),
                marker if jpeg::is_frame(marker) => frame = Some(Frame::parse(marker, segment.body)?),
                _ => {}
            }
        };
        let Some(frame) = frame else { return Ok(None) };
        let scan = Scan::parse(scan, &frame)?;
        let count = frame.components().len();
        let in_order = scan.count == count && scan.parts.iter().take(count).map(|part| part.0).eq(0..count);
        let known = matches!(count, 1 | 3) && (frame.width, frame.height) == (header.width, header.height);
        if frame.progressive || !in_order || !known || !is_grey_or_ycc(&head, &frame) {
            return Ok(None);
        }
        let Some(parts) = parts(&frame, &scan, &quantisers) else { return Ok(None) };
        let unit = |side: fn(&Part) -> u32| parts.iter().map(side).max().unwrap_or(1) * 8;
        let across = frame.width.div_ceil(unit(|part| part.across * part.wide));
        let units = across * frame.height.div_ceil(unit(|part| part.down * part.high));
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
        };
        // Before a mask is made for a picture that cannot be there.
        if file.least_bits() > 8 * data.len() as u64 {
            return Err(Fault::Ends.into());
        }
        Ok(Some(file))
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

    /// Whether what follows the scan is the end of the picture, and not another scan or a late height.
    ///
    /// # Errors
    /// When the file ends without its end marker.
    pub(super) fn ends_after(rest: &[u8]) -> Result<bool, Refusal> {
        let mut segments = Segments::new(rest);
        segments.resume(rest);
        loop {
            match segments.next()?.marker {
                jpeg::EOI => return Ok(true),
                jpeg::SOS | jpeg::DNL => return Ok(false),
                _ => {}
            }
        }
    }
}

/// `None` for sampling that is not done here, or a table that is missing or has a zero.
fn parts(frame: &Frame, scan: &Scan, quantisers: &[Option<[u16; 64]>; 4]) -> Option<Vec<Part>> {
    let single = scan.count == 1;
    let most = |side: fn(&jpeg::Component) -> u32| frame.components().iter().map(side).max().unwrap_or(1);
    let (most_across, most_down) = (most(|c| c.across), most(|c| c.down));
    let part = |(component, (_, dc, ac)): (&jpeg::Component, &(usize, usize, usize))| {
        // The blocks of a single component come one by one, whatever its factors.
        let (across, down) = if single { (1, 1) } else { (component.across, component.down) };
        let (most_across, most_down) = if single { (1, 1) } else { (most_across, most_down) };
        let quantiser = quantisers.get(usize::from(component.quantiser)).copied().flatten()?;
        let fits = most_across <= 2 && most_down <= 2 && quantiser.iter().all(|step| *step > 0);
        let (wide, high) = (most_across / across, most_down / down);
        let reciprocals = quantiser.map(Part::reciprocal);
        fits.then_some(Part { across, down, wide, high, dc: *dc, ac: *ac, quantiser, reciprocals })
    };
    frame.components().iter().zip(&scan.parts).map(part).collect()
}

/// Whether the samples are grey or YCbCr, by the same signs as libjpeg goes by.
fn is_grey_or_ycc(head: &[Piece<'_>], frame: &Frame) -> bool {
    if frame.components().len() == 1 {
        return true;
    }
    let of = |marker: u8, name: &[u8]| head.iter().find(|piece| piece.marker == marker && piece.body.starts_with(name));
    if let Some(adobe) = of(jpeg::APP14, b"Adobe") {
        return adobe.body.get(11) == Some(&1);
    }
    of(jpeg::APP0, b"JFIF\0").is_some() || !frame.components().iter().map(|c| c.id).eq(*b"RGB")
}
