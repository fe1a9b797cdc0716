//! A queue that runs late, one without places, and permits of an endpoint that has just come.

use std::sync::Arc;
use std::time::Duration;

use weir_snapshot::{Clock, Millis, Permits, QueueRules, Tried, Unserved, Wish};

use super::*;
use crate::slow_start::newcomer_of_two;

/// One permit, and a target of a second.
fn targeting(clock: Clock) -> (Arc<Permits>, Arc<Pool>) {
    let rules = QueueRules {
        capacity: NonZeroU32::MIN,
        extra: 0,
        timeout: Millis::from_secs(60),
        target: Some(Millis::from_secs(1)),
        order: Rules { factor: 0, handicap: Nanos::from_millis(3_600_000), ..order() },
    };
    let permits = Arc::new(Permits::new(rules, clock));
    let pool = queued(parts(1, crate::support::rules()), &permits);
    (permits, pool)
}

#[tokio::test(start_paused = true)]
async fn when_everybody_waits_too_long_the_newest_of_the_last_class_are_told_to_come_back() {
    let clock = Clock::start();
    let (permits, pool) = targeting(clock);
    let tried = Tried::default();
    let ask = |class| {
        let (now, arrival, deadline) = (clock.now(), clock.now(), at_secs(600));
        pool.ask(&Wish { now, arrival, deadline, class, ..wish(&tried) })
    };
    let mut current = lease(ask(0));
    let mut interactive = vec![waiting(ask(0)), waiting(ask(0))];
    let mut batch: Vec<_> = (0..8).map(|_| waiting(ask(1))).collect();
    // One comes back each 400 ms and one comes: each waits for less than a second.
    for _ in 0..6 {
        tokio::time::advance(Duration::from_millis(400)).await;
        interactive.push(waiting(ask(0)));
        drop(current);
        current = interactive.remove(0).served(clock).await.unwrap();
    }
    assert_eq!(permits.waiting(), 10, "the batch waits, and that is no harm");
    // Two come: after a while each has to wait for more.
    for _ in 0..12 {
        tokio::time::advance(Duration::from_millis(400)).await;
        for _ in 0..2 {
            if let Answer::Waits(waits) = ask(0) {
                interactive.push(waits);
            }
        }
        drop(current);
        // Of those that came before it some may have been told to go.
        current = std::iter::from_fn(|| outcome(&mut interactive.remove(0))).find_map(Result::ok).unwrap();
    }
    assert!(permits.waiting() <= 2, "what gets through within a second");
    let told: Vec<_> = batch.iter_mut().filter_map(outcome).map(Result::unwrap_err).collect();
    assert!(told.len() == 8 && told.iter().all(|why| matches!(why, Unserved::Shed { .. })), "{told:?}");
    let _places: Vec<_> = (permits.waiting()..2).map(|_| waiting(ask(0))).collect();
    assert!(matches!(refused(ask(1)), Unserved::Shed { .. }), "a further one is the newest");
}

#[tokio::test(start_paused = true)]
async fn a_better_class_is_let_in_while_the_queue_is_late_and_a_burst_is_not_cut() {
    let clock = Clock::start();
    let (permits, pool) = targeting(clock);
    let tried = Tried::default();
    let ask = |class| {
        let (now, arrival, deadline) = (clock.now(), clock.now(), at_secs(600));
        pool.ask(&Wish { now, arrival, deadline, class, ..wish(&tried) })
    };
    let first = lease(ask(0));
    let mut batch: Vec<_> = (0..5).map(|_| waiting(ask(1))).collect();
    tokio::time::advance(Duration::from_millis(1999)).await;
    batch.push(waiting(ask(1)));
    assert_eq!(permits.waiting(), 6);
    tokio::time::advance(Duration::from_millis(1)).await;
    // Nothing came back for two seconds: one may wait, and that is the better one.
    let mut better = waiting(ask(0));
    assert!(batch.iter_mut().all(|waits| matches!(outcome(waits), Some(Err(Unserved::Shed { .. })))));
    assert_eq!(permits.waiting(), 1);
    assert!(matches!(refused(ask(0)), Unserved::Shed { .. }));
    drop(first);
    let _better = outcome(&mut better).unwrap().unwrap();
    // Nobody waits: all is well again.
    let _second = waiting(ask(1));
    let _third = waiting(ask(1));
    assert_eq!(permits.waiting(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_configured_away_lets_everybody_wait_again() {
    let clock = Clock::start();
    let (permits, pool) = targeting(clock);
    let mut publisher = publish(&[&pool]);
    let tried = Tried::default();
    let ask = || pool.ask(&Wish { now: clock.now(), arrival: clock.now(), deadline: at_secs(600), ..wish(&tried) });
    let _first = lease(ask());
    let _others: Vec<_> = (0..3).map(|_| waiting(ask())).collect();
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(matches!(refused(ask()), Unserved::Shed { .. }));
    let (capacity, timeout) = (NonZeroU32::MIN, Millis::from_secs(60));
    let rules = QueueRules { capacity, extra: 0, timeout, target: None, order: order() };
    republish(&mut publisher, &pool, rules);
    let _more: Vec<_> = (0..3).map(|_| waiting(ask())).collect();
    assert_eq!(permits.waiting(), 4);
}

#[test]
fn where_nobody_may_wait_who_finds_all_full_is_refused_for_a_second() {
    let permits = permits(1, Rules { max: 0, ..order() });
    let pool = queued(parts(2, rules()), &permits);
    let leases = [lease(ask(&pool)), lease(ask(&pool))];
    assert_eq!(out(&pool), [1, 1]);
    assert_eq!(refused(ask(&pool)), Unserved::Full { retry_after: Duration::from_secs(1) });
    drop(leases);
    assert_eq!(out(&pool), [0, 0]);
}

#[test]
fn the_permits_of_an_endpoint_that_has_just_come_grow_with_its_share() {
    for (now, expected) in [(100, [8, 1]), (115, [8, 5]), (130, [8, 8])] {
        let pool = queued(newcomer_of_two(), &permits(8, order()));
        let at = |work| Wish { now: at_secs(now), arrival: at_secs(now), work: Nanos(work), ..wish(&EMPTY) };
        let count = expected.iter().sum::<u32>();
        let _leases: Vec<_> = (0..count).map(|_| lease(pool.ask(&at(1)))).collect();
        let _waits = waiting(pool.ask(&at(1)));
        assert_eq!(out(&pool), expected, "at {now} s");
    }
}

#[test]
fn an_endpoint_that_is_alone_has_all_its_permits_at_once() {
    let mut parts = newcomer_of_two();
    parts.members[0].drained = true;
    let pool = queued(parts, &permits(8, order()));
    let now = at_secs(100);
    let _leases: Vec<_> = (0..8).map(|_| lease(pool.ask(&Wish { now, ..wish(&EMPTY) }))).collect();
    assert_eq!(out(&pool), [0, 8]);
}
