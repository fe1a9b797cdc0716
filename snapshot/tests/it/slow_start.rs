//! An endpoint that joins or comes back gets a growing part of its share.

use std::sync::Arc;

use weir_balance::Policy;
use weir_snapshot::{HealthRules, LeaseKind, Live, Millis, Moment, Pool, PoolParts, SlowStart, Starts, WhenAllEjected};

use crate::support::{at_millis, at_secs, eject, parts, probed, rules};

/// Endpoints that began to serve at these moments, under a slow start of 30 s.
fn starting(policy: Policy, health: &HealthRules, began: &[Moment]) -> PoolParts {
    let starts = Arc::new(Starts::new());
    let mut parts = PoolParts { policy, ..parts(u16::try_from(began.len()).unwrap(), health.clone()) };
    for (member, &began) in parts.members.iter_mut().zip(began) {
        let live = Live::new(health).of_service(&starts);
        live.begins(began);
        member.live = Arc::new(live);
    }
    parts.slow_start = Some(SlowStart { span: Millis::from_secs(30), starts });
    parts
}

/// Who gets a thousand exchanges one after the other.
fn hits(pool: &Arc<Pool>, now: Moment) -> Vec<u32> {
    let mut hits = vec![0; pool.members().len()];
    for _ in 0..1000 {
        hits[pool.lease(now, None, &[]).unwrap().slot().index()] += 1;
    }
    hits
}

fn every_policy() -> [Policy; 6] {
    [
        Policy::RoundRobin,
        Policy::Weighted,
        Policy::LeastConnections,
        Policy::P2c,
        Policy::Random,
        Policy::Maglev { bounded_load: None },
    ]
}

#[test]
fn who_has_just_joined_gets_a_tenth_of_its_share_then_half_then_all() {
    for policy in every_policy() {
        let pool = Arc::new(Pool::new(starting(policy, &rules(), &[at_secs(0), at_secs(100)])).unwrap());
        // 500 are a whole share, give or take six times the root of what is due.
        for (now, least, most) in [(100_000, 10, 100), (115_000, 170, 380), (130_000, 380, 620)] {
            let hits = hits(&pool, at_millis(now));
            assert!((least..=most).contains(&hits[1]), "{policy:?} at {now} ms: {hits:?}");
        }
    }
}

#[test]
fn who_is_restored_begins_anew_and_who_never_left_goes_on() {
    let pool = Arc::new(Pool::new(starting(Policy::RoundRobin, &probed(), &[at_secs(0), at_secs(0)])).unwrap());
    assert_eq!(hits(&pool, at_secs(1)), [500, 500], "the whole fleet ramps alike");
    eject(&pool, 1, at_secs(50));
    assert_eq!(hits(&pool, at_secs(51)), [1000, 0]);
    assert!(pool.members()[1].live.succeeded(at_secs(60), pool.health()).is_some());
    let restored = hits(&pool, at_secs(60))[1];
    assert!((10..=100).contains(&restored), "{restored}");
    assert_eq!(hits(&pool, at_secs(90)), [500, 500]);
}

#[test]
fn what_is_said_of_a_slow_start_is_relative_and_of_those_that_serve() {
    let percent = |parts: PoolParts, now: Moment| {
        let pool = Arc::new(Pool::new(parts).unwrap());
        move |ejected: bool| {
            if ejected {
                eject(&pool, 1, now);
            }
            let percent = pool.slow_start(now).unwrap();
            pool.members().iter().map(|member| percent.of(member)).collect::<Vec<_>>()
        }
    };
    let of = |began: &[Moment]| starting(Policy::RoundRobin, &rules(), began);
    let newcomer = percent(of(&[at_secs(0), at_secs(100)]), at_secs(115));
    assert_eq!(newcomer(false), [100, 55]);
    assert_eq!(newcomer(true), [100, 100], "it gets nothing, for another reason");
    assert_eq!(percent(of(&[at_secs(100), at_secs(100)]), at_secs(101))(false), [100, 100]);
    assert_eq!(percent(of(&[at_secs(0), at_secs(100)]), at_secs(130))(false), [100, 100]);
    let without = PoolParts { slow_start: None, ..of(&[at_secs(0)]) };
    assert!(Pool::new(without).unwrap().slow_start(at_secs(0)).is_none());
}

#[test]
fn the_first_probe_of_a_newcomer_is_its_beginning() {
    let starts = Arc::new(Starts::new());
    let mut parts = starting(Policy::RoundRobin, &probed(), &[at_secs(0), at_secs(0)]);
    let live = Live::unproven(&probed(), at_secs(102)).of_service(&starts);
    live.begins(at_secs(100));
    parts.members[1].live = Arc::new(live);
    parts.members[0].live = Arc::new(Live::new(&probed()).of_service(&starts));
    parts.slow_start = Some(SlowStart { span: Millis::from_secs(30), starts });
    let pool = Arc::new(Pool::new(parts).unwrap());
    assert_eq!(hits(&pool, at_secs(101)), [1000, 0]);
    pool.members()[1].live.succeeded(at_secs(115), pool.health());
    let hits = hits(&pool, at_secs(115));
    assert!((10..=100).contains(&hits[1]), "{hits:?}");
}

#[test]
fn who_is_alone_gets_everything_and_a_backup_nothing() {
    let mut parts = starting(Policy::LeastConnections, &rules(), &[at_secs(100), at_secs(0)]);
    parts.members[1].tier = weir_snapshot::Tier::BACKUP;
    let pool = Arc::new(Pool::new(parts).unwrap());
    assert_eq!(hits(&pool, at_secs(100)), [1000, 0]);
}

#[test]
fn when_all_are_ejected_and_tried_all_the_same_nobody_ramps() {
    let parts = PoolParts {
        when_all_ejected: WhenAllEjected::TryAll,
        ..starting(Policy::RoundRobin, &probed(), &[at_secs(0), at_secs(100)])
    };
    let pool = Arc::new(Pool::new(parts).unwrap());
    (0..2).for_each(|index| eject(&pool, index, at_secs(100)));
    assert_eq!(hits(&pool, at_secs(100)), [500, 500]);
    assert_eq!(pool.lease(at_secs(100), None, &[]).unwrap().kind(), LeaseKind::LastResort);
}

#[test]
fn a_service_without_slow_start_gives_a_newcomer_its_share_at_once() {
    let parts = PoolParts { slow_start: None, ..starting(Policy::RoundRobin, &rules(), &[at_secs(0), at_secs(100)]) };
    assert_eq!(hits(&Arc::new(Pool::new(parts).unwrap()), at_secs(100)), [500, 500]);
}

pub(crate) fn newcomer_of_two() -> PoolParts {
    starting(Policy::RoundRobin, &rules(), &[at_secs(0), at_secs(100)])
}
