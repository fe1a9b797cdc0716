//! Marks a JPEG without decoding it: reads its codes, changes the blocks under the mark, keeps the rest.
//!
//! In: a file, how it is stored, a plan. Out: slices of the file and new bytes between them. Cost: about
//! 4 ms per megabyte of file whatever the picture, and 0.5 us a marked block; a transcode half as much again. Measured by
//! `examples/mark` on 7680 x 4320 pixels in 7 MB with a mark in a corner: 20 ms spliced, 33 transcoded, 53 in coarser steps,
//! 170 from ten progressive scans. `docs/guide/kernel.md` compares with others.
//! A mark over the whole picture costs three quarters of that way (ADR 7), so there is none too large for this one.
//! All arithmetic is in integers: the same bytes on every processor.
//!
//! - [`mod@file`]: what comes before the data. [`metadata`]: what of that is kept.
//! - [`mod@drive`]: the walk. [`block`]: one block in and out. [`ink`], [`dct`]: the mark on a block.
//! - [`splicer`]: the file's own tables, and the rest of its data a copy. [`transcoder`]: completed tables.
//!   [`requantiser`]: coarser steps, by [`mod@steps`].
//! - [`mod@store`]: a file of several scans, a row at a time, read by [`scans`]. [`baseline`]: written as one scan.
//! - [`pairs`], [`words`]: codes to coefficients and back, two at once.
//! - [`fresh`]: the segments of a file whose coding changes. [`annex_k`]: the usual Huffman tables.

mod annex_k;
mod baseline;
mod block;
mod codes;
mod dct;
mod drive;
mod either;
mod file;
mod fresh;
mod ink;
mod metadata;
mod pairs;
mod pieces;
mod recoder;
mod requantiser;
mod scans;
mod splicer;
mod steps;
mod store;
mod transcoder;
mod words;
mod writer;

use std::ops::Range;

use bytes::Bytes;
use image::metadata::Orientation;

use self::baseline::Baseline;
use self::block::Stop;
use self::codes::Missing;
use self::drive::{Pen, drive};
use self::either::{Done, Either};
use self::file::Sequential;
use self::ink::Ink;
use self::metadata::Coding;
use self::pieces::Pieces;
use self::requantiser::Requantiser;
use self::splicer::Splicer;
use self::store::Store;
use self::transcoder::Transcoder;
use super::jpeg::corrupt;
use super::{Face, Output, Path, Stage, Stored};
use crate::plan::{Metadata, Plan, Quality};
use crate::refusal::Refusal;

/// Draws the mark of `plan` on `input`, a JPEG that stays one and [`Stored::takes`] the mark.
///
/// # Errors
/// [`Refusal::Truncated`] and [`Refusal::Corrupt`] for a file that is not whole, or not one that decoders agree on.
pub(super) fn mark(
    input: &Bytes,
    stored: Stored,
    plan: &Plan,
    face: &Face,
    done: &mut dyn FnMut(Stage),
) -> Result<Output, Refusal> {
    if !stored.one_scan {
        return scattered(input, plan, face, done);
    }
    let file = Sequential::read(input)?;
    let orientation = metadata::orientation(&file.head);
    let ink = Ink::new(&plan.mark, face, (file.width, file.height), orientation);
    let spans = ink.as_ref().map(|ink| ink.spans(&file)).unwrap_or_default();
    let whole = Whole { input, file, orientation, ink, spans, metadata: plan.metadata };
    let quality =
        plan.quality.and_then(|asked| steps::coarser(asked, whole.file.parts.iter().map(|part| &part.quantiser)));
    let output = if let Some(quality) = quality { whole.requantised(quality) } else { whole.kept() };
    done(Stage::Splice);
    output
}

/// A file of one scan, and the mark on it.
struct Whole<'a> {
    input: &'a Bytes,
    file: Sequential<'a>,
    orientation: Orientation,
    ink: Option<Ink>,
    spans: Vec<Range<u32>>,
    metadata: Metadata,
}

impl Whole<'_> {
    /// With its own coefficients beside the mark.
    fn kept(&self) -> Result<Output, Refusal> {
        let kept = if self.spans.is_empty() || either::is_complete(&self.file) {
            self.spliced()
        } else {
            self.spliced_or_transcoded()
        };
        kept.or_else(|walk| match walk {
            // The file's own coefficients are too large, and the difference to one of the mark is more so.
            Walk::Missing => self.transcoded(),
            Walk::Refused(refusal) => Err(refusal),
        })
    }

    fn spliced(&self) -> Result<Output, Walk> {
        let mut splicer = Splicer::new(&self.file, self.head(Coding::Own));
        self.walk(&mut splicer)?;
        Ok(Output { pieces: splicer.finish().slices(self.input), path: Path::Splice })
    }

    fn spliced_or_transcoded(&self) -> Result<Output, Walk> {
        let splicer = Splicer::new(&self.file, self.head(Coding::Own));
        let transcoder = Transcoder::new(&self.file, false);
        let head = self.head(Coding::Huffman(&transcoder.tables()));
        let mut either = Either::new(self.spans.len(), splicer, transcoder);
        self.walk(&mut either)?;
        Ok(match either.finish().ok_or(Walk::Missing)? {
            Done::Spliced(pieces) => Output { pieces: pieces.slices(self.input), path: Path::Splice },
            Done::Transcoded(data) => output(head, self.input, data, Path::Transcode),
        })
    }

    /// With differences of DC coefficients beyond those of a baseline file.
    fn transcoded(&self) -> Result<Output, Refusal> {
        let mut transcoder = Transcoder::new(&self.file, true);
        let pieces = self.head(Coding::Huffman(&transcoder.tables()));
        self.walk(&mut transcoder).map_err(Walk::refusal)?;
        Ok(output(pieces, self.input, transcoder.finish(), Path::Transcode))
    }

    fn requantised(&self, quality: Quality) -> Result<Output, Refusal> {
        let mut requantiser = Requantiser::new(&self.file, quality)?;
        let pieces = self.head(Coding::Fresh(&requantiser.head(&self.file)));
        self.walk(&mut requantiser).map_err(Walk::refusal)?;
        Ok(output(pieces, self.input, requantiser.finish(), Path::Requantise))
    }

    fn head(&self, coding: Coding<'_>) -> Pieces {
        let mut pieces = Pieces::default();
        metadata::head(&self.file.head, self.metadata, self.orientation, coding, &mut pieces);
        pieces
    }

    fn walk(&self, pen: &mut impl Pen) -> Result<(), Walk> {
        let rest = drive(&self.file, self.ink.as_ref(), &self.spans, pen)?;
        Sequential::ends_after(rest).map_err(Walk::Refused)
    }
}

