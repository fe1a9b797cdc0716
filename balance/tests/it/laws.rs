//! What holds for every policy, or for every policy of a kind, on any fleet.

use std::cell::RefCell;

use proptest::{prelude::*, sample::Index};
use weir_balance::{KeyHash, Latency, Loads, Nanos, Policy, Ramp, Slot};

use crate::fleet::{Fleet, any_bounded, any_fleet, any_key, any_keyed, any_policy, any_ring, any_still, asking, slot};

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
    fn latency(&self, slot: Slot) -> Latency {
        Latency { estimate: Some(Nanos(self.in_flight(slot).into())), unasked: Nanos(self.in_flight(slot).into()) }
    }
    fn ramping(&self) -> bool {
        self.answers.borrow_mut().next() == Some(&true)
    }
    fn ramp(&self, slot: Slot) -> Ramp {
        if self.in_flight(slot) == 1 { Ramp::FULL } else { Ramp::from_parts(100) }
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
        if let Some(picked) = fleet.selector(policy).pick(&asking(turn, key, &[]), &loads) {
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
        match fleet.selector(policy).pick(&asking(turn, key, &tried), &fleet) {
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
        let ask = asking(turn, key, &[]);
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
            let Some(picked) = selector.pick(&asking(turn, key, &tried), &fleet) else { break };
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
    fn a_hash_policy_without_keys_hits_each_endpoint_by_its_weight(
        policy in any_keyed(),
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
            let picked = selector.pick(&asking(turn, None, &[]), &fleet).unwrap();
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
        let fleet = fleet.settled();
        let tried = some_slots(&fleet, &tried);
        let load = |slot: Slot| {
            let member = &fleet.0[slot.index()];
            (u64::from(member.in_flight) + 1, u64::from(member.weight))
        };
        let picked = fleet.selector(Policy::LeastConnections).pick(&asking(turn, None, &tried), &fleet);
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
    fn the_order_of_listing_does_not_show_in_what_a_hash_policy_picks(
        policy in prop_oneof![any_keyed(), any_bounded().prop_map(|(policy, _)| policy)],
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
            let answer = one.pick(&asking(turn, key, &tried), &fleet);
            let again = other.pick(&asking(turn, key, &tried_shuffled), &shuffled);
            prop_assert_eq!(answer.map(|it| fleet.identity(it)), again.map(|it| shuffled.identity(it)));
        }
    }

    #[test]
    fn removing_an_endpoint_from_a_ring_or_from_slots_moves_only_its_keys(
        policy in any_still(),
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
            let ask = asking(0, Some(key), &[]);
            let (was, is) = (old.pick(&ask, &before).unwrap(), new.pick(&ask, &after).unwrap());
            prop_assert!(was.index() == removed || before.identity(was) == after.identity(is));
        }
    }

    #[test]
    fn an_ejected_endpoint_of_a_hash_policy_moves_only_its_keys_even_when_hardly_any_admits(
        policy in any_keyed(),
        fleet in any_fleet(40),
        ejected in any::<Index>(),
        keys in prop::collection::vec(any::<u64>(), 1..50),
    ) {
        prop_assume!(fleet.0.iter().filter(|member| member.admits).count() >= 2);
        let fleet = fleet.settled();
        let ejected = ejected.index(fleet.0.len());
        let after = fleet.clone().ejecting(&[ejected]);
        let selector = fleet.selector(policy);
        for key in keys.into_iter().map(KeyHash) {
            let ask = asking(0, Some(key), &[]);
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
            let ask = asking(0, Some(key), &[]);
            let (stands_in, owns) = (with.pick(&ask, &all).unwrap(), without.pick(&ask, &fewer).unwrap());
            prop_assert_eq!(all.identity(stands_in), fewer.identity(owns));
        }
    }

    #[test]
    fn of_two_choices_never_the_one_that_costs_more_than_every_other(
        (policy, fleet) in (prop::sample::select(vec![Policy::P2c, Policy::PeakEwma]), any_fleet(12)),
        turn in any::<u64>(),
    ) {
        let mut fleet = fleet.settled();
        // In use, so that estimates count in full.
        for member in &mut fleet.0 {
            member.latency.unasked = Nanos(0);
            member.latency.estimate.get_or_insert(Nanos(55_000_000));
        }
        let cost = |slot: Slot| {
            let member = &fleet.0[slot.index()];
            let latency = member.latency.estimate.filter(|_| policy == Policy::PeakEwma).map_or(1, |it| it.0);
            (u128::from(latency) * u128::from(member.in_flight + 1), u128::from(member.weight))
        };
        let admitting: Vec<Slot> = (0..fleet.0.len()).map(slot).filter(|&slot| fleet.admits(slot)).collect();
        prop_assume!(admitting.len() >= 2);
        let picked = fleet.selector(policy).pick(&asking(turn, None, &[]), &fleet).unwrap();
        let (costs, weighs) = cost(picked);
        let as_dear = |&other: &Slot| other != picked && cost(other).0 * weighs >= costs * cost(other).1;
        prop_assert!(admitting.iter().any(as_dear), "{picked:?} is the dearest");
    }

    #[test]
    fn no_endpoint_starves_under_peak_ewma_however_slow_it_was_and_whatever_it_holds(
        sites in prop::collection::vec((1_u64..60_000, 1_u16..=4, 0_u32..4), 2..7),
    ) {
        // Ten asks a second for ten minutes. Every exchange is answered at once, and shows how slow its endpoint is; what is
        // held, a tunnel for example, is held for ever.
        const STEP: u64 = 100_000_000;
        let mut fleet = Fleet::weighing(&sites.iter().map(|site| site.1).collect::<Vec<_>>());
        fleet.0.iter_mut().zip(&sites).for_each(|(member, site)| member.in_flight = site.2);
        let selector = fleet.selector(Policy::PeakEwma);
        let costs = sites.iter().map(|&(millis, weight, held)| millis * u64::from(held + 1) * 4 / u64::from(weight));
        let (least, most) = (costs.clone().min().unwrap().max(1), costs.max().unwrap().max(1));
        // As many half-lives as it is times dearer, in powers of two, one for the rounding, and half a minute to be drawn.
        let longest = (u64::from((most / least).ilog2()) + 2) * 10_000_000_000 + 30_000_000_000;
        for turn in 0..6000 {
            let picked = selector.pick(&asking(turn, None, &[]), &fleet).unwrap();
            for (index, member) in fleet.0.iter_mut().enumerate() {
                let latency = &mut member.latency;
                if index == picked.index() {
                    *latency = Latency { estimate: Some(Nanos(sites[index].0 * 1_000_000)), unasked: Nanos(0) };
                } else {
                    latency.unasked.0 = latency.unasked.0.saturating_add(STEP);
                }
                // Nobody is left out from the start either, so half a minute after it all have been asked.
                let unasked = if latency.estimate.is_none() { turn * STEP } else { latency.unasked.0 };
                prop_assert!(unasked <= longest, "{index} was not asked for {} s", unasked / 1_000_000_000);
            }
        }
    }

    #[test]
    fn an_endpoint_that_has_not_answered_yet_gets_one_exchange_and_no_more_while_a_fast_one_has_room(
        held in 1_u32..4,
        fast_millis in 1_u64..1000,
        turn in any::<u64>(),
    ) {
        let mut fleet = Fleet::weighing(&[1, 1]);
        fleet.0[1].latency = Latency { estimate: Some(Nanos(fast_millis * 1_000_000)), unasked: Nanos(0) };
        let selector = fleet.selector(Policy::PeakEwma);
        prop_assert_eq!(selector.pick(&asking(turn, None, &[]), &fleet), Some(slot(0)));
        fleet.0[0].latency.unasked = Nanos(0);
        fleet.0[0].in_flight = held;
        prop_assert_eq!(selector.pick(&asking(turn, None, &[]), &fleet), Some(slot(1)));
    }

    #[test]
    fn bounded_load_picks_nobody_who_has_more_than_the_factor_times_its_share(
        (policy, hundredths) in any_bounded(),
        fleet in any_fleet(20),
        key in any::<u64>(),
        tried in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let fleet = fleet.settled();
        let tried = some_slots(&fleet, &tried);
        let picked = fleet.selector(policy).pick(&asking(0, Some(KeyHash(key)), &tried), &fleet);
        let open = || fleet.0.iter().enumerate().filter(|&(at, it)| it.admits && !tried.contains(&slot(at)));
        if let Some(picked) = picked {
            let held: u32 = open().map(|(_, member)| member.in_flight).sum();
            let weights: u32 = open().map(|(_, member)| u32::from(member.weight)).sum();
            let member = &fleet.0[picked.index()];
            let share = u64::from(hundredths) * u64::from(held + 1) * u64::from(member.weight);
            prop_assert!(u64::from(member.in_flight) * 100 * u64::from(weights) < share, "{member:?} of {held}");
        }
    }

    #[test]
    fn bounded_load_leaves_a_key_where_it_is_while_that_endpoint_is_within_the_bound(
        (policy, hundredths) in any_bounded(),
        fleet in any_fleet(20),
        key in any::<u64>(),
    ) {
        let fleet = fleet.settled();
        let ask = asking(0, Some(KeyHash(key)), &[]);
        let mut idle = fleet.clone();
        idle.0.iter_mut().for_each(|member| member.in_flight = 0);
        let selector = fleet.selector(policy);
        if let Some(owner) = selector.pick(&ask, &idle) {
            let open = || fleet.0.iter().filter(|member| member.admits);
            let held: u32 = open().map(|member| member.in_flight).sum();
            let weights: u32 = open().map(|member| u32::from(member.weight)).sum();
            let member = &fleet.0[owner.index()];
            let share = u64::from(hundredths) * u64::from(held + 1) * u64::from(member.weight);
            let within = u64::from(member.in_flight) * 100 * u64::from(weights) < share;
            prop_assert_eq!(selector.pick(&ask, &fleet) == Some(owner), within);
        }
    }

    #[test]
    fn exchanges_of_one_key_that_all_stay_fill_endpoints_to_the_factor_times_the_mean_and_one_more_at_most(
        (policy, hundredths) in any_bounded(),
        count in 1_u32..8,
        exchanges in 1_u32..60,
        key in any::<u64>(),
    ) {
        let mut fleet = Fleet::weighing(&vec![1; count as usize]);
        let selector = fleet.selector(policy);
        for turn in 0..exchanges {
            let picked = selector.pick(&asking(turn.into(), Some(KeyHash(key)), &[]), &fleet).unwrap();
            fleet.0[picked.index()].in_flight += 1;
        }
        let most = f64::from(exchanges) * f64::from(hundredths) / 100.0 / f64::from(count);
        for member in &fleet.0 {
            prop_assert!(f64::from(member.in_flight) < most + 1.0, "{} where {most} are the bound", member.in_flight);
        }
    }
}
