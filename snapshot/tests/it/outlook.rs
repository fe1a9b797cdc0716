//! What would become of an exchange, and what an operator turns by hand.

use std::num::NonZeroU32;
use std::sync::Arc;

use weir_balance::{KeyHash, Nanos, Policy, Slot, VirtualNodes};
use weir_snapshot::{
    Answer, Chosen, Clock, Condition, Failure, LeaseKind, Live, Millis, Moment, Outlook, Permits, Pool, PoolParts,
    Publisher, QueueRules, Snapshot, Transition, Tried, Unserved, WhenAllEjected, Wish, Witness,
};

use crate::support::{at_millis, at_secs, eject, joined, parts, pool, probed, rules, with_backups};

const POLICIES: [Policy; 9] = [
    Policy::RoundRobin,
    Policy::Weighted,
    Policy::LeastConnections,
    Policy::P2c,
    Policy::Random,
    Policy::PeakEwma,
    Policy::ConsistentHash { virtual_nodes: VirtualNodes::DEFAULT, bounded_load: None },
    Policy::Maglev { bounded_load: None },
    Policy::Slots { bounded_load: None },
];

fn outlook(pool: &Arc<Pool>, now: Moment, key: Option<KeyHash>) -> Outlook {
    pool.outlook(now, key, Nanos(0))
}

fn chosen(outlook: Outlook) -> Chosen {
    let Outlook::Chosen(chosen) = outlook else { panic!("{outlook:?}") };
    chosen
}