/// Why a walk was of no use.
enum Walk {
    Missing,
    Refused(Refusal),
}

impl From<Stop> for Walk {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Fault(fault) => Self::Refused(fault.into()),
            Stop::Missing => Self::Missing,
        }
    }
}

impl Walk {
    /// With tables that have a code for all that 8-bit samples give, nothing else is missing.
    fn refusal(self) -> Refusal {
        match self {
            Self::Missing => Missing.into(),
            Self::Refused(refusal) => refusal,
        }
    }
}

impl From<Missing> for Refusal {
    fn from(_: Missing) -> Self {
        corrupt("a coefficient is larger than samples of 8 bits give")
    }
}

/// A file of several scans.
fn scattered(input: &Bytes, plan: &Plan, face: &Face, done: &mut dyn FnMut(Stage)) -> Result<Output, Refusal> {
    let mut store = Store::read(input)?;
    let orientation = metadata::orientation(&store.head);
    let quantisers: Vec<_> = store.planes.iter().filter_map(|plane| plane.quantiser).collect();
    let planned = Sequential::planned(store.frame, &quantisers);
    let ink = Ink::new(&plan.mark, face, (planned.width, planned.height), orientation);
    let spans = ink.as_ref().map(|ink| ink.spans(&planned)).unwrap_or_default();
    let mut marked = spans.into_iter().flatten().peekable();
    let quality = plan.quality.and_then(|asked| steps::coarser(asked, quantisers.iter()));
    let steps = quality.map(|quality| steps::all(&quantisers, quality));
    let mut baseline = Baseline::new(&store.frame)?;
    for row in 0..store.rows() {
        store.read_row(row)?;
        while let (Some(ink), Some(unit)) = (&ink, marked.next_if(|unit| unit / planned.across == row)) {
            store.blend(ink, &planned, unit);
        }
        if let Some(steps) = &steps {
            store.requantise(steps);
        }
        baseline.row(row, &store.planes)?;
    }
    let (tables, data) = baseline.finish().map_err(Walk::from).map_err(Walk::refusal)?;
    let quantisers = steps.map_or(quantisers, |steps| steps.iter().map(|steps| steps.new).collect());
    let head = fresh::segments(&store.frame, &quantisers, &tables, 0);
    let mut pieces = Pieces::default();
    metadata::head(&store.head, plan.metadata, orientation, Coding::Fresh(&head), &mut pieces);
    let mut pieces = pieces.slices(input);
    pieces.extend(data);
    done(Stage::Splice);
    let path = if quality.is_some() { Path::Requantise } else { Path::Coefficients };
    Ok(Output { pieces, path })
}

fn output(head: Pieces, input: &Bytes, data: Vec<Bytes>, path: Path) -> Output {
    let mut pieces = head.slices(input);
    pieces.extend(data);
    Output { pieces, path }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;

    /// Splices, or moves the bits after the mark instead of putting zeros before end codes.
    fn marked(input: &'static [u8], query: &str, moves: bool) -> Vec<u8> {
        let kernel = Kernel::new().unwrap();
        let plan = kernel.plan(query).unwrap();
        let input = Bytes::from_static(input);
        let file = Sequential::read(&input).unwrap();
        let orientation = metadata::orientation(&file.head);
        let ink = Ink::new(&plan.mark, &kernel.face, (file.width, file.height), orientation).unwrap();
        let mut pieces = Pieces::default();
        metadata::head(&file.head, plan.metadata, orientation, Coding::Own, &mut pieces);
        let mut splicer = Splicer::new(&file, pieces);
        if moves {
            splicer.move_bits();
        }
        drive(&file, Some(&ink), &ink.spans(&file), &mut splicer).unwrap();
        splicer.finish().slices(&input).concat()
    }

    #[test]
    fn a_file_whose_bits_move_shows_the_same_as_one_whose_bits_stay() {
        let photo = include_bytes!("../../photos/life.jpg");
        let restarts = include_bytes!("../../tests/photos/restarts.jpg");
        let grey = include_bytes!("../../tests/photos/grey.jpg");
        let mut moved = 0;
        for input in [&photo[..], restarts, grey] {
            for position in ["tl", "cc", "br"] {
                let query = format!("position={position}");
                let (stay, move_) = (marked(input, &query, false), marked(input, &query, true));
                assert!(image::load_from_memory(&stay).unwrap() == image::load_from_memory(&move_).unwrap());
                moved += usize::from(stay != move_);
            }
        }
        // One in eight needs no zeros anyway, and nothing moves past a restart marker.
        assert!(moved >= 2, "{moved}");
    }
}
