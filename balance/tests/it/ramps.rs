//! Slow start: shares that grow, under every policy. The laws of `laws.rs` hold for fleets that ramp as well.

use proptest::prelude::*;
use weir_balance::{KeyHash, Latency, Nanos, Policy, Ramp, Slot};

use crate::fleet::{Fleet, any_fleet, any_key, any_keyed, any_policy, asking};
use crate::spread::{asks, assert_near, policies};

fn ramp(part: u16) -> Ramp {
    Ramp::from_parts(part)
}

proptest! {
    #[test]
    fn when_all_ramp_alike_picks_are_as_if_none_did(
        policy in any_policy(),
        fleet in any_fleet(20),
        part in 1_u16..1024,
        asks in prop::collection::vec((any::<u64>(), any_key()), 1..20),
    ) {
        let settled = fleet.settled();
        let mut ramping = settled.clone();
        ramping.0.iter_mut().for_each(|member| member.ramp = ramp(part));
        let selector = settled.selector(policy);
        for (turn, key) in asks {
            let ask = asking(turn, key, &[]);
            prop_assert_eq!(selector.pick(&ask, &ramping), selector.pick(&ask, &settled));
        }
    }

    #[test]
    fn an_endpoint_that_has_just_come_is_picked_at_once_when_no_other_admits(
        policy in any_policy(),
        fleet in any_fleet(20),
        turn in any::<u64>(),
        key in any_key(),
    ) {
        let mut fleet = fleet;
        let Some(first) = fleet.0.iter().position(|member| member.admits) else { return Ok(()) };
        for (index, member) in fleet.0.iter_mut().enumerate() {
            (member.admits, member.ramp) = (index == first, if index == first { ramp(1) } else { Ramp::FULL });
        }
        let picked = fleet.selector(policy).pick(&asking(turn, key, &[]), &fleet);
        prop_assert_eq!(picked.map(Slot::index), Some(first));
    }

    #[test]
    fn a_key_that_has_come_home_under_a_hash_policy_stays_there_as_its_endpoint_grows(
        policy in any_keyed(),
        count in 2_usize..12,
        parts in (1_u16..1024, 0_u16..1024),
        keys in prop::collection::vec(any::<u64>(), 1..60),
    ) {
        let settled = Fleet::weighing(&vec![1; count]);
        let selector = settled.selector(policy);
        let grown = |part| {
            let mut fleet = settled.clone();
            fleet.0[0].ramp = ramp(part);
            fleet
        };
        let (young, older) = (grown(parts.0), grown(parts.0.saturating_add(parts.1).min(1024)));
        for key in keys.into_iter().map(KeyHash) {
            let ask = asking(0, Some(key), &[]);
            let [home, was, is] = [&settled, &young, &older].map(|fleet| selector.pick(&ask, fleet).unwrap());
            // Only the keys of the one that ramps are anywhere else, and each moves once.
            prop_assert!(home.index() == 0 || (was == home && is == home));
            prop_assert!(was != home || is == home);
        }
    }
}

#[test]
fn an_endpoint_gets_the_part_of_its_share_that_its_ramp_says_under_every_policy() {
    for (policy, tolerance) in policies() {
        let whole = Fleet::weighing(&[1; 6]);
        let selector = whole.selector(policy);
        let before = whole.hits(&selector, asks(60_000));
        for part in [102, 512, 900] {
            let mut fleet = whole.clone();
            fleet.0[2].ramp = ramp(part);
            let after = fleet.hits(&selector, asks(60_000));
            let (hits, own) = (after[2], f64::from(before[2]));
            // A tenth of ten thousand is a thousand throws of dice, six times whose 1 / sqrt(1000) is 0.19.
            assert_near(hits, own * f64::from(part) / 1024.0, 0.19, &format!("{policy:?} at {part}"));
            let gain = (own - f64::from(hits)) / 5.0;
            for index in [0, 1, 3, 4, 5] {
                let more = f64::from(after[index]) - f64::from(before[index]);
                let off = (more - gain).abs() / f64::from(before[index]);
                assert!(off <= 0.03 + tolerance / 2.0, "{policy:?}: {index} gains {more} where {gain:.0} are even");
            }
        }
    }
}

#[test]
fn what_a_newcomer_holds_grows_with_its_ramp_under_the_policies_that_look_at_loads() {
    for policy in [Policy::LeastConnections, Policy::P2c, Policy::PeakEwma] {
        let mut fleet = Fleet::weighing(&[1; 10]);
        for member in &mut fleet.0 {
            (member.latency, member.in_flight) = (Latency { estimate: Some(Nanos(50_000_000)), unasked: Nanos(0) }, 40);
        }
        // It comes idle to a fleet that is busy, and nobody's exchanges end.
        (fleet.0[9].ramp, fleet.0[9].in_flight) = (ramp(256), 0);
        let selector = fleet.selector(policy);
        for turn in 0..380 {
            let picked = selector.pick(&asking(turn, None, &[]), &fleet).unwrap();
            fleet.0[picked.index()].in_flight += 1;
        }
        let others = fleet.0.iter().take(9).map(|member| member.in_flight);
        assert!(others.clone().all(|held| (75..=85).contains(&held)), "{policy:?}: {:?}", others.collect::<Vec<_>>());
        let held = fleet.0[9].in_flight;
        assert!((16..=22).contains(&held), "{policy:?}: {held} where a quarter of 80 is due");
    }
}

#[test]
fn the_furthest_of_those_that_ramp_counts_as_full() {
    let mut fleet = Fleet::weighing(&[1; 3]).ejecting(&[2]);
    (fleet.0[0].ramp, fleet.0[1].ramp) = (ramp(400), ramp(200));
    let hits = fleet.hits(&fleet.selector(Policy::RoundRobin), asks(20_000));
    // In turn, where the younger one takes half of its turns.
    assert_near(hits[0], 15_000.0, 0.03, "the older one");
    assert_eq!(hits[2], 0);
}
