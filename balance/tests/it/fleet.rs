//! Endpoints with their state, written down: what a test picks from.

use proptest::prelude::*;
use weir_balance::{
    Ask, Endpoint, Endpoints, KeyHash, Latency, LoadFactor, Loads, Nanos, Policy, Ramp, Selector, Slot, VirtualNodes,
    Weight, dice,
};

/// What the dice of all tests are seeded with: a law about averages is about these numbers.
const SEED: u64 = 7;

/// An ask, with the dice that belong to its turn.
pub(crate) fn asking(turn: u64, key: Option<KeyHash>, tried: &[Slot]) -> Ask<'_> {
    Ask { turn, dice: dice(SEED, turn), key, tried }
}

/// One endpoint and its state.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) identity: String,
    pub(crate) weight: u16,
    pub(crate) admits: bool,
    pub(crate) in_flight: u32,
    pub(crate) latency: Latency,
    pub(crate) ramp: Ramp,
}

/// A list of endpoints, which is also their loads.
#[derive(Clone, Debug)]
pub(crate) struct Fleet(pub(crate) Vec<Member>);

impl Fleet {
    /// Idle endpoints of these weights, all admitting.
    pub(crate) fn weighing(weights: &[u16]) -> Self {
        let member = |(index, &weight)| Member {
            identity: format!("10.0.{}.{}:3000", index / 250, 1 + index % 250),
            weight,
            admits: true,
            in_flight: 0,
            latency: Latency::UNKNOWN,
            ramp: Ramp::FULL,
        };
        Self(weights.iter().enumerate().map(member).collect())
    }

    /// The same without these admitting.
    pub(crate) fn ejecting(mut self, ejected: &[usize]) -> Self {
        for &index in ejected {
            self.0[index].admits = false;
        }
        self
    }

    /// The same when all have served for long.
    pub(crate) fn settled(mut self) -> Self {
        self.0.iter_mut().for_each(|member| member.ramp = Ramp::FULL);
        self
    }

    pub(crate) fn endpoints(&self) -> Endpoints {
        let endpoint = |member: &Member| Endpoint {
            identity: member.identity.as_str().into(),
            weight: Weight::new(member.weight).unwrap(),
        };
        Endpoints::new(self.0.iter().map(endpoint).collect()).unwrap()
    }

    pub(crate) fn selector(&self, policy: Policy) -> Selector {
        Selector::build(&policy, &self.endpoints())
    }

    pub(crate) fn identity(&self, slot: Slot) -> &str {
        &self.0[slot.index()].identity
    }

    /// How often each endpoint is picked by these asks.
    pub(crate) fn hits(&self, selector: &Selector, asks: impl Iterator<Item = (u64, Option<KeyHash>)>) -> Vec<u32> {
        let mut hits = vec![0; self.0.len()];
        for (turn, key) in asks {
            let slot = selector.pick(&asking(turn, key, &[]), self).unwrap();
            hits[slot.index()] += 1;
        }
        hits
    }
}

impl Loads for Fleet {
    fn admits(&self, slot: Slot) -> bool {
        self.0[slot.index()].admits
    }
    fn in_flight(&self, slot: Slot) -> u32 {
        self.0[slot.index()].in_flight
    }
    fn latency(&self, slot: Slot) -> Latency {
        self.0[slot.index()].latency
    }
    fn ramping(&self) -> bool {
        self.0.iter().any(|member| member.ramp != Ramp::FULL)
    }
    fn ramp(&self, slot: Slot) -> Ramp {
        self.0[slot.index()].ramp
    }
}

pub(crate) fn slot(index: usize) -> Slot {
    Slot::new(u16::try_from(index).unwrap())
}

pub(crate) fn ring(virtual_nodes: u16) -> Policy {
    Policy::ConsistentHash { virtual_nodes: VirtualNodes::new(virtual_nodes).unwrap(), bounded_load: None }
}

