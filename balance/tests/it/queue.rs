//! What holds for a queue, whatever is pushed and taken in whatever order.

use proptest::prelude::*;
use weir_balance::{Client, Entry, Fit, Nanos, Queue, Rules, Ticket};

fn millis(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

fn rules(factor: u16) -> Rules {
    Rules {
        max: usize::MAX,
        factor,
        believed: millis(1000),
        least: millis(1),
        handicap: millis(500),
        slack: millis(200),
        small: millis(100),
    }
}

fn next<T>(queue: &mut Queue<T>) -> Option<T> {
    queue.take(|_| Fit::Takes(())).map(|(value, ())| value)
}

fn any_entry(clients: u64) -> impl Strategy<Value = Entry> {
    (0_u64..2000, 0_u64..1500, 0_u8..3, 0..clients, 0_u64..4000).prop_map(|(arrival, work, class, client, deadline)| {
        Entry {
            arrival: millis(arrival),
            work: millis(work),
            class,
            client: Client(client),
            deadline: millis(deadline),
        }
    })
}

/// One thing that happens to a queue.
#[derive(Clone, Debug)]
enum Step {
    Push(Entry),
    Take,
    /// The n-th in order refuses, all before it too.
    TakeAfter(usize),
    Remove(prop::sample::Index),
    Expire(u64),
}

fn any_steps(clients: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any_entry(clients).prop_map(Step::Push),
        3 => Just(Step::Take),
        1 => (0_usize..4).prop_map(Step::TakeAfter),
        1 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => (0_u64..4000).prop_map(Step::Expire),
    ];
    prop::collection::vec(step, 0..120)
}

/// Where an entry stands, written down once more.
fn key(entry: &Entry, rules: &Rules) -> u64 {
    let work = entry.work.0.clamp(rules.least.0, rules.believed.0);
    entry.arrival.0 + u64::from(rules.factor) * work + u64::from(entry.class) * rules.handicap.0
}

