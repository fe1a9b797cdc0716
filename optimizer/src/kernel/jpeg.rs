//! The segments of a JPEG: markers, frame, quantisation tables.
//!
//! In: a file. Out: its segments in order; the frame; the quality it was written with. Cost: O(segments).
//! Entropy-coded data is not a segment: `huffman` reads it and tells where it ends.
//! Source: ITU-T T.81, annex B.

use super::stored::Coding;
use super::{Format, codec};
use crate::plan::Quality;
use crate::refusal::Refusal;

pub(super) const DHT: u8 = 0xc4;
pub(super) const EOI: u8 = 0xd9;
pub(super) const SOS: u8 = 0xda;
pub(super) const DQT: u8 = 0xdb;
pub(super) const DNL: u8 = 0xdc;
pub(super) const DRI: u8 = 0xdd;
pub(super) const APP0: u8 = 0xe0;
pub(super) const APP1: u8 = 0xe1;
pub(super) const APP2: u8 = 0xe2;
pub(super) const APP14: u8 = 0xee;
pub(super) const APP15: u8 = 0xef;
pub(super) const COM: u8 = 0xfe;

/// A [`Refusal::Corrupt`] about a JPEG.
pub(super) fn corrupt(why: &str) -> Refusal {
    Refusal::Corrupt { format: Format::Jpeg, why: why.to_owned() }
}

/// A [`Refusal::Truncated`] about a JPEG.
pub(super) fn truncated(at: &'static str) -> Refusal {
    Refusal::Truncated { format: Format::Jpeg, at }
}

/// One marker and what belongs to it; the body of [`EOI`] is empty.
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    pub(super) body: &'a [u8],
}

/// Segments gone through at most. A photo has some dozens, one with a colour profile and long notes some hundreds; what is
/// kept of each costs memory, so that a file of nothing else would take many times its length.
const MOST_SEGMENTS: u32 = 4096;

/// Goes through the segments of a file.
pub(super) struct Segments<'a> {
    rest: &'a [u8],
    /// How many may still come.
    left: u32,
}

impl<'a> Segments<'a> {
    /// `bytes` starts with a start-of-image marker.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(2..).unwrap_or_default(), left: MOST_SEGMENTS }
    }

    /// What comes after the last segment: entropy-coded data, after [`SOS`].
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes on at `rest`, the end of the entropy-coded data.
    pub(super) fn resume(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    /// The next segment. Stray bytes before a marker are skipped, as all decoders do.
    pub(super) fn next(&mut self) -> Result<Segment<'a>, Refusal> {
        loop {
            let ends = || truncated("it ends before its end marker");
            let at = self.rest.iter().position(|byte| *byte == 0xff).ok_or_else(ends)?;
            let fill = self.rest[at..].iter().position(|byte| *byte != 0xff).ok_or_else(ends)?;
            let marker = self.rest[at + fill];
            let after = &self.rest[at + fill + 1..];
            self.rest = after;
            match marker {
                // Stuffing, restarts and reserved markers carry nothing.
                0x00 | 0x01 | 0xd0..=0xd8 => {}
                EOI => return Ok(Segment { marker, body: &[] }),
                _ => {
                    self.left = self.left.checked_sub(1).ok_or_else(|| corrupt("it has more than 4,096 segments"))?;
                    let (length, _) = after.split_first_chunk::<2>().ok_or_else(ends)?;
                    let length = usize::from(u16::from_be_bytes(*length));
                    if length < 2 {
                        return Err(corrupt("a segment is shorter than its own length field"));
                    }
                    let body = after.get(2..length).ok_or_else(ends)?;
                    self.rest = &after[length..];
                    return Ok(Segment { marker, body });
                }
            }
        }
    }
}

/// One component of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Horizontal sampling factor, 1..=4.
    pub(super) across: u32,
    /// Vertical sampling factor, 1..=4.
    pub(super) down: u32,
    /// Index of its quantisation table.
    pub(super) quantiser: u8,
}

/// What a start-of-frame segment says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) progressive: bool,
    pub(super) coding: Coding,
    pub(super) width: u32,
    pub(super) height: u32,
    components: [Component; 4],
    count: usize,
}

/// Whether this body of an [`APP0`] segment makes the file a JFIF, by libjpeg's rule: not if it is too short.
pub(super) fn is_jfif(body: &[u8]) -> bool {
    body.starts_with(b"JFIF\0") && body.len() >= 14
}

/// Whether this marker starts a frame, of any coding process.
pub(super) fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, DHT | 0xc8 | 0xcc)
}

