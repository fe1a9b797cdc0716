//! The mark in the coordinates and the colour space of the stored picture.
//!
//! In: a mark, the picture's sides and orientation. Out: which units it touches, and blocks with it blended in.
//! Cost: one pass over the mask, then 0.5 us a touched block.
//! The mask is turned into the stored orientation, instead of the picture into the viewer's. Luma is mixed by the mask,
//! chroma by the mask averaged over the pixels a sample stands for. A block takes the difference that the mark makes:
//! its coefficients change by the transform of that, so that what the mark leaves alone does not change at all.

use std::ops::Range;

use image::metadata::Orientation;

use super::block::Block;
use super::dct;
use super::file::{Part, Sequential, ZIGZAG};
use crate::kernel::{Face, Mask, draw};
use crate::plan::{Color, Mark};

/// Coverage times opacity: both 0..=255.
const FULL: u32 = 255 * 255;
/// Units left alone between two touched ones that are not worth a piece of their own.
const GAP: u32 = 4;
/// Largest coefficient of 8-bit samples.
const MOST: i32 = 1023;

/// A mark on a stored picture.
pub(super) struct Ink {
    mask: Mask,
    /// Its upper left corner; it lies within the picture.
    left: usize,
    top: usize,
    opacity: u32,
    /// Y, Cb, Cr; the first is what a grey picture uses.
    color: [u8; 3],
}

impl Ink {
    /// The mark for a picture stored with these sides, that a viewer turns by `orientation`. `None` when there is
    /// nothing to see of it.
    pub(super) fn new(mark: &Mark, face: &Face, sides: (u32, u32), orientation: Orientation) -> Option<Self> {
        if mark.opacity.of_255() == 0 {
            return None;
        }
        let turned = orientation.to_exif() > 4;
        let (width, height) = if turned { (sides.1, sides.0) } else { sides };
        let upright = (width as usize, height as usize);
        let (mask, places) = draw::placed(mark, face, width, height);
        let (x, y, mask) = match &places[..] {
            [(x, y)] => (usize::try_from(*x).unwrap_or(0), usize::try_from(*y).unwrap_or(0), mask),
            places => (0, 0, tiled(&mask, places, upright)),
        };
        let corners = [(x, y), (x + mask.width - 1, y + mask.height - 1)].map(|at| stored(orientation, at, upright));
        let [left, top] = [corners[0].0.min(corners[1].0), corners[0].1.min(corners[1].1)];
        let mask = turn(mask, orientation);
        Some(Self { mask, left, top, opacity: u32::from(mark.opacity.of_255()), color: ycc(mark.color) })
    }

    /// The units to write again, in order: those with ink, the one after each (its DC difference changes), and short
    /// gaps between. None goes over a restart marker.
    pub(super) fn spans(&self, file: &Sequential<'_>) -> Vec<Range<u32>> {
        let (wide, high) = (file.unit().0 as usize, file.unit().1 as usize);
        let mut spans: Vec<Range<u32>> = Vec::new();
        for row in self.top / high..(self.top + self.mask.height).div_ceil(high) {
            for column in self.left / wide..(self.left + self.mask.width).div_ceil(wide) {
                if !self.touches(column * wide, row * high, wide, high) {
                    continue;
                }
                let unit = row * file.across as usize + column;
                let Some(unit) = u32::try_from(unit).ok().filter(|unit| *unit < file.units) else { continue };
                let interval_end =
                    (unit / file.interval).saturating_add(1).saturating_mul(file.interval).min(file.units);
                let end = (unit + 2).min(interval_end);
                match spans.last_mut() {
                    Some(last)
                        if unit <= last.end.saturating_add(GAP)
                            && (last.start / file.interval == unit / file.interval) =>
                    {
                        last.end = end;
                    }
                    _ => spans.push(unit..end),
                }
            }
        }
        spans
    }

    fn touches(&self, x: usize, y: usize, wide: usize, high: usize) -> bool {
        (y..y + high).filter_map(|y| self.row(y)).any(|row| {
            let end = (x + wide).saturating_sub(self.left).min(row.len());
            row.get(x.saturating_sub(self.left)..end).is_some_and(|part| part.iter().any(|cover| *cover > 0))
        })
    }

