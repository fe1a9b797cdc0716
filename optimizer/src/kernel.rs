//! The pure core: bytes of an image in, bytes of the same image with a mark out.
//!
//! In: the file, its [`Header`], a [`Plan`], the format to write. Out: the written file.
//! Cost: one decode, one encode; the mark itself is under 1 % of that. No clock, no I/O, no shared state: the caller
//! learns of each finished [`Stage`] and reads its own clock.
//! There is one path today, decode, draw, encode. A path that leaves most of a JPEG untouched would be chosen in
//! [`Kernel::optimize`], by the same header and plan.

mod complete;
mod decode;
mod draw;
mod encode;
mod face;
mod header;
mod huffman;
mod jpeg;
mod place;
mod webp_file;

use std::fmt;

pub use self::face::{Face, FontError, Mask};
pub use self::header::{Header, Limits};
use crate::plan::{OptionError, Plan};
use crate::refusal::Refusal;

/// Names the bytes this kernel writes: part of every `ETag`, changed whenever the same input gives other bytes.
pub const KERNEL_VERSION: &str = "decode-draw-encode-1";

/// A format read and written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JPEG, baseline or progressive, 8 bits, Huffman coded.
    Jpeg,
    /// PNG, any depth, one frame.
    Png,
    /// WebP, lossy or lossless, one frame.
    WebP,
}

impl Format {
    /// The value of a `Content-Type` header.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }

    /// The longest side the format can hold in pixels, as far as pictures within [`Limits`] go.
    pub fn longest_side(self) -> u32 {
        match self {
            Self::Jpeg | Self::Png => 65_535,
            Self::WebP => 16_383,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
        })
    }
}

/// A part of the work, told to the caller when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The input is checked and turned into pixels.
    Decode,
    /// The mark is on them.
    Draw,
    /// They are written.
    Encode,
}

/// Everything that is the same for all requests: the font.
#[derive(Clone, Debug)]
pub struct Kernel {
    face: Face,
}

impl Kernel {
    /// A kernel with the embedded font. Cost: 0.04 ms.
    ///
    /// # Errors
    /// [`FontError`] when the embedded font cannot be read, which would be a broken build.
    pub fn new() -> Result<Self, FontError> {
        Ok(Self { face: Face::embedded()? })
    }

    /// Reads the query of a request, see [`Plan::parse`].
    ///
    /// # Errors
    /// [`OptionError`] for the first option that is not legal.
    pub fn plan(&self, query: &str) -> Result<Plan, OptionError> {
        Plan::parse(query, &self.face)
    }

    /// Draws the mark of `plan` on `input` and writes the picture as `target`.
    ///
    /// `header` must be that of `input`. The picture is turned upright first, as its EXIF orientation says, and written
    /// without EXIF data; its ICC profile is kept. Memory: 3 to 8 bytes per pixel for the pixels, the same again while
    /// an orientation is applied or a pixel format converted, and the size of the output.
    ///
    /// # Errors
    /// [`Refusal::Truncated`], [`Refusal::Corrupt`] and [`Refusal::DecoderPanicked`] for input that cannot be decoded
    /// to its end, [`Refusal::TooLargeFor`] when `target` cannot hold the picture.
    pub fn optimize(
        &self,
        input: &[u8],
        header: &Header,
        plan: &Plan,
        target: Format,
        done: &mut dyn FnMut(Stage),
    ) -> Result<Vec<u8>, Refusal> {
        encode::fits(header, target)?;
        complete::check(input, header)?;
        let mut picture = decode::decode(input, header)?;
        done(Stage::Decode);
        draw::draw(&mut picture.pixels, &plan.mark, &self.face);
        done(Stage::Draw);
        let output = encode::encode(picture, header, target, plan.quality)?;
        done(Stage::Encode);
        Ok(output)
    }
}
