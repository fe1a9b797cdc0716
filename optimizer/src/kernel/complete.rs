//! Whether a file is all there: a picture whose data ends early is an error, not a grey area.
//!
//! In: a file and its header. Out: nothing, or the refusal. Cost: O(chunks) for PNG and WebP; for a JPEG one walk over
//! its entropy-coded data, about a third of the time of decoding it. The walk is worth that twice: decoders feed zeros
//! to a picture without data and call it decoded, and they do full-size work for a file of a few bytes.

use super::header::PngChunks;
use super::{Format, Header, huffman, webp_file};
use crate::refusal::Refusal;

/// Refuses `bytes` when they end before the picture does.
pub(super) fn check(bytes: &[u8], header: &Header) -> Result<(), Refusal> {
    match header.format {
        Format::Jpeg => huffman::check(bytes),
        Format::Png => {
            let mut chunks = PngChunks::new(bytes);
            while &chunks.next()?.name != b"IEND" {}
            Ok(())
        }
        Format::WebP => webp_file::check(bytes),
    }
}
