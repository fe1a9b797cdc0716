//! Whatever happens to a service, in whatever order, and however time passes: no permit leaks, nobody waits who could be
//! served, and who is served is woken.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use weir_balance::{Client, Nanos, Ramp, Rules};
use weir_snapshot::{
    Answer, Clock, Condition, HealthRules, Lease, Live, Member, Millis, Moment, Permits, Pool, PoolParts, Publisher,
    QueueRules, SlowStart, Snapshot, Starts, Tried, Waiting, WhenAllEjected, Wish,
};

use super::{Bell, order, publish, under, wish};
use crate::support::{parts, probed, rules};

const SPAN: Millis = Millis::from_secs(30);

/// What may happen to a service.
#[derive(Clone, Debug)]
enum Step {
    Ask {
        work: u64,
        client: u64,
        class: u8,
    },
    End(prop::sample::Index),
    Fail(prop::sample::Index),
    Succeed(prop::sample::Index),
    Busy(prop::sample::Index, u64),
    Leave(prop::sample::Index),
    /// Whoever was woken goes on.
    Run,
    Pass(u64),
    Restore(u16),
    Publish {
        members: Vec<bool>,
        drained: u16,
    },
    Change(u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (1_u64..1500, 0_u64..3, 0_u8..2).prop_map(|(work, client, class)| Step::Ask { work, client, class }),
        5 => index().prop_map(Step::End),
        1 => index().prop_map(Step::Fail),
        1 => index().prop_map(Step::Succeed),
        1 => (index(), 1_u64..20).prop_map(|(index, seconds)| Step::Busy(index, seconds)),
        2 => index().prop_map(Step::Leave),
        3 => Just(Step::Run),
        3 => prop_oneof![1_u64..50, 50_u64..20_000].prop_map(Step::Pass),
        1 => (0_u16..4).prop_map(Step::Restore),
        1 => (prop::collection::vec(any::<bool>(), 4), 0_u16..8)
            .prop_map(|(members, drained)| Step::Publish { members, drained }),
        1 => (1_u32..6).prop_map(Step::Change),
    ]
}

/// What does not change in one run.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is on or off in a run, in any combination")]
struct Setting {
    try_all: bool,
    extra: u32,
    sheds: bool,
    probes: bool,
    ramps: bool,
}

fn any_setting() -> impl Strategy<Value = Setting> {
    (any::<bool>(), 0_u32..3, any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(try_all, extra, sheds, probes, ramps)| Setting { try_all, extra, sheds, probes, ramps })
}

/// One who waits, as a task does: it polls when it is woken, and when its timer says so.
struct Task {
    waiting: Waiting,
    bell: Arc<Bell>,
    rung: usize,
    timer: Moment,
}

struct Service {
    setting: Setting,
    clock: Clock,
    health: HealthRules,
    permits: Arc<Permits>,
    starts: Arc<Starts>,
    all: Vec<Member>,
    capacity: u32,
    pool: Arc<Pool>,
    publisher: Publisher,
    leases: Vec<Lease>,
    tasks: Vec<Task>,
    /// The most permits that each may have out.
    most: Vec<u32>,
}

impl Service {
    fn new(setting: Setting) -> Self {
        let clock = Clock::start();
        let health = HealthRules { failures: 1, ..if setting.probes { probed() } else { rules() } };
        let starts = Arc::new(Starts::new());
        let mut all = parts(4, health.clone()).members;
        for member in &mut all {
            member.live = Arc::new(Live::new(&health).of_service(&starts));
            member.live.begins(clock.now());
        }
        let capacity = 2;
        let permits = Arc::new(Permits::new(Self::sized(setting, capacity), clock));
        let pool = Self::build(setting, &health, &starts, &permits, all.clone(), capacity);
        let publisher = publish(&[&pool]);
        let (leases, tasks, most) = (Vec::new(), Vec::new(), vec![0; all.len()]);
        Self { setting, clock, health, permits, starts, all, capacity, pool, publisher, leases, tasks, most }
    }