#[test]
fn the_next_exchange_gets_what_was_foretold_under_every_policy() {
    for policy in POLICIES {
        let pool = Arc::new(Pool::new(PoolParts { policy, ..parts(5, rules()) }).unwrap());
        let mut held = Vec::new();
        for number in 0..40_u64 {
            let (now, key) = (at_millis(number), Some(KeyHash(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
            let foretold = chosen(outlook(&pool, now, key));
            assert_eq!(foretold, chosen(outlook(&pool, now, key)), "to ask changes nothing");
            let lease = pool.lease(now, key, &[]).unwrap();
            assert_eq!((foretold.slot, foretold.kind), (lease.slot(), lease.kind()), "{policy:?}");
            assert_eq!(foretold.owner.is_some(), policy.reads_keys());
            held.push(lease);
        }
    }
}

#[test]
fn trials_backups_and_last_resorts_are_foretold_as_they_are_given() {
    let trial = pool(2, rules());
    eject(&trial, 0, at_secs(0));
    let backup = with_backups(rules());
    eject(&backup, 0, at_secs(0));
    eject(&backup, 1, at_secs(0));
    let unproven = joined(1);
    let last =
        Arc::new(Pool::new(PoolParts { when_all_ejected: WhenAllEjected::TryAll, ..parts(2, probed()) }).unwrap());
    eject(&last, 0, at_secs(0));
    eject(&last, 1, at_secs(0));
    for (pool, now) in [(&trial, 30), (&trial, 1), (&backup, 1), (&unproven, 0), (&last, 1)] {
        for _ in 0..4 {
            let foretold = chosen(outlook(pool, at_secs(now), None));
            let lease = pool.lease(at_secs(now), None, &[]).unwrap();
            assert_eq!((foretold.slot, foretold.kind), (lease.slot(), lease.kind()));
        }
    }
    assert_eq!(chosen(outlook(&last, at_secs(1), None)).kind, LeaseKind::LastResort);
}

#[test]
fn a_key_whose_endpoint_is_out_is_foretold_with_its_owner() {
    let policy = Policy::Maglev { bounded_load: None };
    let pool = Arc::new(Pool::new(PoolParts { policy, ..parts(3, rules()) }).unwrap());
    let key = Some(KeyHash(7));
    let own = chosen(outlook(&pool, at_secs(0), key));
    assert_eq!(own.owner, Some(own.slot));
    eject(&pool, own.slot.index(), at_secs(0));
    let stands_in = chosen(outlook(&pool, at_secs(1), key));
    assert_eq!(stands_in.owner, Some(own.slot));
    assert_ne!(stands_in.slot, own.slot);
}

#[test]
fn what_would_be_refused_is_foretold_so() {
    let refused = Outlook::Refused(Unserved::NoEndpoint);
    let pool = pool(1, rules());
    eject(&pool, 0, at_secs(0));
    assert_eq!(outlook(&pool, at_secs(1), None), refused);
    assert!(pool.lease(at_secs(1), None, &[]).is_none());
}

fn order() -> weir_balance::Rules {
    let millis = Nanos::from_millis;
    weir_balance::Rules {
        max: 1,
        factor: 10,
        believed: millis(2000),
        least: millis(1),
        handicap: millis(500),
        slack: millis(200),
        small: millis(100),
    }
}

#[test]
fn a_wait_and_a_full_queue_are_foretold_and_the_refused_are_counted() {
    let capacity = NonZeroU32::new(1).unwrap();
    let rules_of_queue = QueueRules { capacity, extra: 0, timeout: Millis::from_secs(5), order: order(), target: None };
    let permits = Arc::new(Permits::new(rules_of_queue, Clock::start()));
    let pool = Arc::new(Pool::queued(parts(1, rules()), Arc::clone(&permits), rules_of_queue).unwrap());
    let _publisher = Publisher::new(Snapshot { pools: vec![Arc::clone(&pool)], ..Snapshot::default() });
    let wish = Wish {
        now: at_millis(0),
        arrival: at_millis(0),
        deadline: at_secs(3600),
        work: Nanos(0),
        class: 0,
        client: weir_balance::Client(1),
        key: None,
        tried: &Tried::EMPTY,
    };
    assert_eq!(chosen(outlook(&pool, at_millis(0), None)).slot, Slot::new(0));
    let Answer::Served(_lease) = pool.ask(&wish) else { panic!() };
    assert_eq!(outlook(&pool, at_millis(0), None), Outlook::Waits { ahead: 0 });
    let Answer::Waits(waiting) = pool.ask(&wish) else { panic!() };
    assert!(matches!(outlook(&pool, at_millis(0), None), Outlook::Refused(Unserved::Full { .. })));
    assert!(matches!(pool.ask(&wish), Answer::Refused(Unserved::Full { .. })));
    assert!(matches!(waiting.give_up(), Err(Unserved::TooLate { .. })));
    let report = permits.report();
    assert_eq!((report.full, report.too_late, report.displaced, report.no_endpoint), (1, 1, 0, 0));
    assert_eq!(report.waiting, 0);
}

#[test]
fn an_operators_ejection_is_lifted_by_a_trial_a_probe_or_the_operator() {
    let live = Live::new(&rules());
    assert_eq!(live.eject(at_secs(1)), Some(Transition::Ejected { failures: 1 }));
    assert_eq!((live.eject(at_secs(2)), live.since()), (None, at_secs(1)));
    assert_eq!(live.condition(at_secs(30), &rules()), Condition::Ejected);
    assert_eq!(live.trial_from(&rules()), Some(at_secs(31)));
    assert_eq!(live.condition(at_secs(31), &rules()), Condition::TrialDue);
    assert_eq!(live.restore(at_secs(31)), Some(Transition::Restored));
    assert_eq!((live.restore(at_secs(32)), live.since()), (None, at_secs(31)));
    assert_eq!(live.condition(at_secs(31), &rules()), Condition::Healthy);

    let live = Live::new(&probed());
    live.eject(at_secs(1));
    assert_eq!((live.condition(at_secs(99), &probed()), live.trial_from(&probed())), (Condition::Ejected, None));
    assert_eq!(live.succeeded(at_secs(2), &probed()), Some(Transition::Restored));
}

#[test]
fn failures_before_a_restoration_count_no_more() {
    let live = Live::new(&rules());
    live.failed(at_secs(1), &rules());
    live.failed(at_secs(2), &rules());
    live.restore(at_secs(3));
    assert_eq!(live.failed(at_secs(4), &rules()), None);
    assert!(!live.is_ejected());
}

#[test]
fn one_that_waits_for_its_first_probe_may_be_restored_at_once() {
    let live = Live::unproven(&probed(), at_secs(10));
    assert_eq!(live.condition(at_secs(1), &probed()), Condition::Unproven);
    assert_eq!(live.restore(at_secs(1)), None);
    assert_eq!(live.condition(at_secs(1), &probed()), Condition::Healthy);
}

#[test]
fn the_newest_failures_are_kept_newest_first() {
    let live = Live::new(&rules());
    let failure = |second| Failure {
        at: at_secs(second),
        by: Witness::Probe,
        reason: "status",
        text: "answered 500".into(),
        exchange: None,
    };
    for second in 1..=10 {
        live.remember(failure(second));
    }
    let kept = live.failures();
    assert_eq!(kept.len(), 6);
    assert_eq!((&kept[0], &kept[5]), (&failure(10), &failure(5)));
}
