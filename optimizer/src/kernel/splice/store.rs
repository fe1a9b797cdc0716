//! The coefficients of a JPEG of any number of scans, a row of units at a time.
//!
//! In: a progressive file, or one whose components are apart. Out: a [`Store`], or why the file is refused. Cost: its
//! segments are gone through first; then all scans are read at once, each a row further. So what is in memory is a row,
//! which stays in a cache near the processor, and not the picture: 0.4 MB and not 100 for 7680 x 4320 pixels.
//! Strict: what libjpeg warns of and goes on from is an error here, so that nobody sees a grey half as an answer.
//! Source: ITU-T T.81, annexes B, F and G.

use super::block::Block;
use super::file::{Piece, Sequential};
use super::ink::Ink;
use super::scans::{self, Reader};
use super::steps::Steps;
use crate::kernel::huffman::{Fault, MOST_SCANS, Scan, Tables};
use crate::kernel::jpeg::{self, Frame, Segments, corrupt, truncated};
use crate::refusal::Refusal;

/// No bit of a coefficient came yet.
pub(super) const NONE: u8 = u8::MAX;

/// The coefficients of one component, in one row of units.
pub(super) struct Plane {
    /// Blocks in a row, those that fill up the last unit included.
    pub(super) across: u32,
    /// Rows of blocks in a row of units.
    pub(super) down: u32,
    /// Blocks across and down the picture that have pixels, which are those of a scan of this component alone.
    pub(super) own: (u32, u32),
    /// Row by row, each in zigzag order.
    pub(super) blocks: Vec<[i16; 64]>,
    /// For each block a bit for each AC coefficient that is not zero.
    pub(super) nonzero: Vec<u64>,
    /// For each coefficient the lowest bit that came, or [`NONE`].
    pub(super) lowest: [u8; 64],
    /// As it was when its first scan began; in zigzag order.
    pub(super) quantiser: Option<[u16; 64]>,
}

impl Plane {
    /// How many rows of blocks in `row` have pixels.
    pub(super) fn lines(&self, row: u32) -> u32 {
        self.own.1.saturating_sub(row * self.down).min(self.down)
    }
}

/// A file that is read row by row.
pub(super) struct Store<'a> {
    /// The segments before the first scan, its header last.
    pub(super) head: Vec<Piece<'a>>,
    pub(super) frame: Frame,
    /// As many as components.
    pub(super) planes: Vec<Plane>,
    /// In the order of the file.
    scans: Vec<Reader<'a>>,
}