pub(crate) const MAGLEV: Policy = Policy::Maglev { bounded_load: None };
pub(crate) const SLOTS: Policy = Policy::Slots { bounded_load: None };

/// A hash policy of each kind that keeps endpoints within this factor of the mean, in hundredths.
pub(crate) fn bounded(hundredths: u16) -> [Policy; 3] {
    let bounded_load = LoadFactor::from_hundredths(hundredths);
    assert!(bounded_load.is_some());
    let virtual_nodes = VirtualNodes::DEFAULT;
    [
        Policy::ConsistentHash { virtual_nodes, bounded_load },
        Policy::Maglev { bounded_load },
        Policy::Slots { bounded_load },
    ]
}

pub(crate) fn any_ring() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::IpHash), prop::sample::select(vec![1, 2, 40, 160]).prop_map(ring)]
}

/// Those under which only the keys of an endpoint move that leaves.
pub(crate) fn any_still() -> impl Strategy<Value = Policy> {
    prop_oneof![3 => any_ring().boxed(), 1 => Just(SLOTS)]
}

/// Those that read keys and look at no load.
pub(crate) fn any_keyed() -> impl Strategy<Value = Policy> {
    prop_oneof![4 => any_still().boxed(), 1 => Just(MAGLEV)]
}

pub(crate) fn any_bounded() -> impl Strategy<Value = (Policy, u16)> {
    (prop::sample::select(vec![100, 101, 125, 200, 10_000]), 0_usize..3)
        .prop_map(|(hundredths, kind)| (bounded(hundredths)[kind], hundredths))
}

pub(crate) fn any_policy() -> impl Strategy<Value = Policy> {
    let tableless = vec![
        Policy::RoundRobin,
        Policy::Weighted,
        Policy::LeastConnections,
        Policy::P2c,
        Policy::Random,
        Policy::PeakEwma,
    ];
    prop_oneof![
        6 => prop::sample::select(tableless),
        3 => any_keyed().boxed(),
        1 => any_bounded().prop_map(|(policy, _)| policy),
    ]
}

fn any_latency() -> impl Strategy<Value = Latency> {
    let unasked = prop_oneof![Just(0), Just(u64::MAX), 0_u64..600_000_000_000];
    (prop::option::weighted(0.8, (1_u64..60_000_000_000).prop_map(Nanos)), unasked)
        .prop_map(|(estimate, unasked)| Latency { estimate, unasked: Nanos(unasked) })
}

fn any_ramp() -> impl Strategy<Value = Ramp> {
    prop_oneof![3 => Just(1024), 1 => Just(512), 2 => 1_u16..1024].prop_map(Ramp::from_parts)
}

/// Up to `most` endpoints in any state; an eighth of the fleets have hardly one that admits, in half of them some ramp.
pub(crate) fn any_fleet(most: usize) -> impl Strategy<Value = Fleet> {
    let admits = prop_oneof![4 => Just(0.7), 3 => Just(1.0), 1 => Just(0.03)];
    (admits, any::<bool>()).prop_flat_map(move |(admits, ramping)| {
        let ramp = if ramping { any_ramp().boxed() } else { Just(Ramp::FULL).boxed() };
        let member = (any::<u32>(), 1_u16..=20, prop::bool::weighted(admits), 0_u32..4, any_latency(), ramp);
        prop::collection::hash_map("[a-z0-9.:]{1,12}", member, 0..=most).prop_map(|members| {
            // The order of a hash map is not reproducible; that of the random numbers is.
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_by(|(a_name, a), (b_name, b)| (a.0, a_name).cmp(&(b.0, b_name)));
            let member = |(identity, (_, weight, admits, in_flight, latency, ramp))| Member {
                identity,
                weight,
                admits,
                in_flight,
                latency,
                ramp,
            };
            Fleet(members.into_iter().map(member).collect())
        })
    })
}

pub(crate) fn any_key() -> impl Strategy<Value = Option<KeyHash>> {
    prop::option::weighted(0.8, any::<u64>().prop_map(KeyHash))
}