proptest! {
    #[test]
    fn one_clients_queue_does_what_a_sorted_list_does(
        factor in prop::sample::select(vec![0_u16, 1, 20]),
        max in 0_usize..30,
        steps in any_steps(1),
    ) {
        let rules = Rules { max, ..rules(factor) };
        let mut queue = Queue::new(rules);
        // Sorted by (key, number).
        let mut list: Vec<(u64, usize, Entry, Ticket)> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(entry) => {
                    let last = list.iter().max_by_key(|(_, number, entry, _)| (entry.class, *number)).map(|it| (it.1, it.2.class));
                    let displaced = if list.len() < max { None } else { last.filter(|last| last.1 > entry.class) };
                    let fits = list.len() < max || displaced.is_some();
                    match queue.push(&entry, number) {
                        Ok(pushed) => {
                            prop_assert!(fits);
                            prop_assert_eq!(pushed.displaced, displaced.map(|it| it.0));
                            list.retain(|it| Some(it.1) != pushed.displaced);
                            list.push((key(&entry, &rules), number, entry, pushed.ticket));
                            list.sort_by_key(|it| (it.0, it.1));
                        }
                        Err(value) => prop_assert!(!fits && value == number),
                    }
                }
                Step::Take => {
                    let first = if list.is_empty() { None } else { Some(list.remove(0).1) };
                    prop_assert_eq!(next(&mut queue), first);
                }
                Step::TakeAfter(count) => {
                    let mut asked = Vec::new();
                    let taken = queue.take(|&mut value| {
                        asked.push(value);
                        if asked.len() > count { Fit::Takes(()) } else { Fit::NotThis }
                    });
                    prop_assert_eq!(asked, list.iter().take(count + 1).map(|it| it.1).collect::<Vec<_>>());
                    let expected = (list.len() > count).then(|| list.remove(count).1);
                    prop_assert_eq!(taken.map(|it| it.0), expected);
                }
                Step::Remove(index) if !list.is_empty() => {
                    let (_, number, _, ticket) = list.remove(index.index(list.len()));
                    prop_assert_eq!(queue.remove(&ticket), Some(number));
                    prop_assert_eq!(queue.remove(&ticket), None, "it is out");
                }
                Step::Remove(_) => {}
                Step::Expire(now) => {
                    let mut out: Vec<_> = std::iter::from_fn(|| queue.expire(millis(now))).collect();
                    out.sort_unstable();
                    let mut due: Vec<_> = list.iter().filter(|it| it.2.deadline <= millis(now)).map(|it| it.1).collect();
                    due.sort_unstable();
                    prop_assert_eq!(out, due);
                    list.retain(|it| it.2.deadline > millis(now));
                }
            }
            prop_assert_eq!(queue.len(), list.len());
            prop_assert_eq!(queue.iter().count(), list.len());
        }
    }

    #[test]
    fn what_many_clients_push_comes_out_once_each_and_the_queue_never_stalls(
        factor in prop::sample::select(vec![0_u16, 1, 20]),
        steps in any_steps(5),
    ) {
        let mut queue = Queue::new(Rules { max: 40, ..rules(factor) });
        let (mut inside, mut tickets) = (std::collections::BTreeSet::new(), Vec::new());
        let small: Vec<bool> = steps.iter().map(|step| matches!(step, Step::Push(it) if it.work <= queue.rules().small)).collect();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(entry) => if let Ok(pushed) = queue.push(&entry, number) {
                    inside.insert(number);
                    tickets.push((number, pushed.ticket));
                    if let Some(displaced) = pushed.displaced {
                        prop_assert!(inside.remove(&displaced));
                    }
                },
                Step::Take => match next(&mut queue) {
                    Some(value) => prop_assert!(inside.remove(&value)),
                    None => prop_assert!(inside.is_empty()),
                },
                Step::TakeAfter(count) => {
                    let mut asked = 0;
                    let taken = queue.take(|_| { asked += 1; if asked > count { Fit::Takes(()) } else { Fit::NotThis } });
                    prop_assert_eq!(taken.is_some(), inside.len() > count, "each is asked once");
                    prop_assert!(taken.is_none_or(|(value, ())| inside.remove(&value)));
                }
                Step::Remove(index) if !tickets.is_empty() => {
                    let (number, ticket) = tickets[index.index(tickets.len())];
                    prop_assert_eq!(queue.remove(&ticket).is_some(), inside.remove(&number));
                }
                Step::Remove(_) => {}
                Step::Expire(now) => while let Some(value) = queue.expire(millis(now)) {
                    prop_assert!(inside.remove(&value));
                },
            }
            prop_assert_eq!(queue.len(), inside.len());
            prop_assert_eq!(queue.small(), inside.iter().filter(|number| small[**number]).count());
        }
        while let Some(value) = next(&mut queue) {
            prop_assert!(inside.remove(&value));
        }
        prop_assert!(inside.is_empty() && queue.is_empty());
    }

    #[test]
    fn an_entry_is_overtaken_only_by_those_that_arrive_within_the_bound_after_it(
        factor in prop::sample::select(vec![0_u16, 1, 5, 20]),
        entries in prop::collection::vec(any_entry(1), 1..60),
        // An entry may be taken before the next ones come.
        takes in prop::collection::vec(0_usize..3, 60),
    ) {
        let rules = rules(factor);
        let mut queue = Queue::new(rules);
        let mut entries = entries;
        entries.sort_by_key(|entry| entry.arrival);
        let mut order = Vec::new();
        for (entry, takes) in entries.iter().zip(takes) {
            prop_assert!(queue.push(entry, *entry).is_ok());
            order.extend((0..takes).filter_map(|_| next(&mut queue)));
        }
        order.extend(std::iter::from_fn(|| next(&mut queue)));
        for (place, late) in order.iter().enumerate() {
            let bound = u64::from(factor) * late.work.0.clamp(rules.least.0, rules.believed.0)
                + u64::from(late.class) * rules.handicap.0;
            for early in order.iter().take(place) {
                prop_assert!(early.arrival.0 <= late.arrival.0 + bound, "{early:?} overtook {late:?}");
            }
        }
    }

    #[test]
    fn clients_that_always_wait_are_handed_equal_work_whatever_they_ask_for(
        factor in prop::sample::select(vec![0_u16, 1, 20]),
        works in prop::collection::vec(1_u64..=1000, 2..6),
        takes in 50_usize..300,
    ) {
        let rules = rules(factor);
        let mut queue = Queue::new(rules);
        let push = |queue: &mut Queue<usize>, client: usize, arrival: u64| {
            let entry = Entry { arrival: millis(arrival), work: millis(works[client]), client: Client(client as u64), ..Entry::default() };
            assert!(queue.push(&entry, client).is_ok());
        };
        (0..works.len()).for_each(|client| (0..3).for_each(|_| push(&mut queue, client, 0)));
        let mut handed = vec![0_u64; works.len()];
        for turn in 0..takes {
            let client = next(&mut queue).unwrap();
            handed[client] += works[client];
            push(&mut queue, client, turn as u64);
        }
        // Each is at most the slack and one piece of work ahead of virtual time; what one is behind it, others are ahead.
        let bound = works.len() as u64 * (rules.slack.0 / 1_000_000 + 1000);
        let spread = handed.iter().max().unwrap() - handed.iter().min().unwrap();
        prop_assert!(spread <= bound, "{handed:?} ms differ by more than {bound}");
    }
}

