//! Chance, in proportion to weights.
//!
//! In: endpoints with weights. Out: an endpoint drawn by `ask.dice`; the draws of those that do not admit spread over the
//! others by weight, see `fair.rs`. Two choices and peak-EWMA draw from the same table.
//! Cost: build O(endpoints), 16 bytes each; pick one table entry and one load read, with endpoints ejected as `fair.rs`
//! says. Exact: an endpoint is drawn with its weight over the sum of all, up to the 2^-32 of the numbers drawn.
//! Source: the alias method, Walker 1977, built in linear time as by Vose, "A linear algorithm for generating random
//! numbers with a given distribution", 1991. Laws: `tests/it/laws.rs`.

use crate::{Ask, Loads, Slot, fair};

/// A column of the alias table: this endpoint, and the one that has the rest of the column.
#[derive(Clone, Copy, Debug)]
struct Column {
    slot: Slot,
    other: Slot,
    /// `slot` has this part of the column's 2^32; all of it is one less, and its `other` is itself.
    part: u32,
}

/// The endpoints as an alias table.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    columns: Box<[Column]>,
    members: Box<[(Slot, u16)]>,
}

impl Random {
    pub(crate) fn build(members: Box<[(Slot, u16)]>) -> Self {
        Self { columns: columns(&members), members }
    }

    /// An endpoint that admits; `None` if none does.
    pub(crate) fn pick(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<Slot> {
        self.draw(ask.dice, |slot| ask.may_go_to(slot, loads))
    }

    /// Two different endpoints that admit, the second drawn among those that the first is not; `None` for the second when
    /// only one admits.
    pub(crate) fn pair(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<(Slot, Option<Slot>)> {
        let first = self.draw(ask.dice, |slot| ask.may_go_to(slot, loads))?;
        if self.members.len() == 1 {
            return Some((first, None));
        }
        let second = self.draw(!ask.dice, |slot| slot != first && ask.may_go_to(slot, loads));
        Some((first, second))
    }

    /// The weight of an endpoint.
    pub(crate) fn weight(&self, slot: Slot) -> u16 {
        // Members are in slot order, each slot once.
        self.members.get(slot.index()).map_or(1, |&(_, weight)| weight)
    }

    fn draw(&self, seed: u64, may: impl Fn(Slot) -> bool) -> Option<Slot> {
        let draw = |bits: u64| {
            // The high bits choose the column: the low half is as good as new.
            let column = self.columns.get(fair::below(bits, self.columns.len()))?;
            let part = u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
            Some(if part < column.part { column.slot } else { column.other })
        };
        fair::draw_one(seed, draw, self.members.iter().copied(), may)
    }
}

/// Columns of equal height that hold all weights: each has the rest of one endpoint and is filled up by another.
fn columns(members: &[(Slot, u16)]) -> Box<[Column]> {
    let count = members.len() as u64;
    let height: u64 = members.iter().map(|&(_, weight)| u64::from(weight)).sum();
    let whole = |slot| Column { slot, other: slot, part: u32::MAX };
    let mut columns: Box<[Column]> = members.iter().map(|&(slot, _)| whole(slot)).collect();
    // Scaled so that a column's height is the sum of weights: everything stays whole numbers.
    let mut left: Vec<u64> = members.iter().map(|&(_, weight)| u64::from(weight) * count).collect();
    let (mut low, mut high): (Vec<usize>, Vec<usize>) = (0..members.len()).partition(|&at| left[at] < height);
    while let (Some(at), Some(&rich)) = (low.pop(), high.last()) {
        // Below 2^64: a height is at most 65,535 x 1000, and `left` is less than it here.
        let part = (left[at] << 32) / height.max(1);
        columns[at].part = u32::try_from(part).unwrap_or(u32::MAX);
        columns[at].other = members[rich].0;
        left[rich] -= height - left[at];
        if left[rich] < height {
            high.pop();
            low.push(rich);
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(weights: &[u16]) -> Random {
        Random::build(weights.iter().zip(0..).map(|(&weight, index)| (Slot::new(index), weight)).collect())
    }

    proptest::proptest! {
        #[test]
        fn the_columns_of_an_endpoint_add_up_to_its_weight(
            weights in proptest::collection::vec(1_u16..=1000, 1..60),
        ) {
            let table = built(&weights);
            let mut shares = vec![0.0; weights.len()];
            for column in &table.columns {
                let part = if column.slot == column.other { 1.0 } else { f64::from(column.part) / 4_294_967_296.0 };
                shares[column.slot.index()] += part;
                shares[column.other.index()] += 1.0 - part;
            }
            let sum: f64 = weights.iter().copied().map(f64::from).sum();
            let columns = f64::from(u32::try_from(weights.len()).unwrap());
            for (share, weight) in shares.iter().zip(&weights) {
                let exact = f64::from(*weight) / sum;
                proptest::prop_assert!((share / columns - exact).abs() < 1e-6, "{share} of {columns} for {exact}");
            }
        }
    }

    #[test]
    fn an_empty_table_draws_nobody() {
        assert_eq!(built(&[]).draw(7, |_| true), None);
    }
}
