//! How many bytes a request may take, before any work is done for it.
//!
//! In: a header, a plan, a format. Out: a number of bytes that the work stays below. Cost: some additions.
//! `tests/memory.rs` holds it against what is really allocated.

use super::{Face, Format, Header, codec, draw, encode};
use crate::plan::{Mark, Plan, Position};

/// Look-up tables, curves of letters, the band a text is drawn in, heads of files.
const BASE: u64 = 6 << 20;
/// New data of a coefficient at most: sixteen bits of code and ten of value, and some stuffing.
const CODED: u64 = 4;
/// How much longer data may become in other Huffman codes: from one bit a symbol to sixteen.
const LONGER: u64 = 16;
/// Bytes of a block in memory: its coefficients, and a bit for each that is not zero.
const STORED: u64 = 64 * 2 + 8;
/// What a PNG decoder may unpack besides the pixels: a colour profile.
const UNPACKED: u64 = 32 << 20;
/// What libwebp takes for a pixel: it in two forms, and the decisions to code before they are coded, which are most for
/// noise at the finest: 24 bytes measured, 31 with noise in alpha, 5 for a photo.
const LOSSY: u64 = 28;
const LOSSY_ALPHA: u64 = 36;

/// See [`super::Kernel::memory`].
pub(super) fn most(input: u64, header: &Header, plan: &Plan, target: Format, face: &Face) -> u64 {
    let pixels = u64::from(header.width) * u64::from(header.height);
    let mark = Area::of(&plan.mark, header, face);
    let more = match header.stored {
        Some(stored) if target == Format::Jpeg && stored.takes(plan) => {
            let marked = CODED * mark.coefficients(header);
            // Each symbol of the file becomes one of sixteen bits at most; and a block that had no bit takes some.
            let written = (LONGER * input + stored.coefficients / 8 + marked).min(CODED * stored.coefficients);
            // New blocks go to a buffer that doubles as it grows; or all data does.
            let kept = (2 * marked).max(2 * input) + marked;
            match (stored.one_scan, plan.quality) {
                (true, None) => kept,
                // A file that is as coarse already is kept.
                (true, Some(_)) => kept.max(2 * written),
                // A row of units, which is 32 pixels high at most; and data that is written twice.
                (false, _) => STORED * stored.coefficients / 64 / u64::from(header.height / 32).max(1) + 2 * written,
            }
        }
        _ => rgb(input, pixels, header, plan, target),
    };
    BASE + mark.bytes + more
}

fn rgb(input: u64, pixels: u64, header: &Header, plan: &Plan, target: Format) -> u64 {
    let pixel = u64::from(header.pixel);
    // Decoded and turned, or converted and with the colour of the mark.
    let held = pixels * (2 * pixel + 4);
    let decoder = match header.format {
        Format::Jpeg => input + header.stored.map_or(0, |stored| 2 * stored.coefficients),
        // Without its texts, and a chunk in a buffer that doubles as it grows.
        Format::Png => 3 * input + UNPACKED,
        Format::WebP => input + 6 * pixels,
    };
    let written = match target {
        // The most that a library is made ready for, and a copy with the metadata.
        Format::Jpeg => 2 * pixels * if codec::fine(encode::jpeg_quality(header, plan.quality)) { 6 } else { 3 },
        // In pieces, and noise in codes of twelve bits for eight, before it is stored instead.
        Format::Png => 2 * pixel.max(3) * pixels,
        Format::WebP if encode::stays_lossless(header, plan.quality) => 2 * 8 * pixels,
        Format::WebP => pixels * if header.format == Format::Jpeg { LOSSY } else { LOSSY_ALPHA },
    };
    held + decoder.max(written)
}

/// What the mark takes.
struct Area {
    /// Pixels across and down that it is within, all of its copies.
    sides: (u64, u64),
    /// Bytes to draw it and to turn it into the stored orientation, in colours of its own.
    bytes: u64,
}

impl Area {
    fn of(mark: &Mark, header: &Header, face: &Face) -> Self {
        let (width, height) = (header.width, header.height);
        // An EXIF orientation, which is not known here, may turn the picture.
        let (upright, turned) = (draw::bounds(mark, face, width, height), draw::bounds(mark, face, height, width));
        let across = upright.sides.0.max(turned.sides.1) as u64;
        let down = upright.sides.1.max(turned.sides.0) as u64;
        let bytes = upright.bytes.max(turned.bytes) as u64 + 8 * across * down;
        let whole = (u64::from(width), u64::from(height));
        Self { sides: if mark.position == Position::Tile { whole } else { (across, down) }, bytes }
    }

    /// Coefficients that may be written again, units at the edges and after them included.
    fn coefficients(&self, header: &Header) -> u64 {
        let Some(stored) = header.stored else { return 0 };
        let pixels = u64::from(header.width) * u64::from(header.height);
        // A unit is at most 32 pixels wide and high.
        let (width, height) = (self.sides.0 + 5 * 32, self.sides.1 + 2 * 32);
        let share = (width * height).min(pixels + 32 * 32);
        (u128::from(stored.coefficients) * u128::from(share) / u128::from(pixels.max(1)))
            .try_into()
            .unwrap_or(stored.coefficients)
            .saturating_add(64 * 64)
    }
}