proptest! {
    #[test]
    fn to_be_asked_in_vain_changes_nothing_about_who_is_next(
        factor in prop::sample::select(vec![0_u16, 20]),
        entries in prop::collection::vec((any_entry(4), 0_usize..3), 1..60),
    ) {
        let mut queues = [Queue::new(rules(factor)), Queue::new(rules(factor))];
        for (number, (entry, takes)) in entries.iter().enumerate() {
            for queue in &mut queues {
                assert!(queue.push(entry, number).is_ok());
            }
            for _ in 0..*takes {
                let in_vain: Option<(usize, ())> = queues[1].take(|_| Fit::NotThis);
                prop_assert!(in_vain.is_none());
                let [one, other] = queues.each_mut().map(next);
                prop_assert_eq!(one, other);
            }
        }
        let [rest, other] = queues.each_mut().map(|queue| std::iter::from_fn(|| next(queue)).collect::<Vec<_>>());
        prop_assert_eq!(rest, other);
    }
}

#[test]
fn a_client_is_charged_from_when_it_came_whatever_others_were_handed_while_it_waited() {
    let mut queue = Queue::new(Rules { slack: Nanos(0), ..rules(0) });
    let entry = |client, arrival| Entry {
        arrival: millis(arrival),
        work: millis(100),
        client: Client(client),
        ..Entry::default()
    };
    (0..3).for_each(|_| assert!(queue.push(&entry(1, 10), 1).is_ok()));
    assert!(queue.push(&entry(2, 20), 2).is_ok());
    assert_eq!([next(&mut queue), next(&mut queue)], [Some(1), Some(2)]);
    // Both were handed the same, and it is first in order.
    assert!(queue.push(&entry(2, 0), 2).is_ok());
    assert_eq!(next(&mut queue), Some(2));
}

#[test]
fn a_slack_that_is_configured_away_holds_back_who_is_ahead_at_once() {
    let entry = |client| Entry { work: millis(100), client: Client(client), ..Entry::default() };
    let mut queue = Queue::new(rules(0));
    (0..9).for_each(|_| assert!(queue.push(&entry(1), 1).is_ok()));
    assert!(queue.push(&entry(2), 2).is_ok());
    assert_eq!(next(&mut queue), Some(1));
    queue.change(Rules { slack: Nanos(0), ..rules(0) });
    assert_eq!(next(&mut queue), Some(2));
}

#[test]
fn the_most_patient_entry_is_the_one_with_the_last_deadline_and_is_found_by_its_name_until_it_is_out() {
    let mut queue = Queue::new(rules(5));
    let entry = |deadline| Entry { deadline: millis(deadline), client: Client(deadline), ..Entry::default() };
    let tickets = [30, 50, 40].map(|deadline| queue.push(&entry(deadline), deadline).unwrap().ticket);
    assert_eq!(queue.most_patient(), Some((tickets[1], &50)));
    assert_eq!(tickets.map(|ticket| queue.get(&ticket).copied()), [Some(30), Some(50), Some(40)]);
    assert_eq!(queue.remove(&tickets[1]), Some(50));
    assert_eq!((queue.get(&tickets[1]), queue.most_patient()), (None, Some((tickets[2], &40))));
}

#[test]
fn a_client_with_ten_thousand_waiting_entries_delays_another_one_by_its_slack_and_no_more() {
    for factor in [0, 20] {
        let mut queue = Queue::new(rules(factor));
        let entry = |client, arrival| Entry {
            arrival: millis(arrival),
            work: millis(50),
            client: Client(client),
            ..Entry::default()
        };
        (0..10_000).for_each(|_| assert!(queue.push(&entry(1, 0), 1).is_ok()));
        assert!((0..100).all(|_| next(&mut queue) == Some(1)), "alone, it has everything");
        // Another one comes, one request at a time, like a person.
        for visit in 0..50 {
            assert!(queue.push(&entry(2, 5000 + visit), 2).is_ok());
            let before = (0..1000).take_while(|_| next(&mut queue) == Some(1)).count();
            // Virtual time advances half as fast as the account of the one that hogs: the slack lasts twice as long.
            assert!(before <= 2 * 200 / 50 + 1, "{before} were served before it");
        }
    }
}

#[test]
fn a_client_ahead_of_its_share_is_served_although_new_clients_never_stop_coming() {
    for factor in [0, 20] {
        let mut queue = Queue::new(rules(factor));
        let entry = |client, arrival| Entry {
            arrival: millis(arrival),
            work: millis(50),
            client: Client(client),
            ..Entry::default()
        };
        (0..100).for_each(|_| assert!(queue.push(&entry(0, 0), 0).is_ok()));
        let mut served = 0;
        // Two new clients for each that is served: most of the newcomers never will be.
        for turn in 1..2000 {
            assert!(queue.push(&entry(2 * turn, turn), 1).is_ok() && queue.push(&entry(2 * turn + 1, turn), 1).is_ok());
            served += usize::from(next(&mut queue) == Some(0));
        }
        assert!(served >= 10, "{served} of 100 served in 2,000 turns");
    }
}

