//! How threads meet on one endpoint, in every interleaving. How to run: `src/sync.rs`.
#![cfg(loom)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use loom::sync::atomic::AtomicU64;
use loom::thread;
use weir_balance::Policy;
use weir_snapshot::{
    Budget, BudgetRules, HealthRules, LeaseKind, Live, Member, Millis, Moment, Pool, PoolParts, Transition,
    WhenAllEjected,
};

fn at(secs: u64) -> Moment {
    Moment::from_nanos(secs * 1_000_000_000)
}

fn rules(failures: u16) -> HealthRules {
    HealthRules { failures, window: Millis::from_secs(30), successes: 1, statuses: Vec::new(), probe: None }
}

fn pool(failures: u16, when_all_ejected: WhenAllEjected) -> Arc<Pool> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let live = Arc::new(Live::new(&rules(failures)));
    let member = Member::new(address, live);
    let parts = PoolParts {
        service: "s".into(),
        policy: Policy::RoundRobin,
        members: vec![member],
        health: Arc::new(rules(failures)),
        when_all_ejected,
        turn: Arc::new(AtomicU64::new(0)),
    };
    Arc::new(Pool::new(parts).unwrap())
}

/// Runs `work` on this thread and on another, and gives both results.
fn twice<T: Send + 'static>(work: impl Fn() -> T + Clone + Send + 'static) -> [T; 2] {
    let other = thread::spawn({
        let work = work.clone();
        move || work()
    });
    let mine = work();
    [mine, other.join().unwrap()]
}

#[test]
fn in_flight_returns_to_zero() {
    loom::model(|| {
        let pool = pool(1, WhenAllEjected::TryAll);
        twice({
            let pool = Arc::clone(&pool);
            move || {
                let lease = pool.lease(at(0), None, &[]).unwrap();
                assert!((1..=2).contains(&lease.member().live.in_flight()));
                lease.failed(at(0));
            }
        });
        assert_eq!(pool.members()[0].live.in_flight(), 0);
    });
}

#[test]
fn exactly_one_failure_ejects_and_exactly_one_success_restores() {
    loom::model(|| {
        let pool = pool(2, WhenAllEjected::Refuse);
        let live = Arc::clone(&pool.members()[0].live);
        let ejections = twice({
            let live = Arc::clone(&live);
            move || live.failed(at(0), &rules(2))
        });
        assert_eq!(ejections.iter().flatten().count(), 1);
        let restorations = twice({
            let live = Arc::clone(&live);
            move || live.succeeded(at(1), &rules(2))
        });
        assert_eq!(restorations.iter().flatten().collect::<Vec<_>>(), [&Transition::Restored]);
        assert!(!live.is_ejected());
    });
}

#[test]
fn a_trial_is_granted_to_exactly_one() {
    loom::model(|| {
        let pool = pool(1, WhenAllEjected::Refuse);
        pool.members()[0].live.failed(at(0), &rules(1));
        let leases = twice({
            let pool = Arc::clone(&pool);
            move || pool.lease(at(30), None, &[])
        });
        assert_eq!(leases.iter().flatten().map(|lease| lease.kind()).collect::<Vec<_>>(), [LeaseKind::Trial]);
        drop(leases);
        assert_eq!(pool.lease(at(30), None, &[]).unwrap().kind(), LeaseKind::Trial);
    });
}

#[test]
fn a_failed_trial_lets_no_other_begin_before_the_next_window() {
    loom::model(|| {
        let pool = pool(1, WhenAllEjected::Refuse);
        pool.members()[0].live.failed(at(0), &rules(1));
        let granted = twice({
            let pool = Arc::clone(&pool);
            move || pool.lease(at(30), None, &[]).map(|lease| lease.failed(at(31))).is_some()
        });
        assert_eq!(granted.iter().filter(|granted| **granted).count(), 1);
    });
}

#[test]
fn a_verdict_that_turns_while_a_trial_is_out_is_not_undone_by_its_return() {
    loom::model(|| {
        let pool = pool(1, WhenAllEjected::Refuse);
        let live = Arc::clone(&pool.members()[0].live);
        live.failed(at(0), &rules(1));
        let trial = pool.lease(at(30), None, &[]).unwrap();
        let prober = thread::spawn(move || live.succeeded(at(30), &rules(1)));
        drop(trial);
        assert_eq!(prober.join().unwrap(), Some(Transition::Restored));
        assert!(!pool.all_ejected());
        assert_eq!(pool.lease(at(31), None, &[]).unwrap().kind(), LeaseKind::Normal);
    });
}

#[test]
fn a_pick_ends_while_the_verdict_turns_to_and_fro() {
    loom::model(|| {
        let pool = pool(1, WhenAllEjected::Refuse);
        let live = Arc::clone(&pool.members()[0].live);
        let other = thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.lease(at(1), None, &[]).map(|lease| lease.kind())
        });
        live.failed(at(0), &rules(1));
        live.succeeded(at(1), &rules(1));
        // It may have come while the endpoint was ejected; a trial was never due.
        assert_ne!(other.join().unwrap(), Some(LeaseKind::Trial));
        assert_eq!(live.in_flight(), 0);
        assert_eq!(pool.lease(at(1), None, &[]).unwrap().kind(), LeaseKind::Normal);
    });
}

#[test]
fn two_retries_do_not_spend_the_same_budget() {
    loom::model(|| {
        let budget = Arc::new(Budget::new());
        (0..5).for_each(|_| budget.deposit(at(0)));
        let granted = twice({
            let budget = Arc::clone(&budget);
            move || budget.withdraw(at(0), &BudgetRules { percent: 20, floor_per_second: 0 })
        });
        assert_eq!(granted.iter().filter(|granted| **granted).count(), 1);
    });
}
