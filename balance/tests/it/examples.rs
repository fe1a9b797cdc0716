//! What a law cannot say: the order of picks, the edges, the published values.

use weir_balance::{
    Ask, Endpoint, Endpoints, EndpointsError, KeyHash, LoadFactor, Policy, VirtualNodes, Weight, WeightError, dice,
    key_hash,
};

use crate::fleet::{Fleet, MAGLEV, SLOTS, asking, bounded, ring, slot};

fn order(fleet: &Fleet, policy: Policy, turns: std::ops::Range<u64>) -> String {
    let selector = fleet.selector(policy);
    let letter = |turn| {
        let picked = selector.pick(&asking(turn, None, &[]), fleet).unwrap();
        char::from(b'A' + u8::try_from(picked.index()).unwrap())
    };
    turns.map(letter).collect()
}

#[test]
fn weighted_is_smooth() {
    assert_eq!(order(&Fleet::weighing(&[3, 1]), Policy::Weighted, 0..8), "AABAAABA");
    assert_eq!(order(&Fleet::weighing(&[5, 1, 1]), Policy::Weighted, 0..7), "AABACAA");
    assert_eq!(order(&Fleet::weighing(&[4, 2, 1]), Policy::Weighted, 0..7), "ABACABA");
}

#[test]
fn round_robin_goes_in_order_of_the_list() {
    assert_eq!(order(&Fleet::weighing(&[1; 3]), Policy::RoundRobin, 0..7), "ABCABCA");
}

#[test]
fn round_robin_keeps_the_turns_of_the_others_when_one_is_ejected() {
    let picks = order(&Fleet::weighing(&[1; 3]).ejecting(&[1]), Policy::RoundRobin, 0..300);
    for (turn, letter) in picks.chars().enumerate() {
        match turn % 3 {
            0 => assert_eq!(letter, 'A'),
            1 => assert_ne!(letter, 'B'),
            _ => assert_eq!(letter, 'C'),
        }
    }
}

#[test]
fn idle_endpoints_take_turns_under_least_connections() {
    assert_eq!(order(&Fleet::weighing(&[1; 4]).ejecting(&[1]), Policy::LeastConnections, 0..7), "ACDACDA");
}

#[test]
fn least_connections_prefers_the_heavier_of_two_idle_endpoints() {
    assert_eq!(order(&Fleet::weighing(&[1, 2]), Policy::LeastConnections, 0..3), "BBB");
}

#[test]
fn least_connections_counts_the_largest_load_without_overflow() {
    let mut fleet = Fleet::weighing(&[1000, 999]);
    fleet.0.iter_mut().for_each(|member| member.in_flight = u32::MAX);
    assert_eq!(order(&fleet, Policy::LeastConnections, 0..2), "AA");
}

#[test]
fn one_key_stays_with_one_endpoint_whatever_the_turn() {
    let fleet = Fleet::weighing(&[1; 5]);
    let selector = fleet.selector(Policy::IpHash);
    let at = |turn| selector.pick(&asking(turn, Some(key_hash(b"198.51.100.7")), &[]), &fleet);
    assert!((1..1000).all(|turn| at(turn) == at(0)));
}

#[test]
fn a_second_try_of_a_key_goes_to_one_and_the_same_other_endpoint() {
    let fleet = Fleet::weighing(&[1; 5]);
    let selector = fleet.selector(ring(160));
    let key = Some(key_hash(b"/photos/1.jpg"));
    let first = selector.pick(&asking(0, key, &[]), &fleet).unwrap();
    let second = |turn| selector.pick(&asking(turn, key, &[first]), &fleet);
    assert_ne!(second(1), Some(first));
    assert!((2..100).all(|turn| second(turn) == second(1)));
}

#[test]
fn the_first_and_the_last_hash_find_an_endpoint_on_the_smallest_ring() {
    let fleet = Fleet::weighing(&[1]);
    let selector = fleet.selector(ring(1));
    for key in [0, 1, u64::MAX / 2, u64::MAX] {
        let picked = selector.pick(&asking(0, Some(KeyHash(key)), &[]), &fleet);
        assert_eq!(picked, Some(slot(0)));
    }
}

#[test]
fn an_empty_list_gives_none_under_every_policy() {
    let fleet = Fleet::weighing(&[]);
    let tableless = [Policy::RoundRobin, Policy::Weighted, Policy::LeastConnections, Policy::P2c, Policy::Random];
    let others = [Policy::PeakEwma, Policy::IpHash, ring(160), MAGLEV, SLOTS];
    for policy in tableless.into_iter().chain(others).chain(bounded(125)) {
        for key in [None, Some(KeyHash(7))] {
            assert_eq!(fleet.selector(policy).pick(&asking(3, key, &[]), &fleet), None);
        }
    }
}

#[test]
fn the_hash_of_a_key_is_xxh3() {
    // The published value for no input.
    assert_eq!(key_hash(b""), KeyHash(0x2D06_8005_38D3_94C2));
    assert_ne!(key_hash(b"a"), key_hash(b"b"));
}

#[test]
fn a_weight_outside_its_range_is_refused_with_the_range() {
    assert_eq!(Weight::new(0), Err(WeightError { raw: 0 }));
    assert_eq!(Weight::new(1001).unwrap_err().to_string(), "a weight is between 1 and 1000, not 1001");
    assert_eq!(Weight::new(1000).map(Weight::get), Ok(1000));
}

#[test]
fn two_idle_endpoints_take_turns_under_two_choices() {
    for policy in [Policy::P2c, Policy::PeakEwma] {
        assert_eq!(order(&Fleet::weighing(&[1, 1]), policy, 0..6), "ABABAB");
    }
}

#[test]
fn another_throw_of_the_dice_draws_another_endpoint_and_the_same_throw_the_same() {
    let fleet = Fleet::weighing(&[1; 50]);
    let selector = fleet.selector(Policy::Random);
    let at = |dice| selector.pick(&Ask { turn: 0, dice, key: None, tried: &[] }, &fleet).unwrap();
    assert_eq!(at(5), at(5));
    assert!((0..20).any(|throw| at(dice(1, throw)) != at(dice(2, throw))));
}

#[test]
fn a_load_factor_outside_its_range_is_refused() {
    assert_eq!(LoadFactor::from_hundredths(99), None);
    assert_eq!(LoadFactor::from_hundredths(10_001), None);
    assert_eq!(LoadFactor::from_hundredths(125).map(LoadFactor::hundredths), Some(125));
}

#[test]
fn virtual_nodes_outside_their_range_are_refused() {
    assert_eq!(VirtualNodes::new(0), None);
    assert_eq!(VirtualNodes::new(1001), None);
    assert_eq!(VirtualNodes::new(160), Some(VirtualNodes::DEFAULT));
}

#[test]
fn a_list_with_one_identity_twice_or_too_many_endpoints_is_refused() {
    let endpoint = |identity: String| Endpoint { identity: identity.into(), weight: Weight::ONE };
    let twice = Endpoints::new(vec![endpoint("a".into()), endpoint("b".into()), endpoint("a".into())]);
    assert_eq!(twice, Err(EndpointsError::Twice { identity: "a".into() }));
    let many = Endpoints::new((0..65_536).map(|index| endpoint(index.to_string())).collect());
    assert_eq!(many, Err(EndpointsError::TooMany { count: 65_536 }));
}
