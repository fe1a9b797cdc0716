//! What the first bytes of a file say, read by ourselves before any decoder sees them.
//!
//! In: a file. Out: a [`Header`], or why the file is refused. Cost: O(bytes before the picture data), no allocation
//! of a size the file chooses. Decoders allocate what a header claims; so a claim is held against [`Limits`] here.

use super::jpeg::{self, Segments};
use super::stored::Stored;
use super::webp_file;
use super::{Format, jpeg::Frame};
use crate::plan::Quality;
use crate::refusal::Refusal;

/// What is read at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of a picture. Decoding takes 3 to 8 bytes for each.
    pub pixels: u64,
    /// Bytes of a file.
    pub bytes: u64,
}

impl Limits {
    /// The longest side read, whatever the number of pixels: what a JPEG can have.
    pub const SIDE: u32 = 65_535;
}

impl Default for Limits {
    /// 64 Mi pixels (a 64-megapixel phone photo is 9248 x 6944, 8K is half of that) and 64 MiB.
    fn default() -> Self {
        Self { pixels: 64 << 20, bytes: 64 << 20 }
    }
}

/// The facts about a file that are known before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub format: Format,
    /// Stored pixels across, before any EXIF orientation. Not zero.
    pub width: u32,
    /// Stored pixels down, before any EXIF orientation. Not zero.
    pub height: u32,
    /// Whether its format has already thrown detail away, so that writing it lossless would only make it larger.
    pub lossy: bool,
    /// About the quality a JPEG was written with, from its quantisation table.
    pub quality: Option<Quality>,
    /// Bytes of a decoded pixel, at most: 1 to 8.
    pub pixel: u32,
    /// How a JPEG is stored.
    pub stored: Option<Stored>,
}

impl Header {
    /// Reads the header of `bytes` and holds its claims against `limits`.
    ///
    /// # Errors
    /// A [`Refusal`] for what is no image, an image of a kind that is not read here, an animation, more pixels than
    /// the limit, or a header that is cut off or contradicts itself.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        let header = if bytes.is_empty() {
            return Err(Refusal::NoImage);
        } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            of_jpeg(bytes)?
        } else if bytes.starts_with(PNG_SIGNATURE) {
            of_png(bytes)?
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            webp_file::header(bytes)?
        } else if let Some(what) = other(bytes) {
            return Err(Refusal::Unsupported { what: what.to_owned() });
        } else {
            return Err(Refusal::NotAnImage);
        };
        let Self { format, width, height, .. } = header;
        if u64::from(width) * u64::from(height) > limits.pixels || width.max(height) > Limits::SIDE {
            return Err(Refusal::TooManyPixels { width, height, limit: limits.pixels });
        }
        if width == 0 || height == 0 {
            return Err(Refusal::Corrupt { format, why: "a side is zero".to_owned() });
        }
        Ok(header)
    }
}

pub(super) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

fn of_jpeg(bytes: &[u8]) -> Result<Header, Refusal> {
    let mut segments = Segments::new(bytes);
    let mut frame: Option<Frame> = None;
    let mut tables = [None; 4];
    let (mut jfif, mut adobe) = (false, None);
    let scan = loop {
        let segment = segments.next()?;
        match segment.marker {
            jpeg::DQT => jpeg::quantisers(segment.body, &mut tables)?,
            jpeg::SOS => break segment.body,
            jpeg::APP0 => jfif |= jpeg::is_jfif(segment.body),
            jpeg::APP14 if segment.body.starts_with(b"Adobe") => adobe = segment.body.get(11).copied(),
            jpeg::EOI => return Err(jpeg::corrupt("it has no picture")),
            marker if jpeg::is_frame(marker) => frame = Some(Frame::parse(marker, segment.body)?),
            _ => {}
        }
    };
    let frame = frame.ok_or_else(|| jpeg::corrupt("its data comes before its dimensions"))?;
    // The signs libjpeg goes by.
    let named_rgb = frame.components().iter().map(|component| component.id).eq(*b"RGB");
    let ycc = adobe.map_or(jfif || !named_rgb, |transform| transform == 1);
    let table = frame.components().first().and_then(|first| tables.get(usize::from(first.quantiser))?.as_ref());
    Ok(Header {
        format: Format::Jpeg,
        width: frame.width,
        height: frame.height,
        lossy: true,
        quality: table.map(jpeg::quality),
        pixel: if frame.components().len() == 1 { 1 } else { 3 },
        stored: Some(Stored::of(&frame, scan, ycc)?),
    })
}

