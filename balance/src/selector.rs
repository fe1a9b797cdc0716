//! A policy made ready for its endpoints: the table that a pick reads.

use crate::{
    Ask, Endpoints, Loads, Policy, Slot, VirtualNodes,
    keyed::Keyed,
    least_connections::LeastConnections,
    ramp::Ramping,
    random::Random,
    round_robin::RoundRobin,
    two_choices::{Measure, TwoChoices},
    weighted::Weighted,
};

/// Chooses one endpoint per ask. Immutable: a change of the list or of a weight builds another one.
#[derive(Clone)]
pub struct Selector {
    choice: Choice,
    /// How many slots there are.
    count: u16,
}

/// What a key is, is not the selector's business, so `ip-hash` is a ring like another.
#[derive(Clone)]
enum Choice {
    RoundRobin(RoundRobin),
    Weighted(Weighted),
    LeastConnections(LeastConnections),
    Random(Random),
    TwoChoices(TwoChoices),
    Keyed(Keyed),
}

impl Selector {
    /// Builds the table of `policy` over `endpoints`, whose slots the picks will name. Cannot fail: an empty list gives
    /// a selector that picks none.
    ///
    /// Cost: O(endpoints) for round robin, least connections, `random` and the two choices; at most about 20 ms for
    /// `weighted` and 40 ms for Maglev; 100 µs per endpoint for slots; for a ring 50 ns per place, of which there are
    /// `virtual_nodes` × weight each and about a million at most. Do it off the request path. Memory: 4 to 20 bytes per
    /// endpoint, 128 KiB for `weighted` and Maglev, 32 KiB for slots, 11 bytes per place on a ring; the hash policies have
    /// the table of `weighted` too, for asks without a key.
    pub fn build(policy: &Policy, endpoints: &Endpoints) -> Self {
        let count = u16::try_from(endpoints.len()).unwrap_or(u16::MAX);
        let members = || endpoints.iter().map(|(slot, endpoint)| (slot, endpoint.weight.get())).collect();
        let choice = match *policy {
            Policy::RoundRobin => Choice::RoundRobin(RoundRobin::new(count)),
            Policy::Weighted => Choice::Weighted(Weighted::build(members())),
            Policy::LeastConnections => Choice::LeastConnections(LeastConnections::build(members())),
            Policy::Random => Choice::Random(Random::build(members())),
            Policy::P2c => Choice::TwoChoices(TwoChoices::build(members(), Measure::InFlight)),
            Policy::PeakEwma => Choice::TwoChoices(TwoChoices::build(members(), Measure::PeakEwma)),
            Policy::IpHash => Choice::Keyed(Keyed::ring(endpoints, VirtualNodes::DEFAULT, None)),
            Policy::ConsistentHash { virtual_nodes, bounded_load } => {
                Choice::Keyed(Keyed::ring(endpoints, virtual_nodes, bounded_load))
            }
            Policy::Maglev { bounded_load } => Choice::Keyed(Keyed::maglev(endpoints, bounded_load)),
            Policy::Slots { bounded_load } => Choice::Keyed(Keyed::slots(endpoints, bounded_load)),
        };
        Self { choice, count }
    }

    /// Picks an endpoint that admits and that this exchange has not tried; `None` only if there is none.
    ///
    /// A pure function: the same ask and loads give the same slot. The share of an endpoint that does not admit spreads
    /// evenly, by weight, over the others. `loads` must answer for every slot of the list given to [`Selector::build`];
    /// it may change during the pick (atomics, read one by one), in which case the pick was right at some moment of it.
    ///
    /// Cost: no allocation. All read a few loads, O(endpoints) only when nearly all refuse, but for two: least connections
    /// reads them all, and bounded load does when a key's endpoint is in use. Linear in `ask.tried`, which is short. While
    /// [`Loads::ramping`] all are read once more.
    #[inline]
    pub fn pick(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<Slot> {
        if loads.ramping() { self.pick_ramping(ask, loads) } else { self.choose(ask, loads) }
    }

    /// As [`Selector::pick`], where endpoints get parts of their shares.
    fn pick_ramping(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<Slot> {
        let keyed = match &self.choice {
            Choice::Keyed(keyed) => Some(keyed),
            _ => None,
        };
        // Of a hash policy it is the key's chance, and an identity's, so that the order of listing shows nowhere. Slots count
        // down from above all numbers that draws are made from.
        let seed = ask.key.filter(|_| keyed.is_some()).map_or(ask.dice, |key| key.0);
        let token = |slot: Slot| keyed.map_or(u64::MAX - slot.index() as u64, |keyed| keyed.identity(slot));
        let ramping = Ramping::new(ask, loads, (0..self.count).map(Slot::new), seed, token)?;
        // The furthest takes part in every ask: without anybody, loads changed since.
        self.choose(ask, &ramping).or_else(|| self.choose(ask, loads))
    }

    #[inline]
    fn choose(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<Slot> {
        match &self.choice {
            Choice::RoundRobin(it) => it.pick(ask, loads),
            Choice::Weighted(it) => it.pick(ask, loads),
            Choice::LeastConnections(it) => it.pick(ask, loads),
            Choice::Random(it) => it.pick(ask, loads),
            Choice::TwoChoices(it) => it.pick(ask, loads),
            Choice::Keyed(it) => it.pick(ask, loads),
        }
    }
}

impl std::fmt::Debug for Selector {
    /// The name only: a table has up to a million entries, and a snapshot that holds it should stay printable.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.choice {
            Choice::RoundRobin(_) => "Selector::RoundRobin",
            Choice::Weighted(_) => "Selector::Weighted",
            Choice::LeastConnections(_) => "Selector::LeastConnections",
            Choice::Random(_) => "Selector::Random",
            Choice::TwoChoices(_) => "Selector::TwoChoices",
            Choice::Keyed(_) => "Selector::Keyed",
        })
    }
}
