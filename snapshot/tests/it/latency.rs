use std::sync::Arc;
use std::time::Duration;

use weir_balance::{Latency, Nanos, Policy, Slot};
use weir_snapshot::{Moment, Pool, PoolParts};

use crate::support::{at_millis, at_secs, parts, rules};

fn pool(policy: Policy, count: u16) -> Arc<Pool> {
    Arc::new(Pool::new(PoolParts { policy, ..parts(count, rules()) }).unwrap())
}

/// Serves one exchange, which each endpoint answers after its time; says who.
fn serve(pool: &Arc<Pool>, now: Moment, millis: [u64; 2]) -> usize {
    let lease = pool.lease(now, None, &[]).unwrap();
    lease.answered(now, Duration::from_millis(millis[lease.slot().index()]));
    lease.slot().index()
}

#[test]
fn under_peak_ewma_each_endpoint_is_asked_and_then_the_faster_one() {
    let pool = pool(Policy::PeakEwma, 2);
    let picks: Vec<usize> = (0..50).map(|turn| serve(&pool, at_millis(turn * 10), [400, 20])).collect();
    assert_eq!(picks.iter().filter(|&&pick| pick == 0).count(), 1, "{picks:?}");
}

#[test]
fn a_slow_endpoint_is_asked_again_once_its_slowness_has_aged_and_is_back_when_it_has_become_fast() {
    let pool = pool(Policy::PeakEwma, 2);
    let slow = (0..600).filter(|&second| serve(&pool, at_secs(second), [1600, 100]) == 0).count();
    // Sixteen times slower are four half-lives of ten seconds: once in about forty seconds.
    assert!((12..=18).contains(&slow), "asked {slow} times in ten minutes");
    let fast = (600..1200).filter(|&second| serve(&pool, at_secs(second), [100, 100]) == 0).count();
    assert!((200..=400).contains(&fast), "asked {fast} times in ten minutes");
}

#[test]
fn under_other_policies_nothing_is_measured() {
    let pool = pool(Policy::LeastConnections, 2);
    for turn in 0..4 {
        serve(&pool, at_secs(turn), [10, 20]);
    }
    assert!(pool.members().iter().all(|member| member.live.latency(at_secs(9)) == Latency::UNKNOWN));
}

#[test]
fn a_slower_answer_counts_at_once_and_faster_ones_by_and_by() {
    let pool = pool(Policy::PeakEwma, 1);
    let after = |secs: u64, millis: u64| {
        let lease = pool.lease(at_secs(secs), None, &[]).unwrap();
        lease.answered(at_secs(secs), Duration::from_millis(millis));
        pool.member(Slot::new(0)).live.latency(at_secs(secs)).estimate
    };
    assert_eq!(after(1, 100), Some(Nanos::from_millis(100)));
    assert_eq!(after(2, 500), Some(Nanos::from_millis(500)));
    assert_eq!(after(12, 100), Some(Nanos::from_millis(300)));
    assert_eq!(after(12, 300), Some(Nanos::from_millis(300)));
}

#[test]
fn two_pools_of_the_same_endpoints_draw_differently() {
    let [one, other] = [(); 2].map(|()| pool(Policy::Random, 2));
    let draws = |pool: &Arc<Pool>| (0..100).map(|turn| serve(pool, at_secs(turn), [1, 1])).collect::<Vec<_>>();
    // The same by chance once in 2^100.
    assert_ne!(draws(&one), draws(&other));
}
