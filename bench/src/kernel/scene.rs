//! A large picture from a small photo: enlarged, laid out in mirrored tiles, with film grain on top.
//!
//! In: a photo, a size, how much to enlarge, how strong the grain. Out: pixels, the same on every machine. Cost: 20 ns a
//! pixel. Enlarging alone gives pictures without detail, which encode far too small; the grain is chosen so that the
//! files have the 1.5 to 2 bits per pixel of a camera's. Mirrored, because a seam would be detail that no photo has.

use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};

/// Paints a picture of `size`; `grain` is the standard deviation of its brightness in 255ths.
///
/// # Errors
/// A sentence when `photo` cannot be decoded.
pub(crate) fn paint(photo: &[u8], size: (u32, u32), enlarged: u32, grain: u32) -> Result<RgbImage, String> {
    let photo = image::load_from_memory(photo).map_err(|error| error.to_string())?.into_rgb8();
    let tile = resize(&photo, photo.width() * enlarged, photo.height() * enlarged, FilterType::CatmullRom);
    let mut dice = Dice(0x77_65_69_72);
    Ok(RgbImage::from_fn(size.0, size.1, |x, y| {
        let Rgb(pixel) = tile.get_pixel(mirrored(x, tile.width()), mirrored(y, tile.height()));
        let grain = dice.grain(grain);
        // The same on all three: film and sensors are noisy in brightness first of all.
        Rgb(pixel.map(|value| u8::try_from((i32::from(value) + grain).clamp(0, 255)).unwrap_or(u8::MAX)))
    }))
}

/// Where `at` falls in a tile of `length` when every second tile is turned round.
fn mirrored(at: u32, length: u32) -> u32 {
    let within = at % length;
    if (at / length).is_multiple_of(2) { within } else { length - 1 - within }
}

/// The generator "splitmix64" by Sebastiano Vigna, public domain.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// About a normal distribution: the sum of eight bytes has a standard deviation of 209.
    fn grain(&mut self, deviation: u32) -> i32 {
        let sum: i32 = self.roll().to_le_bytes().into_iter().map(i32::from).sum();
        (sum - 8 * 255 / 2) * i32::try_from(deviation).unwrap_or_default() / 209
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_meet_without_a_seam() {
        let places: Vec<u32> = (0..9).map(|at| mirrored(at, 3)).collect();
        assert_eq!(places, [0, 1, 2, 2, 1, 0, 0, 1, 2]);
    }

    #[test]
    fn grain_has_the_deviation_asked_for() {
        let mut dice = Dice(1);
        let all: Vec<f64> = (0..10_000).map(|_| f64::from(dice.grain(20))).collect();
        let mean = all.iter().sum::<f64>() / 1e4;
        let deviation = (all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
        assert!(mean.abs() < 1.0 && (deviation - 20.0).abs() < 1.0, "{mean} {deviation}");
    }
}
