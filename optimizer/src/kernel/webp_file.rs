//! The chunks of a WebP file.
//!
//! In: a file. Out: its header; whether it is whole; the same file with a colour profile. Cost: O(chunks), and one copy
//! of the file to add the profile.
//! Source: RFC 9649, section 2.7; RFC 6386, section 9.1 for the lossy frame header.

use super::{Format, Header};
use crate::refusal::Refusal;

const ANIMATED: u8 = 0x02;
const ALPHA: u8 = 0x10;
const PROFILE: u8 = 0x20;
const EXIF: u8 = 0x08;

fn corrupt(why: &str) -> Refusal {
    Refusal::Corrupt { format: Format::WebP, why: why.to_owned() }
}

const TRUNCATED: Refusal = Refusal::Truncated { format: Format::WebP, at: "it ends before the length it gives" };

struct Chunk<'a> {
    name: [u8; 4],
    /// As much of the body as there is.
    body: &'a [u8],
    whole: bool,
}

/// The chunks of a file that starts with a RIFF header.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = bytes.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let ([n0, n1, n2, n3, length @ ..], after) = rest.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let body = after.get(..length).unwrap_or(after);
        // Chunks are padded to an even length.
        rest = after.get(length + length % 2..).unwrap_or_default();
        Some(Chunk { name: [*n0, *n1, *n2, *n3], body, whole: body.len() == length })
    })
}

/// Reads the sides and the coding; refuses animations.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Refusal> {
    let mut canvas = None;
    for chunk in chunks(bytes) {
        let found = match &chunk.name {
            b"VP8X" => {
                let [flags, _, _, _, w0, w1, w2, h0, h1, h2, ..] = *chunk.body else { return Err(TRUNCATED) };
                if flags & ANIMATED != 0 {
                    return Err(Refusal::Animated { format: Format::WebP });
                }
                let sides = (1 + u32::from_le_bytes([w0, w1, w2, 0]), 1 + u32::from_le_bytes([h0, h1, h2, 0]));
                canvas = Some(sides);
                continue;
            }
            b"ANIM" | b"ANMF" => return Err(Refusal::Animated { format: Format::WebP }),
            b"VP8 " => lossy(chunk.body)?,
            b"VP8L" => lossless(chunk.body)?,
            _ => continue,
        };
        if canvas.is_some_and(|canvas| canvas != found) {
            return Err(corrupt("its frame is not as large as its canvas"));
        }
        let (width, height) = found;
        return Ok(of(width, height, &chunk.name == b"VP8 "));
    }
    // A canvas without a picture is answered by its claim first, if that is beyond the limits.
    let (width, height) = canvas.ok_or(TRUNCATED)?;
    Ok(of(width, height, false))
}

fn of(width: u32, height: u32, lossy: bool) -> Header {
    Header { format: Format::WebP, width, height, lossy, quality: None, pixel: 4, stored: None }
}

fn lossy(body: &[u8]) -> Result<(u32, u32), Refusal> {
    let [tag, _, _, s0, s1, s2, w0, w1, h0, h1, ..] = *body else { return Err(TRUNCATED) };
    if tag & 1 != 0 || [s0, s1, s2] != [0x9d, 0x01, 0x2a] {
        return Err(corrupt("its frame is not a key frame"));
    }
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Ok((side(w0, w1), side(h0, h1)))
}

fn lossless(body: &[u8]) -> Result<(u32, u32), Refusal> {
    let [signature, b0, b1, b2, b3, ..] = *body else { return Err(TRUNCATED) };
    if signature != 0x2f {
        return Err(corrupt("its lossless frame has no signature"));
    }
    let bits = u32::from_le_bytes([b0, b1, b2, b3]);
    Ok(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
}

/// Refuses a file that is shorter than it says, or has no picture.
pub(super) fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let length = bytes.get(4..8).and_then(|length| <[u8; 4]>::try_from(length).ok()).ok_or(TRUNCATED)?;
    if (bytes.len() as u64) < u64::from(u32::from_le_bytes(length)) + 8 {
        return Err(TRUNCATED);
    }
    let mut picture = false;
    for chunk in chunks(bytes) {
        let is_picture = matches!(&chunk.name, b"VP8 " | b"VP8L");
        if !chunk.whole && !picture {
            return Err(TRUNCATED);
        }
        picture |= is_picture;
    }
    if picture { Ok(()) } else { Err(TRUNCATED) }
}

/// `file`, a still picture, with a colour profile and EXIF data.
pub(super) fn with_metadata(
    file: &[u8],
    icc: Option<&[u8]>,
    exif: Option<&[u8]>,
    width: u32,
    height: u32,
) -> Result<Vec<u8>, Refusal> {
    let too_long = || Refusal::Internal { why: "a WebP holds at most 4 GiB".to_owned() };
    let mut flags = if icc.is_some() { PROFILE } else { 0 } | if exif.is_some() { EXIF } else { 0 };
    let mut body = b"WEBP".to_vec();
    let mut rest = Vec::with_capacity(file.len());
    for chunk in chunks(file) {
        match &chunk.name {
            b"VP8X" => flags |= chunk.body.first().copied().unwrap_or(0) & ALPHA,
            _ => append(&mut rest, chunk.name, chunk.body).ok_or_else(too_long)?,
        }
    }
    let [w0, w1, w2, _] = width.saturating_sub(1).to_le_bytes();
    let [h0, h1, h2, _] = height.saturating_sub(1).to_le_bytes();
    append(&mut body, *b"VP8X", &[flags, 0, 0, 0, w0, w1, w2, h0, h1, h2]).ok_or_else(too_long)?;
    if let Some(icc) = icc {
        append(&mut body, *b"ICCP", icc).ok_or_else(too_long)?;
    }
    body.extend_from_slice(&rest);
    if let Some(exif) = exif {
        append(&mut body, *b"EXIF", exif).ok_or_else(too_long)?;
    }
    let mut whole = Vec::with_capacity(body.len() + 8);
    append(&mut whole, *b"RIFF", &body).ok_or_else(too_long)?;
    Ok(whole)
}

fn append(to: &mut Vec<u8>, name: [u8; 4], body: &[u8]) -> Option<()> {
    to.extend_from_slice(&name);
    to.extend_from_slice(&u32::try_from(body.len()).ok()?.to_le_bytes());
    to.extend_from_slice(body);
    if body.len() % 2 == 1 {
        to.push(0);
    }
    Some(())
}