#[test]
fn a_client_that_understates_its_work_pays_for_it_when_the_truth_is_known() {
    let mut queue = Queue::new(rules(20));
    let entry = |client, work| Entry { work: millis(work), client: Client(client), ..Entry::default() };
    for _ in 0..200 {
        // Both cost a second a piece; one says so.
        assert!(queue.push(&entry(1, 1), 1).is_ok() && queue.push(&entry(2, 1000), 2).is_ok());
    }
    let mut handed = [0_u32; 3];
    for _ in 0..100 {
        let client = next(&mut queue).unwrap();
        handed[usize::try_from(client).unwrap()] += 1;
        let predicted = if client == 1 { millis(1) } else { millis(1000) };
        queue.correct(Client(client), predicted, millis(1000));
    }
    assert!(handed[1].abs_diff(handed[2]) <= 3, "{handed:?}");
}

#[test]
fn small_entries_overtake_and_equals_keep_their_order() {
    let mut queue = Queue::new(rules(10));
    let entry = |work| Entry { work: millis(work), ..Entry::default() };
    for (work, name) in [(1000, "large"), (50, "small"), (50, "small too"), (0, "tiny")] {
        assert!(queue.push(&entry(work), name).is_ok());
    }
    let order: Vec<_> = std::iter::from_fn(|| next(&mut queue)).collect();
    assert_eq!(order, ["tiny", "small", "small too", "large"]);
}

#[test]
fn a_claim_beyond_belief_counts_as_the_most_that_is_believed() {
    let mut queue = Queue::new(rules(10));
    let entry = |arrival, work| Entry { arrival: millis(arrival), work: Nanos(work), ..Entry::default() };
    assert!(queue.push(&entry(0, u64::MAX), "absurd").is_ok());
    assert!(queue.push(&entry(10_000, 0), "as late as ten times the second that is believed").is_ok());
    assert_eq!(next(&mut queue), Some("absurd"));
}

#[test]
fn nothing_free_asks_one_and_leaves_all_in_order() {
    let mut queue = Queue::new(rules(0));
    (0..5).for_each(|name| assert!(queue.push(&Entry::default(), name).is_ok()));
    let mut asked = Vec::new();
    let taken = queue.take(|&mut name| -> Fit<()> {
        asked.push(name);
        Fit::Nothing
    });
    assert_eq!((taken, asked), (None, vec![0]));
    assert_eq!(std::iter::from_fn(|| next(&mut queue)).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

proptest! {
    #[test]
    fn room_for_small_ones_only_goes_to_the_first_of_them_and_the_rest_keep_their_order(
        entries in prop::collection::vec(any_entry(3), 1..60),
    ) {
        // Without shares, which would reorder what is left.
        let rules = Rules { slack: Nanos(u64::MAX), ..rules(5) };
        let mut queue = Queue::new(rules);
        let mut list: Vec<(u64, usize, bool)> = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let small = entry.work <= rules.small;
            prop_assert!(queue.push(entry, (number, small)).is_ok());
            list.push((key(entry, &rules), number, small));
        }
        list.sort_unstable();
        loop {
            let taken = queue.take(|&mut (_, small)| if small { Fit::Takes(()) } else { Fit::OnlySmall });
            let Some(first) = list.iter().position(|it| it.2) else {
                prop_assert!(taken.is_none());
                break;
            };
            prop_assert_eq!(taken.map(|it| it.0.0), Some(list.remove(first).1));
        }
        let rest: Vec<usize> = std::iter::from_fn(|| next(&mut queue)).map(|it| it.0).collect();
        prop_assert_eq!(rest, list.iter().map(|it| it.1).collect::<Vec<_>>());
    }
}

#[test]
fn a_full_queue_displaces_the_newest_of_the_last_class_only_for_a_better_one() {
    let mut queue = Queue::new(Rules { max: 3, ..rules(0) });
    let entry = |class| Entry { class, ..Entry::default() };
    assert!(queue.push(&entry(1), "batch, older").is_ok());
    assert!(queue.push(&entry(1), "batch, newer").is_ok());
    assert!(queue.push(&entry(0), "interactive").is_ok());
    assert_eq!(queue.push(&entry(1), "batch, late").unwrap_err(), "batch, late");
    assert_eq!(queue.push(&entry(0), "another").unwrap().displaced, Some("batch, newer"));
    assert_eq!(std::iter::from_fn(|| next(&mut queue)).collect::<Vec<_>>(), ["interactive", "another", "batch, older"]);
}
