//! What a pick is made from: the question, and the loads of the moment.

use crate::{Latency, Ramp, Slot};

/// One question to a selector. Everything that varies between two picks is in here, so a logged pick can be replayed.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Counts the asks of one pool: 0, 1, 2, … It orders the round-robin policies and breaks ties.
    pub turn: u64,
    /// Uniform over `u64`, another for each ask: what chance there is in a pick, for the policies that draw.
    pub dice: u64,
    /// The hash of the request's key, for the hash policies; without one they choose by `turn`.
    pub key: Option<KeyHash>,
    /// Endpoints that this exchange has tried already; never picked again.
    pub tried: &'a [Slot],
}

impl Ask<'_> {
    /// Whether this exchange may go to the endpoint: it admits, and was not tried.
    pub(crate) fn may_go_to(&self, slot: Slot, loads: &impl Loads) -> bool {
        loads.admits(slot) && !self.tried.contains(&slot)
    }
}

/// The hash of a request's key, uniform over `u64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub u64);

/// The hash of a key of any length, the same on every machine and in every build: two proxies in front of the same
/// endpoints agree. Not for secrets: who knows the endpoints can craft keys that meet on one of them.
/// Cost: about 5 ns for a short key, 30 GB/s for a long one, no allocation. Source: XXH3, 64 bits, without a seed.
pub fn key_hash(bytes: &[u8]) -> KeyHash {
    KeyHash(xxhash_rust::xxh3::xxh3_64(bytes))
}

/// The state of the endpoints at the time of a pick.
pub trait Loads {
    /// Whether the endpoint takes a new exchange now: healthy and not drained.
    fn admits(&self, slot: Slot) -> bool;
    /// Exchanges that the endpoint is serving now.
    fn in_flight(&self, slot: Slot) -> u32;
    /// How fast it answers. Read by [`Policy::PeakEwma`](crate::Policy::PeakEwma) alone: under other policies nobody
    /// needs to measure it.
    fn latency(&self, _slot: Slot) -> Latency {
        Latency::UNKNOWN
    }
    /// Whether [`Loads::ramp`] may say less than everything of any endpoint; if not, nobody asks it.
    fn ramping(&self) -> bool {
        false
    }
    /// What part of its share the endpoint gets: it came a short time ago.
    fn ramp(&self, _slot: Slot) -> Ramp {
        Ramp::FULL
    }
}