    /// The row of the mask at `y` of the picture.
    fn row(&self, y: usize) -> Option<&[u8]> {
        let row = y.checked_sub(self.top)?;
        self.mask.coverage.get(row * self.mask.width..(row + 1) * self.mask.width)
    }

    /// The mask under each sample of a block, summed over the pixels the sample stands for. `None` for a block without
    /// any.
    fn covers(&self, file: &Sequential<'_>, part: &Part, x: usize, y: usize) -> Option<[u32; 64]> {
        let (wide, high) = (part.wide as usize, part.high as usize);
        let (most_x, most_y) = (file.width as usize - 1, file.height as usize - 1);
        let (first, end) = (x * wide, (x + 8) * wide);
        let within = first >= self.left && end <= most_x + 1;
        let mut covers = [0; 64];
        let mut any = 0;
        for line in 0..8 * high {
            // Beyond the edge the picture goes on as it ends, and so does the mark: a step there would cost bits.
            let Some(row) = self.row((y * high + line).min(most_y)) else { continue };
            let sums = &mut covers.as_chunks_mut::<8>().0[line / high];
            if within && let Some(row) = row.get(first - self.left..end - self.left) {
                for (sum, pixels) in sums.iter_mut().zip(row.chunks_exact(wide)) {
                    let cover = pixels.iter().copied().map(u32::from).sum::<u32>();
                    *sum += cover;
                    any |= cover;
                }
                continue;
            }
            for (at, sum) in sums.iter_mut().enumerate() {
                for pixel in 0..wide {
                    let x = ((x + at) * wide + pixel).min(most_x).wrapping_sub(self.left);
                    let cover = u32::from(row.get(x).copied().unwrap_or(0));
                    *sum += cover;
                    any |= cover;
                }
            }
        }
        (any > 0).then_some(covers)
    }

    /// Blends the mark into the block whose first sample is at `(x, y)` of its component.
    pub(super) fn blend(&self, file: &Sequential<'_>, part: &Part, x: u32, y: u32, block: &mut Block) {
        let Some(covers) = self.covers(file, part, x as usize, y as usize) else { return };
        let ink = u32::from(self.color.get(block.part).copied().unwrap_or(0));
        // Turns a sum of coverage into 65,536ths of the sample, after a shift by as much.
        let scale = (u64::from(self.opacity) << 32) / u64::from(FULL * part.wide * part.high);

        let mut coefficients = [0; 64];
        for ((value, step), at) in block.coefficients.iter().zip(&part.quantiser).zip(ZIGZAG) {
            coefficients[usize::from(at)] = i32::from(*value) * i32::from(*step);
        }
        coefficients[0] = block.dc.wrapping_mul(i32::from(part.quantiser[0]));
        let mut change = dct::inverse(&coefficients);
        for (sample, cover) in change.iter_mut().zip(covers) {
            // At most 65,536, and that for full cover at full opacity.
            let share = u32::try_from((u64::from(cover) * scale + (1 << 15)) >> 16).unwrap_or(0);
            let below = sample.wrapping_add(128);
            let shown = below.clamp(0, 255).unsigned_abs();
            let mixed = (shown * ((1 << 16) - share) + ink * share + (1 << 15)) >> 16;
            let difference = mixed.cast_signed().wrapping_sub(below).clamp(-512, 511);
            // What a decoder cuts off beside the mark is not for the mark to change.
            *sample = if cover == 0 { 0 } else { difference };
        }
        let change = dct::forward(&change);
        for (((value, step), reciprocal), at) in
            block.coefficients.iter_mut().zip(&part.quantiser).zip(&part.reciprocals).zip(ZIGZAG).skip(1)
        {
            let wanted = i32::from(*value) + quantised(change[usize::from(at)], *step, *reciprocal);
            *value = i16::try_from(wanted.clamp(-MOST, MOST)).unwrap_or(0);
        }
        let step = quantised(change[0], part.quantiser[0], part.reciprocals[0]);
        block.dc = block.dc.wrapping_add(step).clamp(-MOST - 1, MOST);
    }
}

