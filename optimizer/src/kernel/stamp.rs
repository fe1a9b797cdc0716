//! The mark as pixels: letters or a logo with outline and shadow, in the size it has on the picture.
//!
//! In: a figure, the size it should have, the room there is. Out: a [`Stamp`], cropped to its ink. Cost: that of its parts;
//! one byte per pixel for a mark of one colour, else four, and up to eight more while it is made.
//! A mark is made smaller as a whole when it would not fit, outline and shadow with it.
//!
//! - [`shape`], [`letters`]: text. [`resample`]: logos. [`halo`]: outlines and shadows. [`kept`]: what was made lately.

mod halo;
pub(super) mod kept;
mod letters;
mod resample;
pub(super) mod shape;

use ab_glyph::Font;

use self::letters::Letters;
use self::shape::Shaper;
use super::Logo;
use crate::plan::{Color, Edge, Mark};

/// A mark as it lies on the picture, for the viewer upright.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Pixels across, at least 1.
    pub(super) width: usize,
    /// Pixels down, at least 1.
    pub(super) height: usize,
    /// How much of each pixel it covers, 0..=255, row by row; cropped, so the outer rows and columns have ink.
    pub(super) alpha: Vec<u8>,
    /// The colour of each pixel, `None` when all have that of the mark.
    pub(super) colours: Option<Vec<[u8; 3]>>,
}

impl Stamp {
    /// With nothing around it, on a canvas `left` and `top` larger there, and with these sides.
    fn on_canvas(&self, (left, top): (usize, usize), (width, height): (usize, usize)) -> Self {
        let mut alpha = vec![0; width * height];
        spread(&self.alpha, self.width, &mut alpha, width, (left, top));
        let colours = self.colours.as_ref().map(|own| {
            let mut colours = vec![[0; 3]; width * height];
            spread(own, self.width, &mut colours, width, (left, top));
            colours
        });
        Self { width, height, alpha, colours }
    }

    /// Without the empty rows and columns around it, and not larger than `room`. Never empty: what is too small to leave
    /// a trace is one pixel of little coverage.
    fn cropped(&self, room: (usize, usize)) -> Self {
        let rows = || self.alpha.chunks_exact(self.width);
        let inked = |row: &[u8]| row.iter().any(|share| *share > 0);
        let Some(top) = rows().position(inked) else {
            return Self {
                width: 1,
                height: 1,
                alpha: vec![1],
                colours: self.colours.as_ref().map(|_| vec![[128; 3]]),
            };
        };
        let height = (rows().rposition(inked).unwrap_or(top) + 1 - top).min(room.1.max(1));
        let mut left = self.width;
        let mut right = 0;
        for row in rows() {
            left = row.iter().position(|share| *share > 0).map_or(left, |at| left.min(at));
            right = row.iter().rposition(|share| *share > 0).map_or(right, |at| right.max(at));
        }
        let width = (right + 1 - left).min(room.0.max(1));
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let alpha = cut(&self.alpha, self.width, (left, top), (width, height));
        let colours = self.colours.as_ref().map(|own| cut(own, self.width, (left, top), (width, height)));
        Self { width, height, alpha, colours }
    }

    /// Memory it takes.
    fn bytes(&self) -> usize {
        self.alpha.len() * if self.colours.is_some() { 4 } else { 1 }
    }
}

fn spread<T: Copy>(own: &[T], own_width: usize, onto: &mut [T], width: usize, (left, top): (usize, usize)) {
    for (to, from) in onto.chunks_exact_mut(width).skip(top).zip(own.chunks_exact(own_width)) {
        to.iter_mut().skip(left).zip(from).for_each(|(to, from)| *to = *from);
    }
}

fn cut<T: Copy>(own: &[T], own_width: usize, (left, top): (usize, usize), (width, height): (usize, usize)) -> Vec<T> {
    let rows = own.chunks_exact(own_width).skip(top).take(height);
    rows.flat_map(|row| &row[left..left + width]).copied().collect()
}

/// What a stamp takes at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Pixels across and down.
    pub(super) sides: (usize, usize),
    /// Memory while it is drawn.
    pub(super) bytes: usize,
}

/// What is drawn, in its own units.
pub(super) enum Figure<'a> {
    Letters(Letters),
    Logo { logo: &'a Logo, turn: (f32, f32) },
}

impl<'a> Figure<'a> {
    pub(super) fn text(font: &impl Font, shaper: &impl Shaper, text: &str, turn: (f32, f32)) -> Self {
        Self::Letters(Letters::new(font, shaper, text, turn))
    }

