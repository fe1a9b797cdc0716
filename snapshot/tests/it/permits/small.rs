//! Small ones beside the permits.

use super::*;

/// One endpoint with one permit and one place beside it.
fn pool() -> Arc<Pool> {
    let rules =
        QueueRules { capacity: NonZeroU32::MIN, extra: 1, timeout: Millis::from_secs(5), target: None, order: order() };
    let permits = Arc::new(Permits::new(rules, Clock::start()));
    queued(parts(1, crate::support::rules()), &permits)
}

#[test]
fn a_small_one_is_served_beside_large_ones_and_a_large_one_waits() {
    let pool = pool();
    let first = lease(ask_for(&pool, 1100));
    let mut large = waiting(ask_for(&pool, 1100));
    let small = lease(ask_for(&pool, 50));
    drop(first);
    assert!(outcome(&mut large).is_none(), "the small one has the permit now");
    drop(small);
    assert!(outcome(&mut large).unwrap().is_ok());
}

#[test]
fn a_small_one_waits_for_another_one_to_end_unless_more_of_them_wait() {
    let pool = pool();
    let first = lease(ask_for(&pool, 50));
    let mut second = waiting(ask_for(&pool, 50));
    let mut large = waiting(ask_for(&pool, 1100));
    assert!(outcome(&mut second).is_none(), "a large one that waits changes nothing");
    let mut third = waiting(ask_for(&pool, 50));
    let second = outcome(&mut second).unwrap().unwrap();
    assert!(outcome(&mut third).is_none(), "the permit and the place beside it are taken");
    drop(first);
    assert!(outcome(&mut third).is_none(), "alone again, and another one is being served");
    drop(second);
    let third = outcome(&mut third).unwrap().unwrap();
    drop(third);
    assert!(outcome(&mut large).unwrap().is_ok());
}
