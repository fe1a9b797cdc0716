//! Logos in other sizes, and turned.
//!
//! In: pixels with alpha. Out: the same picture with other sides, or turned. Cost: 16 multiplications a sample when it
//! grows, four for each of its own samples when it shrinks; eight bytes per pixel of the result.
//! Catmull-Rom's cubic, stretched over more pixels when the picture shrinks, on samples multiplied by their alpha, so
//! that no colour of a transparent pixel shows. Plain `f32`, each operation rounded on its own, never fused, and no
//! function of the system's library: the same bytes on every processor.
//! Source: Keys, "Cubic convolution interpolation for digital image processing", 1981.

use super::{Stamp, as_f32};

/// Samples multiplied by their alpha, and alpha: 0..=65,535.
pub(super) type Pixel = [u16; 4];

const MOST: f32 = 65_535.0;

/// A picture.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<Pixel>,
}

/// Which samples make a new one, and with which weights, that sum to one.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// The taps of each of `to` new samples from `from` old ones.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = as_f32(from) / as_f32(to);
    let stretch = scale.max(1.0);
    let one = |at: usize| {
        let middle = (as_f32(at) + 0.5) * scale - 0.5;
        let first = floor(middle - 2.0 * stretch).max(0);
        let end = (floor(middle + 2.0 * stretch) + 2).min(isize::try_from(from).unwrap_or(isize::MAX));
        let places = usize::try_from(first).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
        let mut weights: Vec<_> = places.clone().map(|place| cubic((as_f32(place) - middle) / stretch)).collect();
        let sum: f32 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        Taps { first: places.start, weights }
    };
    (0..to).map(one).collect()
}

/// Catmull-Rom's cubic.
fn cubic(x: f32) -> f32 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

/// A picture of red, green, blue and alpha bytes, `width` pixels wide, made `to` pixels large.
pub(super) fn resize(rgba: &[u8], width: usize, to: (usize, usize)) -> Picture {
    let height = rgba.len() / 4 / width;
    let columns = taps(width, to.0);
    let mut pixels = Vec::with_capacity(to.0 * to.1);
    let mut line = vec![[0.0_f32; 4]; width];
    for row in taps(height, to.1) {
        line.fill([0.0; 4]);
        for (from, weight) in rgba.chunks_exact(width * 4).skip(row.first).zip(&row.weights) {
            for (sum, pixel) in line.iter_mut().zip(from.as_chunks::<4>().0) {
                let [r, g, b, a] = pixel.map(f32::from);
                let alpha = a * weight;
                // 65,535 for both at 255.
                for (sum, part) in sum.iter_mut().zip([r * alpha, g * alpha, b * alpha, 255.0 * alpha]) {
                    *sum += part * (MOST / 65_025.0);
                }
            }
        }
        for column in &columns {
            let mut sum = [0.0_f32; 4];
            for (pixel, weight) in line.iter().skip(column.first).zip(&column.weights) {
                sum.iter_mut().zip(pixel).for_each(|(sum, part)| *sum += part * weight);
            }
            pixels.push(pixel(sum));
        }
    }
    Picture { width: to.0, height: to.1, pixels }
}

impl Picture {
    /// The picture turned about its middle, on `to` pixels with the same middle.
    pub(super) fn turned(&self, (sin, cos): (f32, f32), to: (usize, usize)) -> Self {
        let half = |pixels: usize| as_f32(pixels) / 2.0;
        let mut pixels = Vec::with_capacity(to.0 * to.1);
        for y in 0..to.1 {
            let down = as_f32(y) + 0.5 - half(to.1);
            for x in 0..to.0 {
                let right = as_f32(x) + 0.5 - half(to.0);
                let from_x = right * cos + down * sin + half(self.width) - 0.5;
                let from_y = down * cos - right * sin + half(self.height) - 0.5;
                pixels.push(self.between(from_x, from_y));
            }
        }
        Self { width: to.0, height: to.1, pixels }
    }

