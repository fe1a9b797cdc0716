use std::sync::Arc;
use std::sync::atomic::Ordering;

use weir_balance::{EndpointsError, Policy, Slot};
use weir_snapshot::{HealthRules, LeaseKind, Moment, Pool, PoolParts, Tier, Transition, WhenAllEjected};

use crate::support::{at_millis, at_secs, eject, joined, parts, pool, probed, rules, with_backups};

fn in_flight(pool: &Pool) -> Vec<u32> {
    pool.members().iter().map(|member| member.live.in_flight()).collect()
}

fn kind(pool: &Arc<Pool>, now: Moment) -> Option<LeaseKind> {
    pool.lease(now, None, &[]).map(|lease| lease.kind())
}

#[test]
fn a_lease_counts_until_it_is_dropped() {
    let pool = pool(2, rules());
    let first = pool.lease(at_secs(0), None, &[]).unwrap();
    let second = pool.lease(at_secs(0), None, &[]).unwrap();
    assert_eq!(in_flight(&pool), [1, 1]);
    assert_eq!(first.address(), pool.member(first.slot()).address);
    drop(first);
    drop(second);
    assert_eq!(in_flight(&pool), [0, 0]);
}

#[test]
fn the_next_pick_sees_the_lease_before_it() {
    let pool = Arc::new(Pool::new(PoolParts { policy: Policy::LeastConnections, ..parts(3, rules()) }).unwrap());
    let leases: Vec<_> = (0..6).map(|_| pool.lease(at_secs(0), None, &[]).unwrap()).collect();
    assert_eq!(in_flight(&pool), [2, 2, 2]);
    drop(leases);
}

#[test]
fn a_tried_endpoint_is_not_leased_again() {
    let pool = pool(3, rules());
    let mut tried = Vec::new();
    while let Some(lease) = pool.lease(at_secs(0), None, &tried) {
        assert!(!tried.contains(&lease.slot()));
        tried.push(lease.slot());
    }
    assert_eq!(tried.len(), 3);
}

#[test]
fn a_drained_endpoint_is_never_leased_even_when_all_others_are_ejected() {
    let mut parts = parts(2, rules());
    parts.members[0].drained = true;
    parts.when_all_ejected = WhenAllEjected::TryAll;
    let pool = Arc::new(Pool::new(parts).unwrap());
    eject(&pool, 1, at_secs(0));
    for _ in 0..4 {
        assert_eq!(pool.lease(at_secs(1), None, &[]).unwrap().slot(), Slot::new(1));
    }
}

#[test]
fn a_pool_without_endpoints_and_one_that_is_all_drained_lease_nothing_and_are_not_ejected() {
    for count in [0, 2] {
        let mut parts = parts(count, rules());
        parts.members.iter_mut().for_each(|member| member.drained = true);
        parts.when_all_ejected = WhenAllEjected::TryAll;
        let pool = Arc::new(Pool::new(parts).unwrap());
        assert!(pool.lease(at_secs(0), None, &[]).is_none());
        assert!(!pool.all_ejected());
    }
}

#[test]
fn an_ejected_endpoint_is_passed_over() {
    let pool = pool(3, rules());
    eject(&pool, 1, at_secs(0));
    for _ in 0..9 {
        assert_ne!(pool.lease(at_secs(1), None, &[]).unwrap().slot(), Slot::new(1));
    }
}

#[test]
fn three_failed_leases_eject_and_only_the_third_says_so() {
    let pool = pool(1, rules());
    let told: Vec<_> = (0..3).map(|_| pool.lease(at_secs(0), None, &[]).unwrap().failed(at_secs(0))).collect();
    assert_eq!(told, [None, None, Some(Transition::Ejected { failures: 3 })]);
    assert!(pool.all_ejected());
}

#[test]
fn when_all_are_ejected_the_service_says_whether_they_are_tried_or_refused() {
    let try_all = PoolParts { when_all_ejected: WhenAllEjected::TryAll, ..parts(2, probed()) };
    let try_all = Arc::new(Pool::new(try_all).unwrap());
    let refuse = pool(2, probed());
    for pool in [&try_all, &refuse] {
        eject(pool, 0, at_secs(0));
        assert_eq!(kind(pool, at_secs(1)), Some(LeaseKind::Normal));
        eject(pool, 1, at_secs(0));
    }
    assert_eq!(kind(&try_all, at_secs(1)), Some(LeaseKind::LastResort));
    assert_eq!(kind(&refuse, at_secs(1)), None);
    assert!(try_all.lease(at_secs(1), None, &[Slot::new(0), Slot::new(1)]).is_none());
}

