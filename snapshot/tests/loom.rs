//! How threads meet on one endpoint, in every interleaving. How to run: `src/sync.rs`.
#![cfg(loom)]

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loom::sync::atomic::AtomicU64;
use loom::thread;
use weir_balance::{Nanos, Policy};
use weir_snapshot::{
    Answer, Budget, BudgetRules, Clock, HealthRules, Lease, LeaseKind, Live, Member, Millis, Moment, Permits, Pool,
    PoolParts, Probe, ProbeKind, Publisher, QueueRules, Snapshot, Transition, Tried, Unserved, Waiting, WhenAllEjected,
    Wish,
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
        slow_start: None,
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

/// One endpoint, one permit.
fn queued(max: usize) -> Arc<Pool> {
    sized(NonZeroU32::MIN, max)
}

fn sized(capacity: NonZeroU32, max: usize) -> Arc<Pool> {
    let millis = weir_balance::Nanos::from_millis;
    let order = weir_balance::Rules {
        max,
        factor: 1,
        believed: millis(1000),
        least: millis(1),
        handicap: millis(1),
        slack: millis(1),
        small: millis(100),
    };
    let rules = QueueRules { capacity, extra: 0, timeout: Millis::from_secs(3600), target: None, order };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let live = Arc::new(Live::new(&probed()));
    let member = Member::new(address, live);
    let parts = PoolParts {
        service: "s".into(),
        policy: Policy::RoundRobin,
        members: vec![member],
        health: Arc::new(probed()),
        when_all_ejected: WhenAllEjected::Refuse,
        turn: Arc::new(AtomicU64::new(0)),
        slow_start: None,
    };
    Arc::new(Pool::queued(parts, Arc::new(Permits::new(rules, Clock::start())), rules).unwrap())
}

fn probed() -> HealthRules {
    let probe = Probe { kind: ProbeKind::Tcp, interval: Millis::from_secs(5), timeout: Millis::from_secs(1) };
    HealthRules { probe: Some(probe), ..rules(1) }
}

fn ask(pool: &Arc<Pool>) -> Answer {
    pool.ask(&Wish {
        now: at(0),
        arrival: at(0),
        deadline: at(3600),
        work: weir_balance::Nanos(1),
        class: 0,
        client: weir_balance::Client(0),
        key: None,
        tried: &Tried::EMPTY,
    })
}

/// Waits as an executor does: sleeps until it is woken, then polls. Loom reports a wake-up that never comes.
struct Bell(loom::sync::Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn served(answer: Answer) -> Result<Lease, Unserved> {
    match answer {
        Answer::Served(lease) => Ok(lease),
        Answer::Refused(why) => Err(why),
        Answer::Waits(waiting) => served_at(waiting, at(0)),
    }
}

/// The same when it is this moment: whoever is to look by then looks.
fn served_at(mut waiting: Waiting, now: Moment) -> Result<Lease, Unserved> {
    let bell = Arc::new(Bell(loom::sync::Notify::new()));
    let waker = Waker::from(Arc::clone(&bell));
    let mut timer = |_: &mut Context<'_>, until| if until <= now { Poll::Ready(()) } else { Poll::Pending };
    loop {
        match waiting.poll(&mut Context::from_waker(&waker), &Clock::start(), &mut timer) {
            Poll::Ready(served) => return served.unwrap(),
            Poll::Pending => bell.0.wait(),
        }
    }
}

fn nothing_is_left(pool: &Pool) {
    let live = &pool.members()[0].live;
    assert_eq!((live.permits(), live.in_flight(), pool.permits().unwrap().waiting()), (0, 0, 0));
}

#[test]
fn everybody_who_asks_for_a_permit_gets_it_and_never_two_at_once() {
    loom::model(|| {
        let pool = queued(10);
        twice({
            let pool = Arc::clone(&pool);
            move || {
                let lease = served(ask(&pool)).unwrap();
                assert_eq!(lease.member().live.permits(), 1);
            }
        });
        nothing_is_left(&pool);
    });
}

#[test]
fn a_waiter_that_leaves_while_it_is_granted_hands_the_permit_on() {
    loom::model(|| {
        let pool = queued(10);
        let first = served(ask(&pool)).unwrap();
        let (leaver, last) = (ask(&pool), ask(&pool));
        let leaves = thread::spawn(move || drop(leaver));
        let ends = thread::spawn(move || drop(first));
        drop(served(last).unwrap());
        leaves.join().unwrap();
        ends.join().unwrap();
        nothing_is_left(&pool);
    });
}

#[test]
fn a_permit_that_comes_back_while_a_place_in_the_queue_is_taken_is_not_lost() {
    loom::model(|| {
        let pool = queued(1);
        let first = served(ask(&pool)).unwrap();
        let ends = thread::spawn(move || drop(first));
        assert!(served(ask(&pool)).is_ok());
        ends.join().unwrap();
        nothing_is_left(&pool);
    });
}

#[test]
fn a_waiter_is_served_or_refused_whenever_the_verdict_turns_to_and_fro() {
    loom::model(|| {
        let pool = queued(10);
        let mut publisher = Publisher::new(Snapshot { pools: vec![Arc::clone(&pool)], ..Snapshot::default() });
        let first = served(ask(&pool)).unwrap();
        let waits = thread::spawn({
            let pool = Arc::clone(&pool);
            move || served(ask(&pool)).map(drop)
        });
        let live = Arc::clone(&pool.members()[0].live);
        live.failed(at(0), &probed());
        live.succeeded(at(1), &probed());
        drop(first);
        assert!(matches!(waits.join().unwrap(), Ok(()) | Err(Unserved::NoEndpoint)));
        publisher.publish(Snapshot::default());
        nothing_is_left(&pool);
    });
}

#[test]
fn a_new_snapshot_loses_no_waiter() {
    loom::model(|| {
        let pool = queued(10);
        let snapshot = |pool: &Arc<Pool>| Snapshot { pools: vec![Arc::clone(pool)], ..Snapshot::default() };
        let mut publisher = Publisher::new(snapshot(&pool));
        let first = served(ask(&pool)).unwrap();
        let waits = thread::spawn({
            let pool = Arc::clone(&pool);
            move || drop(served(ask(&pool)).unwrap())
        });
        let parts = PoolParts {
            service: "s".into(),
            policy: Policy::RoundRobin,
            members: pool.members().to_vec(),
            health: Arc::new(probed()),
            when_all_ejected: WhenAllEjected::Refuse,
            turn: Arc::new(AtomicU64::new(0)),
            slow_start: None,
        };
        let permits = pool.permits().unwrap();
        let newer = Arc::new(Pool::queued(parts, Arc::clone(permits), permits.report().rules).unwrap());
        publisher.publish(snapshot(&newer));
        drop(first);
        waits.join().unwrap();
        nothing_is_left(&pool);
    });
}

#[test]
fn who_has_the_watch_and_leaves_hands_it_on_to_one_who_looks() {
    loom::model(|| {
        let pool = sized(NonZeroU32::new(2).unwrap(), 10);
        let [busy, other] = [served(ask(&pool)).unwrap(), served(ask(&pool)).unwrap()];
        // One at a time for ten seconds.
        busy.busy(at(0), Duration::from_secs(10));
        drop(other);
        let [Answer::Waits(first), Answer::Waits(second)] = [ask(&pool), ask(&pool)] else { panic!("there is room") };
        assert_eq!((first.wakes_at(), second.wakes_at()), (at(10), second.deadline()));
        let leaves = thread::spawn(move || drop(first));
        drop(served_at(second, at(10)).unwrap());
        leaves.join().unwrap();
        drop(busy);
        nothing_is_left(&pool);
    });
}

#[test]
fn of_two_answers_at_once_the_slower_one_is_remembered() {
    loom::model(|| {
        let live = Arc::new(Live::new(&rules(1)));
        let member = Member::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), Arc::clone(&live));
        let parts = PoolParts {
            service: "s".into(),
            policy: Policy::PeakEwma,
            members: vec![member],
            health: Arc::new(rules(1)),
            when_all_ejected: WhenAllEjected::Refuse,
            turn: Arc::new(AtomicU64::new(0)),
            slow_start: None,
        };
        let pool = Arc::new(Pool::new(parts).unwrap());
        let slow = Duration::from_millis(100);
        let answers = [slow, Duration::from_millis(1)].map(|took| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.lease(at(0), None, &[]).unwrap().answered(at(0), took))
        });
        answers.into_iter().for_each(|answer| answer.join().unwrap());
        assert_eq!(live.latency(at(0)).estimate, Some(Nanos::from_millis(100)));
        assert_eq!(live.in_flight(), 0);
    });
}