    fn sized(setting: Setting, capacity: u32) -> QueueRules {
        QueueRules {
            capacity: NonZeroU32::new(capacity).unwrap(),
            extra: setting.extra,
            timeout: Millis::from_secs(36_000),
            // A queue that is late whenever two wait.
            target: setting.sheds.then_some(Millis::new(0)),
            order: Rules { max: 20, ..order() },
        }
    }

    fn build(
        setting: Setting,
        health: &HealthRules,
        starts: &Arc<Starts>,
        permits: &Arc<Permits>,
        members: Vec<Member>,
        capacity: u32,
    ) -> Arc<Pool> {
        let when_all_ejected = if setting.try_all { WhenAllEjected::TryAll } else { WhenAllEjected::Refuse };
        let slow_start = setting.ramps.then(|| SlowStart { span: SPAN, starts: Arc::clone(starts) });
        let parts = PoolParts { members, when_all_ejected, slow_start, ..parts(0, health.clone()) };
        under(Self::sized(setting, capacity), parts, permits)
    }

    fn publish(&mut self, members: Vec<Member>) {
        let Self { setting, health, starts, permits, capacity, .. } = self;
        self.pool = Self::build(*setting, health, starts, permits, members, *capacity);
        self.publisher.publish(Snapshot { pools: vec![Arc::clone(&self.pool)], ..Snapshot::default() });
    }

    async fn step(&mut self, step: Step) {
        let now = self.clock.now();
        match step {
            Step::Ask { work, client, class } => {
                let (tried, work, client) = (Tried::default(), Nanos::from_millis(work), Client(client));
                let deadline = now.after(Millis::from_secs(36_000));
                match self.pool.ask(&Wish { now, arrival: now, deadline, work, client, class, ..wish(&tried) }) {
                    Answer::Served(lease) => self.leases.push(lease),
                    Answer::Waits(waiting) => {
                        self.tasks.push(Task { waiting, bell: Arc::default(), rung: 0, timer: now });
                    }
                    Answer::Refused(_) => {}
                }
            }
            Step::End(index) if !self.leases.is_empty() => {
                drop(self.leases.swap_remove(index.index(self.leases.len())));
            }
            Step::Fail(index) if !self.leases.is_empty() => {
                let lease = self.leases.swap_remove(index.index(self.leases.len()));
                lease.failed(now);
            }
            Step::Succeed(index) if !self.leases.is_empty() => {
                let lease = self.leases.swap_remove(index.index(self.leases.len()));
                lease.succeeded(now);
            }
            Step::Busy(index, seconds) if !self.leases.is_empty() => {
                let lease = self.leases.swap_remove(index.index(self.leases.len()));
                lease.busy(now, Duration::from_secs(seconds));
            }
            Step::Leave(index) if !self.tasks.is_empty() => {
                drop(self.tasks.swap_remove(index.index(self.tasks.len())));
            }
            Step::Run => self.run(),
            Step::Pass(millis) => {
                self.run();
                tokio::time::advance(Duration::from_millis(millis)).await;
                self.run();
            }
            Step::Restore(index) => {
                self.all[usize::from(index)].live.succeeded(now, &self.health);
            }
            Step::Publish { members, drained } => {
                let mut listed: Vec<_> =
                    self.all.iter().zip(&members).filter(|it| *it.1).map(|it| it.0.clone()).collect();
                let before: Vec<_> = self.pool.members().iter().map(|member| member.address).collect();
                for member in listed.iter().filter(|member| !before.contains(&member.address)) {
                    member.live.begins(now);
                }
                if let Some(member) = listed.get_mut(usize::from(drained)) {
                    member.drained = true;
                }
                self.publish(listed);
            }
            Step::Change(capacity) => {
                self.capacity = capacity;
                self.publish(self.pool.members().to_vec());
            }
            Step::End(_) | Step::Fail(_) | Step::Succeed(_) | Step::Busy(..) | Step::Leave(_) => {}
        }
    }

