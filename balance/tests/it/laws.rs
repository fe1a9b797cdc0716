//! What holds for every policy, or for every policy of a kind, on any fleet.

use std::cell::RefCell;

use proptest::{prelude::*, sample::Index};
use weir_balance::{Ask, KeyHash, Loads, Policy, Slot};

use crate::fleet::{Fleet, any_fleet, any_key, any_policy, any_ring, slot};

fn some_slots(fleet: &Fleet, chosen: &[Index]) -> Vec<Slot> {
    if fleet.0.is_empty() { Vec::new() } else { chosen.iter().map(|index| slot(index.index(fleet.0.len()))).collect() }
}

/// Loads that other exchanges change between any two reads of one pick.
struct Changing<'a> {
    answers: RefCell<std::iter::Cycle<std::slice::Iter<'a, bool>>>,
    admitted: RefCell<Vec<Slot>>,
}

impl Loads for Changing<'_> {
    fn admits(&self, slot: Slot) -> bool {
        let admits = self.answers.borrow_mut().next() == Some(&true);
        if admits {
            self.admitted.borrow_mut().push(slot);
        }
        admits
    }
    fn in_flight(&self, _: Slot) -> u32 {
        u32::from(self.answers.borrow_mut().next() == Some(&true))
    }
}

proptest! {
    #[test]
    fn loads_that_change_during_a_pick_lead_to_one_that_admitted_at_some_moment_of_it(
        policy in any_policy(),
        fleet in any_fleet(20),
        answers in prop::collection::vec(any::<bool>(), 1..100),
        turn in any::<u64>(),
        key in any_key(),
    ) {
        let loads = Changing { answers: RefCell::new(answers.iter().cycle()), admitted: RefCell::default() };
        if let Some(picked) = fleet.selector(policy).pick(&Ask { turn, key, tried: &[] }, &loads) {
            prop_assert!(loads.admitted.borrow().contains(&picked));
        }
    }

    #[test]
    fn the_picked_one_admits_and_was_not_tried_and_none_is_picked_only_if_there_is_no_such_one(
        policy in any_policy(),
        fleet in any_fleet(40),
        turn in any::<u64>(),
        key in any_key(),
        tried in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let tried = some_slots(&fleet, &tried);
        let open: Vec<Slot> =
            (0..fleet.0.len()).map(slot).filter(|&slot| fleet.admits(slot) && !tried.contains(&slot)).collect();
        match fleet.selector(policy).pick(&Ask { turn, key, tried: &tried }, &fleet) {
            Some(picked) => prop_assert!(open.contains(&picked), "{picked:?} is not one of {open:?}"),
            None => prop_assert!(open.is_empty(), "none, but {open:?} would take it"),
        }
    }

    #[test]
    fn the_same_question_gets_the_same_answer_from_a_rebuilt_selector_too(
        policy in any_policy(),
        fleet in any_fleet(20),
        turn in any::<u64>(),
        key in any_key(),
    ) {
        let ask = Ask { turn, key, tried: &[] };
        let selector = fleet.selector(policy);
        let answer = selector.pick(&ask, &fleet);
        prop_assert_eq!(answer, selector.pick(&ask, &fleet));
        prop_assert_eq!(answer, fleet.selector(policy).pick(&ask, &fleet));
    }

    #[test]
    fn trying_until_none_is_left_visits_each_endpoint_that_admits_once(
        policy in any_policy(),
        fleet in any_fleet(12),
        turn in 0_u64..1000,
        key in any_key(),
    ) {
        let selector = fleet.selector(policy);
        let mut tried = Vec::new();
        // Bounded, so that a selector that repeats itself fails instead of going on for ever.
        for turn in turn..=turn + fleet.0.len() as u64 {
            let Some(picked) = selector.pick(&Ask { turn, key, tried: &tried }, &fleet) else { break };
            tried.push(picked);
        }
        tried.sort_unstable();
        let admitting: Vec<Slot> = (0..fleet.0.len()).map(slot).filter(|&slot| fleet.admits(slot)).collect();
        prop_assert_eq!(tried, admitting);
    }

    #[test]
    fn any_full_turn_of_round_robin_hits_each_endpoint_once(count in 1_usize..50, start in 0..u64::MAX / 2) {
        let fleet = Fleet::weighing(&vec![1; count]);
        let hits = fleet.hits(&fleet.selector(Policy::RoundRobin), (start..start + count as u64).map(|t| (t, None)));
        prop_assert_eq!(hits, vec![1; count]);
    }

    #[test]
    fn any_full_turn_of_weighted_hits_each_endpoint_by_its_weight(
        weights in prop::collection::vec(1_u16..=20, 1..8),
        start in 0..u64::MAX / 2,
    ) {
        let fleet = Fleet::weighing(&weights);
        let turns: u64 = weights.iter().copied().map(u64::from).sum();
        let hits = fleet.hits(&fleet.selector(Policy::Weighted), (start..start + turns).map(|t| (t, None)));
        prop_assert_eq!(hits, weights.into_iter().map(u32::from).collect::<Vec<_>>());
    }

    #[test]
    fn a_ring_without_keys_hits_each_endpoint_by_its_weight(
        policy in any_ring(),
        weights in prop::collection::vec(1_u16..=20, 1..8),
    ) {
        let fleet = Fleet::weighing(&weights);
        let turns: u64 = weights.iter().copied().map(u64::from).sum();
        let hits = fleet.hits(&fleet.selector(policy), (0..turns).map(|turn| (turn, None)));
        prop_assert_eq!(hits, weights.into_iter().map(u32::from).collect::<Vec<_>>());
    }

    #[test]
    fn least_connections_fills_idle_endpoints_in_proportion_to_their_weights(
        weights in prop::collection::vec(1_u16..=20, 1..8),
        rounds in 1_u32..4,
    ) {
        let mut fleet = Fleet::weighing(&weights);
        let selector = fleet.selector(Policy::LeastConnections);
        let exchanges = u64::from(rounds) * weights.iter().copied().map(u64::from).sum::<u64>();
        for turn in 0..exchanges {
            let picked = selector.pick(&Ask { turn, key: None, tried: &[] }, &fleet).unwrap();
            fleet.0[picked.index()].in_flight += 1;
        }
        for member in &fleet.0 {
            prop_assert_eq!(member.in_flight, rounds * u32::from(member.weight));
        }
    }

    #[test]
    fn least_connections_never_picks_one_with_more_per_weight_than_another_that_admits(
        fleet in any_fleet(40),
        turn in any::<u64>(),
        tried in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let tried = some_slots(&fleet, &tried);
        let load = |slot: Slot| {
            let member = &fleet.0[slot.index()];
            (u64::from(member.in_flight) + 1, u64::from(member.weight))
        };
        let picked = fleet.selector(Policy::LeastConnections).pick(&Ask { turn, key: None, tried: &tried }, &fleet);
        for other in (0..fleet.0.len()).map(slot).filter(|&slot| fleet.admits(slot) && !tried.contains(&slot)) {
            let ((held, weight), (other_held, other_weight)) = (load(picked.unwrap()), load(other));
            prop_assert!(held * other_weight <= other_held * weight, "{picked:?} has more than {other:?}");
        }
    }

    #[test]
    fn equals_take_turns_under_least_connections_whichever_of_them_are_ejected(
        admits in prop::collection::vec(any::<bool>(), 1..30),
        start in 0..u64::MAX / 2,
    ) {
        prop_assume!(admits.contains(&true));
        let mut fleet = Fleet::weighing(&vec![1; admits.len()]);
        fleet.0.iter_mut().zip(&admits).for_each(|(member, &admits)| member.admits = admits);
        let equals = admits.iter().filter(|&&admits| admits).count() as u64;
        let first = start - start % equals;
        let asks = (first..first + 2 * equals).map(|turn| (turn, None));
        let hits = fleet.hits(&fleet.selector(Policy::LeastConnections), asks);
        prop_assert_eq!(hits, admits.into_iter().map(|admits| if admits { 2 } else { 0 }).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_of_listing_does_not_show_in_what_a_ring_picks(
        policy in any_ring(),
        (fleet, shuffled) in any_fleet(12).prop_flat_map(|fleet| {
            (Just(fleet.clone()), Just(fleet.0).prop_shuffle().prop_map(Fleet))
        }),
        tried in prop::collection::vec(any::<Index>(), 0..3),
        asks in prop::collection::vec((any::<u64>(), any_key()), 1..50),
    ) {
        let tried = some_slots(&fleet, &tried);
        let position = |slot: &Slot| shuffled.0.iter().position(|it| it.identity == fleet.identity(*slot)).unwrap();
        let tried_shuffled: Vec<Slot> = tried.iter().map(|it| slot(position(it))).collect();
        let (one, other) = (fleet.selector(policy), shuffled.selector(policy));
        for (turn, key) in asks {
            let answer = one.pick(&Ask { turn, key, tried: &tried }, &fleet);
            let again = other.pick(&Ask { turn, key, tried: &tried_shuffled }, &shuffled);
            prop_assert_eq!(answer.map(|it| fleet.identity(it)), again.map(|it| shuffled.identity(it)));
        }
    }

    #[test]
    fn removing_an_endpoint_from_a_ring_moves_only_its_keys(
        policy in any_ring(),
        weights in prop::collection::vec(1_u16..=20, 2..12),
        removed in any::<Index>(),
        keys in prop::collection::vec(any::<u64>(), 1..100),
    ) {
        let before = Fleet::weighing(&weights);
        let removed = removed.index(weights.len());
        let mut after = before.clone();
        after.0.remove(removed);
        let (old, new) = (before.selector(policy), after.selector(policy));
        for key in keys.into_iter().map(KeyHash) {
            let ask = Ask { turn: 0, key: Some(key), tried: &[] };
            let (was, is) = (old.pick(&ask, &before).unwrap(), new.pick(&ask, &after).unwrap());
            prop_assert!(was.index() == removed || before.identity(was) == after.identity(is));
        }
    }

    #[test]
    fn an_ejected_endpoint_of_a_ring_moves_only_its_keys_even_when_hardly_any_admits(
        policy in any_ring(),
        fleet in any_fleet(40),
        ejected in any::<Index>(),
        keys in prop::collection::vec(any::<u64>(), 1..50),
    ) {
        prop_assume!(fleet.0.iter().filter(|member| member.admits).count() >= 2);
        let ejected = ejected.index(fleet.0.len());
        let after = fleet.clone().ejecting(&[ejected]);
        let selector = fleet.selector(policy);
        for key in keys.into_iter().map(KeyHash) {
            let ask = Ask { turn: 0, key: Some(key), tried: &[] };
            let (was, is) = (selector.pick(&ask, &fleet).unwrap(), selector.pick(&ask, &after).unwrap());
            prop_assert!(was.index() == ejected || was == is);
        }
    }

    #[test]
    fn an_ejected_endpoint_of_a_ring_sends_its_keys_where_its_removal_would(
        policy in any_ring(),
        weights in prop::collection::vec(1_u16..=3, 2..12),
        ejected in any::<Index>(),
        keys in prop::collection::vec(any::<u64>(), 1..100),
    ) {
        let ejected = ejected.index(weights.len());
        let all = Fleet::weighing(&weights).ejecting(&[ejected]);
        let mut fewer = all.clone();
        fewer.0.remove(ejected);
        // With two endpoints of weights 3 and 1, one walk in a hundred million is too long to agree.
        let (with, without) = (all.selector(policy), fewer.selector(policy));
        for key in keys.into_iter().map(KeyHash) {
            let ask = Ask { turn: 0, key: Some(key), tried: &[] };
            let (stands_in, owns) = (with.pick(&ask, &all).unwrap(), without.pick(&ask, &fewer).unwrap());
            prop_assert_eq!(all.identity(stands_in), fewer.identity(owns));
        }
    }
}
