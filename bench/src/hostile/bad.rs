//! Files and clients that mean no good, or have had an accident.
//!
//! In: chance and good photos. Out: a [`Bad`] request, and the statuses that are an answer to it. Cost: a copy of a
//! photo at most; the bombs are made once.

use bytes::Bytes;

use super::dice::Dice;

/// A kind of hostile request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Truncated,
    Flipped,
    JpegHeaderBomb,
    PngHeaderBomb,
    WebpHeaderBomb,
    ScanBomb,
    PixelBomb,
    ProfileBomb,
    TextBomb,
    TinySegments,
    TinyChunks,
    NoImage,
    Option,
    Multipart,
    SlowBody,
    AbortedUpload,
    SilentReader,
    Garbage,
}

/// All of them.
pub(crate) const KINDS: [Kind; 18] = [
    Kind::Truncated,
    Kind::Flipped,
    Kind::JpegHeaderBomb,
    Kind::PngHeaderBomb,
    Kind::WebpHeaderBomb,
    Kind::ScanBomb,
    Kind::PixelBomb,
    Kind::ProfileBomb,
    Kind::TextBomb,
    Kind::TinySegments,
    Kind::TinyChunks,
    Kind::NoImage,
    Kind::Option,
    Kind::Multipart,
    Kind::SlowBody,
    Kind::AbortedUpload,
    Kind::SilentReader,
    Kind::Garbage,
];

impl Kind {
    /// What it is, in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated photo",
            Self::Flipped => "photo with wrong bits",
            Self::JpegHeaderBomb => "JPEG header bomb",
            Self::PngHeaderBomb => "PNG header bomb",
            Self::WebpHeaderBomb => "WebP header bomb",
            Self::ScanBomb => "progressive scan bomb",
            Self::PixelBomb => "PNG of 49 megapixels in 50 KB",
            Self::ProfileBomb => "PNG colour profile bomb",
            Self::TextBomb => "PNG text bomb",
            Self::TinySegments => "JPEG of empty segments",
            Self::TinyChunks => "PNG of empty chunks",
            Self::NoImage => "no image",
            Self::Option => "wrong option",
            Self::Multipart => "wrong multipart",
            Self::SlowBody => "slow body, then gone",
            Self::AbortedUpload => "aborted upload",
            Self::SilentReader => "answer not read",
            Self::Garbage => "no HTTP",
        }
    }

    /// Whether `status` is an answer to it; 0 stands for none. Busy is one, a fault of the program never.
    pub(crate) fn takes(self, status: u16) -> bool {
        match self {
            Self::Flipped | Self::PixelBomb | Self::ProfileBomb | Self::TextBomb => {
                matches!(status, 200 | 400..=499 | 503)
            }
            // The client is gone before there is an answer.
            Self::SlowBody | Self::AbortedUpload | Self::SilentReader => status == 0,
            // The connection may be closed without a word.
            Self::Garbage => matches!(status, 0 | 400..=499),
            _ => matches!(status, 400..=499 | 503),
        }
    }
}

/// Empty segments or chunks in a file: if something were kept of each, it would be many times the file.
const TINY: usize = 50_000;

/// Bodies that are the same every time.
#[derive(Debug)]
pub(crate) struct Bombs {
    scans: Bytes,
    pixels: Bytes,
    profile: Bytes,
    text: Bytes,
    chunks: Bytes,
}

impl Bombs {
    /// Cost: 0.1 s.
    pub(crate) fn new() -> Self {
        let zeros = deflated_zeros(64 << 20);
        let name = |text: &[u8]| [text, b"\0\0", &zeros].concat();
        // A filter byte and a sample; decoders do not mind more.
        let tiny = deflated_zeros(2);
        let with = |chunk: [u8; 4], body: &[u8]| png(1, 1, &[(chunk, body)], &tiny).into();
        Self {
            scans: scan_bomb().into(),
            // A filter byte and 7000 grey samples a row.
            pixels: png(7000, 7000, &[], &deflated_zeros(7001 * 7000)).into(),
            profile: with(*b"iCCP", &name(b"profile")),
            text: with(*b"zTXt", &name(b"Comment")),
            chunks: png(1, 1, &vec![(*b"tEXt", &[][..]); TINY], &tiny).into(),
        }
    }

