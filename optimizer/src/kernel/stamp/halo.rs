//! Outlines and shadows of what covers some pixels.
//!
//! In: coverage, row by row. Out: coverage of the same sides. Cost: O(pixels) whatever the radius; growing takes two
//! bytes per pixel besides, blurring one.
//! An outline is what a round brush leaves whose middle goes over every inked point. The nearest inked pixel of each
//! pixel comes from the exact Euclidean distance transform; how far that one is inked says where its edge is.
//! Source: Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", 2012; three box blurs for a soft
//! edge, as the SVG filter specification has it for `feGaussianBlur`.

/// No inked pixel in this column.
const NONE: u16 = u16::MAX;

/// `alpha` after a round brush of `radius` pixels went over it. Sides are below 65,536.
pub(super) fn grow(alpha: &[u8], width: usize, radius: f32) -> Vec<u8> {
    let mut grown = vec![0; alpha.len()];
    let mut envelope = Envelope::default();
    // A faint pixel may be nearest where a solid one a little further away reaches further.
    for least in [1, 128] {
        let nearest = nearest_in_column(alpha, width, least);
        for (y, (out, rows)) in grown.chunks_exact_mut(width).zip(nearest.chunks_exact(width)).enumerate() {
            envelope.build(rows, y);
            for (x, out) in out.iter_mut().enumerate() {
                let Some(column) = envelope.nearest(x) else { continue };
                let row = usize::from(rows[column]);
                let far = distance(x.abs_diff(column), y.abs_diff(row));
                if far <= radius - 1.0 {
                    *out = u8::MAX;
                } else if far < radius + 1.0 {
                    *out = (*out).max(reach(alpha, width, (x, y), (column, row), radius));
                }
            }
        }
    }
    grown
}