    /// The value between pixels; there is nothing beyond the edges.
    fn between(&self, x: f32, y: f32) -> Pixel {
        let (column, row) = (floor(x) - 1, floor(y) - 1);
        let mut sum = [0.0_f32; 4];
        for down in row..row + 4 {
            let Some(line) = usize::try_from(down).ok().filter(|down| *down < self.height) else { continue };
            let weight_y = cubic(y - signed_f32(down));
            for right in column..column + 4 {
                let Some(at) = usize::try_from(right).ok().filter(|right| *right < self.width) else { continue };
                let weight = weight_y * cubic(x - signed_f32(right));
                let pixel = self.pixels[line * self.width + at];
                sum.iter_mut().zip(pixel).for_each(|(sum, part)| *sum += f32::from(part) * weight);
            }
        }
        pixel(sum)
    }

    /// In eight bits, and no longer multiplied.
    pub(super) fn stamp(&self) -> Stamp {
        let mut colours = Vec::with_capacity(self.pixels.len());
        let mut alpha = Vec::with_capacity(self.pixels.len());
        for [samples @ .., a] in &self.pixels {
            let whole = u32::from(*a).max(1);
            // The cubic overshoots beside edges, so a sample may be more than its alpha.
            colours.push(samples.map(|part| {
                let value = (u32::from(part) * 255 + whole / 2) / whole;
                u8::try_from(value).unwrap_or(u8::MAX)
            }));
            alpha.push(u8::try_from((u32::from(*a) + 128) / 257).unwrap_or(u8::MAX));
        }
        Stamp { width: self.width, height: self.height, alpha, colours: Some(colours) }
    }
}

/// The cubic overshoots beside edges: what is more than opaque is opaque, and keeps its colour.
fn pixel(sum: [f32; 4]) -> Pixel {
    let most = sum[3].max(MOST);
    sum.map(|part| sample(part * (MOST / most)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65,535 after the clamp")]
fn sample(value: f32) -> u16 {
    value.round().clamp(0.0, MOST) as u16
}

#[expect(clippy::cast_possible_truncation, reason = "coordinates are far below 2^31")]
fn floor(value: f32) -> isize {
    value.floor() as isize
}

#[expect(clippy::cast_precision_loss, reason = "coordinates are below 2^24")]
fn signed_f32(value: isize) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(width: usize, height: usize) -> Vec<u8> {
        let pixel = |at: usize| {
            if (at % width / 4 + at / width / 4).is_multiple_of(2) { [250, 20, 90, 255] } else { [0, 0, 0, 0] }
        };
        (0..width * height).flat_map(pixel).collect()
    }

    #[test]
    fn the_same_size_is_the_same_picture_and_so_are_four_quarter_turns() {
        let rgba = checks(24, 16);
        let same = resize(&rgba, 24, (24, 16));
        let stamp = same.stamp();
        for ((pixel, alpha), colour) in rgba.as_chunks::<4>().0.iter().zip(&stamp.alpha).zip(stamp.colours.unwrap()) {
            assert_eq!(pixel[3], *alpha);
            assert!(*alpha == 0 || colour == [250, 20, 90]);
        }
        let mut turned = resize(&rgba, 24, (24, 16));
        for _ in 0..4 {
            turned = turned.turned((1.0, 0.0), (turned.height, turned.width));
        }
        assert_eq!(turned.pixels, same.pixels);
    }

    #[test]
    fn a_smaller_and_a_larger_picture_have_the_mean_of_the_whole_and_no_colour_of_transparent_pixels() {
        for to in [(6, 5), (7, 3), (100, 75), (1, 1)] {
            let stamp = resize(&checks(64, 48), 64, to).stamp();
            let sum: usize = stamp.alpha.iter().copied().map(usize::from).sum();
            assert!((sum / (to.0 * to.1)).abs_diff(127) < 12, "{to:?}: {}", sum / (to.0 * to.1));
            for (alpha, [r, g, b]) in stamp.alpha.iter().zip(stamp.colours.unwrap()) {
                let as_was = r.abs_diff(250) < 6 && g.abs_diff(20) < 6 && b.abs_diff(90) < 6;
                assert!(*alpha < 60 || as_was, "{alpha}: {r} {g} {b}");
            }
        }
    }
}
