//! File to pixels, upright.
//!
//! In: a file that passed its checks. Out: a [`Picture`]. Cost: the decoder's; memory as [`super::Kernel::optimize`]
//! says. Decoders are other people's code fed with other people's bytes: each runs inside `catch_unwind`, and what it
//! is about to allocate is checked first, since an allocation that fails ends the process.

use std::borrow::Cow;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::{png::PngDecoder, webp::WebPDecoder};
use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder};

use super::codec::{self, Said};
use super::header::PngChunks;
use super::{Format, Header};
use crate::plan::Metadata;
use crate::refusal::Refusal;

/// Widest pixel any reader here makes: four samples of 16 bits.
const PIXEL: u64 = 8;
/// What a decoder may hold besides the pixels: colour profile, text chunks, rows.
const BESIDES: u64 = 32 << 20;

/// Pixels, and what is said about them.
pub(super) struct Picture {
    pub(super) pixels: DynamicImage,
    /// The colour profile they are meant in.
    pub(super) icc: Option<Vec<u8>>,
    /// The EXIF data to write again; it says that the picture is upright.
    pub(super) exif: Option<Vec<u8>>,
}

/// Why a decoder gave no pixels.
pub(super) enum Unread {
    /// Its data ends before its picture does.
    Ends,
    /// It is of a kind that the decoder does not know.
    Unsupported(String),
    /// It says other dimensions to the decoder than to us.
    OtherSides,
    /// It breaks the rules of its format.
    Corrupt(String),
    /// It is refused for a reason of our own.
    Refused(Refusal),
}

impl From<ImageError> for Unread {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Unsupported(what) => Self::Unsupported(what.to_string()),
            ImageError::IoError(_) => Self::Ends,
            error => Self::Corrupt(error.to_string()),
        }
    }
}

/// Decodes `bytes` and turns the picture as its EXIF orientation says.
pub(super) fn decode(bytes: &[u8], header: &Header, metadata: Metadata) -> Result<Picture, Refusal> {
    let format = header.format;
    let corrupt = |why: String| Refusal::Corrupt { format, why };
    // Nothing outlives the closure but its result, so a panic cannot leave anything half changed.
    let read = catch_unwind(AssertUnwindSafe(|| read(bytes, header, metadata)));
    read.map_err(|_| Refusal::DecoderPanicked { format })?.map_err(|unread| match unread {
        Unread::Ends => Refusal::Truncated { format, at: "its picture data ends early" },
        Unread::Unsupported(what) => Refusal::Unsupported { what: format!("this {format} ({what})") },
        Unread::OtherSides => corrupt("its decoder sees other dimensions than its header".to_owned()),
        Unread::Corrupt(why) => corrupt(why),
        Unread::Refused(refusal) => refusal,
    })
}

fn read(bytes: &[u8], header: &Header, metadata: Metadata) -> Result<Picture, Unread> {
    let mut limits = image::Limits::no_limits();
    limits.max_image_width = Some(header.width);
    limits.max_image_height = Some(header.height);
    limits.max_alloc = Some(most(header));
    match header.format {
        Format::Jpeg => {
            let mut said = Said::read(bytes).map_err(Unread::Refused)?;
            let pixels = codec::read(bytes, header, &said)?;
            // A broken EXIF block says nothing about orientation, and the picture is fine without.
            let orientation = said.exif.as_deref().and_then(Orientation::from_exif_chunk);
            let exif = said.exif.take().filter(|_| metadata == Metadata::Keep);
            Ok(upright(pixels, orientation.unwrap_or(Orientation::NoTransforms), said.icc, exif))
        }
        Format::Png => {
            let bytes = needed(bytes).map_err(Unread::Refused)?;
            picture(PngDecoder::with_limits(Cursor::new(&*bytes), limits.clone())?, header, limits, metadata)
        }
        Format::WebP => picture(WebPDecoder::new(Cursor::new(bytes))?, header, limits, metadata),
    }
}

/// The PNG without chunks that say nothing here, or itself if there are none: its decoder unpacks and keeps texts.
fn needed(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let mut chunks = PngChunks::new(bytes);
    let mut kept: Option<Vec<u8>> = None;
    loop {
        let before = chunks.rest();
        let chunk = chunks.next()?;
        // A small letter first: a decoder may do without it.
        let needed = !chunk.name[0].is_ascii_lowercase()
            || matches!(&chunk.name, b"tRNS" | b"iCCP" | b"eXIf" | b"sRGB" | b"gAMA" | b"cHRM" | b"sBIT" | b"cICP");
        match (&mut kept, needed) {
            (Some(kept), true) => kept.extend_from_slice(&before[..before.len() - chunks.rest().len()]),
            (None, false) => {
                let mut start = Vec::with_capacity(bytes.len());
                start.extend_from_slice(&bytes[..bytes.len() - before.len()]);
                kept = Some(start);
            }
            _ => {}
        }
        if &chunk.name == b"IEND" {
            return Ok(kept.map_or(Cow::Borrowed(bytes), Cow::Owned));
        }
    }
}

fn picture(
    mut decoder: impl ImageDecoder,
    header: &Header,
    limits: image::Limits,
    metadata: Metadata,
) -> Result<Picture, Unread> {
    // `DynamicImage::from_decoder` allocates `total_bytes` without asking the limits.
    if decoder.dimensions() != (header.width, header.height) || decoder.total_bytes() > most(header) {
        return Err(Unread::OtherSides);
    }
    decoder.set_limits(limits)?;
    let icc = decoder.icc_profile()?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let exif = if metadata == Metadata::Keep { decoder.exif_metadata()? } else { None };
    Ok(upright(DynamicImage::from_decoder(decoder)?, orientation, icc, exif))
}

/// The picture as the viewer sees it, and EXIF data that says so.
fn upright(
    mut pixels: DynamicImage,
    orientation: Orientation,
    icc: Option<Vec<u8>>,
    mut exif: Option<Vec<u8>>,
) -> Picture {
    pixels.apply_orientation(orientation);
    // A tag that cannot be read turns nothing here nor later.
    exif.as_mut().and_then(|exif| Orientation::remove_from_exif_chunk(exif));
    Picture { pixels, icc, exif }
}

fn most(header: &Header) -> u64 {
    u64::from(header.width) * u64::from(header.height) * PIXEL + BESIDES
}