impl<'a> Store<'a> {
    /// Goes through the segments of `bytes` to its end marker.
    ///
    /// # Errors
    /// [`Refusal::Truncated`] and [`Refusal::Corrupt`].
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut segments = Segments::new(bytes);
        let mut head = Vec::new();
        let mut store: Option<Self> = None;
        let mut frame: Option<Frame> = None;
        let mut tables = Tables::default();
        let mut quantisers = [None; 4];
        let mut interval = 0;
        loop {
            let segment = segments.next()?;
            if store.is_none() {
                let end = bytes.len() - segments.rest().len();
                let range = end - segment.body.len() - 4..end;
                head.push(Piece { marker: segment.marker, body: segment.body, range });
            }
            match segment.marker {
                jpeg::DHT => tables.read(segment.body)?,
                jpeg::DQT => jpeg::quantisers(segment.body, &mut quantisers)?,
                jpeg::DRI => interval = jpeg::restart_interval(segment.body)?,
                jpeg::EOI => return store.ok_or_else(|| corrupt("it has no picture"))?.whole(),
                jpeg::DNL => return Err(Refusal::Unsupported { what: "a JPEG with its height after its data".into() }),
                jpeg::SOS => {
                    let frame = frame.ok_or_else(|| corrupt("its data comes before its dimensions"))?;
                    let scan = Scan::parse(segment.body, &frame)?;
                    let data = segments.rest();
                    if store.is_none() {
                        let planes = planes(&frame, &scan, data)?;
                        store = Some(Self { head: std::mem::take(&mut head), frame, planes, scans: Vec::new() });
                    }
                    let Some(store) = &mut store else { continue };
                    if store.scans.len() == MOST_SCANS {
                        return Err(corrupt("it has more than 100 scans"));
                    }
                    for (part, ..) in scan.parts.iter().take(scan.count) {
                        let quantiser = quantisers.get(usize::from(frame.components()[*part].quantiser));
                        let quantiser = quantiser.copied().flatten();
                        store.planes[*part].quantiser = store.planes[*part].quantiser.or(quantiser);
                    }
                    // Its data is passed over when the next segment is looked for.
                    store.scans.push(scans::open(&frame, &scan, &tables, interval, data, &mut store.planes)?);
                }
                marker if jpeg::is_frame(marker) => {
                    let found = Frame::parse(marker, segment.body)?;
                    if frame.replace(found).is_some() {
                        return Err(corrupt("it has two frame headers"));
                    }
                }
                _ => {}
            }
        }
    }

    /// Rows of units.
    pub(super) fn rows(&self) -> u32 {
        let down = if self.planes.len() == 1 { 1 } else { self.frame.most().1 };
        self.frame.height.div_ceil(8 * down)
    }

    /// Reads row `row`, after those before it.
    pub(super) fn read_row(&mut self, row: u32) -> Result<(), Fault> {
        for plane in &mut self.planes {
            plane.blocks.fill([0; 64]);
            plane.nonzero.fill(0);
        }
        self.scans.iter_mut().try_for_each(|scan| scan.row(row, &mut self.planes))
    }

    /// Blends the mark into the blocks of `unit` of the row that was read; `planned` is the file to be written.
    pub(super) fn blend(&mut self, ink: &Ink, planned: &Sequential<'_>, unit: u32) {
        let (column, row) = (unit % planned.across, unit / planned.across);
        for (number, (part, plane)) in planned.parts.iter().zip(&mut self.planes).enumerate() {
            for y in 0..part.down {
                for x in column * part.across..(column + 1) * part.across {
                    let at = (y * plane.across + x) as usize;
                    let (Some(own), Some(nonzero)) = (plane.blocks.get_mut(at), plane.nonzero.get_mut(at)) else {
                        continue;
                    };
                    let mut block = Block { part: number, dc: i32::from(own[0]), coefficients: *own };
                    ink.blend(planned, part, x * 8, (row * part.down + y) * 8, &mut block);
                    *own = block.coefficients;
                    own[0] = i16::try_from(block.dc).unwrap_or(0);
                    let bits = own.iter().zip(0..).map(|(value, at)| u64::from(*value != 0) << at);
                    *nonzero = bits.sum::<u64>() & !1;
                }
            }
        }
    }

    /// Rounds the coefficients of the row that was read, of each component to its `steps`.
    pub(super) fn requantise(&mut self, steps: &[Steps]) {
        for (plane, steps) in self.planes.iter_mut().zip(steps) {
            for (block, nonzero) in plane.blocks.iter_mut().zip(&mut plane.nonzero) {
                block[0] = steps.short(block[0], 0);
                if *nonzero != 0 {
                    let dc = block[0];
                    *nonzero = steps.round(block, nonzero.ilog2());
                    block[0] = dc;
                }
            }
        }
    }

    fn whole(self) -> Result<Self, Refusal> {
        if self.planes.iter().any(|plane| plane.lowest[0] == NONE) {
            return Err(truncated("a component of the picture is missing"));
        }
        let steps = |plane: &Plane| plane.quantiser.is_some_and(|steps| steps.iter().all(|step| *step > 0));
        if !self.planes.iter().all(steps) {
            return Err(corrupt("a quantisation table is missing, or has a step of zero"));
        }
        Ok(self)
    }
}

/// Planes for a row, if `data` can hold the first scan.
fn planes(frame: &Frame, first: &Scan, data: &[u8]) -> Result<Vec<Plane>, Fault> {
    let (most_across, most_down) = frame.most();
    let single = frame.components().len() == 1;
    let own = |pixels: u32, factor: u32, most: u32| {
        // The blocks of a single component come one by one, whatever its factors.
        let samples = if single { pixels } else { (pixels * factor).div_ceil(most) };
        samples.div_ceil(8)
    };
    let sides = frame.blocks();
    // A DC difference takes a bit at least.
    let blocks = |part: &usize| sides.get(*part).map_or(0, |(across, down)| u64::from(*across) * u64::from(*down));
    let parts = first.parts.iter().take(first.count).map(|(part, ..)| part);
    // Those that fill up are not in a scan of one component; a quarter of all they are at most, but for tiny pictures.
    let least: u64 = parts.map(blocks).sum::<u64>() / if first.count > 1 { 1 } else { 4 };
    if least.saturating_sub(64) > 8 * data.len() as u64 {
        return Err(Fault::Ends);
    }
    let plane = |(component, (across, _)): (&jpeg::Component, &(u32, u32))| {
        let down = if single { 1 } else { component.down };
        let count = *across as usize * down as usize;
        Plane {
            across: *across,
            down,
            own: (own(frame.width, component.across, most_across), own(frame.height, component.down, most_down)),
            blocks: vec![[0; 64]; count],
            nonzero: vec![0; count],
            lowest: [NONE; 64],
            quantiser: None,
        }
    };
    Ok(frame.components().iter().zip(&sides).map(plane).collect())
}
