//! A hash ring with virtual nodes: one key, one endpoint, and few keys move when the list changes.
//!
//! In: endpoints with identities and weights, places per unit of weight. Out: rising places with their owners, and the first
//! place at or clockwise after a key's hash; `keyed.rs` walks on from there. Used by `ip-hash` and `consistent-hash`.
//! Cost: build O(places × log places); 11 bytes per place. Pick: one read of the index, a binary search among some four
//! places.
//! Source: Karger et al., "Consistent hashing and random trees", 1997; places by the hash of `identity#i` as in ketama;
//! places in proportion to weight as nginx's `hash … consistent`. Laws: `tests/it/laws.rs`.
//!
//! **The bound.** An endpoint has `virtual_nodes` × weight places whatever its siblings are, which is why only the keys
//! of a removed endpoint move. When all together would exceed [`LIMIT`], every count is halved until they fit, never
//! below one. Each halving moves about half of the keys once, at the change of the list that crosses a power of two
//! times the limit. With the default of 160 that is 6,553 endpoints of weight 1, or 65 of weight 100: write small
//! weights.

use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64;

use crate::{Endpoints, KeyHash, Slot, VirtualNodes};

/// The most places of a ring, 11 MB; more than any endpoint needs for an even share, see [`VirtualNodes::DEFAULT`].
const LIMIT: u64 = 1 << 20;

/// The places in clockwise order, and how to find one.
#[derive(Clone)]
pub(crate) struct Ring {
    /// Rising.
    positions: Box<[u64]>,
    /// Whose they are, entry by entry.
    owners: Box<[Slot]>,
    /// For each value of a position's top bits, how many positions have smaller ones; one entry more than values.
    index: Box<[u32]>,
    /// What to shift a hash by to get its top bits.
    shift: u32,
}

impl Ring {
    pub(crate) fn build(endpoints: &Endpoints, virtual_nodes: VirtualNodes) -> Self {
        let mut sorted: Vec<_> = endpoints.iter().collect();
        sorted.sort_unstable_by(|(_, a), (_, b)| a.identity.cmp(&b.identity));

        let full = || sorted.iter().map(|(_, it)| u64::from(virtual_nodes.get()) * u64::from(it.weight.get()));
        let mut halvings = 0;
        let mut total: u64 = full().sum();
        while total > LIMIT {
            halvings += 1;
            total = full().map(|places| (places >> halvings).max(1)).sum();
        }
        // A rank in order of identity settles two places at one position; a slot would bring the order of listing in.
        let mut places: Vec<(u64, u16)> = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
        let mut text = String::new();
        for ((rank, (_, endpoint)), count) in (0..=u16::MAX).zip(&sorted).zip(full()) {
            for place in 0..(count >> halvings).max(1) {
                text.clear();
                // Writing to a String cannot fail; were a place to go missing, the ring would still be whole.
                if write!(text, "{}#{place}", endpoint.identity).is_ok() {
                    places.push((xxh3_64(text.as_bytes()), rank));
                }
            }
        }
        places.sort_unstable();

        let owner = |rank: u16| sorted.get(usize::from(rank)).map(|&(slot, _)| slot);
        let positions: Box<[u64]> = places.iter().map(|&(position, _)| position).collect();
        let (index, shift) = index(&positions);
        Self { positions, owners: places.iter().filter_map(|&(_, rank)| owner(rank)).collect(), index, shift }
    }

    /// Whose the places are, in clockwise order.
    pub(crate) fn owners(&self) -> &[Slot] {
        &self.owners
    }

    /// Index of the first place at or after the hash; one past the last place is the same as the first.
    pub(crate) fn place(&self, key: KeyHash) -> usize {
        let top = usize::try_from(key.0 >> self.shift).unwrap_or(usize::MAX);
        let Some(&[from, to]) = self.index.get(top..).and_then(|rest| rest.first_chunk()) else {
            return 0;
        };
        let (from, to) = (from as usize, to as usize);
        let inside = self.positions.get(from..to).unwrap_or_default();
        from + inside.partition_point(|&position| position < key.0)
    }
}

