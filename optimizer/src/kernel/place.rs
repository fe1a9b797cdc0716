//! Where on the picture the mark goes.
//!
//! In: the sides of picture and stamp, a position, a margin. Out: a lattice of copies; those of a tiled mark may lie
//! partly outside. Cost: a few numbers however many copies: nothing here is as large as the picture.

use super::stamp::Stamp;
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

/// Further than any picture reaches, and no sum of two overflows.
const NEVER: usize = usize::MAX / 4;

/// Copies of a stamp in rows, every second row shifted to the left. A mark that is not tiled is one copy: the next one
/// would be further away than any picture reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Upper left corner of the first copy of the first row; there is none above it, and none left of it in its row.
    pub(super) left: usize,
    pub(super) top: usize,
    /// From one copy to the next.
    across: usize,
    down: usize,
    /// How far every second row starts further left.
    shift: usize,
    /// Sides of the stamp, never more than `across` and `down`.
    width: usize,
    height: usize,
}

/// Pixels next to each other that one copy shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first of them, counted from where the search began.
    pub(super) at: usize,
    /// Which column or row of the stamp it shows.
    pub(super) from: usize,
    /// How many they are.
    pub(super) count: usize,
    /// The number of the copy.
    copy: usize,
}

impl Places {
    /// Where `stamp` goes.
    pub(super) fn new(sides: Sides, stamp: &Stamp, position: Position, margin: usize) -> Self {
        let Stamp { width, height, .. } = *stamp;
        let centre = sides.width.saturating_sub(width) / 2;
        let middle = sides.height.saturating_sub(height) / 2;
        let right = sides.width.saturating_sub(width + margin);
        let bottom = sides.height.saturating_sub(height + margin);
        let (left, top) = match position {
            Position::TopLeft | Position::Tile => (margin, margin),
            Position::TopCentre => (centre, margin),
            Position::TopRight => (right, margin),
            Position::CentreLeft => (margin, middle),
            Position::Centre => (centre, middle),
            Position::CentreRight => (right, middle),
            Position::BottomLeft => (margin, bottom),
            Position::BottomCentre => (centre, bottom),
            Position::BottomRight => (right, bottom),
        };
        let tiled = position == Position::Tile;
        let (across, down) = if tiled { (width + 2 * margin, height + 2 * margin) } else { (NEVER, NEVER) };
        let shift = if tiled { across / 2 } else { 0 };
        Self { left, top, across, down, shift, width, height }
    }

    /// Whether there are copies besides the first.
    pub(super) fn is_tiled(&self) -> bool {
        self.across < NEVER
    }

    /// The rows `from..from + count` of the picture that show rows of the stamp.
    pub(super) fn rows(&self, from: usize, count: usize) -> impl Iterator<Item = Run> {
        runs((from, count), self.top, 0, self.down, self.height)
    }

    /// The columns `from..from + count` that show columns of the stamp, in the rows of `row`.
    pub(super) fn columns(&self, row: Run, from: usize, count: usize) -> impl Iterator<Item = Run> {
        let shift = if row.copy % 2 == 1 { self.shift } else { 0 };
        runs((from, count), self.left, shift, self.across, self.width)
    }
}

/// The runs among `count` coordinates from `from` on, of copies `length` long, one every `step`, the first at
/// `first - shift`.
fn runs(
    (from, count): (usize, usize),
    first: usize,
    shift: usize,
    step: usize,
    length: usize,
) -> impl Iterator<Item = Run> {
    let mut at = first.saturating_sub(from + shift);
    // Counted from the first copy; meaningless, and not used, when that begins after the end.
    let place = (from + at + shift).saturating_sub(first);
    let (mut copy, mut into) = (place / step, place % step);
    std::iter::from_fn(move || {
        if into >= length {
            at = at.saturating_add(step - into);
            copy += 1;
            into = 0;
        }
        if at >= count {
            return None;
        }
        let run = Run { at, from: into, count: (length - into).min(count - at), copy };
        at += run.count;
        into += run.count;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_those_of_looking_at_each_coordinate() {
        for (first, shift, step, length) in [(0, 0, 5, 5), (3, 0, 7, 4), (2, 6, 12, 9), (9, 3, 4, 1), (1, 0, 900, 7)] {
            for (from, count) in [(0, 30), (4, 8), (11, 1), (13, 40)] {
                let mut found = vec![None; count];
                for run in runs((from, count), first, shift, step, length) {
                    for more in 0..run.count {
                        assert_eq!(found[run.at + more].replace((run.copy, run.from + more)), None);
                    }
                }
                for (at, found) in found.into_iter().enumerate() {
                    let place = (from + at + shift).checked_sub(first);
                    let wanted = place.map(|place| (place / step, place % step)).filter(|(_, into)| *into < length);
                    assert_eq!(found, wanted, "{at} from {from}: {first} {shift} {step} {length}");
                }
            }
        }
    }
}
