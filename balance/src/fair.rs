//! A fair draw among those that can take an exchange: for the policies that draw, and for who stands in for an endpoint
//! whose turn it is but that cannot take it.
//!
//! In: a seed, a table to draw from, the endpoints. Out: an endpoint drawn from those that admit, in proportion to their
//! weights, as a pure function of the seed. For a stand-in the next entry of the schedule would be simpler, but it would
//! give the neighbour of an ejected endpoint two shares, and that is how one failure becomes two.
//! Cost: no allocation; 1 / (share that admits) draws on average, at most [`DRAWS`], then two scans of the endpoints.
//! Source: rejection sampling; the mixer is `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number
//! generators", 2014).

use crate::Slot;

/// Draws before the scan. With half of the endpoints ejected one pick in 65,536 comes to the scan.
const DRAWS: u64 = 16;

/// An endpoint that `may` have the exchange, or `None` if there is none. `draw` turns bits that are uniform over `u64`
/// into an endpoint; `members` are the endpoints with their weights, each once. Another `seed` draws others.
pub(crate) fn draw_one(
    seed: u64,
    draw: impl Fn(u64) -> Option<Slot>,
    members: impl Iterator<Item = (Slot, u16)> + Clone,
    may: impl Fn(Slot) -> bool,
) -> Option<Slot> {
    // A refused draw says nothing about the next one, so each endpoint that admits is hit in proportion to its entries.
    let drawn = (0..DRAWS).find_map(|step| draw(bits(seed, step)).filter(|&slot| may(slot)));
    if drawn.is_some() {
        return drawn;
    }
    let admitting = members.filter(|&(slot, _)| may(slot));
    let total: usize = admitting.clone().map(|(_, weight)| usize::from(weight)).sum();
    let mut left = below(bits(seed, DRAWS), total);
    let mut last = None;
    for (slot, weight) in admitting {
        last = Some(slot);
        match left.checked_sub(usize::from(weight)) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    // The loop runs off its end only if an endpoint stopped admitting between the two scans; the last one still did.
    last
}

/// The entry of a schedule of `length` that is due at `turn`; 0 when there are none.
pub(crate) fn due(turn: u64, length: usize) -> usize {
    turn.checked_rem(length as u64).and_then(|index| usize::try_from(index).ok()).unwrap_or(0)
}

/// `bits`, uniform over `u64`, made uniform over `0..bound`; 0 when `bound` is 0.
pub(crate) fn below(bits: u64, bound: usize) -> usize {
    // The high half of a product (Lemire 2016) costs a third of a division; its bias is bound / 2^64.
    usize::try_from((u128::from(bits) * bound as u128) >> 64).unwrap_or(0)
}

/// The `step`-th of the numbers that belong to `seed`.
pub(crate) fn bits(seed: u64, step: u64) -> u64 {
    mix(mix(seed).wrapping_add(step))
}

/// The `turn`-th throw of the dice with this seed, for [`Ask::dice`](crate::Ask::dice): uniform over `u64`, and no two
/// turns of 2^64 give the same. Seed each process by chance, or several proxies draw the same endpoints in step.
/// Cost: 1 ns. Source: `SplitMix64`.
pub fn dice(seed: u64, turn: u64) -> u64 {
    mix(seed.wrapping_add(turn.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

/// `SplitMix64`: a bijection that spreads consecutive numbers over all of `u64`.
pub(crate) fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_gives_the_published_sequence_of_splitmix64() {
        // The first outputs for the seed 0, from the reference implementation.
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix(0x9E37_79B9_7F4A_7C15), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn a_number_below_a_bound_reaches_both_ends_and_never_the_bound() {
        assert_eq!(below(0, 10), 0);
        assert_eq!(below(u64::MAX, 10), 9);
        assert_eq!(below(u64::MAX, 0), 0);
    }

    #[test]
    fn the_entry_due_of_an_empty_schedule_is_zero_and_not_a_division_by_it() {
        assert_eq!(due(7, 0), 0);
        assert_eq!(due(u64::MAX, 4), 3);
    }
}
