//! Whatever happens to a service, in whatever order: no permit leaks, and nobody waits who could be served.

use std::num::NonZeroU32;
use std::sync::Arc;

use proptest::prelude::*;
use weir_balance::{Client, Nanos, Rules};
use weir_snapshot::{
    Answer, Clock, HealthRules, Lease, Millis, Moment, Permits, PoolParts, QueueRules, Snapshot, Tried, Waiting,
    WhenAllEjected, Wish,
};

use super::{order, outcome, publish, queued, wish};
use crate::support::{parts, probed};

/// What may happen to a service.
#[derive(Clone, Debug)]
enum Step {
    Ask { work: u64, client: u64, class: u8 },
    End(prop::sample::Index),
    Fail(prop::sample::Index),
    Leave(prop::sample::Index),
    Poll,
    Restore(u16),
    Publish { members: Vec<bool>, drained: u16 },
    Change(u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (1_u64..1500, 0_u64..3, 0_u8..2).prop_map(|(work, client, class)| Step::Ask { work, client, class }),
        5 => index().prop_map(Step::End),
        1 => index().prop_map(Step::Fail),
        2 => index().prop_map(Step::Leave),
        3 => Just(Step::Poll),
        1 => (0_u16..4).prop_map(Step::Restore),
        1 => (prop::collection::vec(any::<bool>(), 4), 0_u16..8)
            .prop_map(|(members, drained)| Step::Publish { members, drained }),
        1 => (1_u32..4).prop_map(Step::Change),
    ]
}

proptest! {
    #[test]
    fn no_permit_leaks_nor_is_granted_twice_and_nobody_waits_who_could_be_served(
        steps in prop::collection::vec(any_step(), 0..150),
        try_all in any::<bool>(),
        extra in 0_u32..3,
        sheds in any::<bool>(),
    ) {
        let sized = |capacity| QueueRules {
            capacity: NonZeroU32::new(capacity).unwrap(),
            // A queue that is late whenever two wait.
            extra, timeout: Millis::from_secs(3600), target: sheds.then_some(Millis::new(0)),
            order: Rules { max: 20, ..order() },
        };
        let mut capacity = 2;
        let permits = Arc::new(Permits::new(sized(capacity), Clock::start()));
        let health = HealthRules { failures: 1, ..probed() };
        let all = parts(4, health.clone()).members;
        let when_all_ejected = if try_all { WhenAllEjected::TryAll } else { WhenAllEjected::Refuse };
        let build = |members: Vec<_>| queued(PoolParts { members, when_all_ejected, ..parts(0, health.clone()) }, &permits);
        let mut pool = build(all.clone());
        let mut publisher = publish(&[&pool]);
        let (mut leases, mut waiters): (Vec<Lease>, Vec<Waiting>) = (Vec::new(), Vec::new());
        let mut most = [0_u32; 4];
        for step in steps {
            match step {
                Step::Ask { work, client, class } => {
                    let tried = Tried::default();
                    let wish = Wish { work: Nanos::from_millis(work), client: Client(client), class, ..wish(&tried) };
                    match pool.ask(&wish) {
                        Answer::Served(lease) => leases.push(lease),
                        Answer::Waits(waiting) => waiters.push(waiting),
                        Answer::Refused(_) => {}
                    }
                }
                Step::End(index) if !leases.is_empty() => drop(leases.swap_remove(index.index(leases.len()))),
                Step::Fail(index) if !leases.is_empty() => {
                    let lease = leases.swap_remove(index.index(leases.len()));
                    lease.failed(Moment::default());
                }
                Step::Leave(index) if !waiters.is_empty() => drop(waiters.swap_remove(index.index(waiters.len()))),
                Step::Poll => waiters.retain_mut(|waiting| match outcome(waiting) {
                    None => true,
                    Some(Ok(lease)) => { leases.push(lease); false }
                    Some(Err(_)) => false,
                }),
                Step::Restore(index) => { all[usize::from(index)].live.succeeded(Moment::default(), &health); }
                Step::Publish { members, drained } => {
                    let mut listed: Vec<_> = all.iter().zip(&members).filter(|it| *it.1).map(|it| it.0.clone()).collect();
                    if let Some(member) = listed.get_mut(usize::from(drained)) {
                        member.drained = true;
                    }
                    pool = build(listed);
                    publisher.publish(Snapshot { pools: vec![Arc::clone(&pool)], ..Snapshot::default() });
                }
                Step::Change(more) => { capacity = more; permits.change(sized(capacity)); }
                Step::End(_) | Step::Fail(_) | Step::Leave(_) => {}
            }
            // Granted but not polled yet counts as out, so count the endpoints' own numbers against what we hold.
            for (member, most) in all.iter().zip(&mut most) {
                let live = &member.live;
                // A capacity that shrank takes nothing back: until permits have come back the old bound holds.
                *most = live.permits().min(*most).max(capacity + extra);
                prop_assert!(live.permits() <= *most);
                prop_assert_eq!(live.permits(), live.in_flight());
            }
            if permits.waiting() > 0 {
                let ejected = pool.all_ejected();
                prop_assert!(!ejected || try_all, "who cannot be served does not wait");
                for member in pool.members().iter().filter(|it| !it.drained && (ejected || !it.live.is_ejected())) {
                    prop_assert!(member.live.permits() >= capacity, "{} has room while others wait", member.label);
                }
            }
        }
        drop((leases, waiters));
        prop_assert!(all.iter().all(|member| member.live.permits() == 0 && member.live.in_flight() == 0));
        prop_assert_eq!(permits.waiting(), 0);
    }
}
