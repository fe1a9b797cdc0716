//! SRV records become endpoints. Pure.
//!
//! In: services with the addresses of their targets. Out: endpoints with a share and a tier. Cost: one sort.
//! - The lowest priority is the primary tier, the others follow in their order: RFC 2782.
//! - Shares are weights, as they are while they fit into 1..=1000, else in proportion. Several addresses of one target
//!   divide its weight. A weight of zero has "a very small chance": a tenth of the smallest other one of its tier.
//! - Two records with one address: the better tier counts, then the larger share.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use weir_balance::Weight;

use super::answer::Service;
use crate::source::{Found, Tier};

/// By how much others outweigh a weight of zero.
const OUTWEIGH: u64 = 10;

pub(crate) fn endpoints(services: &[(Service, Vec<IpAddr>)]) -> Vec<Found> {
    let mut tiers: BTreeMap<u16, Vec<&(Service, Vec<IpAddr>)>> = BTreeMap::new();
    for entry in services.iter().filter(|(_, addresses)| !addresses.is_empty()) {
        tiers.entry(entry.0.priority).or_default().push(entry);
    }
    let mut best: BTreeMap<SocketAddr, Found> = BTreeMap::new();
    for (rank, members) in tiers.values().enumerate() {
        let rank = u16::try_from(rank).map_or(Tier::BACKUP, Tier);
        for (address, weight) in shares(members) {
            let new = Found { weight, tier: rank, ..Found::new(address) };
            let kept = best.entry(address).or_insert(new);
            if kept.tier == rank && kept.weight < weight {
                *kept = new;
            }
        }
    }
    best.into_values().collect()
}

fn shares(members: &[&(Service, Vec<IpAddr>)]) -> Vec<(SocketAddr, Weight)> {
    // Weights are divided by counts of addresses; a common multiple of the counts keeps them whole.
    let count = |addresses: &[IpAddr]| u64::try_from(addresses.len()).unwrap_or(u64::MAX);
    let whole = members.iter().fold(1, |multiple, (_, addresses)| common(multiple, count(addresses)));
    let zeros = members.iter().any(|(service, _)| service.weight == 0);
    let factor = if zeros && members.iter().any(|(service, _)| service.weight > 0) { OUTWEIGH } else { 1 };
    let raw = |(service, addresses): &(Service, Vec<IpAddr>)| {
        (u64::from(service.weight) * factor).max(1) * whole / count(addresses).max(1)
    };
    let largest = members.iter().map(|member| raw(member)).max().unwrap_or(1);
    let limit = u64::from(Weight::MAX);
    let share = |raw: u64| {
        let scaled = if largest > limit { raw.saturating_mul(limit) / largest } else { raw };
        u16::try_from(scaled.max(1)).ok().and_then(|scaled| Weight::new(scaled).ok()).unwrap_or(Weight::ONE)
    };
    members
        .iter()
        .flat_map(|member| {
            let weight = share(raw(member));
            member.1.iter().map(move |ip| (SocketAddr::new(*ip, member.0.port), weight))
        })
        .collect()
}

/// A common multiple, the least one while it stays small; past that, close to it is near enough for a share.
fn common(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b).clamp(1, 1_000_000)
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::Name as WireName;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn service(priority: u16, weight: u16, addresses: &[u8]) -> (Service, Vec<IpAddr>) {
        let addresses = addresses.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect();
        (Service { priority, weight, port: 80, target: WireName::root() }, addresses)
    }

    /// Last byte of the address, weight, tier.
    fn found(services: &[(Service, Vec<IpAddr>)]) -> Vec<(u8, u16, u16)> {
        let last = |address: SocketAddr| match address.ip() {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(_) => 0,
        };
        let found = endpoints(services);
        found.iter().map(|found| (last(found.address), found.weight.get(), found.tier.0)).collect()
    }

    #[test]
    fn the_lowest_priority_is_the_primary_tier_and_the_others_follow_whatever_their_numbers() {
        let services = [service(30, 5, &[3]), service(10, 1, &[1]), service(20, 7, &[2]), service(10, 2, &[4])];
        assert_eq!(found(&services), [(1, 1, 0), (2, 7, 1), (3, 5, 2), (4, 2, 0)]);
    }

    #[test]
    fn a_tier_without_addresses_is_no_tier() {
        assert_eq!(found(&[service(1, 1, &[]), service(2, 1, &[7])]), [(7, 1, 0)]);
    }

    #[test]
    fn large_weights_keep_their_proportions_and_small_ones_are_as_written() {
        assert_eq!(
            found(&[service(0, 65_535, &[1]), service(0, 32_768, &[2]), service(0, 1, &[3])]),
            [(1, 1000, 0), (2, 500, 0), (3, 1, 0)]
        );
        assert_eq!(found(&[service(0, 1000, &[1]), service(0, 3, &[2])]), [(1, 1000, 0), (2, 3, 0)]);
    }

    #[test]
    fn a_weight_of_zero_is_the_smallest_share_but_never_none() {
        assert_eq!(
            found(&[service(0, 0, &[1]), service(0, 1, &[2]), service(0, 3, &[3])]),
            [(1, 1, 0), (2, 10, 0), (3, 30, 0)]
        );
        assert_eq!(found(&[service(0, 0, &[1]), service(0, 0, &[2])]), [(1, 1, 0), (2, 1, 0)]);
    }

    #[test]
    fn the_addresses_of_one_target_divide_its_weight() {
        assert_eq!(found(&[service(0, 10, &[1, 2]), service(0, 10, &[3])]), [(1, 10, 0), (2, 10, 0), (3, 20, 0)]);
        assert_eq!(
            found(&[service(0, 10, &[1, 2]), service(0, 10, &[3, 4])]),
            [(1, 10, 0), (2, 10, 0), (3, 10, 0), (4, 10, 0)]
        );
    }

    proptest! {
        #[test]
        fn whatever_the_records_say_each_address_is_one_endpoint_and_a_heavier_one_never_gets_less(
            records in vec((0u16..3, any::<u16>(), 0u8..6), 0..40)
        ) {
            let mut next = 0;
            let services: Vec<_> = records
                .iter()
                .map(|(priority, weight, count)| {
                    let addresses: Vec<u8> = (0..*count).map(|_| { next += 1; next }).collect();
                    service(*priority, *weight, &addresses)
                })
                .collect();
            let found = endpoints(&services);
            prop_assert_eq!(found.len(), usize::from(next));
            prop_assert!(found.is_empty() || found.iter().any(|found| found.tier == Tier::PRIMARY));
            let of = |ip: IpAddr| found.iter().find(|found| found.address.ip() == ip).unwrap();
            for (one, mine) in &services {
                for (other, theirs) in &services {
                    let (Some(a), Some(b)) = (mine.first(), theirs.first()) else { continue };
                    let (a, b) = (of(*a), of(*b));
                    prop_assert_eq!(one.priority.cmp(&other.priority), a.tier.cmp(&b.tier));
                    if one.priority == other.priority && one.weight <= other.weight && mine.len() >= theirs.len() {
                        prop_assert!(a.weight <= b.weight);
                    }
                }
            }
        }
    }

    #[test]
    fn one_address_in_two_records_is_one_endpoint_of_the_better_tier_with_the_larger_share() {
        assert_eq!(found(&[service(2, 9, &[1]), service(1, 3, &[1]), service(1, 4, &[1])]), [(1, 4, 0)]);
    }
}
