//! The embedded font, and the marks drawn lately.
//!
//! In: a mark, a height, the room there is. Out: a [`Stamp`]. Cost: the layout of a text, a few microseconds for a word;
//! the drawing, see [`super::stamp`], only when it is not kept from before.
//! Left out: shaping (Arabic, Indic scripts) and text of several lines.

use std::fmt;
use std::sync::Arc;

use ab_glyph::{Font, FontRef, GlyphId};

use super::stamp::kept::{Counts, Kept, Key};
use super::stamp::shape::Kerning;
use super::stamp::{Bounds, Figure, Layout, Stamp};
use crate::plan::{Content, Mark};

// See fonts/README.md for where it is from.
const FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans-Bold.ttf");

/// The embedded font cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the embedded font cannot be read")]
pub struct FontError(#[from] ab_glyph::InvalidFont);

/// A font. Cheap to clone: it borrows the bytes in the binary, and clones share the marks they keep.
#[derive(Clone)]
pub struct Face {
    font: FontRef<'static>,
    kept: Arc<Kept>,
}

impl fmt::Debug for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Face(DejaVu Sans Bold)")
    }
}

impl Face {
    /// Bytes of drawn marks kept by default: some hundred of the usual size, or one of 2,900 x 2,900 pixels.
    pub const KEPT: usize = 8 << 20;

    /// The font in the binary, that keeps up to `kept` bytes of drawn marks.
    ///
    /// # Errors
    /// [`FontError`] when its bytes are no font.
    pub fn embedded(kept: usize) -> Result<Self, FontError> {
        Ok(Self { font: FontRef::try_from_slice(FONT)?, kept: Arc::new(Kept::new(kept)) })
    }

    /// Whether the font draws this character; never a control character.
    pub fn has(&self, c: char) -> bool {
        !c.is_control() && self.font.glyph_id(c) != GlyphId(0)
    }

    /// Whether drawing this character leaves a trace.
    pub fn has_ink(&self, c: char) -> bool {
        self.font.outline(self.font.glyph_id(c)).is_some_and(|outline| !outline.curves.is_empty())
    }

    /// How often a mark was kept from before.
    pub(super) fn counts(&self) -> Counts {
        self.kept.counts()
    }

    /// `mark` with a size of `height` pixels.
    ///
    /// One that would be larger than `room` (pixels across, down) is drawn smaller, so that it is whole on every picture.
    pub(super) fn stamp(&self, mark: &Mark, height: f32, room: (usize, usize)) -> Arc<Stamp> {
        let figure = self.figure(mark);
        let layout = Layout::new(&figure, mark, height, room);
        let color = match &mark.content {
            Content::Text { color, .. } => Some(*color),
            Content::Logo(_) => None,
        };
        self.kept.get(Key::new(mark, &layout), || layout.draw(&figure, color))
    }

    /// What drawing `mark` takes at most.
    pub(super) fn bounds(&self, mark: &Mark, height: f32, room: (usize, usize)) -> Bounds {
        let figure = self.figure(mark);
        Layout::new(&figure, mark, height, room).bounds(&figure)
    }

    fn figure<'a>(&self, mark: &'a Mark) -> Figure<'a> {
        let turn = mark.rotate.sin_cos();
        match &mark.content {
            Content::Text { text, .. } => Figure::text(&self.font, &Kerning(&self.font), text.as_str(), turn),
            Content::Logo(logo) => Figure::logo(logo, turn),
        }
    }
}
