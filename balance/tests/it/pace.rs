//! A queue that runs late: when it does, how many may wait then, and what that does to who is served.
//!
//! The site is simulated: Poisson arrivals of two classes, some permits that each serve one at a time, the queue and its pace
//! as the proxy puts them together. Seeded, so that a number is the same wherever it is measured.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;
use weir_balance::{Client, Entry, Fit, Nanos, Pace, Queue, Rules, dice};

const SECOND: u64 = 1_000_000_000;
const TIMEOUT: u64 = 5 * SECOND;
const TARGET: Nanos = Nanos(SECOND);
const PERMITS: usize = 8;
/// What one exchange takes: eight permits do 160 a second.
const MILLIS: u64 = 50;

#[derive(Clone, Copy, Debug)]
struct Job {
    at: u64,
    class: u8,
    work: u64,
}

/// What became of the exchanges of one class.
#[derive(Clone, Debug, Default)]
struct Class {
    /// Of those who were served, ascending.
    waits: Vec<u64>,
    /// What serving them took.
    work: u64,
    shed: usize,
    timed_out: usize,
}

impl Class {
    fn serve(&mut self, job: &Job, now: u64) {
        self.waits.push(now - job.at);
        self.work += job.work;
    }

    fn wait(&self, percent: usize) -> u64 {
        self.waits.get(self.waits.len() * percent / 100).map_or(0, |nanos| nanos / 1_000_000)
    }
}

/// Numbers uniform over 0 to 1.
fn chances(seed: u64) -> impl FnMut() -> f64 {
    let mut turn = 0;
    move || {
        turn += 1;
        (f64::from(u32::try_from(dice(seed, turn) >> 32).unwrap()) + 0.5) / 4_294_967_296.0
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive spans far below 2^53 ns"
)]
/// Arrivals for so long at these loads of the two classes, in percent of what can be done.
fn jobs(loads: [u64; 2], from: u64, to: u64, seed: u64, work: impl Fn(f64) -> u64) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (class, load) in [0, 1].into_iter().zip(loads).filter(|it| it.1 > 0) {
        let mut chance = chances(seed + u64::from(class));
        let mean = MILLIS as f64 * 1e6 / PERMITS as f64 * 100.0 / load as f64;
        let mut at = from * SECOND;
        while at < to * SECOND {
            at += (-chance().ln() * mean) as u64;
            jobs.push(Job { at, class, work: work(chance()) });
        }
    }
    jobs.sort_by_key(|job| job.at);
    jobs
}

fn alike(_: f64) -> u64 {
    MILLIS * 1_000_000
}

fn rules(factor: u16) -> Rules {
    let millis = Nanos::from_millis;
    Rules {
        max: 1024,
        factor,
        believed: millis(5000),
        least: millis(1),
        handicap: millis(1000),
        slack: millis(200),
        small: millis(0),
    }
}

/// Serves them.
fn run(jobs: &[Job], factor: u16, target: Option<Nanos>) -> [Class; 2] {
    let mut queue = Queue::new(rules(factor));
    let mut pace = Pace::default();
    let mut classes = [Class::default(), Class::default()];
    let mut ends: BinaryHeap<Reverse<u64>> = BinaryHeap::new();
    let mut arrivals = jobs.iter().enumerate().peekable();
    loop {
        let arrival = arrivals.peek().map(|(_, job)| job.at);
        let end = ends.peek().map(|end| end.0);
        let Some(now) = arrival.into_iter().chain(end).min() else { break };
        let at = Nanos(now);
        if end == Some(now) {
            ends.pop();
            pace.freed(at, !queue.is_empty());
        } else if let Some((index, job)) = arrivals.next() {
            if queue.is_empty() && ends.len() < PERMITS {
                classes[usize::from(job.class)].serve(job, now);
                ends.push(Reverse(now + job.work));
                continue;
            }
            if queue.is_empty() {
                pace.began(at);
            }
            shed(&mut queue, &mut pace, at, target, jobs, &mut classes);
            let (arrival, work) = (at, Nanos(job.work));
            let (class, client) = (job.class, Client(index as u64));
            match queue.push(&Entry { arrival, work, class, client, deadline: Nanos(now + TIMEOUT) }, index) {
                Ok(pushed) => {
                    let out = pushed.displaced.into_iter();
                    out.for_each(|out: usize| classes[usize::from(jobs[out].class)].shed += 1);
                }
                Err(_) => classes[usize::from(class)].shed += 1,
            }
        }
        while let Some(late) = queue.expire(at) {
            classes[usize::from(jobs[late].class)].timed_out += 1;
        }
        while ends.len() < PERMITS
            && let Some((index, ())) = queue.take(|_| Fit::Takes(()))
        {
            let job = &jobs[index];
            if let Some(target) = target {
                pace.served(at, Nanos(now - job.at), target);
            }
            classes[usize::from(job.class)].serve(job, now);
            ends.push(Reverse(now + job.work));
        }
        shed(&mut queue, &mut pace, at, target, jobs, &mut classes);
    }
    classes.each_mut().map(|class| {
        class.waits.sort_unstable();
        class.clone()
    })
}