impl Frame {
    /// Reads the frame of `marker`.
    pub(super) fn parse(marker: u8, body: &[u8]) -> Result<Self, Refusal> {
        let unsupported = |what: &str| Err(Refusal::Unsupported { what: format!("a JPEG with {what}") });
        match marker {
            0xc0..=0xc2 => {}
            0xc9 | 0xca if codec::ARITHMETIC => {}
            0xc3 | 0xc7 => return unsupported("lossless coding"),
            0xc5 | 0xc6 => return unsupported("hierarchical coding"),
            _ => return unsupported("arithmetic coding"),
        }
        let Some(([precision, h0, h1, w0, w1, count], listed)) = body.split_first_chunk::<6>() else {
            return Err(corrupt("its frame header is too short"));
        };
        if *precision != 8 {
            return unsupported("more than 8 bits a sample");
        }
        let height = u32::from(u16::from_be_bytes([*h0, *h1]));
        if height == 0 {
            return unsupported("its height after its data");
        }
        let count = usize::from(*count);
        if !matches!(count, 1 | 3 | 4) {
            return unsupported("neither one, three nor four components");
        }
        if listed.len() < 3 * count {
            return Err(corrupt("its frame header is too short"));
        }
        let mut components = [Component::default(); 4];
        for (component, listed) in components.iter_mut().zip(listed.chunks_exact(3)).take(count) {
            let (across, down) = (u32::from(listed[1] >> 4), u32::from(listed[1] & 15));
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(corrupt("a sampling factor is not between 1 and 4"));
            }
            *component = Component { id: listed[0], across, down, quantiser: listed[2] };
        }
        let width = u32::from(u16::from_be_bytes([*w0, *w1]));
        let (progressive, coding) = match marker {
            0xc2 => (true, Coding::Huffman),
            0xc9 => (false, Coding::Arithmetic),
            0xca => (true, Coding::Arithmetic),
            _ => (false, Coding::Huffman),
        };
        Ok(Self { progressive, coding, width, height, components, count })
    }

    pub(super) fn components(&self) -> &[Component] {
        &self.components[..self.count]
    }

    /// The largest sampling factors, across and down.
    pub(super) fn most(&self) -> (u32, u32) {
        let most = |side: fn(&Component) -> u32| self.components().iter().map(side).max().unwrap_or(1);
        (most(|c| c.across), most(|c| c.down))
    }

    /// Blocks across and down of each component, those that fill up the last units included.
    pub(super) fn blocks(&self) -> Vec<(u32, u32)> {
        let (across, down) = self.most();
        if let [_] = self.components() {
            // The blocks of a single component come one by one, whatever its factors.
            return vec![(self.width.div_ceil(8), self.height.div_ceil(8))];
        }
        let units = (self.width.div_ceil(8 * across), self.height.div_ceil(8 * down));
        self.components().iter().map(|c| (units.0 * c.across, units.1 * c.down)).collect()
    }
}

/// The number of units between two restart markers, 0 for none: the body of a DRI segment.
pub(super) fn restart_interval(body: &[u8]) -> Result<u32, Refusal> {
    let (interval, _) = body.split_first_chunk().ok_or_else(|| corrupt("its restart interval is too short"))?;
    Ok(u32::from(u16::from_be_bytes(*interval)))
}

/// Reads the quantisation tables of a DQT segment, in zigzag order.
pub(super) fn quantisers(mut body: &[u8], tables: &mut [Option<[u16; 64]>; 4]) -> Result<(), Refusal> {
    while let Some((head, rest)) = body.split_first() {
        let wide = head >> 4 != 0;
        let length = if wide { 128 } else { 64 };
        let (Some(listed), Some(slot)) = (rest.get(..length), tables.get_mut(usize::from(head & 15))) else {
            return Err(corrupt("a quantisation table is incomplete"));
        };
        let mut listed = listed.iter().copied().map(u16::from);
        let mut step = || listed.next().unwrap_or(0);
        *slot = Some(std::array::from_fn(|_| if wide { step() << 8 | step() } else { step() }));
        body = &rest[length..];
    }
    Ok(())
}

/// The quality whose luminance table in libjpeg is about `table`.
///
/// Exact to a step or two for files written with scaled standard tables, which is nearly all.
/// Source: `jpeg_quality_scaling` of libjpeg turned round; the sum of the standard table (T.81, table K.1) is 3,685.
pub(super) fn quality(table: &[u16; 64]) -> Quality {
    let sum: u32 = table.iter().copied().map(u32::from).sum();
    let percent = (u64::from(sum) * 100).div_ceil(3_685).max(1);
    let quality = if percent <= 100 { (200 - percent) / 2 } else { 5_000 / percent };
    Quality::near(u8::try_from(quality).unwrap_or(1))
}
