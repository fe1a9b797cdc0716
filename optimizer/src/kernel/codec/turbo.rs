//! JPEG by libjpeg-turbo.
//!
//! In and out: as [`super`]. Cost: 4 ms per megapixel to read, 3 to write.
//! It is C: a fault of it is not caught. So what it gets has passed our own checks, its allocations are bounded by the
//! header we read, and all it warns of is an error, which its interface says by itself.
//! Its integer transform and its smooth upsampling give the same bytes with and without SIMD.

use std::borrow::Cow;

use image::{DynamicImage, GrayImage, RgbImage};
use turbojpeg::{Compressor, Decompressor, Error, Image, OutputBuf, PixelFormat, Subsamp, compressed_buf_len};

use super::Said;
use crate::kernel::decode::Unread;
use crate::kernel::jpeg::{self, Segments};
use crate::kernel::{Header, huffman};
use crate::refusal::Refusal;

/// Names the libraries that write.
pub(in crate::kernel) const BACK_END: &str = "libjpeg-turbo-3.1+image-0.25+libwebp";
/// Whether arithmetic coding is read.
pub(in crate::kernel) const ARITHMETIC: bool = true;
/// Whether a baseline file is read whose components are in scans of their own.
pub(in crate::kernel) const SEPARATE_SCANS: bool = true;

/// See [`super::read`].
pub(super) fn read(bytes: &[u8], header: &Header, said: &Said) -> Result<DynamicImage, Unread> {
    let bytes = if said.broken_profile { Cow::Owned(without_profile(bytes)?) } else { Cow::Borrowed(bytes) };
    let bytes = &*bytes;
    let mut library = Decompressor::new().map_err(unread)?;
    library.set_scan_limit(u32::try_from(huffman::MOST_SCANS).unwrap_or(u32::MAX)).map_err(unread)?;
    let seen = library.read_header(bytes).map_err(unread)?;
    let (width, height) = (header.width as usize, header.height as usize);
    if (seen.width, seen.height) != (width, height) {
        return Err(Unread::OtherSides);
    }
    let format = match seen.colorspace {
        turbojpeg::Colorspace::Gray => PixelFormat::GRAY,
        turbojpeg::Colorspace::CMYK | turbojpeg::Colorspace::YCCK => PixelFormat::CMYK,
        turbojpeg::Colorspace::RGB | turbojpeg::Colorspace::YCbCr => PixelFormat::RGB,
    };
    let pitch = width * format.size();
    let mut samples = vec![0; pitch * height];
    let image = Image { pixels: samples.as_mut_slice(), width, pitch, height, format };
    library.decompress(bytes, image).map_err(unread)?;
    if format == PixelFormat::CMYK {
        rgb(&mut samples, said.adobe);
    }
    let (width, height) = (header.width, header.height);
    let pixels = if format == PixelFormat::GRAY {
        GrayImage::from_raw(width, height, samples).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, samples).map(DynamicImage::from)
    };
    pixels.ok_or(Unread::OtherSides)
}

/// A copy of the file without the parts of its profile.
fn without_profile(bytes: &[u8]) -> Result<Vec<u8>, Unread> {
    let mut segments = Segments::new(bytes);
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend_from_slice(&bytes[..bytes.len() - segments.rest().len()]);
    loop {
        let before = segments.rest();
        let segment = segments.next().map_err(Unread::Refused)?;
        if segment.marker == jpeg::SOS {
            kept.extend_from_slice(before);
            return Ok(kept);
        }
        if segment.marker != jpeg::APP2 || !segment.body.starts_with(super::ICC) {
            kept.extend_from_slice(&before[..before.len() - segments.rest().len()]);
        }
        if segment.marker == jpeg::EOI {
            return Ok(kept);
        }
    }
}

/// CMYK to RGB in place: each ink lets through what it does not cover, and so does black.
/// Adobe's programs write what is let through, everybody else what is covered.
fn rgb(samples: &mut Vec<u8>, adobe: bool) {
    let through = if adobe { 0 } else { 255 };
    let count = samples.len() / 4;
    for pixel in 0..count {
        let Some(&[c, m, y, k]) = samples.get(4 * pixel..).and_then(<[u8]>::first_chunk) else { break };
        let Some(out) = samples.get_mut(3 * pixel..).and_then(<[u8]>::first_chunk_mut::<3>) else { break };
        *out = [c, m, y].map(|ink| {
            let product = u32::from(ink ^ through) * u32::from(k ^ through);
            u8::try_from((product + 127) / 255).unwrap_or(u8::MAX)
        });
    }
    samples.truncate(3 * count);
}

fn unread(error: Error) -> Unread {
    let Error::TurboJpegError(why) = error else { return Unread::Corrupt(error.to_string()) };
    if why.contains("remature end") || why.contains("Input file is empty") {
        Unread::Ends
    } else if why.contains("not implemented") || why.contains("Unsupported") {
        Unread::Unsupported(why)
    } else {
        Unread::Corrupt(why)
    }
}

/// See [`super::write`]: `whole` makes the file of what the library wrote.
pub(super) fn write(
    pixels: &DynamicImage,
    quality: u8,
    fine: bool,
    whole: impl Fn(&[u8]) -> Vec<u8>,
) -> Result<Vec<u8>, Refusal> {
    let failed = |error: Error| Refusal::Internal { why: error.to_string() };
    let (samples, format, sampling) = match pixels {
        DynamicImage::ImageLuma8(grey) => (grey.as_raw(), PixelFormat::GRAY, Subsamp::Gray),
        DynamicImage::ImageRgb8(rgb) if fine => (rgb.as_raw(), PixelFormat::RGB, Subsamp::None),
        DynamicImage::ImageRgb8(rgb) => (rgb.as_raw(), PixelFormat::RGB, Subsamp::Sub2x2),
        _ => return Err(Refusal::Internal { why: "a JPEG is written of grey or RGB pixels".to_owned() }),
    };
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let mut library = Compressor::new().map_err(failed)?;
    library.set_quality(i32::from(quality)).map_err(failed)?;
    library.set_subsamp(sampling).map_err(failed)?;
    // All it can come to; of it only what is written takes memory.
    let mut file = OutputBuf::allocate_owned(compressed_buf_len(width, height, sampling).map_err(failed)?);
    let image = Image { pixels: samples.as_slice(), width, pitch: width * format.size(), height, format };
    library.compress(image, &mut file).map_err(failed)?;
    Ok(whole(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_covers_what_adobe_says_it_lets_through() {
        let covered = [[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 51, 102, 51], [255, 255, 255, 255]];
        let seen = [[255, 255, 255], [0, 255, 255], [0, 0, 0], [204, 163, 122], [0, 0, 0]].concat();
        let mut plain = covered.concat();
        let mut adobe: Vec<u8> = plain.iter().map(|ink| 255 - ink).collect();
        rgb(&mut plain, false);
        rgb(&mut adobe, true);
        assert_eq!((&plain, &adobe), (&seen, &seen));
    }
}
