//! Permits and the queue for them, one situation at a time; [`model`] is any number of them.

mod late;
mod model;
mod small;
mod time;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use weir_balance::{Client, KeyHash, Nanos, Policy, Rules, VirtualNodes};
use weir_snapshot::{
    Answer, Clock, Lease, Millis, Permits, Pool, PoolParts, Publisher, QueueRules, Snapshot, Tried, Unserved, Waiting,
    WhenAllEjected, Wish,
};

use crate::support::{at_millis, at_secs, eject, parts, probed, rules};

fn order() -> Rules {
    let millis = Nanos::from_millis;
    Rules {
        max: 100,
        factor: 10,
        believed: millis(2000),
        least: millis(1),
        handicap: millis(500),
        slack: millis(200),
        small: millis(100),
    }
}

fn permits(capacity: u32, order: Rules) -> Arc<Permits> {
    let capacity = NonZeroU32::new(capacity).unwrap();
    let rules = QueueRules { capacity, extra: 0, timeout: Millis::from_secs(5), target: None, order };
    Arc::new(Permits::new(rules, Clock::start()))
}

/// Under the rules that hold.
fn queued(parts: PoolParts, permits: &Arc<Permits>) -> Arc<Pool> {
    under(permits.report().rules, parts, permits)
}

fn under(rules: QueueRules, parts: PoolParts, permits: &Arc<Permits>) -> Arc<Pool> {
    Arc::new(Pool::queued(parts, Arc::clone(permits), rules).unwrap())
}

/// The same endpoints in a newer snapshot, under these rules.
fn republish(publisher: &mut Publisher, pool: &Pool, rules: QueueRules) -> Arc<Pool> {
    let members = pool.members().to_vec();
    let parts = PoolParts { members, ..parts(0, (**pool.health()).clone()) };
    let pool = under(rules, parts, pool.permits().unwrap());
    publisher.publish(Snapshot { pools: vec![Arc::clone(&pool)], ..Snapshot::default() });
    pool
}

/// As configuration publishes it.
fn publish(pools: &[&Arc<Pool>]) -> Publisher {
    Publisher::new(Snapshot { pools: pools.iter().map(|&pool| Arc::clone(pool)).collect(), ..Snapshot::default() })
}

fn pool(count: u16, capacity: u32) -> Arc<Pool> {
    queued(parts(count, rules()), &permits(capacity, order()))
}

fn wish(tried: &Tried) -> Wish<'_> {
    Wish {
        now: at_millis(0),
        arrival: at_millis(0),
        deadline: at_secs(3600),
        work: Nanos::from_millis(50),
        class: 0,
        client: Client(1),
        key: None,
        tried,
    }
}

fn ask(pool: &Arc<Pool>) -> Answer {
    pool.ask(&wish(&Tried::default()))
}

fn ask_for(pool: &Arc<Pool>, work: u64) -> Answer {
    pool.ask(&Wish { work: Nanos::from_millis(work), ..wish(&Tried::default()) })
}

fn lease(answer: Answer) -> Lease {
    match answer {
        Answer::Served(lease) => lease,
        other => panic!("not served: {other:?}"),
    }
}

fn waiting(answer: Answer) -> Waiting {
    match answer {
        Answer::Waits(waiting) => waiting,
        other => panic!("does not wait: {other:?}"),
    }
}