    /// The body of a request of this kind, made of `photo` where that is meant.
    pub(crate) fn body(&self, kind: Kind, photo: &Bytes, dice: &mut Dice) -> Bytes {
        match kind {
            Kind::Truncated => photo.slice(..photo.len() / 20 + dice.roll(photo.len() * 9 / 10)),
            Kind::Flipped => {
                let mut file = photo.to_vec();
                for _ in 0..=dice.roll(20) {
                    let at = dice.roll(file.len());
                    if let Some(byte) = file.get_mut(at) {
                        *byte ^= 1 << dice.roll(8);
                    }
                }
                file.into()
            }
            Kind::JpegHeaderBomb => jpeg_claiming([(65_535, 65_535), (8_000, 8_000)][dice.roll(2)]).into(),
            Kind::PngHeaderBomb => {
                let side = [u32::MAX, 65_535, 8_000][dice.roll(3)];
                png(side, side, &[], &[]).into()
            }
            Kind::WebpHeaderBomb => webp_claiming([16_777_215, 8_000][dice.roll(2)]).into(),
            Kind::ScanBomb => self.scans.clone(),
            Kind::PixelBomb => self.pixels.clone(),
            Kind::ProfileBomb => self.profile.clone(),
            Kind::TextBomb => self.text.clone(),
            Kind::TinySegments => {
                let (start, rest) = photo.split_at(photo.len().min(2));
                [start, &b"\xff\xfe\0\x02".repeat(TINY), rest].concat().into()
            }
            Kind::TinyChunks => self.chunks.clone(),
            Kind::NoImage => Bytes::from_static(
                [&b""[..], b"hello", b"GIF89a\x01\0\x01\0\0\0\0", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
                    [dice.roll(4)],
            ),
            Kind::Multipart => {
                let form = [
                    b"--XX\r\nContent-Disposition: form-data; name=\"picture\"\r\n\r\n",
                    &photo[..],
                    b"\r\n--XX--\r\n",
                ];
                let form = form.concat();
                // Another field than `file`, or no end.
                form.get(..form.len() - 9 * dice.roll(2)).map(Bytes::copy_from_slice).unwrap_or_default()
            }
            Kind::Option | Kind::SlowBody | Kind::AbortedUpload | Kind::SilentReader => photo.clone(),
            Kind::Garbage => Bytes::from_static(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n"),
        }
    }
}

const SEGMENT_DQT: [u8; 3] = [0xff, 0xdb, 67];

/// A baseline JPEG whose frame claims these sides, and whose data is a few bytes.
fn jpeg_claiming((width, height): (u16, u16)) -> Vec<u8> {
    let mut file = start(0xc0, width, height);
    file.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
    file.extend([0x55; 200]);
    file.extend([0xff, 0xd9]);
    file
}

/// The start of a grey JPEG, with one table of each kind: a code of one bit for a difference of nothing, and for AC the
/// code 0 for an end of 16,384 blocks and more.
fn start(frame: u8, width: u16, height: u16) -> Vec<u8> {
    let [marker, dqt, length] = SEGMENT_DQT;
    let mut file = vec![0xff, 0xd8, marker, dqt, 0, length, 0];
    file.extend([1; 64]);
    file.extend([0xff, frame, 0, 11, 8]);
    file.extend(height.to_be_bytes());
    file.extend(width.to_be_bytes());
    file.extend([1, 1, 0x11, 0]);
    for (class, symbol) in [(0x00, 0x00), (0x10, 0xe0)] {
        file.extend([0xff, 0xc4, 0, 20, class, 1]);
        file.extend([0; 15]);
        file.push(symbol);
    }
    file
}

/// A progressive JPEG of 64 million pixels, whose every scan is a walk over a million blocks for a hundred bytes.
fn scan_bomb() -> Vec<u8> {
    const SIDE: u16 = 8_000;
    let blocks = usize::from(SIDE / 8) * usize::from(SIDE / 8);
    let mut file = start(0xc2, SIDE, SIDE);
    file.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0]);
    file.extend(vec![0; blocks / 8]);
    for scan in 0..400_u32 {
        let band = 1 + u8::try_from(scan % 63).unwrap_or(0);
        file.extend([0xff, 0xda, 0, 8, 1, 1, 0, band, band, 0]);
        // A zero for the code and fourteen bits for how many blocks more than 16,384.
        file.extend(vec![0; 2 * blocks.div_ceil(16_384)]);
    }
    file.extend([0xff, 0xd9]);
    file
}

