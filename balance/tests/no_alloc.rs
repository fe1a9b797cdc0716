//! A pick allocates nothing, whatever the policy and the state. In a binary of its own because it replaces the
//! allocator by one that counts.

use weir_balance::{
    Ask, Endpoint, Endpoints, KeyHash, LoadFactor, Loads, Policy, Selector, Slot, VirtualNodes, Weight, dice,
};

/// Every `n`-th endpoint admits, or none for 0.
struct EveryNth(usize);

impl Loads for EveryNth {
    fn admits(&self, slot: Slot) -> bool {
        slot.index().checked_rem(self.0) == Some(0)
    }
    fn in_flight(&self, slot: Slot) -> u32 {
        u32::from(slot.index().is_multiple_of(3))
    }
}

#[test]
fn a_pick_allocates_nothing_under_any_policy_and_state() {
    let weigh = |index: u16| Endpoint {
        identity: format!("10.0.0.1:{index}").into(),
        weight: Weight::new(1 + index % 7).unwrap(),
    };
    let endpoints = Endpoints::new((0..1000).map(weigh).collect()).unwrap();
    let (virtual_nodes, bounded_load) = (VirtualNodes::DEFAULT, LoadFactor::from_hundredths(125));
    let policies = [
        Policy::RoundRobin,
        Policy::Weighted,
        Policy::LeastConnections,
        Policy::P2c,
        Policy::Random,
        Policy::PeakEwma,
        Policy::IpHash,
        Policy::ConsistentHash { virtual_nodes, bounded_load: None },
        Policy::ConsistentHash { virtual_nodes, bounded_load },
        Policy::Maglev { bounded_load },
        Policy::Slots { bounded_load },
    ];
    for policy in policies {
        let selector = Selector::build(&policy, &endpoints);
        for loads in [EveryNth(1), EveryNth(2), EveryNth(999), EveryNth(0)] {
            let mut picked = 0;
            let counted = allocation_counter::measure(|| {
                for turn in 0..200 {
                    let key = (turn % 3 > 0).then_some(KeyHash(turn << 55));
                    let tried = [Slot::new(0), Slot::new(2)];
                    picked += u32::from(
                        selector.pick(&Ask { turn, dice: dice(7, turn), key, tried: &tried }, &loads).is_some(),
                    );
                }
            });
            assert_eq!(counted.count_total, 0, "{policy:?}, one in {} admits", loads.0);
            assert_eq!(picked, if loads.0 == 0 { 0 } else { 200 });
        }
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(Box::new(7)))).count_total, 1);
}
