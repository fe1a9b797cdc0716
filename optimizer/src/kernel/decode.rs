//! File to pixels, upright.
//!
//! In: a file that passed its checks. Out: a [`Picture`]. Cost: the decoder's; memory as [`super::Kernel::optimize`]
//! says. Decoders are other people's code fed with other people's bytes: each runs inside `catch_unwind`, and what it
//! is about to allocate is checked first, since an allocation that fails ends the process.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::{jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder};
use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageResult};

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

/// Decodes `bytes` and turns the picture as its EXIF orientation says.
pub(super) fn decode(bytes: &[u8], header: &Header, metadata: Metadata) -> Result<Picture, Refusal> {
    let format = header.format;
    let corrupt = |why: String| Refusal::Corrupt { format, why };
    // Nothing outlives the closure but its result, so a panic cannot leave anything half changed.
    let read = catch_unwind(AssertUnwindSafe(|| read(bytes, header, metadata)));
    match read.map_err(|_| Refusal::DecoderPanicked { format })? {
        Ok(Some(picture)) => Ok(picture),
        Ok(None) => Err(corrupt("its decoder sees other dimensions than its header".to_owned())),
        Err(ImageError::Unsupported(what)) => Err(Refusal::Unsupported { what: format!("this {format} ({what})") }),
        Err(ImageError::IoError(_)) => Err(Refusal::Truncated { format, at: "its picture data ends early" }),
        Err(error) => Err(corrupt(error.to_string())),
    }
}

fn read(bytes: &[u8], header: &Header, metadata: Metadata) -> ImageResult<Option<Picture>> {
    let mut limits = image::Limits::no_limits();
    limits.max_image_width = Some(header.width);
    limits.max_image_height = Some(header.height);
    limits.max_alloc = Some(most(header));
    match header.format {
        Format::Jpeg => picture(JpegDecoder::new(Cursor::new(bytes))?, header, limits, metadata),
        Format::Png => picture(PngDecoder::with_limits(Cursor::new(bytes), limits.clone())?, header, limits, metadata),
        Format::WebP => picture(WebPDecoder::new(Cursor::new(bytes))?, header, limits, metadata),
    }
}

fn picture(
    mut decoder: impl ImageDecoder,
    header: &Header,
    limits: image::Limits,
    metadata: Metadata,
) -> ImageResult<Option<Picture>> {
    // `DynamicImage::from_decoder` allocates `total_bytes` without asking the limits.
    if decoder.dimensions() != (header.width, header.height) || decoder.total_bytes() > most(header) {
        return Ok(None);
    }
    decoder.set_limits(limits)?;
    let icc = decoder.icc_profile()?;
    // A broken EXIF block says nothing about orientation, and the picture is fine without.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut exif = None;
    if metadata == Metadata::Keep {
        exif = decoder.exif_metadata()?;
        // Turned below; a tag that cannot be read turns nothing here nor later.
        exif.as_mut().and_then(|exif| Orientation::remove_from_exif_chunk(exif));
    }
    let mut pixels = DynamicImage::from_decoder(decoder)?;
    pixels.apply_orientation(orientation);
    Ok(Some(Picture { pixels, icc, exif }))
}

fn most(header: &Header) -> u64 {
    u64::from(header.width) * u64::from(header.height) * PIXEL + BESIDES
}
