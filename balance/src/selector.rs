//! A policy made ready for its endpoints: the table that a pick reads.

use crate::{
    Ask, Endpoints, Loads, Policy, Slot, VirtualNodes, least_connections::LeastConnections, ring::Ring,
    round_robin::RoundRobin, weighted::Weighted,
};

/// Chooses one endpoint per ask. Immutable: a change of the list or of a weight builds another one.
#[derive(Clone)]
pub struct Selector {
    choice: Choice,
}

/// One module per policy; the two hash policies differ in their key, which is not the selector's business.
#[derive(Clone)]
enum Choice {
    RoundRobin(RoundRobin),
    Weighted(Weighted),
    LeastConnections(LeastConnections),
    Ring(Ring),
}

impl Selector {
    /// Builds the table of `policy` over `endpoints`, whose slots the picks will name. Cannot fail: an empty list gives
    /// a selector that picks none.
    ///
    /// Cost: O(endpoints) for round robin and least connections; at most about 20 ms for `weighted`; for the hash
    /// policies 50 ns per place, of which there are `virtual_nodes` × weight each and about a million at most. Do it
    /// off the request path. Memory: 4 bytes per endpoint, 128 KiB for `weighted`, 11 bytes per place on a ring.
    pub fn build(policy: &Policy, endpoints: &Endpoints) -> Self {
        let members = || endpoints.iter().map(|(slot, endpoint)| (slot, endpoint.weight.get())).collect();
        let choice = match *policy {
            Policy::RoundRobin => {
                Choice::RoundRobin(RoundRobin::new(u16::try_from(endpoints.len()).unwrap_or(u16::MAX)))
            }
            Policy::Weighted => Choice::Weighted(Weighted::build(members())),
            Policy::LeastConnections => Choice::LeastConnections(LeastConnections::build(members())),
            Policy::IpHash => Choice::Ring(Ring::build(endpoints, VirtualNodes::DEFAULT)),
            Policy::ConsistentHash { virtual_nodes } => Choice::Ring(Ring::build(endpoints, virtual_nodes)),
        };
        Self { choice }
    }

    /// Picks an endpoint that admits and that this exchange has not tried; `None` only if there is none.
    ///
    /// A pure function: the same ask and loads give the same slot. The share of an endpoint that does not admit spreads
    /// evenly, by weight, over the others. `loads` must answer for every slot of the list given to [`Selector::build`];
    /// it may change during the pick (atomics, read one by one), in which case the pick was right at some moment of it.
    ///
    /// Cost: no allocation. Round robin, `weighted` and the hash policies read a few loads, O(endpoints) only when
    /// nearly all refuse; least connections reads them all. Linear in `ask.tried`, which is short.
    #[inline]
    pub fn pick(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<Slot> {
        match &self.choice {
            Choice::RoundRobin(it) => it.pick(ask, loads),
            Choice::Weighted(it) => it.pick(ask, loads),
            Choice::LeastConnections(it) => it.pick(ask, loads),
            Choice::Ring(it) => it.pick(ask, loads),
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
            Choice::Ring(_) => "Selector::Ring",
        })
    }
}
