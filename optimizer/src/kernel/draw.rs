//! Blends the mark into the pixels.
//!
//! In: pixels, a [`Mark`], the font. Out: the same pixels, changed under the mark only.
//! Cost: one mask, then O(pixels under it). The blend is done on the encoded samples (not in linear light), as other
//! watermarking tools do it. With alpha it is "source over" of Porter and Duff: a mark shows on transparent ground too,
//! and every pixel beside it keeps its alpha.

use std::sync::Arc;

use image::DynamicImage;

use super::Face;
use super::place::{Places, Sides};
use super::stamp::{Bounds, Stamp};
use crate::plan::{Color, Content, Mark};

/// Draws `mark` on `pixels`. A greyscale picture becomes RGB when the mark has a colour.
pub(super) fn draw(pixels: &mut DynamicImage, mark: &Mark, face: &Face) {
    if mark.opacity.of_255() == 0 {
        return;
    }
    let ink = Ink { on: Placed::new(mark, face, pixels.width(), pixels.height()), opacity: mark.opacity.of_255() };
    if !mark.is_grey() {
        colour(pixels);
    }
    match pixels {
        DynamicImage::ImageLuma8(image) => ink.solid::<_, 1>(image.as_mut()),
        DynamicImage::ImageRgb8(image) => ink.solid::<_, 3>(image.as_mut()),
        DynamicImage::ImageLumaA8(image) => ink.over::<_, 2>(image.as_mut()),
        DynamicImage::ImageRgba8(image) => ink.over::<_, 4>(image.as_mut()),
        DynamicImage::ImageLuma16(image) => ink.solid::<_, 1>(image.as_mut()),
        DynamicImage::ImageRgb16(image) => ink.solid::<_, 3>(image.as_mut()),
        DynamicImage::ImageLumaA16(image) => ink.over::<_, 2>(image.as_mut()),
        DynamicImage::ImageRgba16(image) => ink.over::<_, 4>(image.as_mut()),
        // Floating point pixels come from none of the formats read here; `decode` makes sure.
        _ => {}
    }
}

/// A stamp, and where its copies are on a picture as the viewer sees it.
pub(super) struct Placed {
    pub(super) stamp: Arc<Stamp>,
    pub(super) places: Places,
    /// The colour of a stamp that has none of its own.
    pub(super) color: Color,
    pub(super) sides: Sides,
}

impl Placed {
    /// `mark` on a picture with these sides.
    pub(super) fn new(mark: &Mark, face: &Face, width: u32, height: u32) -> Self {
        let (sides, margin) = within(mark, width, height);
        let stamp = face.stamp(mark, mark.size.pixels(width), sides.room(margin));
        let places = Places::new(sides, &stamp, mark.position, margin);
        let color = match &mark.content {
            Content::Text { color, .. } => *color,
            Content::Logo(_) => Color::WHITE,
        };
        Self { stamp, places, color, sides }
    }
}

/// What the stamp of `mark` takes at most, on a picture with these sides as the viewer sees it.
pub(super) fn bounds(mark: &Mark, face: &Face, width: u32, height: u32) -> Bounds {
    let (sides, margin) = within(mark, width, height);
    face.bounds(mark, mark.size.pixels(width), sides.room(margin))
}

fn within(mark: &Mark, width: u32, height: u32) -> (Sides, usize) {
    let sides = Sides { width: width as usize, height: height as usize };
    (sides, sides.margin_within(mark.margin.pixels(width)))
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

/// A mark at its place.
struct Ink {
    on: Placed,
    opacity: u8,
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

impl Ink {
    /// Pixels of `N` samples without alpha. Integer arithmetic, so the bytes are the same on every processor.
    fn solid<S: Sample, const N: usize>(&self, samples: &mut [S]) {
        self.each::<S, N>(samples, |pixel, ink, share| {
            for (sample, ink) in pixel.iter_mut().zip(ink) {
                let below: u64 = (*sample).into();
                let sum = below * u64::from(FULL - share) + u64::from(ink) * u64::from(share);
                let mixed = (sum + u64::from(FULL / 2)) / u64::from(FULL);
                *sample = S::from_u32(u32::try_from(mixed).unwrap_or(S::MOST));
            }
        });
    }

    /// Pixels of `N` samples, the last of which is alpha, not premultiplied.
    fn over<S: Sample, const N: usize>(&self, samples: &mut [S]) {
        self.each::<S, N>(samples, |pixel, ink, share| {
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

    /// Calls `mix` with every pixel the mark covers, its red, green and blue in the range of `S` (a greyscale pixel uses
    /// the first), and how much it covers, 0..=[`FULL`].
    fn each<S: Sample, const N: usize>(&self, samples: &mut [S], mut mix: impl FnMut(&mut [S], [u32; 3], u32)) {
        let Placed { stamp, places, color: Color(own), sides } = &self.on;
        let in_range = |color: [u8; 3]| color.map(|sample| u32::from(sample) * (S::MOST / 255));
        let own = in_range(*own);
        for rows in places.rows(0, sides.height) {
            let lines = samples.chunks_exact_mut(sides.width * N).skip(rows.at).take(rows.count);
            for (row, line) in (rows.from..).zip(lines) {
                for run in places.columns(rows, 0, sides.width) {
                    let from = row * stamp.width + run.from;
                    let pixels = line.chunks_exact_mut(N).skip(run.at);
                    for ((at, alpha), pixel) in (from..).zip(&stamp.alpha[from..from + run.count]).zip(pixels) {
                        if *alpha > 0 {
                            let ink = stamp.colours.as_ref().map_or(own, |colours| in_range(colours[at]));
                            mix(pixel, ink, u32::from(*alpha) * u32::from(self.opacity));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;
    use crate::plan::Position;

    fn ink(stamp: Stamp, opacity: u8, position: Position, side: usize) -> Ink {
        let sides = Sides { width: side, height: side };
        let places = Places::new(sides, &stamp, position, 0);
        Ink { on: Placed { stamp: Arc::new(stamp), places, color: Color::WHITE, sides }, opacity }
    }

    fn one_pixel(below: [u8; 4], opacity: u8) -> [u8; 4] {
        let stamp = Stamp { width: 1, height: 1, alpha: vec![255], colours: None };
        let mut image = RgbaImage::from_pixel(1, 1, Rgba(below));
        ink(stamp, opacity, Position::Centre, 1).over::<_, 4>(image.as_mut());
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
    fn tiles_that_hang_over_an_edge_are_cut_there_and_every_second_row_is_shifted() {
        let stamp = Stamp { width: 2, height: 2, alpha: vec![1, 2, 3, 4], colours: Some(vec![[255; 3]; 4]) };
        let mut image = image::GrayImage::new(5, 5);
        ink(stamp, 255, Position::Tile, 5).solid::<_, 1>(image.as_mut());
        #[rustfmt::skip]
        assert_eq!(image.as_raw(), &[
            1, 2, 1, 2, 1,
            3, 4, 3, 4, 3,
            2, 1, 2, 1, 2,
            4, 3, 4, 3, 4,
            1, 2, 1, 2, 1,
        ]);
    }
}