    pub(super) fn logo(logo: &'a Logo, turn: (f32, f32)) -> Self {
        Self::Logo { logo, turn }
    }

    /// What the size of a mark is the size of.
    fn line(&self) -> f32 {
        match self {
            Self::Letters(letters) => letters.line,
            Self::Logo { logo, .. } => as_f32(logo.height()),
        }
    }

    /// Sides of a box around it, turned.
    fn sides(&self) -> (f32, f32) {
        match self {
            Self::Letters(letters) => letters.sides(),
            Self::Logo { logo, turn: (sin, cos) } => {
                let (width, height) = (as_f32(logo.width()), as_f32(logo.height()));
                (width * cos.abs() + height * sin.abs(), width * sin.abs() + height * cos.abs())
            }
        }
    }

    fn draw(&self, scale: f32, (width, height): (usize, usize)) -> Stamp {
        match self {
            Self::Letters(letters) => Stamp { width, height, alpha: letters.draw(scale, width, height), colours: None },
            Self::Logo { logo, turn } => {
                let upright = *turn == (0.0, 1.0);
                let side = |own: usize, most: usize| round(as_f32(own) * scale).clamp(1, most.max(1));
                let most = if upright { (width, height) } else { (usize::MAX, usize::MAX) };
                let sides = (side(logo.width(), most.0), side(logo.height(), most.1));
                let resized = resample::resize(logo.rgba(), logo.width(), sides);
                if upright { resized.stamp() } else { resized.turned(*turn, (width, height)).stamp() }
            }
        }
    }
}

/// Sizes of all parts of a stamp in pixels. Everything that it depends on besides the figure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    scale: f32,
    /// Sides of the figure alone.
    sides: (usize, usize),
    room: (usize, usize),
    outline: Option<(f32, Color)>,
    shadow: Option<Shadow>,
}

#[derive(Clone, Copy, Debug)]
struct Shadow {
    by: usize,
    blur: usize,
    color: Color,
}

/// Pixels that rounding may add to each side of a mark with an outline or a shadow.
const SLACK: f32 = 3.0;
/// Lengths of a shadow that its soft edge reaches beyond it: three blurs of a third each.
const SOFT: f32 = 1.0;

impl Layout {
    /// How `figure` is drawn with a size of `height` pixels, or smaller if it is larger than `room` then.
    pub(super) fn new(figure: &Figure<'_>, mark: &Mark, height: f32, room: (usize, usize)) -> Self {
        let share = |edge: Option<Edge>| edge.map_or(0.0, |edge| edge.extent.edge_of(height));
        let (outline, shadow) = (share(mark.outline), share(mark.shadow));
        let slack = if mark.outline.is_some() || mark.shadow.is_some() { 2.0 * SLACK } else { 0.0 };
        // To the left and the right, in heights of the mark.
        let around = outline + outline.max(outline + shadow * (SOFT + 1.0)) + (shadow * (SOFT - 1.0)).max(0.0);
        let (line, (width, rows)) = (figure.line(), figure.sides());
        let (across, down) = (as_f32(room.0) - slack, as_f32(room.1) - slack);
        let fit = |room: f32, side: f32| room.max(1.0) / (side + around * line);
        let scale = (height / line).min(fit(across, width)).min(fit(down, rows));
        let one = line * scale;
        let edge = |edge: Option<Edge>, share: f32| edge.map(|edge| (share * one, edge.color));
        Self {
            scale,
            sides: (ceil_within(width * scale, room.0), ceil_within(rows * scale, room.1)),
            room,
            outline: edge(mark.outline, outline),
            shadow: edge(mark.shadow, shadow).map(|(by, color)| Shadow { by: round(by), blur: round(by / 3.0), color }),
        }
    }

    /// How far outline and shadow reach beyond the figure: to the left and the top, and to the right and the bottom.
    fn around(&self) -> (usize, usize) {
        let outline = self.outline.map_or(0, |(width, _)| ceil(width) + 1);
        let (before, after) = self.shadow.map_or((0, 0), |shadow| {
            let soft = 3 * shadow.blur;
            (soft.saturating_sub(shadow.by), soft + shadow.by)
        });
        (outline + before, outline + after)
    }

    /// What drawing takes at most.
    pub(super) fn bounds(&self, figure: &Figure<'_>) -> Bounds {
        let (before, after) = self.around();
        let sides = (self.sides.0 + before + after, self.sides.1 + before + after);
        let pixels = sides.0 * sides.1;
        let plain = self.outline.is_none() && self.shadow.is_none();
        let bytes = match figure {
            // Before and after it is cropped.
            Figure::Letters(_) if plain => 2 * pixels + letters::MEMORY,
            Figure::Letters(_) => 12 * pixels + letters::MEMORY,
            Figure::Logo { .. } => 24 * pixels,
        };
        Bounds { sides, bytes }
    }