fn refused(answer: Answer) -> Unserved {
    match answer {
        Answer::Refused(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

/// Counts the wake-ups.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll(waiting: &mut Waiting, bell: &Arc<Bell>) -> Option<Result<Lease, Unserved>> {
    let waker = Waker::from(Arc::clone(bell));
    match waiting.poll(&mut Context::from_waker(&waker), &Clock::start(), |_, _| Poll::Pending) {
        Poll::Ready(served) => served,
        Poll::Pending => None,
    }
}

fn outcome(waiting: &mut Waiting) -> Option<Result<Lease, Unserved>> {
    poll(waiting, &Arc::new(Bell::default()))
}

fn out(pool: &Pool) -> Vec<u32> {
    pool.members().iter().map(|member| member.live.permits()).collect()
}

#[test]
fn who_comes_when_all_permits_are_out_waits_for_the_first_that_comes_back_whichever_endpoint_it_is_of() {
    let pool = pool(2, 1);
    let (_first, second) = (lease(ask(&pool)), lease(ask(&pool)));
    let mut third = waiting(ask(&pool));
    assert!(outcome(&mut third).is_none());
    let address = second.address();
    drop(second);
    let third = outcome(&mut third).unwrap().unwrap();
    assert_eq!(third.address(), address);
    assert_eq!(out(&pool), [1, 1]);
}

#[test]
fn one_permit_that_comes_back_wakes_exactly_one_waiter() {
    let pool = pool(1, 1);
    let first = lease(ask(&pool));
    let bell = Arc::new(Bell::default());
    let mut others: Vec<_> = (0..10).map(|_| waiting(ask(&pool))).collect();
    assert!(others.iter_mut().all(|other| poll(other, &bell).is_none()));
    drop(first);
    assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    assert_eq!(others.iter_mut().filter_map(outcome).collect::<Vec<_>>().len(), 1);
}

#[test]
fn smaller_work_is_served_before_larger_that_came_earlier() {
    let pool = pool(1, 1);
    let first = lease(ask(&pool));
    let (mut large, mut small) = (waiting(ask_for(&pool, 1100)), waiting(ask_for(&pool, 55)));
    drop(first);
    assert!(outcome(&mut large).is_none());
    let small = outcome(&mut small).unwrap().unwrap();
    drop(small);
    assert!(outcome(&mut large).unwrap().is_ok());
}

#[test]
fn a_retry_keeps_its_arrival_and_is_served_before_those_that_came_meanwhile() {
    let pool = pool(1, 1);
    let first = lease(ask(&pool));
    let tried = Tried::default();
    let mut newer = waiting(pool.ask(&Wish { now: at_secs(3), arrival: at_secs(2), ..wish(&tried) }));
    let mut retry = waiting(pool.ask(&Wish { now: at_secs(3), arrival: at_secs(1), ..wish(&tried) }));
    drop(first);
    assert!(outcome(&mut newer).is_none());
    assert!(outcome(&mut retry).unwrap().is_ok());
}

#[test]
fn a_waiter_is_not_given_what_it_tried_and_the_next_one_is() {
    let pool = pool(2, 1);
    let (first, _second) = (lease(ask(&pool)), lease(ask(&pool)));
    let mut tried = Tried::default();
    tried.push(&first);
    let mut picky = waiting(pool.ask(&wish(&tried)));
    let mut other = waiting(ask_for(&pool, 500));
    drop(first);
    assert!(outcome(&mut picky).is_none());
    assert!(outcome(&mut other).unwrap().is_ok());
}

#[test]
fn who_tried_every_endpoint_is_refused_and_does_not_wait() {
    let pool = pool(1, 1);
    let first = lease(ask(&pool));
    let mut tried = Tried::default();
    tried.push(&first);
    assert_eq!(refused(pool.ask(&wish(&tried))), Unserved::NoEndpoint);
}

#[test]
fn a_waiter_that_leaves_is_out_at_once_and_one_that_was_granted_hands_its_permit_on() {
    let pool = pool(1, 1);
    let first = lease(ask(&pool));
    let (leaver, granted, mut last) = (waiting(ask(&pool)), waiting(ask(&pool)), waiting(ask(&pool)));
    drop(leaver);
    assert_eq!(pool.permits().unwrap().waiting(), 2);
    drop(first);
    assert_eq!(out(&pool), [1], "`granted` has it, though nobody polled");
    drop(granted);
    let last = outcome(&mut last).unwrap().unwrap();
    drop(last);
    assert_eq!(out(&pool), [0]);
}

#[test]
fn a_full_queue_refuses_with_the_time_that_those_who_wait_will_take() {
    let permits = permits(1, Rules { max: 3, ..order() });
    let pool = queued(parts(1, rules()), &permits);
    let _first = lease(ask(&pool));
    let _others: Vec<_> = (0..3).map(|_| waiting(ask(&pool))).collect();
    let Unserved::Full { retry_after } = refused(ask(&pool)) else { panic!("not full") };
    assert_eq!(retry_after, Duration::from_secs(5), "nothing is known of the pace, so it is the longest wait");
}

#[test]
fn a_better_class_takes_the_place_of_the_newest_of_a_worse_one() {
    let permits = permits(1, Rules { max: 2, ..order() });
    let pool = queued(parts(1, rules()), &permits);
    let _first = lease(ask(&pool));
    let tried = Tried::default();
    let batch = Wish { class: 1, ..wish(&tried) };
    let (mut older, mut newer) = (waiting(pool.ask(&batch)), waiting(pool.ask(&batch)));
    let _interactive = waiting(ask(&pool));
    assert!(matches!(outcome(&mut newer), Some(Err(Unserved::Displaced { .. }))));
    assert!(outcome(&mut older).is_none());
}

#[test]
fn an_endpoint_that_is_added_serves_those_who_wait() {
    let permits = permits(1, order());
    let old = queued(parts(1, rules()), &permits);
    let mut publisher = publish(&[&old]);
    let _first = lease(ask(&old));
    let mut other = waiting(ask(&old));
    let mut more = parts(2, rules());
    more.members[0] = old.members()[0].clone();
    let new = queued(more, &permits);
    publisher.publish(Snapshot { pools: vec![Arc::clone(&new)], ..Snapshot::default() });
    let served = outcome(&mut other).unwrap().unwrap();
    assert_eq!(served.address(), new.members()[1].address);
    assert!(Arc::ptr_eq(served.pool(), &new));
}

#[test]
fn a_capacity_that_grows_serves_those_who_wait_and_one_that_shrinks_takes_nothing_back() {
    let pool = pool(1, 1);
    let mut publisher = publish(&[&pool]);
    let first = lease(ask(&pool));
    let (mut second, mut third) = (waiting(ask(&pool)), waiting(ask(&pool)));
    let sized = |capacity| QueueRules {
        capacity: NonZeroU32::new(capacity).unwrap(),
        extra: 0,
        timeout: Millis::from_secs(5),
        target: None,
        order: order(),
    };
    republish(&mut publisher, &pool, sized(2));
    let second = outcome(&mut second).unwrap().unwrap();
    republish(&mut publisher, &pool, sized(1));
    drop(first);
    assert!(outcome(&mut third).is_none(), "one is out still, and that is the capacity now");
    drop(second);
    assert!(outcome(&mut third).unwrap().is_ok());
}

#[test]
fn an_endpoints_own_capacity_goes_before_that_of_the_service() {
    let mut parts = parts(2, rules());
    parts.members[1].capacity = NonZeroU32::new(3);
    let pool = queued(parts, &permits(1, order()));
    let leases: Vec<_> = (0..4).map(|_| lease(ask(&pool))).collect();
    assert_eq!(out(&pool), [1, 3]);
    let _fifth = waiting(ask(&pool));
    drop(leases);
}

#[test]
fn removing_drained_and_ejected_endpoints_leaves_no_waiter_behind() {
    let permits = permits(1, order());
    let health = probed();
    let old = queued(parts(2, health.clone()), &permits);
    let mut publisher = publish(&[&old]);
    let (first, second) = (lease(ask(&old)), lease(ask(&old)));
    let mut other = waiting(ask(&old));
    // One is drained; a permit that comes back to it is nobody's.
    let mut fewer = parts(2, health.clone());
    fewer.members = old.members().to_vec();
    fewer.members[0].drained = true;
    publisher.publish(Snapshot { pools: vec![queued(fewer, &permits)], ..Snapshot::default() });
    let (drained, other_one) = if first.slot().index() == 0 { (first, second) } else { (second, first) };
    drop(drained);
    assert!(outcome(&mut other).is_none());
    // The other one is ejected while it serves: then nobody can serve, and waiting ends.
    eject(&old, 1, at_secs(0));
    assert_eq!(outcome(&mut other).unwrap().unwrap_err(), Unserved::NoEndpoint);
    drop(other_one);
    assert_eq!(out(&old), [0, 0]);
}

#[test]
fn an_endpoint_that_is_restored_serves_those_who_wait_at_once() {
    let pool = queued(parts(2, probed()), &permits(1, order()));
    let _publisher = publish(&[&pool]);
    eject(&pool, 1, at_secs(0));
    let _first = lease(ask(&pool));
    let mut other = waiting(ask(&pool));
    pool.members()[1].live.succeeded(at_secs(1), pool.health());
    assert_eq!(outcome(&mut other).unwrap().unwrap().address(), pool.members()[1].address);
}

#[test]
fn when_all_are_ejected_those_who_wait_are_let_through_if_all_are_to_be_tried() {
    let parts = PoolParts { when_all_ejected: WhenAllEjected::TryAll, ..parts(2, probed()) };
    let pool = queued(parts, &permits(1, order()));
    let _publisher = publish(&[&pool]);
    eject(&pool, 1, at_secs(0));
    let first = lease(ask(&pool));
    let mut other = waiting(ask(&pool));
    eject(&pool, 0, at_secs(0));
    let other = outcome(&mut other).unwrap().unwrap();
    assert_eq!(other.address(), pool.members()[1].address, "it has a permit left");
    let _third = waiting(ask(&pool));
    drop(first);
}

#[test]
fn waiters_outlive_the_pools_of_a_service_that_is_configured_away() {
    let permits = permits(1, order());
    let pool = queued(parts(1, rules()), &permits);
    let mut publisher = publish(&[&pool]);
    let first = lease(ask(&pool));
    let mut other = waiting(ask(&pool));
    publisher.publish(Snapshot::default());
    drop(pool);
    drop(first);
    assert!(outcome(&mut other).unwrap().is_ok());
}

#[test]
fn pools_are_freed_once_nobody_waits_or_leases() {
    let pool = pool(1, 1);
    let publisher = publish(&[&pool]);
    let weak = Arc::downgrade(&pool);
    let first = lease(ask(&pool));
    drop(waiting(ask(&pool)));
    drop((first, publisher, pool));
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_hash_policy_walks_its_ring_past_full_endpoints() {
    let policy = Policy::ConsistentHash { virtual_nodes: VirtualNodes::DEFAULT, bounded_load: None };
    let pool = queued(PoolParts { policy, ..parts(4, rules()) }, &permits(1, order()));
    let tried = Tried::default();
    let same_key = Wish { key: Some(KeyHash(7)), ..wish(&tried) };
    let leases: Vec<_> = (0..4).map(|_| lease(pool.ask(&same_key))).collect();
    assert_eq!(out(&pool), [1; 4]);
    let home = leases[0].address();
    let mut fifth = waiting(pool.ask(&same_key));
    drop(leases);
    assert_eq!(outcome(&mut fifth).unwrap().unwrap().slot(), lease_at(&pool, home));
}

fn lease_at(pool: &Pool, address: std::net::SocketAddr) -> weir_balance::Slot {
    let index = pool.members().iter().position(|member| member.address == address).unwrap();
    weir_balance::Slot::new(u16::try_from(index).unwrap())
}

#[test]
fn a_full_queue_of_large_ones_does_not_refuse_a_small_one_that_there_is_room_for() {
    let order = Rules { max: 1, ..order() };
    let rules = QueueRules { capacity: NonZeroU32::MIN, extra: 1, timeout: Millis::from_secs(5), target: None, order };
    let pool = queued(parts(1, crate::support::rules()), &Arc::new(Permits::new(rules, Clock::start())));
    let _large = lease(ask_for(&pool, 1100));
    let mut waits = waiting(ask_for(&pool, 1100));
    assert!(matches!(refused(ask_for(&pool, 1100)), Unserved::Full { .. }));
    let _small = lease(ask_for(&pool, 50));
    assert!(matches!(refused(ask_for(&pool, 50)), Unserved::Full { .. }), "now there is none");
    assert!(outcome(&mut waits).is_none());
}

#[test]
fn an_endpoint_that_says_it_is_busy_gets_fewer_for_a_while_and_never_none() {
    let pool = pool(1, 3);
    let leases: Vec<_> = (0..3).map(|_| lease(ask(&pool))).collect();
    leases[0].busy(at_secs(0), Duration::from_secs(10));
    drop(leases);
    let at = |secs| Wish { now: at_secs(secs), ..wish(&EMPTY) };
    let two: Vec<_> = (0..2).map(|_| lease(pool.ask(&at(1)))).collect();
    drop(waiting(pool.ask(&at(1))));
    let _third = lease(pool.ask(&at(10)));
    two[0].busy(at_secs(10), Duration::from_secs(10));
    two[0].busy(at_secs(10), Duration::from_secs(10));
    drop(two);
}

static EMPTY: Tried = Tried::EMPTY;

#[test]
fn a_service_without_a_queue_answers_as_it_leases() {
    let pool = crate::support::pool(1, rules());
    let leases: Vec<_> = (0..10).map(|_| lease(ask(&pool))).collect();
    assert_eq!((leases.len(), pool.members()[0].live.permits()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_so_and_is_out_of_the_queue() {
    let clock = Clock::start();
    let rules =
        QueueRules { capacity: NonZeroU32::MIN, extra: 0, timeout: Millis::from_secs(5), target: None, order: order() };
    let permits = Arc::new(Permits::new(rules, clock));
    let pool = queued(parts(1, crate::support::rules()), &permits);
    let tried = Tried::default();
    let now = || Wish { now: clock.now(), arrival: clock.now(), ..wish(&tried) };
    let first = lease(pool.ask(&now()));
    let waits = waiting(pool.ask(&now()));
    assert!(matches!(waits.served(clock).await, Err(Unserved::TooLate { .. })));
    assert_eq!((clock.now(), permits.waiting()), (at_secs(5), 0));
    // The exchange's own deadline goes before the queue's.
    let hurried = waiting(pool.ask(&Wish { deadline: at_secs(6), ..now() }));
    assert!(hurried.served(clock).await.is_err());
    assert_eq!(clock.now(), at_secs(6));
    let waits = tokio::spawn(waiting(pool.ask(&now())).served(clock));
    drop(first);
    assert!(waits.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_time_to_come_back_is_that_of_the_queue_at_its_pace() {
    let clock = Clock::start();
    let rules = QueueRules {
        capacity: NonZeroU32::MIN,
        extra: 0,
        timeout: Millis::from_secs(60),
        target: None,
        order: Rules { max: 20, ..order() },
    };
    let permits = Arc::new(Permits::new(rules, clock));
    let pool = queued(parts(1, crate::support::rules()), &permits);
    let tried = Tried::default();
    let now = || Wish { now: clock.now(), arrival: clock.now(), deadline: at_secs(600), ..wish(&tried) };
    let mut current = lease(pool.ask(&now()));
    let mut others: Vec<_> = (0..20).map(|_| waiting(pool.ask(&now()))).collect();
    // One exchange takes 300 ms.
    for next in others.drain(..10) {
        tokio::time::advance(Duration::from_millis(300)).await;
        drop(current);
        current = next.served(clock).await.unwrap();
    }
    others.extend((0..10).map(|_| waiting(pool.ask(&now()))));
    assert_eq!(refused(pool.ask(&now())), Unserved::Full { retry_after: Duration::from_secs(6) });
}
