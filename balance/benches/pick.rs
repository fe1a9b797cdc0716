//! What a pick costs: every policy, 16 and 1,000 endpoints, all admitting or every other one ejected, and the worst case
//! of one in a hundred admitting. Loads are read as a proxy has them: atomics, one cache line per endpoint.
//!
//! `cargo bench -p weir-balance --profile dist`. Targets: below 100 ns for 16 endpoints; for 1,000 at most 3 µs where a
//! policy must scan (least connections) and 500 ns elsewhere;
//! with bounded load a pick may scan too.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use divan::{Bencher, black_box};
use weir_balance::{
    Ask, Endpoint, Endpoints, Latency, LoadFactor, Loads, Nanos, Policy, Selector, Slot, VirtualNodes, Weight, dice,
    key_hash,
};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

/// A line of its own, so that an exchange on one endpoint does not slow down the reading of its neighbour.
#[repr(align(64))]
struct Live {
    in_flight: AtomicU32,
    state: AtomicU8,
    latency: AtomicU64,
    asked: AtomicU64,
}

struct Lives(Vec<Live>);

impl Loads for Lives {
    fn admits(&self, slot: Slot) -> bool {
        self.0.get(slot.index()).is_some_and(|live| live.state.load(Relaxed) == 0)
    }
    fn in_flight(&self, slot: Slot) -> u32 {
        self.0.get(slot.index()).map_or(u32::MAX, |live| live.in_flight.load(Relaxed))
    }
    fn latency(&self, slot: Slot) -> Latency {
        self.0.get(slot.index()).map_or(Latency::UNKNOWN, |live| Latency {
            estimate: Some(Nanos(live.latency.load(Relaxed))),
            unasked: Nanos(60_000_000_000 - live.asked.load(Relaxed)),
        })
    }
}

fn policies() -> [Policy; 12] {
    // With a thousand endpoints, the largest ring there is: a million places.
    let virtual_nodes = VirtualNodes::new(VirtualNodes::MAX).unwrap_or(VirtualNodes::DEFAULT);
    let bounded_load = LoadFactor::from_hundredths(125);
    [
        Policy::RoundRobin,
        Policy::Weighted,
        Policy::LeastConnections,
        Policy::P2c,
        Policy::Random,
        Policy::PeakEwma,
        Policy::IpHash,
        Policy::ConsistentHash { virtual_nodes, bounded_load: None },
        Policy::ConsistentHash { virtual_nodes: VirtualNodes::DEFAULT, bounded_load },
        Policy::Maglev { bounded_load: None },
        Policy::Maglev { bounded_load },
        Policy::Slots { bounded_load: None },
    ]
}

fn endpoints(policy: Policy, count: u16) -> Endpoints {
    let endpoint = |index: u16| Endpoint {
        identity: format!("10.0.{}.{}:3000", index / 250, index % 250).into(),
        // Weights for the policy that is about them; a thousand of these make the longest schedule there is.
        weight: if policy == Policy::Weighted {
            Weight::new(1 + index * 7 % 1000).unwrap_or(Weight::ONE)
        } else {
            Weight::ONE
        },
    };
    Endpoints::new((0..count).map(endpoint).collect()).unwrap_or_default()
}

fn lives(count: u16, admits: impl Fn(u16) -> bool) -> Lives {
    let live = |index: u16| Live {
        in_flight: AtomicU32::new(u32::from(index * 31 % 8)),
        state: AtomicU8::new(u8::from(!admits(index))),
        latency: AtomicU64::new(1_000_000 * u64::from(1 + index * 7 % 90)),
        asked: AtomicU64::new(1_000_000_000 * u64::from(40 + index % 20)),
    };
    Lives((0..count).map(live).collect())
}

fn bench(bencher: Bencher<'_, '_>, policy: Policy, count: u16, admits: impl Fn(u16) -> bool) {
    let (selector, lives) = (Selector::build(&policy, &endpoints(policy, count)), lives(count, admits));
    let mut turn = 0_u64;
    bencher.bench_local(|| {
        turn += 1;
        // Hashing the key is part of what a request pays, and keeps one pick from being the answer to the next.
        let key = policy.reads_keys().then(|| key_hash(&turn.to_le_bytes()));
        selector.pick(black_box(&Ask { turn, dice: dice(7, turn), key, tried: &[] }), black_box(&lives))
    });
}

#[divan::bench(args = policies(), consts = [16, 1000])]
fn all_admit<const N: u16>(bencher: Bencher<'_, '_>, policy: Policy) {
    bench(bencher, policy, N, |_| true);
}

#[divan::bench(args = policies(), consts = [16, 1000])]
fn half_ejected<const N: u16>(bencher: Bencher<'_, '_>, policy: Policy) {
    bench(bencher, policy, N, |index| index % 2 == 0);
}

#[divan::bench(args = policies())]
fn one_in_a_hundred_of_1000_admits(bencher: Bencher<'_, '_>, policy: Policy) {
    bench(bencher, policy, 1000, |index| index % 100 == 0);
}

/// The most expensive tie: nothing in flight anywhere.
#[divan::bench(consts = [16, 1000])]
fn least_connections_all_idle<const N: u16>(bencher: Bencher<'_, '_>) {
    let (selector, lives) =
        (Selector::build(&Policy::LeastConnections, &endpoints(Policy::LeastConnections, N)), lives(N, |_| true));
    lives.0.iter().for_each(|live| live.in_flight.store(0, Relaxed));
    let mut turn = 0_u64;
    bencher.bench_local(|| {
        turn += 1;
        selector.pick(black_box(&Ask { turn, dice: dice(7, turn), key: None, tried: &[] }), black_box(&lives))
    });
}

/// The slowest schedule to build: the most distinct weights that need no scaling.
#[divan::bench(sample_count = 20)]
fn build_weighted_1_to_361(bencher: Bencher<'_, '_>) {
    let endpoint = |weight: u16| Endpoint {
        identity: weight.to_string().into(),
        weight: Weight::new(weight).unwrap_or(Weight::ONE),
    };
    let endpoints = Endpoints::new((1..=361).map(endpoint).collect()).unwrap_or_default();
    bencher.bench_local(|| Selector::build(&Policy::Weighted, black_box(&endpoints)));
}

/// Off the request path: what a change of the list costs.
#[divan::bench(args = policies(), consts = [16, 1000], sample_count = 20)]
fn build<const N: u16>(bencher: Bencher<'_, '_>, policy: Policy) {
    let endpoints = endpoints(policy, N);
    bencher.bench_local(|| Selector::build(black_box(&policy), black_box(&endpoints)));
}