    /// Draws `figure`; `color` is that of letters.
    pub(super) fn draw(&self, figure: &Figure<'_>, color: Option<Color>) -> Stamp {
        let own = figure.draw(self.scale, self.sides);
        if self.outline.is_none() && self.shadow.is_none() {
            return own.cropped(self.room);
        }
        let (before, after) = self.around();
        let sides = (own.width + before + after, own.height + before + after);
        let own = own.on_canvas((before, before), sides);
        let outline = self.outline.map(|(width, color)| (halo::grow(&own.alpha, own.width, width), color));
        let shadow = self.shadow.map(|shadow| {
            let below = outline.as_ref().map_or(&own.alpha, |(alpha, _)| alpha);
            (halo::shadow(below, own.width, shadow.by, shadow.blur), shadow.color)
        });
        over(own, color.unwrap_or(Color::WHITE), [outline, shadow]).cropped(self.room)
    }
}

/// The figure over its outline over its shadow, each in its colour.
fn over(own: Stamp, color: Color, [outline, shadow]: [Option<(Vec<u8>, Color)>; 2]) -> Stamp {
    const FULL: u32 = 255 * 255;
    let Stamp { width, height, alpha: mut whole, colours } = own;
    let mut colours = colours.unwrap_or_else(|| vec![color.0; whole.len()]);
    let below = |layer: &Option<(Vec<u8>, Color)>, at: usize| {
        layer.as_ref().map_or((0, [0; 3]), |(alpha, Color(color))| (u32::from(alpha[at]), *color))
    };
    for (at, (alpha, colour)) in whole.iter_mut().zip(&mut colours).enumerate() {
        let ((line, line_color), (shade, shade_color)) = (below(&outline, at), below(&shadow, at));
        let top = u32::from(*alpha);
        // In 255ths of 255ths of 255ths.
        let parts = [top * FULL, (255 - top) * line * 255, (255 - top) * (255 - line) * shade];
        let sum: u32 = parts.iter().sum();
        let layers = [*colour, line_color, shade_color];
        *colour = std::array::from_fn(|sample| {
            let mixed: u64 =
                parts.iter().zip(layers).map(|(part, layer)| u64::from(*part) * u64::from(layer[sample])).sum();
            let whole = u64::from(sum.max(1));
            u8::try_from((mixed + whole / 2) / whole).unwrap_or(u8::MAX)
        });
        *alpha = u8::try_from((sum + FULL / 2) / FULL).unwrap_or(u8::MAX);
    }
    Stamp { width, height, alpha: whole, colours: Some(colours) }
}

#[expect(clippy::cast_precision_loss, reason = "sides, and squares of distances that matter, are below 2^24")]
fn as_f32(pixels: usize) -> f32 {
    pixels as f32
}

fn ceil_within(pixels: f32, room: usize) -> usize {
    ceil(pixels).clamp(1, room.max(1))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lengths are positive")]
fn ceil(pixels: f32) -> usize {
    pixels.ceil() as usize
}

fn round(pixels: f32) -> usize {
    ceil((pixels - 0.5).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_covers_its_outline_and_that_its_shadow() {
        let own = Stamp { width: 4, height: 1, alpha: vec![255, 0, 0, 128], colours: None };
        let outline = Some((vec![255, 255, 0, 0], Color([1, 2, 3])));
        let shadow = Some((vec![255, 255, 128, 0], Color([9, 9, 9])));
        let stamp = over(own, Color::WHITE, [outline, shadow]);
        assert_eq!(stamp.alpha, [255, 255, 128, 128]);
        assert_eq!(stamp.colours.unwrap(), [[255; 3], [1, 2, 3], [9; 3], [255; 3]]);
    }

    #[test]
    fn a_stamp_without_ink_is_one_faint_pixel_and_a_large_one_is_cut_to_its_room() {
        let empty = Stamp { width: 3, height: 2, alpha: vec![0; 6], colours: None };
        assert_eq!(empty.cropped((9, 9)).alpha, [1]);
        let full = Stamp { width: 3, height: 2, alpha: vec![7; 6], colours: None };
        assert_eq!(full.cropped((2, 1)), Stamp { width: 2, height: 1, alpha: vec![7; 2], colours: None });
    }
}
