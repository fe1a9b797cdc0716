//! Text to positioned glyphs.
//!
//! In: a line of text. Out: which glyph goes where. Cost: O(characters). Behind a trait, so that a shaper for Arabic and
//! Indic scripts can take the place of the one here without anything else changing.

use ab_glyph::{Font, GlyphId};

/// A glyph of a font at its place on the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::kernel) struct Placed {
    pub(super) glyph: GlyphId,
    /// Of its origin, in font units; `y` upwards from the base line.
    pub(super) x: f32,
    pub(super) y: f32,
}

/// Turns text into glyphs.
pub(in crate::kernel) trait Shaper {
    /// The glyphs of one line of `text`, in the order in which they are drawn.
    fn shape(&self, text: &str) -> Vec<Placed>;
}

/// One glyph a character, left to right, with the font's kerning: right for Latin, Greek, Cyrillic and the like.
pub(in crate::kernel) struct Kerning<'a, F>(pub(in crate::kernel) &'a F);

impl<F: Font> Shaper for Kerning<'_, F> {
    fn shape(&self, text: &str) -> Vec<Placed> {
        let Self(font) = self;
        let mut pen = 0.0;
        let mut previous = None;
        let glyphs = text.chars().map(|c| font.glyph_id(c));
        let place = |glyph| {
            if let Some(previous) = previous.replace(glyph) {
                pen += font.kern_unscaled(previous, glyph);
            }
            let x = pen;
            pen += font.h_advance_unscaled(glyph);
            Placed { glyph, x, y: 0.0 }
        };
        glyphs.map(place).collect()
    }
}