fn shed(
    queue: &mut Queue<usize>,
    pace: &mut Pace,
    now: Nanos,
    target: Option<Nanos>,
    jobs: &[Job],
    classes: &mut [Class; 2],
) {
    let Some(target) = target else { return };
    queue.limit(pace.most(now, queue.len(), target).unwrap_or(usize::MAX));
    while let Some(out) = queue.trim() {
        classes[usize::from(jobs[out].class)].shed += 1;
    }
}

#[test]
fn a_batch_that_is_too_much_is_refused_and_whoever_is_interactive_hardly_waits() {
    for seed in [1, 2, 3] {
        let jobs = jobs([50, 100], 0, 120, seed, alike);
        let [before, _] = run(&jobs, 0, None);
        let [interactive, batch] = run(&jobs, 0, Some(TARGET));
        println!(
            "seed {seed}: interactive p50 {} and p99 {} ms without, {} and {} ms with a target; batch {} served, {} refused, {} late",
            before.wait(50),
            before.wait(99),
            interactive.wait(50),
            interactive.wait(99),
            batch.waits.len(),
            batch.shed,
            batch.timed_out,
        );
        assert!(before.wait(50) > 3000, "without a target it waits behind the batch: {} ms", before.wait(50));
        assert_eq!((interactive.shed, interactive.timed_out), (0, 0));
        assert!(interactive.wait(50) < 500 && interactive.wait(99) < 2000);
        // And nothing of what can be done is lost.
        let done = interactive.waits.len() + batch.waits.len();
        assert!(done >= 160 * 120 * 97 / 100, "{done} served");
        assert!(batch.shed > 10 * batch.timed_out, "{} told at once, {} late", batch.shed, batch.timed_out);
    }
}

#[test]
fn with_one_class_at_any_overload_who_is_served_waits_for_about_the_target_and_all_that_can_be_is_done() {
    for (load, factor) in [(110, 0), (150, 0), (300, 0), (110, 15), (300, 15)] {
        // Nine small ones and a large one, as long together as ten alike.
        let work = |chance: f64| if chance < 0.9 { 22_000_000 } else { 302_000_000 };
        let jobs = jobs([load, 0], 0, 120, 7, work);
        let [class, _] = run(&jobs, factor, Some(TARGET));
        let worked = class.work / PERMITS as u64 / SECOND;
        println!(
            "load {load}, factor {factor}: p50 {} p99 {} ms, {} served, {} refused, {} late, {worked} s of 120",
            class.wait(50),
            class.wait(99),
            class.waits.len(),
            class.shed,
            class.timed_out,
        );
        assert!(class.wait(50) <= 1500 && class.wait(90) <= 3000, "{} and {} ms", class.wait(50), class.wait(90));
        if factor == 0 {
            assert_eq!(class.timed_out, 0);
        }
        assert!((117..=125).contains(&worked), "{worked} s of work in 120 s");
    }
}

