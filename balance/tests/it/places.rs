//! Who may wait when not all may: places of a full queue, and of one that runs late.

use proptest::prelude::*;
use weir_balance::{Client, Entry, Fit, Nanos, Queue, Rules};

fn rules(max: usize) -> Rules {
    let millis = Nanos::from_millis;
    Rules {
        max,
        factor: 0,
        believed: millis(1000),
        least: millis(1),
        handicap: millis(500),
        slack: millis(200),
        small: millis(0),
    }
}

fn entry(client: u64, arrival: u64, class: u8) -> Entry {
    Entry { arrival: Nanos::from_millis(arrival), class, client: Client(client), ..Entry::default() }
}

#[test]
fn a_client_that_fills_the_queue_makes_room_for_one_with_fewer_until_they_have_the_same() {
    let mut queue = Queue::new(rules(10));
    (0..10).for_each(|arrival| assert!(queue.push(&entry(1, arrival, 0), (1, arrival)).is_ok()));
    assert_eq!(queue.push(&entry(1, 10, 0), (1, 10)), Err((1, 10)), "it has them all already");
    let displaced: Vec<_> =
        (20..25).map(|arrival| queue.push(&entry(2, arrival, 0), (2, arrival)).unwrap().displaced).collect();
    // Its last one first, so that those that came long ago stay.
    assert_eq!(displaced, [9, 8, 7, 6, 5].map(|arrival| Some((1, arrival))));
    assert_eq!(queue.push(&entry(2, 25, 0), (2, 25)), Err((2, 25)), "five each");
    assert_eq!(queue.push(&entry(3, 26, 0), (3, 26)).unwrap().displaced, Some((2, 24)));
}

#[test]
fn ten_thousand_waiting_requests_of_one_client_leave_a_place_for_each_of_another() {
    let mut queue = Queue::new(rules(10_000));
    (0..10_000).for_each(|arrival| assert!(queue.push(&entry(1, arrival, 0), 1).is_ok()));
    (0..100).for_each(|more| assert!(queue.push(&entry(2, 20_000 + more, 0), 2).is_ok()));
    assert_eq!(queue.len(), 10_000);
    let next = |queue: &mut Queue<u64>| queue.take(|_| Fit::Takes(())).map(|(client, ())| client);
    let served: Vec<_> = (0..1000).filter_map(|_| next(&mut queue)).collect();
    let last = served.iter().rposition(|&client| client == 2).unwrap();
    assert_eq!(served.iter().filter(|&&client| client == 2).count(), 100);
    // A millisecond each, in turn, once the slack of the first is used up.
    assert!(last <= 2 * 100 + 2 * 200, "{last}");
}

#[test]
fn a_worse_class_never_takes_the_place_of_a_better_one() {
    let mut queue = Queue::new(rules(3));
    (0..3).for_each(|arrival| assert!(queue.push(&entry(1, arrival, 0), arrival).is_ok()));
    assert!(queue.push(&entry(2, 5, 1), 5).is_err());
}

#[test]
fn a_limit_lets_the_newest_of_the_last_class_go_first_and_is_a_full_queue_from_then_on() {
    let mut queue = Queue::new(rules(100));
    for (name, class) in [("a", 0), ("batch", 1), ("b", 0), ("newer batch", 1), ("c", 0)] {
        assert!(queue.push(&entry(1, 0, class), name).is_ok());
    }
    assert_eq!(queue.trim(), None, "there is no limit");
    queue.limit(2);
    assert_eq!(std::iter::from_fn(|| queue.trim()).collect::<Vec<_>>(), ["newer batch", "batch", "c"]);
    assert!(queue.push(&entry(1, 0, 0), "d").is_err());
    queue.limit(3);
    assert!(queue.push(&entry(1, 0, 1), "batch again").is_ok());
    assert_eq!(queue.push(&entry(1, 0, 0), "e").unwrap().displaced, Some("batch again"));
}

proptest! {
    #[test]
    fn of_a_full_queue_each_client_has_an_even_part_or_all_that_it_asked_for(
        asked in prop::collection::vec(0_usize..60, 1..6),
        max in 1_usize..60,
        order in any::<u64>(),
    ) {
        let mut queue = Queue::new(rules(max));
        let mut left = asked.clone();
        let mut has = vec![0_usize; asked.len()];
        let mut turn = order;
        while left.iter().any(|&left| left > 0) {
            turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let client = usize::try_from(turn >> 33).unwrap() % left.len();
            if left[client] == 0 { continue }
            left[client] -= 1;
            if let Ok(pushed) = queue.push(&entry(client as u64, 0, 0), client) {
                has[client] += 1;
                if let Some(displaced) = pushed.displaced {
                    has[displaced] -= 1;
                }
            }
        }
        prop_assert_eq!(queue.len(), max.min(asked.iter().sum()));
        let most = has.iter().copied().max().unwrap();
        for (has, asked) in has.iter().zip(&asked) {
            prop_assert!(has == asked || has + 1 >= most, "{has} of {asked} where another has {most}");
        }
    }
}
