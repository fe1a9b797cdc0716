//! Pixels to file.
//!
//! In: a picture, the header of the file it came from, the format wanted. Out: the file.
//! Cost: the encoder's, which is most of the work for a JPEG.
//! Lossy stays lossy and lossless stays lossless: a WebP is written lossless only from a lossless input and when no
//! quality is asked for, since the pixels of a photo take ten times the bytes without loss.

use bytes::Bytes;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, GrayImage, ImageEncoder, RgbImage};

use super::decode::Picture;
use super::{Format, Header, codec, png_file, webp_file};
use crate::plan::Quality;
use crate::refusal::Refusal;

/// libwebp's scale is not libjpeg's: this is about what 85 is there.
const WEBP_QUALITY: f32 = 80.0;
/// Ground under what was transparent, in a format without transparency: paper.
const GROUND: u32 = 255;

/// Refuses a picture that `target` cannot hold, before any work is done for it.
pub(super) fn fits(header: &Header, target: Format) -> Result<(), Refusal> {
    let Header { width, height, .. } = *header;
    let side = target.longest_side();
    if width.max(height) > side {
        return Err(Refusal::TooLargeFor { format: target, side, width, height });
    }
    Ok(())
}

/// Writes `picture` as `target`, in pieces.
pub(super) fn encode(
    picture: Picture,
    header: &Header,
    target: Format,
    quality: Option<Quality>,
) -> Result<Vec<Bytes>, Refusal> {
    let Picture { pixels, icc, exif } = picture;
    let about = About { icc, exif };
    let file = match target {
        Format::Jpeg => {
            let pixels = without_alpha(pixels);
            let icc = fitting(about.icc, &pixels);
            codec::write(&pixels, jpeg_quality(header, quality), icc.as_deref(), about.exif.as_deref())?
        }
        Format::Png => {
            let icc = fitting(about.icc, &pixels);
            return png_file::write(&pixels, icc, about.exif);
        }
        Format::WebP if !header.lossy && quality.is_none() => lossless_webp(&of_8_bits(pixels), about)?,
        Format::WebP => {
            let own = header.quality.map_or(WEBP_QUALITY, |own| f32::from(own.get()).min(WEBP_QUALITY));
            lossy_webp(pixels, about, quality.map_or(own, |quality| f32::from(quality.get())))?
        }
    };
    Ok(vec![Bytes::from(file)])
}

/// The quality of a JPEG, if `asked` for one.
pub(super) fn jpeg_quality(header: &Header, asked: Option<Quality>) -> Quality {
    asked.or(header.quality).unwrap_or(Quality::DEFAULT)
}

/// Whether a WebP is written without loss, if `asked` for this quality.
pub(super) fn stays_lossless(header: &Header, asked: Option<Quality>) -> bool {
    !header.lossy && asked.is_none()
}

/// What is said about the pixels.
struct About {
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
}

fn lossless_webp(pixels: &DynamicImage, about: About) -> Result<Vec<u8>, Refusal> {
    let mut file = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut file);
    if let Some(exif) = about.exif
        && encoder.set_exif_metadata(exif).is_err()
    {
        return Err(Refusal::Internal { why: "its encoder takes no EXIF data".to_owned() });
    }
    if let Some(icc) = fitting(about.icc, pixels)
        && encoder.set_icc_profile(icc).is_err()
    {
        return Err(Refusal::Internal { why: "its encoder takes no colour profile".to_owned() });
    }
    pixels.write_with_encoder(encoder).map_err(|error| Refusal::Internal { why: error.to_string() })?;
    Ok(file)
}

fn lossy_webp(pixels: DynamicImage, about: About, quality: f32) -> Result<Vec<u8>, Refusal> {
    let (width, height) = (pixels.width(), pixels.height());
    let icc = fitting(about.icc, &pixels);
    let file = if pixels.color().has_alpha() {
        webp::Encoder::from_rgba(&pixels.into_rgba8(), width, height).encode_simple(false, quality)
    } else {
        webp::Encoder::from_rgb(&pixels.into_rgb8(), width, height).encode_simple(false, quality)
    };
    let file = file.map_err(|error| Refusal::Internal { why: format!("libwebp says {error:?}") })?;
    if icc.is_none() && about.exif.is_none() {
        return Ok(file.to_vec());
    }
    webp_file::with_metadata(&file, icc.as_deref(), about.exif.as_deref(), width, height)
}

/// The profile, if it is for pixels of this kind. A CMYK profile of a JPEG is not, once the pixels are RGB.
fn fitting(icc: Option<Vec<u8>>, pixels: &DynamicImage) -> Option<Vec<u8>> {
    let space: &[u8] = if pixels.color().has_color() { b"RGB " } else { b"GRAY" };
    icc.filter(|icc| icc.get(16..20) == Some(space))
}

fn of_8_bits(pixels: DynamicImage) -> DynamicImage {
    match pixels {
        DynamicImage::ImageLuma16(_) => pixels.into_luma8().into(),
        DynamicImage::ImageLumaA16(_) => pixels.into_luma_alpha8().into(),
        DynamicImage::ImageRgb16(_) => pixels.into_rgb8().into(),
        DynamicImage::ImageRgba16(_) => pixels.into_rgba8().into(),
        other => other,
    }
}

/// Lays what is transparent on white, in 8 bits.
fn without_alpha(pixels: DynamicImage) -> DynamicImage {
    match of_8_bits(pixels) {
        DynamicImage::ImageLumaA8(image) => {
            let flat = image.pixels().map(|pixel| laid(pixel.0[0], pixel.0[1])).collect();
            GrayImage::from_raw(image.width(), image.height(), flat).unwrap_or_default().into()
        }
        DynamicImage::ImageRgba8(image) => {
            let flat = image.pixels().flat_map(|pixel| {
                let [r, g, b, a] = pixel.0;
                [laid(r, a), laid(g, a), laid(b, a)]
            });
            RgbImage::from_raw(image.width(), image.height(), flat.collect()).unwrap_or_default().into()
        }
        other => other,
    }
}

fn laid(sample: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    let mixed = (u32::from(sample) * alpha + GROUND * (255 - alpha) + 127) / 255;
    u8::try_from(mixed).unwrap_or(u8::MAX)
}
