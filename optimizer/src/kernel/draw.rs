//! Blends the mark into the pixels.
//!
//! In: pixels, a [`Mark`], the font. Out: the same pixels, changed under the mark only.
//! Cost: one mask, then O(pixels under it). The blend is done on the encoded samples (not in linear light), as other
//! watermarking tools do it. With alpha it is "source over" of Porter and Duff: a mark shows on transparent ground too,
//! and every pixel beside it keeps its alpha.

use image::DynamicImage;

use super::place::{Sides, places};
use super::{Face, Mask};
use crate::plan::{Color, Mark};

/// Draws `mark` on `pixels`. A greyscale picture becomes RGB when the mark has a colour.
pub(super) fn draw(pixels: &mut DynamicImage, mark: &Mark, face: &Face) {
    if mark.opacity.of_255() == 0 {
        return;
    }
    let sides = Sides { width: pixels.width() as usize, height: pixels.height() as usize };
    let (mask, places) = placed(mark, face, pixels.width(), pixels.height());
    if !mark.color.is_grey() {
        colour(pixels);
    }
    for (x, y) in places {
        let ink = Ink { mask: &mask, x, y, opacity: mark.opacity.of_255(), color: mark.color };
        match pixels {
            DynamicImage::ImageLuma8(image) => ink.solid::<_, 1>(image.as_mut(), sides),
            DynamicImage::ImageRgb8(image) => ink.solid::<_, 3>(image.as_mut(), sides),
            DynamicImage::ImageLumaA8(image) => ink.over::<_, 2>(image.as_mut(), sides),
            DynamicImage::ImageRgba8(image) => ink.over::<_, 4>(image.as_mut(), sides),
            DynamicImage::ImageLuma16(image) => ink.solid::<_, 1>(image.as_mut(), sides),
            DynamicImage::ImageRgb16(image) => ink.solid::<_, 3>(image.as_mut(), sides),
            DynamicImage::ImageLumaA16(image) => ink.over::<_, 2>(image.as_mut(), sides),
            DynamicImage::ImageRgba16(image) => ink.over::<_, 4>(image.as_mut(), sides),
            // Floating point pixels come from none of the formats read here; `decode` makes sure.
            _ => {}
        }
    }
}

/// The mask of `mark` for a picture with these sides, as the viewer sees it, and where its copies go.
pub(super) fn placed(mark: &Mark, face: &Face, width: u32, height: u32) -> (Mask, Vec<(isize, isize)>) {
    let sides = Sides { width: width as usize, height: height as usize };
    let margin = sides.margin_within(mark.margin.pixels(width));
    let mask = face.mask(&mark.text, mark.size.pixels(width), mark.rotate, sides.room(margin));
    let places = places(sides, &mask, mark.position, margin);
    (mask, places)
}

fn colour(pixels: &mut DynamicImage) {
    let grey = std::mem::take(pixels);
    *pixels = match grey {
        DynamicImage::ImageLuma8(_) => grey.into_rgb8().into(),
        DynamicImage::ImageLumaA8(_) => grey.into_rgba8().into(),
        DynamicImage::ImageLuma16(_) => grey.into_rgb16().into(),
        DynamicImage::ImageLumaA16(_) => grey.into_rgba16().into(),
        other => other,
    };
}

/// One copy of the mark at its place.
struct Ink<'a> {
    mask: &'a Mask,
    x: isize,
    y: isize,
    opacity: u8,
    color: Color,
}

/// A sample of 8 or 16 bits.
trait Sample: Copy + Into<u64> {
    const MOST: u32;
    /// Drawn down to [`Sample::MOST`].
    fn from_u32(value: u32) -> Self;
}

impl Sample for u8 {
    const MOST: u32 = 255;
    fn from_u32(value: u32) -> Self {
        value.min(Self::MOST) as Self
    }
}

impl Sample for u16 {
    const MOST: u32 = 65_535;
    fn from_u32(value: u32) -> Self {
        value.min(Self::MOST) as Self
    }
}

// Coverage times opacity: both 0..=255.
const FULL: u32 = 255 * 255;