#[test]
fn a_healthy_endpoint_that_was_tried_is_no_reason_to_try_the_ejected_ones() {
    let parts = PoolParts { when_all_ejected: WhenAllEjected::TryAll, ..parts(2, probed()) };
    let pool = Arc::new(Pool::new(parts).unwrap());
    eject(&pool, 0, at_secs(0));
    assert!(pool.lease(at_secs(1), None, &[Slot::new(1)]).is_none());
}

#[test]
fn without_probes_one_trial_at_a_time_begins_a_window_after_the_ejection() {
    let pool = pool(1, rules());
    eject(&pool, 0, at_secs(5));
    assert_eq!(kind(&pool, at_millis(34_999)), None);
    let trial = pool.lease(at_secs(35), None, &[]).unwrap();
    assert_eq!(trial.kind(), LeaseKind::Trial);
    assert_eq!(kind(&pool, at_secs(36)), None, "a second one while the first is out");
    assert_eq!(trial.succeeded(at_secs(37)), Some(Transition::Restored));
    drop(trial);
    assert_eq!(kind(&pool, at_secs(37)), Some(LeaseKind::Normal));
}

#[test]
fn a_failed_trial_makes_the_next_one_wait_for_another_window() {
    let pool = pool(1, rules());
    eject(&pool, 0, at_secs(0));
    let trial = pool.lease(at_secs(30), None, &[]).unwrap();
    assert_eq!(trial.failed(at_secs(31)), None);
    drop(trial);
    assert_eq!(kind(&pool, at_secs(60)), None);
    assert_eq!(kind(&pool, at_secs(61)), Some(LeaseKind::Trial));
}

#[test]
fn a_trial_that_found_nothing_out_is_handed_back() {
    let pool = pool(1, rules());
    eject(&pool, 0, at_secs(0));
    drop(pool.lease(at_secs(30), None, &[]).unwrap());
    assert_eq!(kind(&pool, at_secs(30)), Some(LeaseKind::Trial));
}

#[test]
fn a_trial_that_comes_back_late_does_not_hand_back_the_next_one() {
    let try_all = PoolParts { when_all_ejected: WhenAllEjected::TryAll, ..parts(1, rules()) };
    let pool = Arc::new(Pool::new(try_all).unwrap());
    eject(&pool, 0, at_secs(0));
    let late = pool.lease(at_secs(30), None, &[]).unwrap();
    let last_resort = pool.lease(at_secs(30), None, &[]).unwrap();
    assert_eq!(last_resort.succeeded(at_secs(31)), Some(Transition::Restored));
    eject(&pool, 0, at_secs(32));
    let next = pool.lease(at_secs(62), None, &[]).unwrap();
    assert_eq!(next.kind(), LeaseKind::Trial);
    drop(late);
    assert_eq!(kind(&pool, at_secs(63)), Some(LeaseKind::LastResort), "`next` is out still");
}

#[test]
fn where_two_successes_restore_the_second_trial_follows_the_first_at_once() {
    let pool = pool(1, HealthRules { successes: 2, ..rules() });
    eject(&pool, 0, at_secs(0));
    let succeed = || pool.lease(at_secs(30), None, &[]).unwrap().succeeded(at_secs(30));
    assert_eq!(succeed(), None);
    assert_eq!(succeed(), Some(Transition::Restored));
}

#[test]
fn with_probes_there_are_no_trials_and_no_exchange_restores() {
    let parts = PoolParts { when_all_ejected: WhenAllEjected::TryAll, ..parts(1, probed()) };
    let pool = Arc::new(Pool::new(parts).unwrap());
    eject(&pool, 0, at_secs(0));
    let lease = pool.lease(at_secs(3600), None, &[]).unwrap();
    assert_eq!(lease.kind(), LeaseKind::LastResort);
    assert_eq!(lease.succeeded(at_secs(3600)), None);
    assert!(pool.all_ejected());
    assert_eq!(pool.members()[0].live.succeeded(at_secs(3601), pool.health()), Some(Transition::Restored));
}

#[test]
fn an_exchange_from_before_the_ejection_does_not_restore() {
    let pool = pool(1, rules());
    let lease = pool.lease(at_secs(0), None, &[]).unwrap();
    eject(&pool, 0, at_secs(1));
    assert_eq!(lease.succeeded(at_secs(2)), None);
    assert!(pool.all_ejected());
}

