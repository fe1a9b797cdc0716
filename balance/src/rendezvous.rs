//! Weighted rendezvous hashing: every endpoint waits a time of its own for a key, and the shortest wait wins.
//!
//! In: endpoints with identities and weights, a key. Out: the winner among those that admit. A key goes to an endpoint in
//! proportion to weights, and only the keys of an endpoint that stops admitting move. O(endpoints), so it is the last
//! resort of the hash policies, and how `slots` gives out its slots.
//! Source: Thaler and Ravishankar 1998; weights as in Schindelhauer and Schomaker 2005.

use xxhash_rust::xxh3::xxh3_64;

use crate::{Endpoints, KeyHash, Slot, fair};

/// An endpoint as a key sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) slot: Slot,
    pub(crate) weight: u16,
    /// Hash of the identity.
    pub(crate) seed: u64,
}

/// The endpoints in order of identity, so that the order of listing shows nowhere.
pub(crate) fn members(endpoints: &Endpoints) -> Box<[Member]> {
    let mut sorted: Vec<_> = endpoints.iter().collect();
    sorted.sort_unstable_by(|(_, a), (_, b)| a.identity.cmp(&b.identity));
    let member = |(slot, it): (Slot, &crate::Endpoint)| {
        let seed = xxh3_64(it.identity.as_bytes());
        Member { slot, weight: it.weight.get(), seed }
    };
    sorted.into_iter().map(member).collect()
}

/// The endpoint that wants this key most, of those that `may` have it.
pub(crate) fn first(members: &[Member], key: KeyHash, may: impl Fn(&Member) -> bool) -> Option<Slot> {
    let mut best = None;
    let mut least = f64::INFINITY;
    for member in members.iter().filter(|member| may(member)) {
        let wait = wait(draw(key.0, member.seed), member.weight);
        if wait < least {
            (best, least) = (Some(member.slot), wait);
        }
    }
    best
}

/// What an endpoint draws for a key: the more, the sooner.
pub(crate) fn draw(key: u64, seed: u64) -> u32 {
    u32::try_from(fair::mix(key ^ seed) >> 32).unwrap_or(0)
}

/// How long an endpoint that drew this waits.
pub(crate) fn wait(drawn: u32, weight: u16) -> f64 {
    // Uniform over (0, 1), so that the logarithm is finite.
    let uniform = (f64::from(drawn) + 0.5) / 4_294_967_296.0;
    -uniform.ln() / f64::from(weight)
}
