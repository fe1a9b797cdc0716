//! Laws about averages: they fix their asks, and say how far off is too far.

use weir_balance::{KeyHash, Policy, key_hash};

use crate::fleet::{Fleet, ring};

/// Turns 0, 1, 2, … with keys as different as paths are.
fn asks(count: u64) -> impl Iterator<Item = (u64, Option<KeyHash>)> {
    (0..count).map(|turn| (turn, Some(key_hash(format!("/photos/{turn}.jpg").as_bytes()))))
}

/// Every policy, with the tolerance of its shares: exact turns, or the 1 / sqrt(places) of a ring, three times.
fn policies() -> [(Policy, f64); 5] {
    [
        (Policy::RoundRobin, 0.02),
        (Policy::Weighted, 0.02),
        (Policy::LeastConnections, 0.02),
        (Policy::IpHash, 0.24),
        (ring(1000), 0.1),
    ]
}

fn assert_near(hits: u32, expected: f64, tolerance: f64, what: &str) {
    let off = (f64::from(hits) - expected).abs() / expected;
    assert!(off <= tolerance, "{what}: {hits} hits where {expected:.0} were due, {:.1} % off", off * 100.0);
}

#[test]
fn endpoints_of_equal_weight_get_equal_shares() {
    for (policy, tolerance) in policies() {
        let fleet = Fleet::weighing(&[1; 6]);
        for hits in fleet.hits(&fleet.selector(policy), asks(60_000)) {
            assert_near(hits, 10_000.0, tolerance, &format!("{policy:?}"));
        }
    }
}

#[test]
fn a_ring_gives_shares_by_weight() {
    for (policy, tolerance) in [(Policy::IpHash, 0.24), (ring(1000), 0.1)] {
        let fleet = Fleet::weighing(&[4, 2, 1, 1]);
        let hits = fleet.hits(&fleet.selector(policy), asks(80_000));
        for (hits, weight) in hits.into_iter().zip([4.0, 2.0, 1.0, 1.0]) {
            assert_near(hits, 10_000.0 * weight, tolerance, &format!("{policy:?}"));
        }
    }
}

#[test]
fn the_share_of_ejected_endpoints_spreads_evenly_and_does_not_pile_on_a_neighbour() {
    for ejected in [vec![2], vec![2, 3], vec![0, 5], vec![1, 2, 3]] {
        for (policy, tolerance) in policies() {
            let whole = Fleet::weighing(&[1; 6]);
            let fleet = whole.clone().ejecting(&ejected);
            let selector = fleet.selector(policy);
            let (before, after) = (whole.hits(&selector, asks(60_000)), fleet.hits(&selector, asks(60_000)));
            let lost: u32 = ejected.iter().map(|&index| before[index]).sum();
            let gain = f64::from(lost) / f64::from(u32::try_from(6 - ejected.len()).unwrap());
            for index in (0..6).filter(|index| !ejected.contains(index)) {
                // A gain is a smaller number than a share, and as noisy: the tolerance is twice that of shares.
                let what = format!("{policy:?} without {ejected:?}, endpoint {index}");
                assert_near(after[index] - before[index], gain, 2.0 * tolerance, &what);
            }
        }
    }
}

#[test]
fn the_share_of_an_ejected_endpoint_spreads_by_weight() {
    for (policy, tolerance) in [(Policy::Weighted, 0.05), (Policy::IpHash, 0.5), (ring(1000), 0.2)] {
        let whole = Fleet::weighing(&[4, 2, 1, 1]);
        let fleet = whole.clone().ejecting(&[2]);
        let selector = fleet.selector(policy);
        let (before, after) = (whole.hits(&selector, asks(80_000)), fleet.hits(&selector, asks(80_000)));
        for (index, weight) in [(0, 4.0), (1, 2.0), (3, 1.0)] {
            let gain = f64::from(before[2]) * weight / 7.0;
            assert_near(after[index] - before[index], gain, tolerance, &format!("{policy:?}, endpoint {index}"));
        }
    }
}

#[test]
fn two_of_a_thousand_endpoints_share_everything_when_all_others_are_ejected() {
    let mut fleet = Fleet::weighing(&[1; 1000]).ejecting(&(0..1000).collect::<Vec<_>>());
    for index in [17, 18] {
        fleet.0[index].admits = true;
    }
    for (policy, _) in policies() {
        let hits = fleet.hits(&fleet.selector(policy), asks(20_000));
        // Ring walks of 64 places mostly find neither, so even the ring's shares are those of its scan.
        assert_near(hits[17], 10_000.0, 0.05, &format!("{policy:?}"));
    }
}

#[test]
fn the_scan_of_a_ring_follows_weights() {
    let weights: Vec<u16> = (0..1000).map(|index| if index == 17 { 3 } else { 1 }).collect();
    let mut fleet = Fleet::weighing(&weights).ejecting(&(0..1000).collect::<Vec<_>>());
    for index in [17, 18] {
        fleet.0[index].admits = true;
    }
    let hits = fleet.hits(&fleet.selector(Policy::IpHash), asks(20_000));
    assert_near(hits[17], 15_000.0, 0.05, "the heavier one");
}

#[test]
fn a_fourth_endpoint_takes_a_quarter_of_the_keys_and_moves_no_other() {
    for policy in [Policy::IpHash, ring(160), ring(1000)] {
        let (three, four) = (Fleet::weighing(&[1; 3]), Fleet::weighing(&[1; 4]));
        let (old, new) = (three.selector(policy), four.selector(policy));
        let mut moved = 0;
        for (turn, key) in asks(10_000) {
            let ask = weir_balance::Ask { turn, key, tried: &[] };
            let (was, is) = (old.pick(&ask, &three).unwrap(), new.pick(&ask, &four).unwrap());
            assert!(was == is || is.index() == 3, "a key moved from {was:?} to {is:?}");
            moved += u32::from(was != is);
        }
        assert!((2000..=3000).contains(&moved), "{policy:?} moved {moved} of 10,000 keys");
    }
}
