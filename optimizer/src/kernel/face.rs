//! The embedded font, and text drawn with it as a coverage mask.
//!
//! In: text, a height, a turn, the room there is. Out: a [`Mask`], cropped to its ink.
//! Cost: 0.03 ms for three letters at 100 px, 0.5 ms at 500 px; one byte per pixel of the mask, at most [`BAND`] `f32`
//! besides. The outlines are turned, not the pixels, so rotated letters are as sharp as upright ones.
//! Left out: shaping (Arabic, Indic scripts) and text of several lines.

use std::fmt;

use ab_glyph::{Font, FontRef, GlyphId, OutlineCurve};
use ab_glyph_rasterizer::{Point, Rasterizer, point};

use crate::plan::{Degrees, MarkText};

// See fonts/README.md for where it is from.
const FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans-Bold.ttf");

/// Pixels rasterised at a time: 4 MiB of accumulator however large the text.
const BAND: usize = 1 << 20;

/// The embedded font cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the embedded font cannot be read")]
pub struct FontError(#[from] ab_glyph::InvalidFont);

/// A font. Cheap to clone: it borrows the bytes in the binary.
#[derive(Clone)]
pub struct Face {
    font: FontRef<'static>,
}

impl fmt::Debug for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Face(DejaVu Sans Bold)")
    }
}

/// How much of each pixel the text covers, 0..=255, row by row; cropped, so the outer rows and columns have ink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Pixels across, at least 1.
    pub width: usize,
    /// Pixels down, at least 1.
    pub height: usize,
    /// `width * height` bytes.
    pub coverage: Vec<u8>,
}

impl Face {
    /// The font in the binary.
    ///
    /// # Errors
    /// [`FontError`] when its bytes are no font.
    pub fn embedded() -> Result<Self, FontError> {
        Ok(Self { font: FontRef::try_from_slice(FONT)? })
    }

    /// Whether the font draws this character; never a control character.
    pub fn has(&self, c: char) -> bool {
        !c.is_control() && self.font.glyph_id(c) != GlyphId(0)
    }

    /// Whether drawing this character leaves a trace.
    pub fn has_ink(&self, c: char) -> bool {
        self.font.outline(self.font.glyph_id(c)).is_some_and(|outline| !outline.curves.is_empty())
    }

    /// Draws `text` with lines `height` pixels high from ascender to descender, turned by `turn`.
    ///
    /// A text that would be larger than `room` (pixels across, down) is drawn smaller, so that a mark is whole on every
    /// picture. Never empty: what is too small to leave a trace is one pixel of little coverage.
    pub fn mask(&self, text: &MarkText, height: f32, turn: Degrees, room: (usize, usize)) -> Mask {
        let curves = self.curves(text, turn);
        let bounds = Bounds::of(&curves);
        let line = self.font.height_unscaled().max(1.0);
        let (across, down) = (as_f32(room.0.max(1)), as_f32(room.1.max(1)));
        let scale = (height / line).min(across / bounds.width()).min(down / bounds.height());
        let width = ceil_within(bounds.width() * scale, room.0);
        let rows = ceil_within(bounds.height() * scale, room.1);

        let mut coverage = vec![0; width * rows];
        let mut raster = Rasterizer::new(0, 0);
        for (band, lines) in coverage.chunks_mut((BAND / width).max(1) * width).enumerate() {
            let first = as_f32(band * (BAND / width).max(1));
            let to = |p: &Point| point((p.x - bounds.left) * scale, (p.y - bounds.top) * scale - first);
            raster.reset(width, lines.len() / width);
            for curve in &curves {
                match curve {
                    OutlineCurve::Line(a, b) => raster.draw_line(to(a), to(b)),
                    OutlineCurve::Quad(a, b, c) => raster.draw_quad(to(a), to(b), to(c)),
                    OutlineCurve::Cubic(a, b, c, d) => raster.draw_cubic(to(a), to(b), to(c), to(d)),
                }
            }
            raster.for_each_pixel(|at, share| lines[at] = of_255(share));
        }
        crop(&Mask { width, height: rows, coverage })
    }

    /// The outlines of a line of text in font units, y downwards, turned about the origin.
    fn curves(&self, text: &MarkText, turn: Degrees) -> Vec<OutlineCurve> {
        let (sin, cos) = turn.sin_cos();
        let mut curves = Vec::new();
        let mut pen = 0.0;
        let mut previous = None;
        for glyph in text.as_str().chars().map(|c| self.font.glyph_id(c)) {
            if let Some(previous) = previous.replace(glyph) {
                pen += self.font.kern_unscaled(previous, glyph);
            }
            let to = |p: Point| {
                let (x, y) = (p.x + pen, -p.y);
                point(x * cos - y * sin, x * sin + y * cos)
            };
            let outline = self.font.outline(glyph);
            curves.extend(outline.into_iter().flat_map(|outline| outline.curves).map(|curve| match curve {
                OutlineCurve::Line(a, b) => OutlineCurve::Line(to(a), to(b)),
                OutlineCurve::Quad(a, b, c) => OutlineCurve::Quad(to(a), to(b), to(c)),
                OutlineCurve::Cubic(a, b, c, d) => OutlineCurve::Cubic(to(a), to(b), to(c), to(d)),
            }));
            pen += self.font.h_advance_unscaled(glyph);
        }
        curves
    }
}

/// A box around all control points: never smaller than the ink, and cropped to it later.
struct Bounds {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

impl Bounds {
    fn of(curves: &[OutlineCurve]) -> Self {
        let none =
            Self { left: f32::INFINITY, top: f32::INFINITY, right: f32::NEG_INFINITY, bottom: f32::NEG_INFINITY };
        let points = curves.iter().flat_map(|curve| match curve {
            OutlineCurve::Line(a, b) => [*a, *b, *b, *b],
            OutlineCurve::Quad(a, b, c) => [*a, *b, *c, *c],
            OutlineCurve::Cubic(a, b, c, d) => [*a, *b, *c, *d],
        });
        points.fold(none, |found, p| Self {
            left: found.left.min(p.x),
            top: found.top.min(p.y),
            right: found.right.max(p.x),
            bottom: found.bottom.max(p.y),
        })
    }

    fn width(&self) -> f32 {
        (self.right - self.left).max(1.0)
    }

    fn height(&self) -> f32 {
        (self.bottom - self.top).max(1.0)
    }
}

fn crop(mask: &Mask) -> Mask {
    let rows = || mask.coverage.chunks_exact(mask.width);
    let inked = |row: &[u8]| row.iter().any(|share| *share > 0);
    let Some(top) = rows().position(inked) else {
        return Mask { width: 1, height: 1, coverage: vec![1] };
    };
    let bottom = rows().rposition(inked).unwrap_or(top);
    let mut left = mask.width;
    let mut right = 0;
    for row in rows() {
        left = row.iter().position(|share| *share > 0).map_or(left, |at| left.min(at));
        right = row.iter().rposition(|share| *share > 0).map_or(right, |at| right.max(at));
    }
    let kept = rows().skip(top).take(bottom - top + 1).flat_map(|row| &row[left..=right]).copied();
    Mask { width: right - left + 1, height: bottom - top + 1, coverage: kept.collect() }
}

#[expect(clippy::cast_precision_loss, reason = "sides and rows are below 2^24")]
fn as_f32(pixels: usize) -> f32 {
    pixels as f32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the room first")]
fn ceil_within(pixels: f32, room: usize) -> usize {
    (pixels.ceil() as usize).clamp(1, room.max(1))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255 first")]
fn of_255(share: f32) -> u8 {
    (share * 255.0).round().clamp(0.0, 255.0) as u8
}