#[test]
fn a_new_pool_of_the_same_endpoints_goes_on_where_the_old_one_was() {
    let (first, mut second) = (parts(3, rules()), parts(3, rules()));
    second.members = first.members.iter().rev().cloned().collect();
    second.turn = Arc::clone(&first.turn);
    let old = Arc::new(Pool::new(first).unwrap());
    let lease = old.lease(at_secs(0), None, &[]).unwrap();
    eject(&old, 2, at_secs(0));

    let turn = Arc::clone(&second.turn);
    let new = Pool::new(second).unwrap();
    assert_eq!(in_flight(&new), [0, 0, 1]);
    assert!(new.members()[0].live.is_ejected());
    assert_eq!(turn.load(Ordering::Relaxed), 1);
    drop(lease);
}

#[test]
fn an_address_twice_makes_no_pool() {
    let mut parts = parts(2, rules());
    parts.members[1] = parts.members[0].clone();
    assert!(matches!(Pool::new(parts), Err(EndpointsError::Twice { .. })));
}

fn leased(pool: &Arc<Pool>, tried: &[Slot]) -> Option<u16> {
    pool.lease(at_secs(0), None, tried).map(|lease| lease.address().port())
}

#[test]
fn a_backup_is_leased_only_when_no_primary_admits() {
    let pool = with_backups(rules());
    assert_eq!([(); 4].map(|()| leased(&pool, &[])), [3003, 3004, 3003, 3004].map(Some));
    eject(&pool, 0, at_secs(0));
    assert_eq!([(); 4].map(|()| leased(&pool, &[])), [Some(3004); 4]);
    eject(&pool, 1, at_secs(0));
    let mut backups = [(); 4].map(|()| leased(&pool, &[]));
    backups.sort_unstable();
    assert_eq!(backups, [3001, 3001, 3002, 3002].map(Some));
}

#[test]
fn a_retry_goes_to_a_backup_when_all_primaries_were_tried_and_to_none_twice() {
    let pool = with_backups(rules());
    let mut tried = Vec::new();
    let mut ports = Vec::new();
    while let Some(lease) = pool.lease(at_secs(0), None, &tried) {
        tried.push(lease.slot());
        ports.push(lease.address().port());
    }
    ports[..2].sort_unstable();
    ports[2..].sort_unstable();
    assert_eq!(ports, [3003, 3004, 3001, 3002]);
}

#[test]
fn one_label_in_two_tiers_is_refused() {
    let mut parts = parts(2, rules());
    parts.members[1].tier = Tier::BACKUP;
    parts.members[1].label = parts.members[0].label.clone();
    assert!(matches!(Pool::new(parts), Err(EndpointsError::Twice { .. })));
}

#[test]
fn a_new_endpoint_gets_nothing_before_its_first_probe_while_another_can_have_it() {
    let pool = joined(2);
    assert_eq!([(); 3].map(|()| leased(&pool, &[])), [Some(3001); 3]);
    assert_eq!(leased(&pool, &[Slot::new(0)]), Some(3002), "a retry goes there all the same");
    pool.members()[1].live.succeeded(at_secs(1), pool.health());
    let both = [leased(&pool, &[]), leased(&pool, &[])];
    assert!(both.contains(&Some(3002)), "{both:?}");
}

#[test]
fn a_new_endpoint_that_is_alone_serves_at_once_and_is_not_called_ejected() {
    let pool = joined(1);
    assert!(!pool.members()[0].live.is_ejected());
    assert_eq!(kind(&pool, at_secs(0)), Some(LeaseKind::Normal));
}

#[test]
fn a_new_endpoint_waits_no_longer_than_its_time() {
    let pool = joined(2);
    let both = [(); 2].map(|()| pool.lease(at_secs(2), None, &[]).unwrap().address().port());
    assert!(both.contains(&3002), "{both:?}");
}

#[test]
fn a_new_endpoint_is_ejected_by_its_first_failure_and_later_by_as_many_as_any_other() {
    let early = joined(2);
    let live = &early.members()[1].live;
    assert_eq!(live.failed(at_secs(1), early.health()), Some(Transition::Ejected { failures: 1 }));
    assert_eq!(live.succeeded(at_secs(1), early.health()), Some(Transition::Restored));
    let late = joined(2);
    assert_eq!(late.members()[1].live.failed(at_secs(2), late.health()), None);
    assert!(!late.members()[1].live.is_ejected());
}