fn webp_claiming(side: u32) -> Vec<u8> {
    let [w0, w1, w2, _] = (side - 1).to_le_bytes();
    let mut file = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0".to_vec();
    file.extend([w0, w1, w2, w0, w1, w2]);
    file
}

/// A grey PNG with `chunks` before its data.
fn png(width: u32, height: u32, chunks: &[([u8; 4], &[u8])], data: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let before = [(*b"IHDR", &header[..])];
    let after = [(*b"IDAT", data), (*b"IEND", &[][..])];
    for (name, body) in before.iter().chain(chunks).chain(&after) {
        let named = [&name[..], body].concat();
        file.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        file.extend(&named);
        file.extend(crc(&named).to_be_bytes());
    }
    file
}

/// The checksum of a PNG chunk: CRC-32, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A zlib stream of at least `count` zeros, and at most 257 more: a zero, and matches of 258 of the byte before.
/// Source: RFC 1950 and 1951, fixed codes.
fn deflated_zeros(count: usize) -> Vec<u8> {
    let matches = count.saturating_sub(1).div_ceil(258);
    let mut bits = Bits { out: vec![0x78, 0x01], held: 0, count: 0 };
    // The last block, fixed codes; then the literal 0, whose code is 00110000.
    for bit in [1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0] {
        bits.put(bit);
    }
    for _ in 0..matches {
        // Length 258 is code 285, 11000101; distance 1 is code 0, 00000.
        for bit in [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0] {
            bits.put(bit);
        }
    }
    // The end, and to a whole byte.
    for _ in 0..7 + 7 {
        bits.put(0);
    }
    let written = 1 + matches * 258;
    let sum = u32::try_from(written % 65_521).unwrap_or(0) << 16 | 1;
    bits.out.extend(sum.to_be_bytes());
    bits.out
}

struct Bits {
    out: Vec<u8>,
    held: u8,
    count: u8,
}

impl Bits {
    fn put(&mut self, bit: u8) {
        self.held |= bit << self.count;
        self.count += 1;
        if self.count == 8 {
            self.out.push(self.held);
            (self.held, self.count) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bombs_are_what_they_say_and_not_merely_broken() {
        let zeros = png(300, 200, &[], &deflated_zeros(301 * 200));
        let picture = image::load_from_memory(&zeros).unwrap();
        assert_eq!((picture.width(), picture.height()), (300, 200));
        let bombs = Bombs::new();
        for (name, body) in [("profile", &bombs.profile), ("text", &bombs.text), ("pixels", &bombs.pixels)] {
            assert!(body.len() < 1 << 20, "{name}: {}", body.len());
        }
        let tiny = png(1, 1, &[(*b"zTXt", b"Comment\0\0")], &deflated_zeros(2));
        assert_eq!(image::load_from_memory(&tiny).map(|picture| picture.width()).ok(), Some(1));
    }
}
