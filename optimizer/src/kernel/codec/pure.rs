//! JPEG without C code: zune-jpeg reads, jpeg-encoder writes.
//!
//! In and out: as [`super`]. Cost: 5 ms per megapixel to read, 6 to write.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::{DynamicImage, ImageDecoder as _};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::Said;
use crate::kernel::Header;
use crate::kernel::decode::Unread;
use crate::refusal::Refusal;

/// Names the libraries that write.
pub(in crate::kernel) const BACK_END: &str = "jpeg-encoder-0.7+image-0.25+libwebp";
/// Whether arithmetic coding is read.
pub(in crate::kernel) const ARITHMETIC: bool = false;
/// Whether a baseline file is read whose components are in scans of their own: zune-jpeg 0.5.15 returns a black picture,
/// without an error.
pub(in crate::kernel) const SEPARATE_SCANS: bool = false;

/// See [`super::read`].
pub(super) fn read(bytes: &[u8], header: &Header, _: &Said) -> Result<DynamicImage, Unread> {
    let decoder = JpegDecoder::new(Cursor::new(bytes))?;
    // `DynamicImage::from_decoder` allocates `total_bytes` without asking limits.
    if decoder.dimensions() != (header.width, header.height) {
        return Err(Unread::OtherSides);
    }
    Ok(DynamicImage::from_decoder(decoder)?)
}

/// See [`super::write`]: `whole` makes the file of what the library wrote.
pub(super) fn write(
    pixels: &DynamicImage,
    quality: u8,
    fine: bool,
    whole: impl Fn(&[u8]) -> Vec<u8>,
) -> Result<Vec<u8>, Refusal> {
    let failed = |why: String| Refusal::Internal { why };
    let (samples, color) = match pixels {
        DynamicImage::ImageLuma8(grey) => (grey.as_raw(), ColorType::Luma),
        DynamicImage::ImageRgb8(rgb) => (rgb.as_raw(), ColorType::Rgb),
        _ => return Err(failed("a JPEG is written of grey or RGB pixels".to_owned())),
    };
    let (Ok(width), Ok(height)) = (u16::try_from(pixels.width()), u16::try_from(pixels.height())) else {
        return Err(failed("a JPEG has at most 65,535 pixels across and down".to_owned()));
    };
    // Room for a pixel's worth at the finest, so that it never moves; of it only what is written takes memory.
    let mut file = Vec::with_capacity(samples.len() * if fine { 2 } else { 1 });
    let mut library = Encoder::new(&mut file, quality);
    library.set_sampling_factor(if fine { SamplingFactor::R_4_4_4 } else { SamplingFactor::R_4_2_0 });
    library.encode(samples, width, height, color).map_err(|error| failed(error.to_string()))?;
    Ok(whole(&file))
}
