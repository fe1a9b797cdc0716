//! Splicing and transcoding in one walk, for a file whose tables lack symbols.
//!
//! In: a walk. Out: a splice if the tables had all that the mark needed, else a transcode. Cost: that of a transcode.
//! Whether a symbol is missing is known under the mark, most often at the end of the file. Where tables were made for a file
//! it mostly is: to splice first and to walk once more after that would cost half as much again in four files of five.

use bytes::Bytes;

use super::block::{Block, Stop};
use super::codes::{all_ac, all_dc};
use super::drive::{Coding, Pen};
use super::file::Sequential;
use super::pieces::Pieces;
use super::splicer::Splicer;
use super::transcoder::Transcoder;
use crate::kernel::huffman::{Bits, Place};

/// The pen that does both.
pub(super) struct Either<'a> {
    /// How many times the mark begins again.
    spans: usize,
    /// Gone once a symbol was missing.
    splicer: Option<Splicer<'a>>,
    /// Gone once none can be missing any more.
    transcoder: Option<Transcoder<'a>>,
}

/// What came of it.
pub(super) enum Done {
    Spliced(Pieces),
    /// The new data, with the end marker.
    Transcoded(Vec<Bytes>),
}

/// Whether the tables of `file` have a code for all that a mark may need.
pub(super) fn is_complete(file: &Sequential<'_>) -> bool {
    let dc = |number: usize| file.dc.get(number).and_then(Option::as_ref).map(|dc| &dc.codes);
    let ac = |number: usize| file.ac.get(number).and_then(Option::as_ref).map(|ac| &ac.codes);
    file.parts.iter().all(|part| {
        dc(part.dc).is_some_and(|codes| all_dc(false).all(|symbol| codes.length(symbol) > 0))
            && ac(part.ac).is_some_and(|codes| all_ac().all(|symbol| codes.length(symbol) > 0))
    })
}

impl<'a> Either<'a> {
    /// For a mark of so many `spans`, which are not none.
    pub(super) fn new(spans: usize, splicer: Splicer<'a>, transcoder: Transcoder<'a>) -> Self {
        Self { spans, splicer: Some(splicer), transcoder: Some(transcoder) }
    }

    /// After the last [`Pen::close`].
    pub(super) fn finish(self) -> Option<Done> {
        let spliced = self.splicer.map(|splicer| Done::Spliced(splicer.finish()));
        spliced.or_else(|| self.transcoder.map(|transcoder| Done::Transcoded(transcoder.finish())))
    }

    /// Lets the splicer do its part, for the last time if it lacks a symbol, and the transcoder its own.
    fn both(
        &mut self,
        splice: impl FnOnce(&mut Splicer<'a>) -> Result<(), Stop>,
        transcode: impl FnOnce(&mut Transcoder<'a>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match self.splicer.as_mut().map_or(Ok(()), splice) {
            Err(Stop::Missing) if self.transcoder.is_some() => self.splicer = None,
            done => done?,
        }
        self.transcoder.as_mut().map_or(Ok(()), transcode)
    }
}

impl Pen for Either<'_> {
    fn restart(&mut self, number: u32) {
        if let Some(splicer) = &mut self.splicer {
            splicer.restart(number);
        }
        if let Some(transcoder) = &mut self.transcoder {
            transcoder.restart(number);
        }
    }

    fn pass(&mut self, bits: &mut Bits<'_>, codings: &[Coding<'_>], units: u32, dc: &mut [i32; 3]) -> Result<(), Stop> {
        match (&mut self.transcoder, &mut self.splicer) {
            (Some(transcoder), _) => transcoder.pass(bits, codings, units, dc),
            (None, Some(splicer)) => splicer.pass(bits, codings, units, dc),
            (None, None) => Err(Stop::Missing),
        }
    }

    fn begin(&mut self, at: Place, dc: [i32; 3]) {
        if let Some(splicer) = &mut self.splicer {
            splicer.begin(at, dc);
        }
        if let Some(transcoder) = &mut self.transcoder {
            transcoder.begin(at, dc);
        }
    }

    fn block(&mut self, block: Block) -> Result<(), Stop> {
        let own = block.clone();
        self.both(|splicer| splicer.block(own), |transcoder| transcoder.block(block))
    }

    fn end(&mut self, at: Place, last: bool) -> Result<(), Stop> {
        self.both(|splicer| splicer.end(at, last), |transcoder| transcoder.end(at, last))?;
        self.spans = self.spans.saturating_sub(1);
        if self.spans == 0 && self.splicer.is_some() {
            self.transcoder = None;
        }
        Ok(())
    }

    fn close(&mut self, at: Place) {
        if let Some(splicer) = &mut self.splicer {
            splicer.close(at);
        }
        if let Some(transcoder) = &mut self.transcoder {
            transcoder.close(at);
        }
    }
}