fn of_png(bytes: &[u8]) -> Result<Header, Refusal> {
    let mut chunks = PngChunks::new(bytes);
    let first = chunks.next()?;
    let (b"IHDR", [w0, w1, w2, w3, h0, h1, h2, h3, depth, kind, _, _, _]) = (&first.name, first.body) else {
        return Err(Refusal::Corrupt { format: Format::Png, why: "its first chunk is not IHDR".to_owned() });
    };
    let width = u32::from_be_bytes([*w0, *w1, *w2, *w3]);
    let height = u32::from_be_bytes([*h0, *h1, *h2, *h3]);
    // With alpha, which comes later if it comes.
    let pixel = if kind & 2 == 0 { 2 } else { 4 } * if *depth == 16 { 2 } else { 1 };
    let header = Header { format: Format::Png, width, height, lossy: false, quality: None, pixel, stored: None };
    loop {
        // The claim of a file that ends right after it is still answered as a claim.
        match chunks.next() {
            Ok(chunk) if &chunk.name == b"acTL" => return Err(Refusal::Animated { format: Format::Png }),
            Ok(chunk) if &chunk.name == b"IDAT" => return Ok(header),
            Ok(_) => {}
            Err(Refusal::Truncated { .. }) => return Ok(header),
            Err(refusal) => return Err(refusal),
        }
    }
}

/// Chunks at most that are not picture data, of which there may be any number. Decoders keep something of each.
const MOST_CHUNKS: u32 = 1000;

/// The chunks of a PNG, in order.
pub(super) struct PngChunks<'a> {
    rest: &'a [u8],
    /// How many that are not picture data may still come.
    left: u32,
}

/// One chunk. Its checksum is left to the decoder.
pub(super) struct PngChunk<'a> {
    pub(super) name: [u8; 4],
    pub(super) body: &'a [u8],
}

impl<'a> PngChunks<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(PNG_SIGNATURE.len()..).unwrap_or_default(), left: MOST_CHUNKS }
    }

    /// What comes after the last chunk.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next chunk, or [`Refusal::Truncated`] when the file ends first.
    pub(super) fn next(&mut self) -> Result<PngChunk<'a>, Refusal> {
        let truncated =
            Refusal::Truncated { format: Format::Png, at: "it ends inside a chunk, or before its last one" };
        let Some((head, rest)) = self.rest.split_first_chunk::<8>() else { return Err(truncated) };
        let [l0, l1, l2, l3, name @ ..] = *head;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let (Some(body), Some(rest)) = (rest.get(..length), rest.get(length + 4..)) else { return Err(truncated) };
        self.rest = rest;
        if &name != b"IDAT" {
            let many = || Refusal::Corrupt {
                format: Format::Png,
                why: format!("it has more than {MOST_CHUNKS} chunks besides its data"),
            };
            self.left = self.left.checked_sub(1).ok_or_else(many)?;
        }
        Ok(PngChunk { name, body })
    }
}

/// The name of an image format that is recognised and not read.
fn other(bytes: &[u8]) -> Option<&'static str> {
    let brand = bytes.get(4..8).filter(|name| *name == b"ftyp").and_then(|_| bytes.get(8..12));
    let known: [(bool, &'static str); 10] = [
        (bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a"), "a GIF"),
        (bytes.starts_with(b"BM") && bytes.len() > 26, "a BMP"),
        (bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*"), "a TIFF or camera raw file"),
        (matches!(brand, Some(b"avif" | b"avis")), "an AVIF"),
        (matches!(brand, Some(b"heic" | b"heix" | b"heim" | b"heis" | b"mif1" | b"msf1")), "a HEIF"),
        (bytes.starts_with(b"\xff\x0a") || bytes.starts_with(b"\0\0\0\x0cJXL "), "a JPEG XL"),
        (bytes.starts_with(b"\0\0\0\x0cjP  ") || bytes.starts_with(b"\xff\x4f\xff\x51"), "a JPEG 2000"),
        (bytes.starts_with(b"<svg") || bytes.starts_with(b"<?xml"), "an SVG"),
        (bytes.starts_with(b"8BPS"), "a Photoshop file"),
        (bytes.starts_with(b"\0\0\x01\0"), "an ICO"),
    ];
    known.iter().find(|(is, _)| *is).map(|(_, name)| *name)
}
