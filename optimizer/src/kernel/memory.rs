//! How many bytes a request may take, before any work is done for it.
//!
//! In: a header, a plan, a format. Out: a number of bytes that the work stays below. Cost: some additions.
//! `tests/memory.rs` holds it against what is really allocated.

use super::{Format, Header};
use crate::plan::{Mark, Plan, Position};

/// Look-up tables, curves of letters, the band a text is drawn in, heads of files.
const BASE: u64 = 6 << 20;
/// New data of a coefficient at most: sixteen bits of code and ten of value, and some stuffing.
const CODED: u64 = 4;
/// How much longer data may become in other Huffman codes: from one bit a symbol to sixteen.
const LONGER: u64 = 16;
/// Bytes of a block in memory: its coefficients, and a bit for each that is not zero.
const STORED: u64 = 64 * 2 + 8;
/// What a PNG decoder may unpack besides the pixels: a colour profile, texts.
const UNPACKED: u64 = 32 << 20;

/// See [`super::Kernel::memory`].
pub(super) fn most(input: u64, header: &Header, plan: &Plan, target: Format) -> u64 {
    let pixels = u64::from(header.width) * u64::from(header.height);
    let mark = Area::of(&plan.mark, header);
    let more = match header.stored {
        Some(stored) if target == Format::Jpeg && stored.takes(plan) => {
            let marked = CODED * mark.coefficients(header);
            // Each symbol of the file becomes one of sixteen bits at most; and a block that had no bit takes some.
            let written = (LONGER * input + stored.coefficients / 8 + marked).min(CODED * stored.coefficients);
            match (stored.one_scan, plan.quality) {
                // New blocks go to a buffer that doubles as it grows; or all data does.
                (true, None) => (2 * marked).max(2 * input) + marked,
                (true, Some(_)) => 2 * written,
                (false, _) => STORED * stored.coefficients / 64 + 2 * written,
            }
        }
        _ => rgb(input, pixels, header, target),
    };
    BASE + mark.mask() + more
}

fn rgb(input: u64, pixels: u64, header: &Header, target: Format) -> u64 {
    let pixel = u64::from(header.pixel);
    // Decoded and turned, or converted and with the colour of the mark.
    let held = pixels * (2 * pixel + 4);
    let decoder = match header.format {
        Format::Jpeg => input + header.stored.map_or(0, |stored| 2 * stored.coefficients),
        Format::Png => input + UNPACKED,
        Format::WebP => input + 6 * pixels,
    };
    // Noise takes as much as its samples; the buffer doubles as it grows.
    let written = match target {
        Format::Jpeg => 2 * 3 * pixels,
        Format::Png => 3 * pixel.max(3) * pixels,
        Format::WebP => 2 * 8 * pixels,
    };
    held + decoder.max(written)
}

/// Where the mark may be.
struct Area {
    /// Pixels across and down that the mark is within.
    sides: (u64, u64),
    tiled: bool,
}

impl Area {
    fn of(mark: &Mark, header: &Header) -> Self {
        let (width, height) = (u64::from(header.width), u64::from(header.height));
        if mark.position == Position::Tile {
            return Self { sides: (width, height), tiled: true };
        }
        // A letter is not wider than a line is high, and an EXIF orientation may turn the picture, whose width is the
        // measure of the text.
        let letters = mark.text.as_str().chars().count() as u64 + 1;
        let line = mark.size.pixels(header.width.max(header.height)).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a side, or 16 bits")]
        let line = line as u64 + 1;
        // Turned by any angle it stays within its diagonal.
        let long = letters * line + line;
        Self { sides: (long.min(width), long.min(height)), tiled: false }
    }

    /// Bytes of masks: drawn, cropped, turned; of a tiled one the copies too.
    fn mask(&self) -> u64 {
        let (width, height) = self.sides;
        if self.tiled { 4 * width * height } else { 3 * width * height }
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