/// How far the brush on the pixels about the nearest inked one reaches into the pixel at `(x, y)`, in 255ths.
fn reach(alpha: &[u8], width: usize, (x, y): (usize, usize), (column, row): (usize, usize), radius: f32) -> u8 {
    let mut most = 0.0_f32;
    for row in row.saturating_sub(1)..=row + 1 {
        let Some(line) = alpha.get(row * width..(row + 1) * width) else { continue };
        for (column, inked) in line.iter().enumerate().take(column + 2).skip(column.saturating_sub(1)) {
            if *inked > 0 {
                let inked = f32::from(*inked) / 255.0;
                most = most.max(radius + inked - distance(x.abs_diff(column), y.abs_diff(row)));
            }
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255 after the clamp")]
    let share = (most.clamp(0.0, 1.0) * 255.0).round() as u8;
    share
}

/// Multiplication, sum and square root are exact to the last bit on every processor.
fn distance(x: usize, y: usize) -> f32 {
    super::as_f32(x * x + y * y).sqrt()
}

/// For each pixel the row of the nearest pixel of its column that is inked by `least` 255ths.
fn nearest_in_column(alpha: &[u8], width: usize, least: u8) -> Vec<u16> {
    let mut nearest = vec![NONE; alpha.len()];
    let mut last = vec![NONE; width];
    let rows = alpha.len() / width;
    let number = |y: usize| u16::try_from(y).unwrap_or(NONE);
    for y in 0..rows {
        let at = y * width..(y + 1) * width;
        for ((nearest, last), alpha) in nearest[at.clone()].iter_mut().zip(&mut last).zip(&alpha[at]) {
            if *alpha >= least {
                *last = number(y);
            }
            *nearest = *last;
        }
    }
    last.fill(NONE);
    for y in (0..rows).rev() {
        let at = y * width..(y + 1) * width;
        for (nearest, last) in nearest[at].iter_mut().zip(&mut last) {
            if *nearest == number(y) {
                *last = *nearest;
            }
            let closer = *nearest == NONE || (*last != NONE && usize::from(*last) - y < y - usize::from(*nearest));
            if closer {
                *nearest = *last;
            }
        }
    }
    nearest
}

/// The columns of a row whose inked pixels are nearest to something, and from where on each is.
#[derive(Default)]
struct Envelope {
    columns: Vec<usize>,
    from: Vec<f64>,
    /// The one of them that was asked for last.
    at: usize,
}

impl Envelope {
    fn build(&mut self, rows: &[u16], y: usize) {
        self.columns.clear();
        self.from.clear();
        self.at = 0;
        let height = |column: usize| {
            let down = y.abs_diff(usize::from(rows[column]));
            as_f64(column * column + down * down)
        };
        for (column, row) in rows.iter().enumerate() {
            if *row == NONE {
                continue;
            }
            let mut from = f64::NEG_INFINITY;
            while let (Some(last), Some(begin)) = (self.columns.last(), self.from.last()) {
                from = (height(column) - height(*last)) / as_f64(2 * (column - last));
                if from > *begin {
                    break;
                }
                self.columns.pop();
                self.from.pop();
                from = f64::NEG_INFINITY;
            }
            self.columns.push(column);
            self.from.push(from);
        }
    }

    /// The column of the inked pixel nearest to `x`; asked with `x` going up.
    fn nearest(&mut self, x: usize) -> Option<usize> {
        while self.from.get(self.at + 1).is_some_and(|from| *from < as_f64(x)) {
            self.at += 1;
        }
        self.columns.get(self.at).copied()
    }
}

#[expect(clippy::cast_precision_loss, reason = "sums of two squares of sides are below 2^53")]
fn as_f64(number: usize) -> f64 {
    number as f64
}

/// `alpha` moved by `by` pixels to the right and down, and made soft by three box blurs of `radius`.
pub(super) fn shadow(alpha: &[u8], width: usize, by: usize, radius: usize) -> Vec<u8> {
    let mut moved = vec![0; alpha.len()];
    for (to, from) in moved.chunks_exact_mut(width).skip(by).zip(alpha.chunks_exact(width)) {
        for (to, from) in to.iter_mut().skip(by).zip(from) {
            *to = *from;
        }
    }
    if radius == 0 {
        return moved;
    }
    let mut line = vec![0; width];
    for row in moved.chunks_exact_mut(width) {
        for _ in 0..3 {
            line.copy_from_slice(row);
            across(&line, row, radius);
        }
    }
    let mut other = vec![0; moved.len()];
    for _ in 0..3 {
        down(&moved, &mut other, width, radius);
        std::mem::swap(&mut moved, &mut other);
    }
    moved
}

/// The mean of `2 * radius + 1` pixels about each; there is nothing beyond the ends.
fn across(from: &[u8], to: &mut [u8], radius: usize) {
    let mean = Mean::new(radius);
    let mut sum: u32 = from.iter().take(radius).copied().map(u32::from).sum();
    for (x, to) in to.iter_mut().enumerate() {
        sum += from.get(x + radius).copied().map_or(0, u32::from);
        *to = mean.of(sum);
        sum -= x.checked_sub(radius).and_then(|x| from.get(x)).copied().map_or(0, u32::from);
    }
}

fn down(from: &[u8], to: &mut [u8], width: usize, radius: usize) {
    let mean = Mean::new(radius);
    let row = |y: usize| from.get(y * width..(y + 1) * width).unwrap_or_default();
    let mut sums = vec![0_u32; width];
    let add = |sums: &mut [u32], y: usize| {
        for (sum, sample) in sums.iter_mut().zip(row(y)) {
            *sum += u32::from(*sample);
        }
    };
    (0..radius).for_each(|y| add(&mut sums, y));
    for (y, to) in to.chunks_exact_mut(width).enumerate() {
        add(&mut sums, y + radius);
        for (to, sum) in to.iter_mut().zip(&sums) {
            *to = mean.of(*sum);
        }
        for (sum, sample) in sums.iter_mut().zip(y.checked_sub(radius).map_or(&[][..], row)) {
            *sum -= u32::from(*sample);
        }
    }
}

/// Divides by the width of a box, to the nearest.
struct Mean {
    count: u32,
}

impl Mean {
    fn new(radius: usize) -> Self {
        Self { count: u32::try_from(2 * radius + 1).unwrap_or(u32::MAX) }
    }

    fn of(&self, sum: u32) -> u8 {
        u8::try_from((sum + self.count / 2) / self.count).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By trying every inked pixel.
    fn grown_by_hand(alpha: &[u8], width: usize, radius: f32) -> Vec<f32> {
        let at = |index: usize| (index % width, index / width);
        let value = |to: usize| {
            let inked = (0..alpha.len()).filter(|from| alpha[*from] > 0).map(|from| {
                let ((x, y), (column, row)) = (at(to), at(from));
                radius + f32::from(alpha[from]) / 255.0 - distance(x.abs_diff(column), y.abs_diff(row))
            });
            inked.fold(0.0, f32::max).min(1.0) * 255.0
        };
        (0..alpha.len()).map(value).collect()
    }

    /// A filled circle with a soft edge, and a lone faint dot.
    fn figure(width: usize, height: usize) -> Vec<u8> {
        let inked = |index: usize| {
            let (x, y) = (index % width, index / width);
            if (x, y) == (2, 3) {
                return 90.0;
            }
            (9.2 - distance(x.abs_diff(20), y.abs_diff(15))).clamp(0.0, 1.0) * 255.0
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        let alpha = (0..width * height).map(|index| inked(index) as u8).collect();
        alpha
    }

    #[test]
    fn a_grown_figure_is_that_of_a_brush_on_every_inked_pixel() {
        let (width, height) = (45, 38);
        let alpha = figure(width, height);
        for radius in [0.3, 1.0, 2.5, 7.25, 60.0] {
            let wanted = grown_by_hand(&alpha, width, radius);
            for (found, wanted) in grow(&alpha, width, radius).into_iter().zip(wanted) {
                assert!((f32::from(found) - wanted).abs() < 26.0, "{found} and {wanted:.0} by {radius}");
            }
        }
    }

    #[test]
    fn nothing_grows_from_nothing() {
        assert_eq!(grow(&[0; 12], 4, 3.0), [0; 12]);
    }

    #[test]
    fn a_shadow_keeps_the_weight_of_its_figure_and_moves_its_middle() {
        let width = 80;
        let mut alpha = vec![0_u8; width * 60];
        for y in 20..30 {
            alpha[y * width + 25..y * width + 40].fill(255);
        }
        let weight = |alpha: &[u8]| alpha.iter().copied().map(u64::from).sum::<u64>();
        let middle = |alpha: &[u8]| {
            let moments = alpha.iter().enumerate().map(|(at, value)| (at % width) as u64 * u64::from(*value));
            moments.sum::<u64>() * 100 / weight(alpha)
        };
        let soft = shadow(&alpha, width, 6, 3);
        assert!(weight(&soft).abs_diff(weight(&alpha)) * 100 < weight(&alpha));
        assert!(middle(&soft).abs_diff(middle(&alpha) + 600) < 20);
        // Soft: somewhere between nothing and all.
        assert!(soft.iter().filter(|value| (30..220).contains(*value)).count() > 100);
        assert_eq!(shadow(&alpha, width, 0, 0), alpha);
    }
}
