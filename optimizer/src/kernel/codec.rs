//! JPEG to pixels and back, for what cannot stay a JPEG of its own coefficients.
//!
//! In: a checked file, or pixels of 8 bits, grey or RGB. Out: the other. Cost: 4 to 14 ms per megapixel each way.
//! One of two libraries does it, by the feature `turbojpeg`: libjpeg-turbo, which is C, or zune-jpeg and jpeg-encoder.
//! Segments are read and written here, so that both keep the same profile and the same EXIF data.
//! Source: `docs/adr/0011-pixel-codecs.md`; ICC.1, annex B.4, for profiles in several segments; Exif 2.32, section 4.7.2.

#[cfg(not(feature = "turbojpeg"))]
mod pure;
#[cfg(feature = "turbojpeg")]
mod turbo;

use image::DynamicImage;

pub(super) use self::library::{ARITHMETIC, BACK_END, SEPARATE_SCANS};
#[cfg(not(feature = "turbojpeg"))]
use self::pure as library;
#[cfg(feature = "turbojpeg")]
use self::turbo as library;
use super::jpeg::{self, Segments};
use super::{Header, decode::Unread};
use crate::plan::Quality;
use crate::refusal::Refusal;

const EXIF: &[u8] = b"Exif\0\0";
const ICC: &[u8] = b"ICC_PROFILE\0";
/// What a segment holds.
const SEGMENT: usize = 65_533;
/// From this quality on, colours have all their pixels: libvips's rule.
const FINE: u8 = 90;

/// What the segments of a JPEG say about its pixels.
#[derive(Default)]
pub(super) struct Said {
    pub(super) icc: Option<Vec<u8>>,
    /// A TIFF structure.
    pub(super) exif: Option<Vec<u8>>,
    /// Whether Adobe's marker is there, by which four components are CMYK the other way round. zune-jpeg always does so.
    adobe: bool,
    /// Whether there is a profile in parts that make no whole. libjpeg-turbo warns of it, and the picture is fine without.
    broken_profile: bool,
}

impl Said {
    /// Reads the segments before the first scan. A profile with a part missing is none.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut segments = Segments::new(bytes);
        let mut said = Self::default();
        let mut parts: Vec<([u8; 2], &[u8])> = Vec::new();
        loop {
            let segment = segments.next()?;
            match segment.marker {
                jpeg::SOS | jpeg::EOI => break,
                jpeg::APP1 if said.exif.is_none() => said.exif = segment.body.strip_prefix(EXIF).map(<[u8]>::to_vec),
                jpeg::APP2 => parts.extend(segment.body.strip_prefix(ICC).and_then(part)),
                jpeg::APP14 => said.adobe |= segment.body.starts_with(b"Adobe"),
                _ => {}
            }
        }
        parts.sort_by_key(|(place, _)| *place);
        let whole = parts
            .iter()
            .zip(1..)
            .all(|(([number, count], _), place)| (usize::from(*number), usize::from(*count)) == (place, parts.len()));
        said.broken_profile = !whole;
        said.icc = (whole && !parts.is_empty()).then(|| parts.iter().flat_map(|(_, part)| *part).copied().collect());
        Ok(said)
    }
}

fn part(body: &[u8]) -> Option<([u8; 2], &[u8])> {
    let (place, part) = body.split_first_chunk()?;
    Some((*place, part))
}

/// Decodes a JPEG that passed its checks, as it is stored: not turned.
pub(super) fn read(bytes: &[u8], header: &Header, said: &Said) -> Result<DynamicImage, Unread> {
    library::read(bytes, header, said)
}

/// Writes grey or RGB pixels of 8 bits, with what is said about them.
pub(super) fn write(
    pixels: &DynamicImage,
    quality: Quality,
    icc: Option<&[u8]>,
    exif: Option<&[u8]>,
) -> Result<Vec<u8>, Refusal> {
    let mut segments = Vec::new();
    // A JPEG has no room for EXIF data longer than a segment, nor for a profile of more than 255.
    if let Some(exif) = exif.filter(|exif| exif.len() + EXIF.len() <= SEGMENT) {
        segment(&mut segments, jpeg::APP1, &[EXIF, exif]);
    }
    let parts: Vec<&[u8]> = icc.unwrap_or_default().chunks(SEGMENT - ICC.len() - 2).collect();
    if let Ok(count) = u8::try_from(parts.len()) {
        for (part, number) in parts.iter().zip(1..=count) {
            segment(&mut segments, jpeg::APP2, &[ICC, &[number, count], part]);
        }
    }
    library::write(pixels, quality.get(), fine(quality), |file| with(file, &segments))
}

/// Whether a colour has a sample for each pixel at this quality.
pub(super) fn fine(quality: Quality) -> bool {
    quality.get() >= FINE
}

fn segment(to: &mut Vec<u8>, marker: u8, body: &[&[u8]]) {
    let length = body.iter().map(|part| part.len()).sum::<usize>() + 2;
    to.extend_from_slice(&[0xff, marker]);
    // Callers cut what is longer than a segment.
    to.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    for part in body {
        to.extend_from_slice(part);
    }
}

/// The file with more segments, after the one that says it is a JFIF, which comes first.
fn with(file: &[u8], segments: &[u8]) -> Vec<u8> {
    let jfif = match *file {
        [0xff, 0xd8, 0xff, jpeg::APP0, high, low, ..] => 4 + usize::from(u16::from_be_bytes([high, low])),
        _ => 2,
    };
    let (head, rest) = file.split_at_checked(jfif).unwrap_or((file, &[]));
    [head, segments, rest].concat()
}