#[test]
fn what_can_be_done_in_time_is_never_refused_and_of_bursts_the_batch_alone() {
    for seed in [1, 2, 3] {
        let steady = jobs([60, 30], 0, 300, seed, alike);
        let mut bursts = steady.clone();
        // Every half minute as much at once as takes a second and a half, and at this load fifteen seconds to be gone.
        for minute in 0..10 {
            let burst = Job { at: (30 * minute + 7) * SECOND, class: 0, work: alike(0.0) };
            bursts.extend(std::iter::repeat_n(burst, 240));
        }
        bursts.sort_by_key(|job| job.at);
        let steady = run(&steady, 0, Some(TARGET));
        assert_eq!(steady.map(|class| class.shed), [0, 0]);
        let [interactive, batch] = run(&bursts, 0, Some(TARGET));
        println!(
            "bursts: {} and {} refused of {} and {}",
            interactive.shed,
            batch.shed,
            interactive.waits.len(),
            batch.waits.len()
        );
        assert_eq!(interactive.shed, 0);
    }
}

#[test]
fn a_time_in_which_nobody_waited_says_nothing_of_how_fast_room_comes_free() {
    let mut pace = Pace::default();
    pace.freed(Nanos(0), false);
    pace.began(Nanos(3600 * SECOND));
    pace.freed(Nanos(3600 * SECOND + SECOND / 10), true);
    assert_eq!(pace.through(1), None, "the first that comes free has none before it");
    pace.freed(Nanos(3600 * SECOND + SECOND / 5), true);
    assert_eq!(pace.through(10), Some(Nanos(SECOND)));
}

#[test]
fn it_begins_after_twice_the_target_without_anybody_in_time_and_ends_below_half_of_the_most() {
    let second = |seconds: u64| Nanos(seconds * SECOND);
    let mut pace = Pace::default();
    pace.began(second(10));
    // Ten a second come free: ten get through within the target.
    for tenth in 0..=20 {
        pace.freed(Nanos(10 * SECOND + tenth * SECOND / 10), true);
    }
    pace.served(second(11), second(1), TARGET);
    assert_eq!(pace.most(Nanos(13 * SECOND - 1), 100, TARGET), None);
    assert_eq!(pace.most(second(13), 9, TARGET), None, "these get through in time");
    assert_eq!(pace.most(second(13), 100, TARGET), Some(10));
    // Somebody who was lucky changes nothing.
    pace.served(second(13), second(0), TARGET);
    assert_eq!(pace.most(second(13), 5, TARGET), Some(10));
    assert_eq!(pace.most(second(13), 4, TARGET), None);
    assert_eq!(pace.most(second(13), 100, TARGET), None, "it is on time again");
    assert_eq!(pace.most(second(15), 100, TARGET), Some(10));
    pace.began(second(16));
    assert_eq!(pace.most(second(16), 100, TARGET), None, "it was empty");
}

#[test]
fn a_queue_that_nothing_ever_came_free_for_is_late_too_and_one_may_wait() {
    let mut pace = Pace::default();
    pace.began(Nanos(7 * SECOND));
    assert_eq!(pace.through(3), None);
    assert_eq!(pace.most(Nanos(8 * SECOND), 50, TARGET), None);
    assert_eq!(pace.most(Nanos(9 * SECOND), 50, TARGET), Some(1));
}

proptest! {
    #[test]
    fn one_may_always_wait_and_who_finds_an_empty_queue_is_never_late(
        events in prop::collection::vec((0_u64..10 * SECOND, 0_u8..4, 0_usize..100), 0..100),
        target in 0_u64..10 * SECOND,
    ) {
        let (mut pace, mut now) = (Pace::default(), 0);
        for (gap, event, count) in events {
            now += gap;
            match event {
                0 => pace.freed(Nanos(now), count > 0),
                1 => {
                    pace.began(Nanos(now));
                    prop_assert_eq!(pace.most(Nanos(now), 1, Nanos(target)), None);
                }
                2 => pace.served(Nanos(now), Nanos(gap), Nanos(target)),
                _ => prop_assert!(pace.most(Nanos(now), count, Nanos(target)).is_none_or(|most| most >= 1)),
            }
        }
    }
}
