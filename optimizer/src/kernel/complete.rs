//! Whether a file is all there: a picture whose data ends early is an error, not a grey area.
//!
//! In: a file and its header. Out: nothing, or the refusal. Cost: O(chunks) for PNG and WebP; for a JPEG one walk over
//! its entropy-coded data, about a third of the time of decoding it. The walk is worth that twice: decoders feed zeros
//! to a picture without data and call it decoded, and they do full-size work for a file of a few bytes.
//! Arithmetic coding leaves zeros at the end of a scan out, so that a scan may have nearly no data and be whole: there
//! only the scans are counted, and the decoder says what it misses. So a file that was cut within its last scan and closed
//! by an end marker again is a whole one, grey below: nobody can tell it from a picture that is (T.81, section D.1.8).

use super::header::PngChunks;
use super::jpeg::{self, Frame, Segments, corrupt, truncated};
use super::stored::Coding;
use super::{Format, Header, huffman, webp_file};
use crate::refusal::Refusal;

/// Refuses `bytes` when they end before the picture does.
pub(super) fn check(bytes: &[u8], header: &Header) -> Result<(), Refusal> {
    match header.format {
        Format::Jpeg if header.stored.is_some_and(|stored| stored.coding == Coding::Arithmetic) => arithmetic(bytes),
        Format::Jpeg => huffman::check(bytes),
        Format::Png => {
            let mut chunks = PngChunks::new(bytes);
            while &chunks.next()?.name != b"IEND" {}
            Ok(())
        }
        Format::WebP => webp_file::check(bytes),
    }
}

/// Scans of an arithmetic file, each of which costs a pass over the picture whatever its data. Encoders write 6 or 10.
const MOST_SCANS: usize = 20;

/// Refuses an arithmetic JPEG without its end, without one of its components, or with scans without end.
fn arithmetic(bytes: &[u8]) -> Result<(), Refusal> {
    let mut segments = Segments::new(bytes);
    let mut frame: Option<Frame> = None;
    let mut seen = [false; 4];
    let mut scans = 0;
    loop {
        // Entropy-coded data between segments is passed over: what is stuffed is no marker.
        let segment = segments.next()?;
        match segment.marker {
            jpeg::SOS => {
                scans += 1;
                if scans > MOST_SCANS {
                    return Err(corrupt("it has more scans than an arithmetic file may have"));
                }
                let frame = frame.as_ref().ok_or_else(|| corrupt("its data comes before its dimensions"))?;
                let scan = huffman::Scan::parse(segment.body, frame)?;
                let named = scan.parts.iter().take(scan.count);
                named.filter(|_| scan.band.0 == 0).for_each(|part| seen[part.0] = true);
            }
            jpeg::EOI => {
                let all = frame.is_some_and(|frame| seen[..frame.components().len()].iter().all(|seen| *seen));
                return if all { Ok(()) } else { Err(truncated("a component of the picture is missing")) };
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
