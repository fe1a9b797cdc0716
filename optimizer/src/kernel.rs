//! The pure core: bytes of an image in, bytes of the same image with a mark out.
//!
//! In: the file, its [`Header`], a [`Plan`], the format to write. Out: the written file.
//! No clock, no I/O, no shared state but the marks drawn lately, which change no byte: the caller learns of each finished
//! [`Stage`] and reads its own clock.
//!
//! There are five ways, see [`Path`]. Most JPEGs are spliced: about 4 ms per megabyte, since only what is under the mark is
//! decoded. A progressive one has its coefficients put together row by row, and one that is to have a lower quality gets
//! its coefficients rounded on the way: 35 and 10 ms per megabyte. Everything else is decoded, drawn on and encoded, which
//! costs what the codecs cost. [`Kernel::optimize`] chooses, by the header and the plan alone.

mod codec;
mod complete;
mod decode;
mod draw;
mod encode;
mod face;
mod header;
mod huffman;
mod jpeg;
mod logo;
mod memory;
mod place;
mod png_file;
mod splice;
mod stamp;
mod stored;
mod webp_file;

use std::fmt;

use bytes::Bytes;

pub use self::face::{Face, FontError};
pub use self::header::{Header, Limits};
pub use self::logo::{Logo, LogoError, Logos};
pub use self::stamp::kept::Counts;
pub use self::stored::{Coding, Stored};
use crate::plan::{OptionError, Plan};
use crate::refusal::Refusal;

/// Names the bytes this kernel writes: part of every `ETag`, changed whenever the same input gives other bytes.
pub const KERNEL_VERSION: &str = "codecs-3";

/// Names the decoders and encoders of [`Path::Rgb`]: part of every `ETag` too, since other ones write other bytes.
pub const CODEC_BACK_END: &str = codec::BACK_END;

/// A format read and written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JPEG, baseline or progressive, 8 bits, Huffman coded; with libjpeg-turbo arithmetic coded too.
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

/// How a picture came to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A JPEG with new data under the mark, and a copy of its own everywhere else.
    Splice,
    /// A JPEG with new data under the mark, and its own everywhere else in other Huffman codes: the same pixels.
    Transcode,
    /// A JPEG whose coefficients were put together row by row, changed under the mark only: the same pixels in one baseline scan.
    /// For progressive files and others of several scans.
    Coefficients,
    /// A JPEG whose coefficients were rounded to the coarser steps of the quality asked for, without becoming pixels.
    Requantise,
    /// Decoded, drawn on, encoded.
    Rgb,
}

impl Path {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Splice, Self::Transcode, Self::Coefficients, Self::Requantise, Self::Rgb];

    /// One lowercase word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Splice => "splice",
            Self::Transcode => "transcode",
            Self::Coefficients => "coefficients",
            Self::Requantise => "requantise",
            Self::Rgb => "rgb",
        }
    }
}

/// A written picture.
#[derive(Clone, Debug)]
pub struct Output {
    /// The file, in pieces; some may be slices of the input.
    pub pieces: Vec<Bytes>,
    /// How it was made.
    pub path: Path,
}

impl Output {
    /// Bytes of the file.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether there are none, which never happens.
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }

    /// The file in one piece. Cost: a copy.
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces.concat()
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
    /// All of it in one walk over the input: every path but [`Path::Rgb`].
    Splice,
}

/// Everything that is the same for all requests: the font, the logos, and the marks drawn lately.
#[derive(Clone, Debug)]
pub struct Kernel {
    face: Face,
    logos: Logos,
}

impl Kernel {
    /// A kernel with the embedded font and no logos. Cost: 0.04 ms.
    ///
    /// # Errors
    /// [`FontError`] when the embedded font cannot be read, which would be a broken build.
    pub fn new() -> Result<Self, FontError> {
        Self::with_logos(Logos::default())
    }

    /// A kernel with the embedded font and these logos.
    ///
    /// # Errors
    /// As [`Kernel::new`].
    pub fn with_logos(logos: Logos) -> Result<Self, FontError> {
        Ok(Self { face: Face::embedded(Face::KEPT)?, logos })
    }

    /// How often a mark was still there from a request before, and what those that are there take: at most
    /// [`Face::KEPT`] bytes.
    pub fn kept_marks(&self) -> Counts {
        self.face.counts()
    }

    /// Reads the query of a request, see [`Plan::parse`].
    ///
    /// # Errors
    /// [`OptionError`] for the first option that is not legal.
    pub fn plan(&self, query: &str) -> Result<Plan, OptionError> {
        Plan::parse(query, &self.face, &self.logos)
    }

    /// The most bytes that [`Kernel::optimize`] holds at once for such an input: what it makes on the way, and its output
    /// until the caller drops it; not the input itself. For a JPEG that is spliced that is less than the input when the
    /// mark is small; for pixels 3 to 8 bytes each, a few times. A bound for what is admitted, not an estimate: a usual
    /// picture takes a half to a fifth of it.
    ///
    /// `header` must be that of the input, which has `input_bytes` bytes. Cost: the layout of the text.
    pub fn memory(&self, input_bytes: u64, header: &Header, plan: &Plan, target: Format) -> u64 {
        memory::most(input_bytes, header, plan, target, &self.face)
    }

    /// Draws the mark of `plan` on `input` and writes the picture as `target`.
    ///
    /// `header` must be that of `input`. The ICC profile is kept; of other metadata what the plan says, and never a
    /// GPS position by default. A JPEG that stays one without becoming pixels keeps its EXIF orientation; any other
    /// picture is turned upright first. Memory: the new bytes for a splice, the size of the file for a transcode, for
    /// coarser steps and for one of several scans; else 3 to 8 bytes per pixel, the
    /// same again while an orientation is applied or a pixel format converted, and the size of the output. See
    /// [`Kernel::memory`].
    ///
    /// A quality asked of a JPEG that stays one never makes its steps finer than they are: what its first encoder
    /// rounded away does not come back, and finer steps would take bytes for nothing. Its chroma keeps its sampling.
    ///
    /// # Errors
    /// [`Refusal::Truncated`], [`Refusal::Corrupt`] and [`Refusal::DecoderPanicked`] for input that cannot be decoded
    /// to its end, [`Refusal::TooLargeFor`] when `target` cannot hold the picture.
    pub fn optimize(
        &self,
        input: &Bytes,
        header: &Header,
        plan: &Plan,
        target: Format,
        done: &mut dyn FnMut(Stage),
    ) -> Result<Output, Refusal> {
        encode::fits(header, target)?;
        if header.format == Format::Jpeg
            && target == Format::Jpeg
            && let Some(stored) = header.stored.filter(|stored| stored.takes(plan))
        {
            return splice::mark(input, stored, plan, &self.face, done);
        }
        complete::check(input, header)?;
        let mut picture = decode::decode(input, header, plan.metadata)?;
        done(Stage::Decode);
        draw::draw(&mut picture.pixels, &plan.mark, &self.face);
        done(Stage::Draw);
        let output = encode::encode(picture, header, target, plan.quality)?;
        done(Stage::Encode);
        Ok(Output { pieces: output, path: Path::Rgb })
    }
}