/// A coefficient of the forward transform in steps of the quantiser, to the nearest.
#[inline]
fn quantised(coefficient: i32, step: u16, reciprocal: u32) -> i32 {
    let raised = u64::from(coefficient.unsigned_abs()) + 4 * u64::from(step);
    // At most 2^28: `reciprocal` is below 2^30, and `raised` below 2^32 whatever the file says.
    let steps = i32::try_from((raised * u64::from(reciprocal)) >> 32).unwrap_or(0);
    if coefficient < 0 { -steps } else { steps }
}

/// Where the pixel of an upright picture with sides `(width, height)` is stored.
fn stored(orientation: Orientation, (x, y): (usize, usize), (width, height): (usize, usize)) -> (usize, usize) {
    let (right, bottom) = (width - 1 - x, height - 1 - y);
    match orientation {
        Orientation::NoTransforms => (x, y),
        Orientation::FlipHorizontal => (right, y),
        Orientation::Rotate180 => (right, bottom),
        Orientation::FlipVertical => (x, bottom),
        Orientation::Rotate90FlipH => (y, x),
        Orientation::Rotate90 => (y, right),
        Orientation::Rotate270FlipH => (bottom, right),
        Orientation::Rotate270 => (bottom, x),
    }
}

/// All copies of a tiled mark in one mask as large as the picture. One byte per pixel, which is an eighth of what the
/// long way takes.
fn tiled(mask: &Mask, places: &[(isize, isize)], (width, height): (usize, usize)) -> Mask {
    let mut coverage = vec![0; width * height];
    for (x, y) in places {
        // What lies left of the picture or above it is skipped.
        let skip = |at: isize| usize::try_from(-at).unwrap_or(0);
        let (left, top) = (usize::try_from(*x).unwrap_or(0), usize::try_from(*y).unwrap_or(0));
        let rows = coverage.chunks_exact_mut(width).skip(top);
        for (row, covers) in rows.zip(mask.coverage.chunks_exact(mask.width).skip(skip(*y))) {
            for (cover, own) in row.iter_mut().skip(left).zip(covers.iter().skip(skip(*x))) {
                *cover = (*cover).max(*own);
            }
        }
    }
    Mask { width, height, coverage }
}

/// The mask as it is stored.
fn turn(mask: Mask, orientation: Orientation) -> Mask {
    if orientation == Orientation::NoTransforms {
        return mask;
    }
    let turned = orientation.to_exif() > 4;
    let (width, height) = if turned { (mask.height, mask.width) } else { (mask.width, mask.height) };
    let mut coverage = vec![0; width * height];
    for (y, row) in mask.coverage.chunks_exact(mask.width).enumerate() {
        for (x, cover) in row.iter().enumerate() {
            let (x, y) = stored(orientation, (x, y), (mask.width, mask.height));
            coverage[y * width + x] = *cover;
        }
    }
    Mask { width, height, coverage }
}

/// A colour as JFIF means it, in 65,536ths.
fn ycc(Color(rgb): Color) -> [u8; 3] {
    let [r, g, b] = rgb.map(i32::from);
    let [y, cb, cr] = [
        19_595 * r + 38_470 * g + 7_471 * b,
        -11_059 * r - 21_709 * g + 32_768 * b + (128 << 16),
        32_768 * r - 27_439 * g - 5_329 * b + (128 << 16),
    ];
    [y, cb, cr].map(|sum| u8::try_from((sum + (1 << 15)) >> 16).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_division_by_multiplication_is_one_for_every_step_of_eight_bits() {
        for step in 1..=255_u16 {
            for coefficient in (-70_000_i32..70_000).step_by(7) {
                let exact = (coefficient.abs() + i32::from(step) * 4) / (i32::from(step) * 8) * coefficient.signum();
                assert_eq!(quantised(coefficient, step, Part::reciprocal(step)), exact, "{coefficient} by {step}");
            }
        }
    }

    #[test]
    fn colours_are_those_of_jfif() {
        for (rgb, expected) in [
            ([255; 3], [255, 128, 128]),
            ([0; 3], [0, 128, 128]),
            ([77; 3], [77, 128, 128]),
            ([255, 0, 0], [76, 85, 255]),
            ([0, 255, 0], [150, 44, 21]),
            ([0, 0, 255], [29, 255, 107]),
        ] {
            assert_eq!(ycc(Color(rgb)), expected);
        }
    }
}
