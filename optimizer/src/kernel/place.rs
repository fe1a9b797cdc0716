//! Where on the picture the mark goes.
//!
//! In: the sides of picture and mask, a position, a margin. Out: the top left corner of every copy of the mask; those
//! of a tiled mark may lie partly outside. Cost: O(copies).

use crate::kernel::Mask;
use crate::plan::Position;

/// Sides of a picture in pixels, as the viewer sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides {
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Sides {
    /// `margin` as far as it leaves at least one pixel of room.
    pub(super) fn margin_within(self, margin: f32) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a margin is 0 to 65,535")]
        let margin = margin.round() as usize;
        margin.min((self.width - 1) / 2).min((self.height - 1) / 2)
    }

    /// The pixels across and down that are left within a margin.
    pub(super) fn room(self, margin: usize) -> (usize, usize) {
        (self.width - 2 * margin, self.height - 2 * margin)
    }
}

/// The top left corners of all copies of `mask`, `(x, y)` in pixels.
pub(super) fn places(sides: Sides, mask: &Mask, position: Position, margin: usize) -> Vec<(isize, isize)> {
    let left = signed(margin);
    let top = left;
    let centre = signed(sides.width.saturating_sub(mask.width) / 2);
    let middle = signed(sides.height.saturating_sub(mask.height) / 2);
    let right = signed(sides.width.saturating_sub(mask.width + margin));
    let bottom = signed(sides.height.saturating_sub(mask.height + margin));
    vec![match position {
        Position::TopLeft => (left, top),
        Position::TopCentre => (centre, top),
        Position::TopRight => (right, top),
        Position::CentreLeft => (left, middle),
        Position::Centre => (centre, middle),
        Position::CentreRight => (right, middle),
        Position::BottomLeft => (left, bottom),
        Position::BottomCentre => (centre, bottom),
        Position::BottomRight => (right, bottom),
        Position::Tile => return tiles(sides, mask, margin),
    }]
}

fn tiles(sides: Sides, mask: &Mask, margin: usize) -> Vec<(isize, isize)> {
    let (across, down) = (mask.width + 2 * margin, mask.height + 2 * margin);
    let rows = (margin..sides.height).step_by(down).enumerate();
    rows.flat_map(|(row, y)| {
        // A shifted row starts one copy further left, so that its left end is covered too.
        let shift = if row % 2 == 1 { signed(across / 2) } else { 0 };
        (margin..sides.width + across).step_by(across).map(move |x| (signed(x) - shift, signed(y)))
    })
    .filter(|(x, _)| *x < signed(sides.width))
    .collect()
}

fn signed(pixels: usize) -> isize {
    isize::try_from(pixels).unwrap_or(isize::MAX)
}