/// The index over rising positions, and its shift: some four places per entry, which is half a cache line of them.
fn index(positions: &[u64]) -> (Box<[u32]>, u32) {
    let bits = positions.len().checked_ilog2().unwrap_or(0).saturating_sub(2).max(1);
    let shift = u64::BITS - bits;
    let mut table = Vec::with_capacity((1 << bits) + 1);
    let mut passed = 0_u32;
    let mut rest = positions.iter().peekable();
    for top in 0..=1_u64 << bits {
        while rest.next_if(|&&position| position >> shift < top).is_some() {
            passed += 1;
        }
        table.push(passed);
    }
    (table.into_boxed_slice(), shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, Weight, fair};

    fn built(weights: impl Iterator<Item = u16>, virtual_nodes: u16) -> Ring {
        let endpoint =
            |(index, weight)| Endpoint { identity: format!("e{index}").into(), weight: Weight::new(weight).unwrap() };
        let endpoints = Endpoints::new(weights.enumerate().map(endpoint).collect()).unwrap();
        Ring::build(&endpoints, VirtualNodes::new(virtual_nodes).unwrap())
    }

    fn places_of(ring: &Ring, index: u16) -> usize {
        ring.owners.iter().filter(|&&owner| owner == Slot::new(index)).count()
    }

    #[test]
    fn an_endpoint_has_virtual_nodes_times_weight_places() {
        let ring = built([3, 1].into_iter(), 160);
        assert_eq!((places_of(&ring, 0), places_of(&ring, 1)), (480, 160));
    }

    #[test]
    fn a_thousand_endpoints_of_the_heaviest_weight_stay_within_the_limit_and_keep_their_proportions() {
        let ring = built((0..1000).map(|index| if index == 0 { 500 } else { 1000 }), 160);
        assert!((1 << 19..=1 << 20).contains(&ring.owners.len()), "{} places", ring.owners.len());
        assert_eq!((places_of(&ring, 0), places_of(&ring, 1)), (312, 625));
    }

    #[test]
    fn every_endpoint_keeps_a_place_when_counts_are_halved() {
        let ring = built((0..u16::MAX).map(|index| if index % 2 == 0 { 1 } else { 1000 }), 1000);
        let mut held = vec![false; usize::from(u16::MAX)];
        ring.owners.iter().for_each(|owner| held[owner.index()] = true);
        assert!(held.into_iter().all(|held| held));
        assert!(ring.owners.len() <= 1 << 20);
    }

    #[test]
    fn the_index_finds_what_a_search_of_all_places_finds() {
        for ring in [built([1].into_iter(), 1), built([1, 1].into_iter(), 2), built([2, 7, 1].into_iter(), 160)] {
            let edges = ring.positions.iter().flat_map(|&at| [at.wrapping_sub(1), at, at.wrapping_add(1)]);
            for key in edges.chain((0..10_000).map(fair::mix)).chain([0, u64::MAX]) {
                assert_eq!(ring.place(KeyHash(key)), ring.positions.partition_point(|&at| at < key));
            }
        }
    }

    #[test]
    fn the_heaviest_laden_of_a_handful_of_endpoints_has_less_than_a_fifth_more_than_the_mean() {
        for count in 2..=8_u16 {
            let ring = built((0..count).map(|_| 1), 160);
            let mut hits = vec![0_u32; usize::from(count)];
            for key in 0..40_000 {
                let at = ring.place(KeyHash(fair::mix(key))) % ring.owners.len();
                hits[ring.owners[at].index()] += 1;
            }
            let most = f64::from(*hits.iter().max().unwrap()) * f64::from(count) / 40_000.0;
            assert!(most < 1.2, "{count} endpoints: {most:.2}");
        }
    }
}
