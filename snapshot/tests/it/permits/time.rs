//! Room that time alone makes: whoever waits then is served, though nothing else happens.

use std::sync::Arc;
use std::time::Duration;

use weir_snapshot::{Clock, HealthRules, Lease, Millis, Permits, QueueRules, Tried, Wish};

use super::*;
use crate::slow_start::newcomer_of_two;

struct Scene {
    clock: Clock,
    pool: Arc<Pool>,
    _publisher: Publisher,
}

impl Scene {
    fn new(parts: PoolParts, capacity: u32) -> Self {
        let (clock, capacity) = (Clock::start(), NonZeroU32::new(capacity).unwrap());
        let rules = QueueRules { capacity, extra: 0, timeout: Millis::from_secs(600), target: None, order: order() };
        let pool = queued(parts, &Arc::new(Permits::new(rules, clock)));
        let publisher = publish(&[&pool]);
        Self { clock, pool, _publisher: publisher }
    }

    fn ask(&self, tried: &Tried) -> Answer {
        let now = self.clock.now();
        self.pool.ask(&Wish { now, arrival: now, ..wish(tried) })
    }

    fn fill(&self, count: usize) -> Vec<Lease> {
        (0..count).map(|_| lease(self.ask(&EMPTY))).collect()
    }

    /// When it was served.
    async fn served(&self, waiting: Waiting) -> (f64, Lease) {
        let lease = waiting.served(self.clock).await.unwrap();
        (self.seconds(), lease)
    }

    fn seconds(&self) -> f64 {
        Duration::from_nanos(self.clock.now().as_nanos()).as_secs_f64()
    }
}

#[tokio::test(start_paused = true)]
async fn permits_of_an_endpoint_that_ramps_up_go_to_those_who_wait_as_they_come_to_be() {
    let scene = Scene::new(newcomer_of_two(), 8);
    tokio::time::advance(Duration::from_secs(100)).await;
    let _old = scene.fill(9);
    assert_eq!(out(&scene.pool), [8, 1]);
    let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(waiting(scene.ask(&EMPTY)).served(scene.clock))).collect();
    let mut leases = Vec::new();
    // Of 1024 parts it has 102 at first and all after 30 s; eight permits begin at 1, 129, 257, 385 …
    for (part, next) in [129.0, 257.0, 385.0].into_iter().zip(waiting) {
        leases.push(next.await.unwrap().unwrap());
        let (due, at) = (100.0 + (part - 102.0) / 922.0 * 30.0, scene.seconds());
        assert!((due..due + 0.003).contains(&at), "{at} s instead of {due} s");
    }
    assert!(leases.iter().all(|lease| lease.slot().index() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_busy_endpoint_that_may_have_more_again_serves_those_who_wait() {
    let scene = Scene::new(parts(1, rules()), 3);
    let mut leases = scene.fill(3);
    leases[0].busy(scene.clock.now(), Duration::from_secs(10));
    drop(leases.pop());
    let (at, _lease) = scene.served(waiting(scene.ask(&EMPTY))).await;
    assert!((10.0..10.003).contains(&at), "{at} s");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_comes_to_be_due_goes_to_who_waits_for_another_endpoint() {
    let scene = Scene::new(parts(2, HealthRules { failures: 1, ..rules() }), 1);
    eject(&scene.pool, 1, scene.clock.now());
    let _busy = scene.fill(1);
    let (at, lease) = scene.served(waiting(scene.ask(&EMPTY))).await;
    assert_eq!(lease.kind(), weir_snapshot::LeaseKind::Trial);
    assert!((30.0..30.003).contains(&at), "{at} s");
}

#[tokio::test(start_paused = true)]
async fn who_has_the_watch_and_leaves_hands_it_on() {
    let scene = Scene::new(parts(1, rules()), 3);
    let mut leases = scene.fill(3);
    leases[0].busy(scene.clock.now(), Duration::from_secs(10));
    drop(leases.pop());
    let mut others: Vec<_> = (0..4).map(|_| waiting(scene.ask(&EMPTY))).collect();
    let last = tokio::spawn(others.remove(1).served(scene.clock));
    tokio::task::yield_now().await;
    let watches = others.iter().filter(|other| other.wakes_at() < at_secs(60)).count();
    assert!(watches <= 1, "{watches} look at the same thing");
    drop(others);
    let lease = last.await.unwrap().unwrap();
    let at = scene.clock.now();
    assert!(at_millis(10_000) <= at && at < at_millis(10_003), "{at:?}");
    drop(lease);
}

#[tokio::test(start_paused = true)]
async fn who_is_too_late_is_served_all_the_same_if_there_is_room_by_then() {
    let scene = Scene::new(parts(1, rules()), 3);
    let mut leases = scene.fill(3);
    leases[0].busy(scene.clock.now(), Duration::from_secs(10));
    drop(leases.pop());
    let waits = waiting(scene.ask(&EMPTY));
    // Nobody polled it in time.
    tokio::time::advance(Duration::from_secs(700)).await;
    assert!(waits.give_up().is_ok());
}

#[tokio::test(start_paused = true)]
async fn where_time_makes_no_room_nobody_is_told_to_look() {
    let scene = Scene::new(newcomer_of_two(), 2);
    tokio::time::advance(Duration::from_secs(200)).await;
    let _busy = scene.fill(4);
    let waits = waiting(scene.ask(&EMPTY));
    assert_eq!(waits.wakes_at(), waits.deadline());
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_of_a_newcomer_gives_the_others_what_it_was_ahead_of_them() {
    let starts = Arc::new(weir_snapshot::Starts::new());
    let health = probed();
    let mut parts = parts(2, health.clone());
    let [young, newcomer] = [weir_snapshot::Live::new(&health), weir_snapshot::Live::unproven(&health, at_secs(3600))]
        .map(|live| live.of_service(&starts));
    newcomer.begins(at_secs(100));
    young.begins(at_secs(120));
    (parts.members[0].live, parts.members[1].live) = (Arc::new(young), Arc::new(newcomer));
    parts.slow_start = Some(weir_snapshot::SlowStart { span: Millis::from_secs(30), starts });
    let scene = Scene::new(parts, 8);
    tokio::time::advance(Duration::from_mins(2)).await;
    let held: Vec<_> = std::iter::from_fn(|| match scene.ask(&EMPTY) {
        Answer::Served(lease) => Some(lease),
        _ => None,
    })
    .collect();
    assert_eq!(out(&scene.pool), [2, 8], "{}", held.len());
    let mut waits = waiting(scene.ask(&EMPTY));
    // It begins only now, so that the other one is as far as it is, and has all its permits.
    scene.pool.members()[1].live.succeeded(scene.clock.now(), &health);
    assert!(outcome(&mut waits).unwrap().is_ok());
}