impl Ink<'_> {
    /// Pixels of `N` samples without alpha. Integer arithmetic, so the bytes are the same on every processor.
    fn solid<S: Sample, const N: usize>(&self, samples: &mut [S], sides: Sides) {
        let ink = self.samples::<S>();
        self.each::<S, N>(samples, sides, |pixel, share| {
            for (sample, ink) in pixel.iter_mut().zip(ink) {
                let below: u64 = (*sample).into();
                let sum = below * u64::from(FULL - share) + u64::from(ink) * u64::from(share);
                let mixed = (sum + u64::from(FULL / 2)) / u64::from(FULL);
                *sample = S::from_u32(u32::try_from(mixed).unwrap_or(S::MOST));
            }
        });
    }

    /// Pixels of `N` samples, the last of which is alpha, not premultiplied.
    fn over<S: Sample, const N: usize>(&self, samples: &mut [S], sides: Sides) {
        let ink = self.samples::<S>();
        self.each::<S, N>(samples, sides, |pixel, share| {
            // In units of 1 / (FULL * MOST): what the mark covers, and what shows through of the picture.
            let full = u64::from(FULL);
            let mark = u64::from(share) * u64::from(S::MOST);
            let alpha: u64 = pixel[N - 1].into();
            let below = alpha * (full - u64::from(share));
            let whole = mark + below;
            if whole == 0 {
                return;
            }
            for (sample, ink) in pixel[..N - 1].iter_mut().zip(ink) {
                let value: u64 = (*sample).into();
                let mixed = (u64::from(ink) * mark + value * below + whole / 2) / whole;
                *sample = S::from_u32(u32::try_from(mixed).unwrap_or(S::MOST));
            }
            pixel[N - 1] = S::from_u32(u32::try_from((whole + full / 2) / full).unwrap_or(S::MOST));
        });
    }

    /// Red, green and blue in the range of `S`; a greyscale pixel uses the first.
    fn samples<S: Sample>(&self) -> [u32; 3] {
        self.color.0.map(|sample| u32::from(sample) * (S::MOST / 255))
    }

    /// Calls `mix` with every pixel the mark covers and by how much, 0..=[`FULL`].
    fn each<S, const N: usize>(&self, samples: &mut [S], sides: Sides, mut mix: impl FnMut(&mut [S], u32)) {
        // What of the mask lies left of or above the picture is skipped.
        let skip = (unsigned(-self.x), unsigned(-self.y));
        let (x, y) = (unsigned(self.x), unsigned(self.y));
        let lines = samples.chunks_exact_mut(sides.width * N).skip(y);
        for (line, covers) in lines.zip(self.mask.coverage.chunks_exact(self.mask.width).skip(skip.1)) {
            for (pixel, cover) in line.chunks_exact_mut(N).skip(x).zip(covers.iter().skip(skip.0)) {
                if *cover > 0 {
                    mix(pixel, u32::from(*cover) * u32::from(self.opacity));
                }
            }
        }
    }
}

fn unsigned(pixels: isize) -> usize {
    usize::try_from(pixels).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;

    fn one_pixel(below: [u8; 4], opacity: u8) -> [u8; 4] {
        let mask = Mask { width: 1, height: 1, coverage: vec![255] };
        let mut image = RgbaImage::from_pixel(1, 1, Rgba(below));
        let ink = Ink { mask: &mask, x: 0, y: 0, opacity, color: Color::WHITE };
        ink.over::<_, 4>(image.as_mut(), Sides { width: 1, height: 1 });
        image.get_pixel(0, 0).0
    }

    #[test]
    fn a_mark_over_an_opaque_pixel_mixes_colours_and_leaves_it_opaque() {
        assert_eq!(one_pixel([0, 100, 200, 255], 128), [128, 178, 228, 255]);
    }

    #[test]
    fn a_mark_over_a_transparent_pixel_has_its_own_colour_and_its_own_alpha() {
        assert_eq!(one_pixel([10, 20, 30, 0], 128), [255, 255, 255, 128]);
    }

    #[test]
    fn a_mark_that_hangs_over_the_left_and_upper_edge_is_cut_there() {
        let mask = Mask { width: 2, height: 2, coverage: vec![0, 0, 0, 255] };
        let mut image = image::GrayImage::new(3, 3);
        let ink = Ink { mask: &mask, x: -1, y: -1, opacity: 255, color: Color::WHITE };
        ink.solid::<_, 1>(image.as_mut(), Sides { width: 3, height: 3 });
        assert_eq!(image.as_raw(), &[255, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
