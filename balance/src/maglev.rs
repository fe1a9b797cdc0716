//! Maglev hashing: a table of fixed size in which every endpoint has its share to within one entry.
//!
//! In: endpoints with identities and weights. Out: a table of [`SIZE`] entries; a key's place is its hash scaled to it.
//! Each endpoint has an order of its own in which it wants the entries; they take turns, smoothly by weight, and each time
//! get the first they want that is free. When one leaves or joins, few keys of the others move, and shares are more even
//! than on any ring; on a ring none of the others' keys move.
//! Cost: build 65,537 turns of O(log endpoints), 3 to 40 ms; 128 KiB; pick one multiplication and one read.
//! The size is the same for every list, since with another size nearly all keys would move. With 1,000 endpoints of one
//! weight each has 65 or 66 entries; with more than 65,537 weights' worth the lightest may have none, and stand in only.
//! Source: Eisenbud et al., "Maglev: a fast and reliable software network load balancer", 2016, section 3.4. Envoy's table
//! has this size too. Who stands in: `keyed.rs`. Laws: `tests/it/laws.rs`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::rendezvous::Member;
use crate::{KeyHash, Slot, fair};

/// Entries of the table: a prime, so that every step visits them all.
const SIZE: u32 = 65_537;

/// Parts of a turn, so that a turn of any weight is a whole number of them, nearly.
const TURN: u64 = 1 << 40;

/// Where a key's entry is.
pub(crate) fn place(key: KeyHash) -> usize {
    fair::below(key.0, SIZE as usize)
}

/// Who wants what, in which order.
struct Wishes {
    next: u32,
    step: u32,
    taken: u64,
}

/// The table; empty for no endpoints. `members` in order of identity.
pub(crate) fn table(members: &[Member]) -> Box<[Slot]> {
    let mut owners: Vec<Option<Slot>> = vec![None; if members.is_empty() { 0 } else { SIZE as usize }];
    let mut wishes: Vec<Wishes> = members.iter().map(Wishes::of).collect();
    // When each is due: after its n-th entry at (n + 1) / weight, which does not depend on its siblings.
    let due = |taken: u64, weight: u16| (taken + 1) * TURN / u64::from(weight);
    let mut turns: BinaryHeap<_> =
        members.iter().enumerate().map(|(rank, member)| Reverse((due(0, member.weight), rank))).collect();
    for _ in 0..owners.len() {
        let Some(Reverse((_, rank))) = turns.pop() else { break };
        let (Some(wish), Some(member)) = (wishes.get_mut(rank), members.get(rank)) else { break };
        while let Some(entry) = owners.get_mut(wish.take()) {
            if entry.is_none() {
                *entry = Some(member.slot);
                break;
            }
        }
        wish.taken += 1;
        turns.push(Reverse((due(wish.taken, member.weight), rank)));
    }
    owners.into_iter().flatten().collect()
}

impl Wishes {
    fn of(member: &Member) -> Self {
        let scaled = |bits: u64, bound: u32| u32::try_from(fair::below(bits, bound as usize)).unwrap_or(0);
        let step = 1 + scaled(fair::mix(!member.seed), SIZE - 1);
        Self { next: scaled(fair::mix(member.seed), SIZE), step, taken: 0 }
    }

    /// The next entry it wants.
    fn take(&mut self) -> usize {
        let wanted = self.next;
        self.next = (wanted + self.step) % SIZE;
        wanted as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, Endpoints, Weight, rendezvous};

    fn built(weights: &[u16]) -> Vec<usize> {
        let endpoint =
            |(index, &weight)| Endpoint { identity: format!("e{index}").into(), weight: Weight::new(weight).unwrap() };
        let endpoints = Endpoints::new(weights.iter().enumerate().map(endpoint).collect()).unwrap();
        let table = table(&rendezvous::members(&endpoints));
        let mut entries = vec![0; weights.len()];
        table.iter().for_each(|slot| entries[slot.index()] += 1);
        assert_eq!(table.len(), if weights.is_empty() { 0 } else { 65_537 });
        entries
    }

    #[test]
    fn endpoints_of_one_weight_have_the_same_number_of_entries_to_within_one() {
        for count in [1, 2, 3, 7, 100, 1000] {
            let entries = built(&vec![1; count]);
            let (least, most) = (entries.iter().min().unwrap(), entries.iter().max().unwrap());
            assert!(most - least <= 1, "{count} endpoints have {least} to {most} entries");
        }
    }

    #[test]
    fn entries_follow_weights_to_within_one() {
        let entries = built(&[4, 2, 1, 1]);
        for (entries, exact) in entries.into_iter().zip([32_768, 16_384, 8_192, 8_192]) {
            assert!(entries + 1 >= exact && entries <= exact + 1, "{entries} entries where {exact} are due");
        }
    }

    #[test]
    fn more_weight_than_there_are_entries_fills_the_table_all_the_same() {
        assert_eq!(built(&[]), []);
        let weights: Vec<u16> = (0..u16::MAX).map(|index| if index == 0 { 1000 } else { 1 }).collect();
        assert!(built(&weights)[0] >= 900);
    }
}