    /// Polls who was woken or whose timer is due, until nobody is.
    fn run(&mut self) {
        let now = self.clock.now();
        let due = |task: &Task| task.bell.0.load(Ordering::Relaxed) > task.rung || task.timer <= now;
        while let Some(at) = self.tasks.iter().position(due) {
            let Task { waiting, bell, rung, timer } = &mut self.tasks[at];
            *rung = bell.0.load(Ordering::Relaxed);
            let waker = Waker::from(Arc::clone(bell));
            let polled = waiting.poll(&mut Context::from_waker(&waker), &self.clock, |_, until| {
                *timer = until;
                if until <= now { Poll::Ready(()) } else { Poll::Pending }
            });
            if let Poll::Ready(served) = polled {
                self.tasks.swap_remove(at);
                self.leases.extend(served.and_then(Result::ok));
            }
        }
    }

    /// What its capacity is now, as the guide says it.
    fn capacity(&self, member: &Member) -> u32 {
        let now = self.clock.now();
        let whole = NonZeroU32::new(self.capacity).unwrap();
        let mut part = whole.get();
        if self.setting.ramps {
            let ramp = |member: &&Member| {
                let span = Nanos::from_millis(SPAN.get());
                Ramp::of(Nanos(u64::try_from(now.since(member.live.began()).as_nanos()).unwrap()), span)
            };
            let serving = self.pool.members().iter().filter(|it| !it.drained && !it.live.is_ejected());
            let most = serving.map(|it| ramp(&it)).max().unwrap_or(Ramp::FULL);
            part = ramp(&member).part_of(part, most).max(1);
        }
        member.live.lowered(NonZeroU32::new(part).unwrap(), now).get()
    }

    fn laws(&mut self, ran: bool) -> Result<(), TestCaseError> {
        // Granted but not polled yet counts as out, so count the endpoints' own numbers against what we hold.
        for (member, most) in self.all.iter().zip(&mut self.most) {
            let live = &member.live;
            // A capacity that shrank takes nothing back: until permits have come back the old bound holds.
            *most = live.permits().min(*most).max(self.capacity + self.setting.extra);
            prop_assert!(live.permits() <= *most);
            prop_assert_eq!(live.permits(), live.in_flight());
        }
        if self.permits.waiting() > 0 {
            let last_resort = self.pool.all_ejected();
            prop_assert!(
                !last_resort || self.setting.try_all || !self.setting.probes,
                "who cannot be served does not wait"
            );
            let last_resort = last_resort && self.setting.try_all;
            let now = self.clock.now();
            for member in self.pool.members().iter().filter(|it| !it.drained) {
                let condition = member.live.condition(now, &self.health);
                if last_resort || !matches!(condition, Condition::Ejected | Condition::Trial) {
                    let (out, capacity) = (member.live.permits(), self.capacity(member));
                    prop_assert!(out >= capacity, "{} has {out} of {capacity} while others wait", member.label);
                }
            }
        }
        if ran {
            prop_assert_eq!(self.tasks.len(), self.permits.waiting(), "somebody was served and not woken");
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn no_permit_leaks_nor_is_granted_twice_and_nobody_waits_who_could_be_served(
        steps in prop::collection::vec(any_step(), 0..150),
        setting in any_setting(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut service = Service::new(setting);
            for step in steps {
                let ran = matches!(step, Step::Run | Step::Pass(_));
                service.step(step).await;
                service.laws(ran)?;
            }
            let Service { leases, tasks, all, permits, .. } = service;
            drop((leases, tasks));
            prop_assert!(all.iter().all(|member| member.live.permits() == 0 && member.live.in_flight() == 0));
            prop_assert_eq!(permits.waiting(), 0);
            Ok(())
        })?;
    }
}
