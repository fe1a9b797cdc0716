//! Hash slots, as Redis Cluster: 16,384 of them, each with one owner.
//!
//! In: endpoints with identities and weights. Out: a table of [`SIZE`] owners; a key's slot is its hash modulo that.
//! Redis Cluster has an operator give out the slots; here each is given by rendezvous hashing, so that nothing need be
//! kept: when an endpoint leaves only its slots move, when one joins only those that it gets. A slot of the table is no
//! [`Slot`], which is an endpoint's position.
//! Cost: build 6 ns × 16,384 × endpoints, 100 ms for 1,000, and 32 KiB; pick one read. Shares are within 3 / sqrt(16,384 /
//! endpoints): 5 % for four, 75 % for a thousand, where `maglev` is better. Redis Cluster too is meant for a thousand at most.
//! [`slot_hash`] gives a key the very slot that Redis Cluster's `CLUSTER KEYSLOT` gives it.
//! Source: the Redis Cluster specification, "Key distribution model" and "Hash tags". Who stands in: `keyed.rs`.

use crate::rendezvous::{self, Member};
use crate::{KeyHash, Slot};

/// How many slots there are.
const SIZE: u16 = 16_384;

/// Where a key's slot is.
pub(crate) fn place(key: KeyHash) -> usize {
    usize::try_from(key.0 % u64::from(SIZE)).unwrap_or(0)
}

/// The hash of a key whose slot under [`Policy::Slots`](crate::Policy::Slots) is that of Redis Cluster: CRC16 of the
/// key, or, if it has a `{` and after that a `}` with anything in between, of what stands between the first two such.
/// Only for that policy: it is 16 bits wide and not uniform over `u64`. Cost: 2 ns a byte.
pub fn slot_hash(key: &[u8]) -> KeyHash {
    KeyHash(u64::from(crc16(tag(key))))
}

/// What of a key is hashed.
fn tag(key: &[u8]) -> &[u8] {
    let inside = || {
        let rest = key.get(key.iter().position(|&byte| byte == b'{')? + 1..)?;
        rest.get(..rest.iter().position(|&byte| byte == b'}')?)
    };
    inside().filter(|tag| !tag.is_empty()).unwrap_or(key)
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, from zero.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| (crc << 8) ^ step((crc >> 8) ^ u16::from(byte)))
}

const fn step(byte: u16) -> u16 {
    let mut crc = byte << 8;
    let mut bit = 0;
    while bit < 8 {
        crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        bit += 1;
    }
    crc
}

/// The owners of the slots; none for no endpoints. `members` in order of identity.
pub(crate) fn table(members: &[Member]) -> Box<[Slot]> {
    let mut by_weight = members.to_vec();
    // Stable, so that of equals the first by identity stays first.
    by_weight.sort_by_key(|member| member.weight);
    (0..u64::from(SIZE)).filter_map(|slot| owner(&by_weight, slot)).collect()
}

/// The winner of a slot. Of one weight who draws most wins, so that only these winners need the logarithm of a wait.
fn owner(by_weight: &[Member], slot: u64) -> Option<Slot> {
    // Neighbouring numbers, mixed with a seed that another number might share the difference to, would draw alike.
    let key = crate::fair::mix(slot);
    let mut best = None;
    let mut least = f64::INFINITY;
    for same in by_weight.chunk_by(|one, other| one.weight == other.weight) {
        let drawn = |member: &Member| rendezvous::draw(key, member.seed);
        let Some((most, first)) =
            same.iter().map(|member| (drawn(member), member)).reduce(|a, b| if b.0 > a.0 { b } else { a })
        else {
            continue;
        };
        let wait = rendezvous::wait(most, first.weight);
        if wait < least {
            (best, least) = (Some(first.slot), wait);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_specification() {
        // The check value of the Redis Cluster specification, appendix A.
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn a_key_has_the_slot_that_redis_cluster_gives_it() {
        // From the specification and from the documentation of `CLUSTER KEYSLOT`.
        assert_eq!(place(slot_hash(b"somekey")), 11_058);
        assert_eq!(place(slot_hash(b"foo{hash_tag}")), 2_515);
        assert_eq!(place(slot_hash(b"bar{hash_tag}")), 2_515);
    }

    #[test]
    fn only_a_whole_tag_that_is_not_empty_is_hashed_for_the_key() {
        assert_eq!(tag(b"{user1000}.following"), b"user1000");
        assert_eq!(tag(b"foo{}{bar}"), b"foo{}{bar}");
        assert_eq!(tag(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(tag(b"foo{bar}{zap}"), b"bar");
        assert_eq!(tag(b"foo}bar{"), b"foo}bar{");
    }
}
