//! The mark in the coordinates and the colour space of the stored picture.
//!
//! In: a mark, the picture's sides and orientation. Out: which units it touches, and blocks with it blended in.
//! Cost: 0.5 us a touched block; no memory besides the stamp, however often it is on the picture.
//! What a stored pixel shows of the mark is looked up in the stamp as the viewer sees it, instead of the picture being
//! turned. Luma is mixed by the stamp, chroma by the stamp averaged over the pixels a sample stands for, its colours
//! weighted by how much each covers. A block takes the difference that the mark makes: its coefficients change by the
//! transform of that, so that what the mark leaves alone does not change at all.

use std::ops::Range;

use image::metadata::Orientation;

use super::block::Block;
use super::dct;
use super::file::{Part, Sequential, ZIGZAG};
use crate::kernel::Face;
use crate::kernel::draw::Placed;
use crate::kernel::stamp::Stamp;
use crate::plan::{Color, Mark};

/// Coverage times opacity: both 0..=255.
const FULL: u32 = 255 * 255;
/// Units left alone between two touched ones that are not worth a piece of their own.
const GAP: u32 = 4;
/// Largest coefficient of 8-bit samples.
const MOST: i32 = 1023;

/// A mark on a stored picture.
pub(super) struct Ink {
    on: Placed,
    turn: Turn,
    /// A box around all of it on the stored picture: left, top, right, bottom, the latter two just outside.
    bounds: [usize; 4],
    opacity: u32,
    /// Y, Cb, Cr of a stamp of one colour; the first is what a grey picture uses.
    color: [u8; 3],
}

/// How a viewer turns the stored picture.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Rows become columns.
    swaps: bool,
    /// What is stored left, or on top after a swap, is seen right.
    mirrors_x: bool,
    /// What is stored on top, or left before a swap, is seen at the bottom.
    mirrors_y: bool,
}

impl Turn {
    fn of(orientation: Orientation) -> Self {
        let (swaps, mirrors_x, mirrors_y) = match orientation {
            Orientation::NoTransforms => (false, false, false),
            Orientation::FlipHorizontal => (false, true, false),
            Orientation::Rotate180 => (false, true, true),
            Orientation::FlipVertical => (false, false, true),
            Orientation::Rotate90FlipH => (true, false, false),
            Orientation::Rotate90 => (true, true, false),
            Orientation::Rotate270FlipH => (true, true, true),
            Orientation::Rotate270 => (true, false, true),
        };
        Self { swaps, mirrors_x, mirrors_y }
    }
}

/// A part of the stored picture.
#[derive(Clone, Copy)]
struct Window {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// A part of a window that shows a part of the stamp.
#[derive(Clone, Copy)]
struct Seen {
    /// Counted from the corner of the window.
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    /// Index of the pixel of the stamp at its corner.
    from: usize,
    /// What to add to that for the next pixel of the row, and of the column.
    right: isize,
    down: isize,
}

impl Seen {
    /// Index of the pixel of the stamp that is shown at `(x, y)` of this part.
    #[inline]
    fn at(&self, x: usize, y: usize) -> usize {
        self.from.wrapping_add_signed(self.right * x.cast_signed() + self.down * y.cast_signed())
    }
}

/// The sums over the pixels of each of 64 samples. What is beyond the window is like its last row and column: there the
/// picture goes on as it ends, and so does the mark, since a step would cost bits.
fn summed<const N: usize>(pixels: &mut [[u16; N]; N], window: Window, (wide, high): (usize, usize)) -> [u32; 64] {
    for line in &mut pixels[..window.height] {
        let last = line[window.width - 1];
        line[window.width..].fill(last);
    }
    let last = pixels[window.height - 1];
    pixels[window.height..].fill(last);
    let mut sums = [0; 64];
    for (y, line) in pixels.iter().take(8 * high).enumerate() {
        for (sum, pixels) in sums.as_chunks_mut::<8>().0[y / high].iter_mut().zip(line.chunks_exact(wide)) {
            *sum += pixels.iter().copied().map(u32::from).sum::<u32>();
        }
    }
    sums
}

/// The mark under the samples of a block.
struct Covers {
    /// How much it covers, summed over the pixels each sample stands for.
    alpha: [u32; 64],
    /// Its sample of this component times that, summed likewise; not used for a stamp of one colour.
    ink: [u32; 64],
}

impl Ink {
    /// The mark for a picture stored with these sides, that a viewer turns by `orientation`. `None` when there is
    /// nothing to see of it.
    pub(super) fn new(mark: &Mark, face: &Face, sides: (u32, u32), orientation: Orientation) -> Option<Self> {
        if mark.opacity.of_255() == 0 {
            return None;
        }
        let turn = Turn::of(orientation);
        let (width, height) = if turn.swaps { (sides.1, sides.0) } else { sides };
        let on = Placed::new(mark, face, width, height);
        let (places, upright) = (&on.places, &on.sides);
        let bounds = if places.is_tiled() {
            [0, 0, sides.0 as usize, sides.1 as usize]
        } else {
            let along = |mirrors: bool, first: usize, length: usize, side: usize| {
                let end = (first + length).min(side);
                if mirrors { (side - end, side - first) } else { (first, end) }
            };
            let x = along(turn.mirrors_x, places.left, on.stamp.width, upright.width);
            let y = along(turn.mirrors_y, places.top, on.stamp.height, upright.height);
            let (x, y) = if turn.swaps { (y, x) } else { (x, y) };
            [x.0, y.0, x.1, y.1]
        };
        let color = std::array::from_fn(|number| component(on.color, number));
        Some(Self { on, turn, bounds, opacity: u32::from(mark.opacity.of_255()), color })
    }

    /// The units to write again, in order: those with ink, the one after each (its DC difference changes), and short
    /// gaps between. None goes over a restart marker.
    pub(super) fn spans(&self, file: &Sequential<'_>) -> Vec<Range<u32>> {
        let (wide, high) = (file.unit().0 as usize, file.unit().1 as usize);
        let mut spans: Vec<Range<u32>> = Vec::new();
        let [left, top, right, bottom] = self.bounds;
        for row in top / high..bottom.div_ceil(high) {
            for column in left / wide..right.div_ceil(wide) {
                let (x, y) = (column * wide, row * high);
                let window = Window {
                    x,
                    y,
                    width: wide.min((file.width as usize).saturating_sub(x)),
                    height: high.min((file.height as usize).saturating_sub(y)),
                };
                if !self.touches(window) {
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

    /// Whether there is ink in a window.
    fn touches(&self, window: Window) -> bool {
        let mut any = 0;
        self.look_up(window, |part| {
            for y in 0..part.height {
                any |= (0..part.width).fold(0, |any, x| any | self.on.stamp.alpha[part.at(x, y)]);
            }
        });
        any > 0
    }

    /// Calls `found` with each part of a window that shows a part of the stamp. The window lies within the picture.
    #[inline]
    fn look_up(&self, window: Window, mut found: impl FnMut(Seen)) {
        let Placed { stamp, places, sides, .. } = &self.on;
        let Turn { swaps, mirrors_x, mirrors_y } = self.turn;
        let Window { x, y, width, height } = window;
        // As the viewer sees it.
        let (x, y, width, height) = if swaps { (y, x, height, width) } else { (x, y, width, height) };
        let mirrored = |mirrors: bool, at: usize, count: usize, side: usize| {
            if mirrors { side - at - count } else { at }
        };
        let (x, y) = (mirrored(mirrors_x, x, width, sides.width), mirrored(mirrors_y, y, height, sides.height));
        for rows in places.rows(y, height) {
            for columns in places.columns(rows, x, width) {
                // And back, from the pixel of the stamp that is stored first.
                let column = if mirrors_x { columns.from + columns.count - 1 } else { columns.from };
                let row = if mirrors_y { rows.from + rows.count - 1 } else { rows.from };
                let line = stamp.width.cast_signed();
                let mut seen = Seen {
                    x: mirrored(mirrors_x, columns.at, columns.count, width),
                    y: mirrored(mirrors_y, rows.at, rows.count, height),
                    width: columns.count,
                    height: rows.count,
                    from: row * stamp.width + column,
                    right: if mirrors_x { -1 } else { 1 },
                    down: if mirrors_y { -line } else { line },
                };
                if swaps {
                    std::mem::swap(&mut seen.x, &mut seen.y);
                    std::mem::swap(&mut seen.width, &mut seen.height);
                    std::mem::swap(&mut seen.right, &mut seen.down);
                }
                found(seen);
            }
        }
    }

    /// What is under each sample of a block of this component. `None` for a block without any ink.
    fn covers(&self, file: &Sequential<'_>, part: &Part, number: usize, x: usize, y: usize) -> Option<Covers> {
        let (wide, high) = (part.wide as usize, part.high as usize);
        let (width, height) = (file.width as usize, file.height as usize);
        let (x, y) = (x * wide, y * high);
        let [left, top, right, bottom] = self.bounds;
        // A mark that ends at the edge goes on in what is stored beyond it.
        let misses = |first: usize, count: usize, begin: usize, end: usize, side: usize| {
            first + count <= begin || (first >= end && end < side)
        };
        if misses(x, 8 * wide, left, right, width) || misses(y, 8 * high, top, bottom, height) {
            return None;
        }
        // At least one row and one column, for blocks that are wholly beyond the edge.
        let (x, y) = (x.min(width - 1), y.min(height - 1));
        let window = Window { x, y, width: (8 * wide).min(width - x), height: (8 * high).min(height - y) };
        // As large as need be: most blocks are of samples that stand for two pixels at most.
        if wide <= 2 && high <= 2 {
            self.within::<16>(window, (wide, high), number)
        } else {
            self.within::<32>(window, (wide, high), number)
        }
    }

    /// What is under each sample, of which a block of the component is at most `N` pixels wide and high.
    fn within<const N: usize>(&self, window: Window, factors: (usize, usize), number: usize) -> Option<Covers> {
        let mut alpha = self.gathered::<N>(window, |stamp, at| u16::from(stamp.alpha[at]))?;
        let mut covers = Covers { alpha: summed(&mut alpha, window, factors), ink: [0; 64] };
        if let Some(colours) = &self.on.stamp.colours {
            let sample = |at: usize| u16::from(component(Color(colours[at]), number));
            // Nothing of it is left of black.
            let ink = self.gathered::<N>(window, |stamp, at| u16::from(stamp.alpha[at]) * sample(at));
            covers.ink = summed(&mut ink.unwrap_or([[0; N]; N]), window, factors);
        }
        Some(covers)
    }

    /// A number for each pixel of a window of at most `N` by `N`, 0 where there is no stamp. `None` when no part is there.
    #[inline]
    fn gathered<const N: usize>(&self, window: Window, number: impl Fn(&Stamp, usize) -> u16) -> Option<[[u16; N]; N]> {
        let mut gathered = [[0; N]; N];
        let mut any = 0;
        self.look_up(window, |part| {
            for (line, y) in gathered[part.y..part.y + part.height].iter_mut().zip(0..) {
                for (pixel, x) in line[part.x..part.x + part.width].iter_mut().zip(0..) {
                    let value = number(&self.on.stamp, part.at(x, y));
                    *pixel = value;
                    any |= value;
                }
            }
        });
        (any > 0).then_some(gathered)
    }

    /// Blends the mark into the block whose first sample is at `(x, y)` of its component.
    pub(super) fn blend(&self, file: &Sequential<'_>, part: &Part, x: u32, y: u32, block: &mut Block) {
        let number = block.part.min(2);
        let Some(covers) = self.covers(file, part, number, x as usize, y as usize) else { return };
        let coloured = self.on.stamp.colours.is_some();
        let own = u32::from(self.color[number]);
        // Turns a sum of coverage into 65,536ths of the sample, after a shift by as much.
        let scale = (u64::from(self.opacity) << 32) / u64::from(FULL * part.wide * part.high);

        let mut coefficients = [0; 64];
        for ((value, step), at) in block.coefficients.iter().zip(&part.quantiser).zip(ZIGZAG) {
            coefficients[usize::from(at)] = i32::from(*value) * i32::from(*step);
        }
        coefficients[0] = block.dc.wrapping_mul(i32::from(part.quantiser[0]));
        let mut change = dct::inverse(&coefficients);
        for (sample, (cover, ink)) in change.iter_mut().zip(covers.alpha.into_iter().zip(covers.ink)) {
            // At most 65,536, and that for full cover at full opacity.
            let share = u32::try_from((u64::from(cover) * scale + (1 << 15)) >> 16).unwrap_or(0);
            // At most 255 times that.
            let ink = if coloured {
                u32::try_from((u64::from(ink) * scale + (1 << 15)) >> 16).unwrap_or(0)
            } else {
                own * share
            };
            let below = sample.wrapping_add(128);
            let shown = below.clamp(0, 255).unsigned_abs();
            let mixed = (shown * ((1 << 16) - share) + ink + (1 << 15)) >> 16;
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

/// Y, Cb or Cr of a colour as JFIF means it, in 65,536ths.
#[inline]
fn component(Color(rgb): Color, number: usize) -> u8 {
    let [r, g, b] = rgb.map(i32::from);
    let sum = match number {
        0 => 19_595 * r + 38_470 * g + 7_471 * b,
        1 => -11_059 * r - 21_709 * g + 32_768 * b + (128 << 16),
        _ => 32_768 * r - 27_439 * g - 5_329 * b + (128 << 16),
    };
    u8::try_from((sum + (1 << 15)) >> 16).unwrap_or(u8::MAX)
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
            assert_eq!(std::array::from_fn(|number| component(Color(rgb), number)), expected);
        }
    }
}
