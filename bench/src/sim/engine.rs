//! Runs one contender over one trace.
//!
//! In: jobs, endpoints, how the proxy decides. Out: what became of each job. Discrete events, no randomness of its own.
//! The decisions are made by `weir-balance`: the very selectors and the very queue that the proxy uses.

use std::collections::BTreeSet;

use weir_balance::{
    Ask, Endpoint as Listed, Endpoints, Entry, Fit, Latency, Loads, Nanos, Pace, Policy, Queue, Rules, Selector, Slot,
    Weight, dice, smoothed,
};

use super::bound;
use super::endpoint::{Discipline, Endpoint};
use super::trace::Job;

/// How the proxy decides.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// At once, by a policy.
    Policy(Policy),
    /// At once, to the endpoint with the least predicted work on it.
    LeastWork,
    /// What no proxy can do: `bound.rs`.
    Bound,
    /// By a policy among those with a permit left; else the job waits in the proxy.
    Permits {
        policy: Policy,
        per_core: f64,
        rules: Rules,
        classes: bool,
        timeout: Option<u64>,
        /// When everybody has waited longer than this for as long again, who cannot be served in it is refused.
        target: Option<u64>,
        /// Small ones beyond the permits, per endpoint, while several small ones wait or none is being served.
        extra: u32,
        /// Small ones beyond the permits always.
        eager: bool,
        /// How many that are not small may run at once, on all endpoints together.
        large: u32,
    },
}

/// The endpoints and what happens to them.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) discipline: Discipline,
    /// Cores of each endpoint.
    pub(crate) cores: u32,
    /// Speed of each endpoint; there are as many as there are numbers.
    pub(crate) speeds: Vec<f64>,
    /// What happens to the first endpoint, and when; in order.
    pub(crate) turns: Vec<(u64, Turn)>,
    /// Proxies in front of them, none of which knows of the others.
    pub(crate) proxies: usize,
    /// How long a job is under way to its endpoint and back: time in which its permit is out and nobody works on it.
    pub(crate) turnaround: u64,
}

/// What may happen to the first endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Turn {
    /// It dies; its jobs go elsewhere.
    Dies,
    /// It is back.
    Returns,
    /// From now on it is this fast.
    Speed(f64),
}

/// What became of a job: when it was answered, `None` if it was refused.
pub(crate) type Fate = Option<u64>;

/// What a run shows.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// One per job.
    pub(crate) fates: Vec<Fate>,
    /// Work that each endpoint finished.
    pub(crate) shares: Vec<u64>,
}

struct Proxy {
    selector: Selector,
    turn: u64,
    in_flight: Vec<u32>,
    outstanding: Vec<u64>,
    known: Vec<Known>,
    /// Jobs that run and are not small, and those that are.
    large: u32,
    small: u32,
    queue: Option<Queue<usize>>,
    pace: Pace,
}

/// What becomes of a job that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leg {
    /// Its endpoint has it.
    There,
    /// Its answer is back.
    Back,
}

/// What a proxy remembers of an endpoint's answers, as the proxy's own live state does.
#[derive(Clone, Copy, Default)]
struct Known {
    estimate: Option<Nanos>,
    answered: u64,
    asked: Option<u64>,
}

/// What a proxy knows of the endpoints.
struct View<'a> {
    now: u64,
    up: &'a [bool],
    in_flight: &'a [u32],
    known: &'a [Known],
    /// Permits of an endpoint.
    capacity: u32,
}

impl Loads for View<'_> {
    fn admits(&self, slot: Slot) -> bool {
        self.up[slot.index()] && self.in_flight[slot.index()] < self.capacity
    }
    fn in_flight(&self, slot: Slot) -> u32 {
        self.in_flight[slot.index()]
    }
    fn latency(&self, slot: Slot) -> Latency {
        let Known { estimate, asked, .. } = self.known[slot.index()];
        Latency { estimate, unasked: Nanos(asked.map_or(u64::MAX, |asked| self.now - asked)) }
    }
}

struct Engine<'a> {
    jobs: &'a [Job],
    choice: &'a Choice,
    endpoints: Vec<Endpoint>,
    /// When each endpoint's next job is done; in the set, by time.
    due: Vec<Option<u64>>,
    events: BTreeSet<(u64, usize)>,
    /// Jobs that are under way, by when they are where they go.
    legs: BTreeSet<(u64, usize, Leg)>,
    turnaround: u64,
    up: Vec<bool>,
    proxies: Vec<Proxy>,
    capacity: u32,
    /// Proxy and endpoint of each job that runs, and since when.
    places: Vec<Option<(usize, Slot, u64)>>,
    run: Run,
}

/// Runs `choice` over `jobs`, which are in order of arrival.
pub(crate) fn run(jobs: &[Job], site: &Site, choice: &Choice) -> Run {
    if matches!(choice, Choice::Bound) {
        return bound::run(jobs, site);
    }
    let mut engine = Engine::new(jobs, site, choice);
    let mut arrivals = 0..jobs.len();
    let mut next = arrivals.next();
    let mut turns: Vec<(u64, Turn)> = site.turns.iter().rev().copied().collect();
    loop {
        let arrival = next.map(|job| jobs[job].arrival);
        let done = engine.events.first().map(|event| event.0);
        let turn = turns.last().map(|turn| turn.0);
        let leg = engine.legs.first().map(|leg| leg.0);
        let Some(now) = [arrival, done, turn, leg].into_iter().flatten().min() else { return engine.run };
        if turn == Some(now) {
            if let Some((_, what)) = turns.pop() {
                engine.turn(now, what);
            }
        } else if done == Some(now) {
            engine.finish(now);
        } else if leg == Some(now) {
            engine.travelled(now);
        } else if let Some(job) = next {
            engine.arrive(now, job);
            next = arrivals.next();
        }
        // Whoever cannot be served any more when nothing runs and nothing comes: all endpoints are dead for good.
        if next.is_none() && engine.events.is_empty() && engine.legs.is_empty() && turns.is_empty() {
            return engine.run;
        }
    }
}

impl<'a> Engine<'a> {
    fn new(jobs: &'a [Job], site: &Site, choice: &'a Choice) -> Self {
        let count = site.speeds.len();
        let listed = |index: usize| Listed {
            identity: format!("10.0.{}.{}:80", index / 250, index % 250).into(),
            weight: Weight::ONE,
        };
        let endpoints = Endpoints::new((0..count).map(listed).collect()).unwrap_or_default();
        let (policy, capacity, rules) = match choice {
            Choice::Policy(policy) => (*policy, u32::MAX, None),
            Choice::LeastWork | Choice::Bound => (Policy::LeastConnections, u32::MAX, None),
            Choice::Permits { policy, per_core, rules, .. } => (*policy, permits(site, *per_core), Some(*rules)),
        };
        let selector = Selector::build(&policy, &endpoints);
        let proxy = || Proxy {
            selector: selector.clone(),
            turn: 0,
            in_flight: vec![0; count],
            outstanding: vec![0; count],
            known: vec![Known::default(); count],
            large: 0,
            small: 0,
            queue: rules.map(Queue::new),
            pace: Pace::default(),
        };
        Self {
            jobs,
            choice,
            endpoints: site.speeds.iter().map(|&speed| Endpoint::new(site.discipline, site.cores, speed)).collect(),
            due: vec![None; count],
            events: BTreeSet::new(),
            legs: BTreeSet::new(),
            turnaround: site.turnaround,
            up: vec![true; count],
            proxies: (0..site.proxies).map(|_| proxy()).collect(),
            capacity,
            places: vec![None; jobs.len()],
            run: Run { fates: vec![None; jobs.len()], shares: vec![0; count] },
        }
    }

    fn arrive(&mut self, now: u64, job: usize) {
        let proxy = usize::try_from(self.jobs[job].dice % self.proxies.len() as u64).unwrap_or(0);
        self.dispatch(now, proxy, job);
    }

    /// Sends a job to an endpoint, or lets it wait.
    fn dispatch(&mut self, now: u64, at: usize, job: usize) {
        let Job { arrival, predicted, class, .. } = self.jobs[job];
        let proxy = &mut self.proxies[at];
        let free = proxy.queue.as_ref().is_none_or(Queue::is_empty);
        let capacity = capacity_for(self.choice, self.capacity, proxy, 0, &self.jobs[job]);
        if free && let Some(slot) = pick(proxy, now, &self.up, capacity, self.choice) {
            return self.begin(now, at, job, slot);
        }
        let Choice::Permits { classes, timeout, target, rules, .. } = self.choice else { return };
        // Between small and middling, middling and large, as somebody would draw the lines who knows the mix.
        let class = match predicted.saturating_mul(2) / rules.small.0.max(1) {
            _ if !classes => class,
            0..3 => 0,
            3..12 => 1,
            _ => 2,
        };
        let deadline = Nanos(timeout.map_or(u64::MAX, |timeout| now.saturating_add(timeout)));
        let entry = Entry { arrival: Nanos(arrival), work: Nanos(predicted), class, deadline, ..Entry::default() };
        if let Some(queue) = &mut proxy.queue {
            while queue.expire(Nanos(now)).is_some() {}
            if queue.is_empty() {
                proxy.pace.began(Nanos(now));
            }
            shed(queue, &mut proxy.pace, now, *target);
            // A full queue refuses: the job's fate stays what it is, none.
            queue.push(&entry, job).ok();
        }
        self.serve(now, at);
    }

    /// Gives free permits to those who wait at this proxy.
    fn serve(&mut self, now: u64, at: usize) {
        loop {
            let proxy = &mut self.proxies[at];
            let Some(mut queue) = proxy.queue.take() else { return };
            while queue.expire(Nanos(now)).is_some() {}
            let waiting = queue.small();
            let taken = queue.take(|&mut job| {
                let capacity = capacity_for(self.choice, self.capacity, proxy, waiting, &self.jobs[job]);
                match pick(proxy, now, &self.up, capacity, self.choice) {
                    Some(slot) => Fit::Takes(slot),
                    None => Fit::OnlySmall,
                }
            });
            if let Choice::Permits { target: Some(target), .. } = self.choice {
                if let Some((job, _)) = taken {
                    proxy.pace.served(Nanos(now), Nanos(now - self.jobs[job].arrival), Nanos(*target));
                } else {
                    shed(&mut queue, &mut proxy.pace, now, Some(*target));
                }
            }
            proxy.queue = Some(queue);
            let Some((job, slot)) = taken else { return };
            self.begin(now, at, job, slot);
        }
    }

    fn begin(&mut self, now: u64, at: usize, job: usize, slot: Slot) {
        let (proxy, index) = (&mut self.proxies[at], slot.index());
        proxy.in_flight[index] += 1;
        proxy.outstanding[index] += self.jobs[job].predicted;
        proxy.known[index].asked = Some(now);
        let small = is_small(self.choice, &self.jobs[job]);
        proxy.large += u32::from(!small);
        proxy.small += u32::from(small);
        self.places[job] = Some((at, slot, now));
        self.legs.insert((now + self.turnaround / 2, job, Leg::There));
    }

    /// A job is where it was going to.
    fn travelled(&mut self, now: u64) {
        let Some((_, job, leg)) = self.legs.pop_first() else { return };
        let Some((at, slot, since)) = self.places[job] else { return };
        match leg {
            Leg::There => {
                self.endpoints[slot.index()].begin(now, job, self.jobs[job].work);
                self.schedule(slot.index());
            }
            Leg::Back => {
                self.run.fates[job] = Some(now);
                let known = &mut self.proxies[at].known[slot.index()];
                let age = Nanos(now - known.answered);
                known.estimate = Some(smoothed(known.estimate, Nanos(now - since), age));
                known.answered = now;
                self.release(now, job);
            }
        }
    }

    /// The next job that is done.
    fn finish(&mut self, now: u64) {
        let Some((_, index)) = self.events.pop_first() else { return };
        self.due[index] = None;
        while let Some(job) = self.endpoints[index].finished(now) {
            self.run.shares[index] += self.jobs[job].work;
            self.legs.insert((now + self.turnaround.div_ceil(2), job, Leg::Back));
        }
        self.schedule(index);
    }

    fn release(&mut self, now: u64, job: usize) {
        let Some((at, slot, _)) = self.places[job].take() else { return };
        let proxy = &mut self.proxies[at];
        proxy.in_flight[slot.index()] -= 1;
        let small = is_small(self.choice, &self.jobs[job]);
        proxy.large -= u32::from(!small);
        proxy.small -= u32::from(small);
        proxy.outstanding[slot.index()] -= self.jobs[job].predicted;
        proxy.pace.freed(Nanos(now), proxy.queue.as_ref().is_some_and(|queue| !queue.is_empty()));
        self.serve(now, at);
    }

    /// Something happens to the first endpoint. Jobs that it loses are tried again elsewhere: they keep their arrival.
    fn turn(&mut self, now: u64, what: Turn) {
        match what {
            Turn::Dies => {
                self.up[0] = false;
                let mut gone = self.endpoints[0].abandon();
                // Those that are under way to it are lost, too; answers that left it are not.
                let bound = |job: usize| self.places[job].is_some_and(|(_, slot, _)| slot.index() == 0);
                gone.extend(self.legs.iter().filter(|leg| leg.2 == Leg::There && bound(leg.1)).map(|leg| leg.1));
                self.legs.retain(|leg| leg.2 == Leg::Back || !gone.contains(&leg.1));
                let lost: Vec<(usize, usize)> =
                    gone.into_iter().filter_map(|job| self.places[job].map(|(at, ..)| (job, at))).collect();
                for (job, _) in &lost {
                    self.release(now, *job);
                }
                for (job, at) in lost {
                    self.dispatch(now, at, job);
                }
            }
            Turn::Returns => {
                self.up[0] = true;
                for proxy in &mut self.proxies {
                    // As the proxy forgets an endpoint that left.
                    proxy.known[0] = Known::default();
                }
            }
            Turn::Speed(speed) => self.endpoints[0].change(now, speed),
        }
        self.schedule(0);
        (0..self.proxies.len()).for_each(|at| self.serve(now, at));
    }

    fn schedule(&mut self, index: usize) {
        if let Some(due) = self.due[index].take() {
            self.events.remove(&(due, index));
        }
        self.due[index] = self.endpoints[index].next();
        if let Some(due) = self.due[index] {
            self.events.insert((due, index));
        }
    }
}

/// Refuses who is too many if the queue runs late, as the proxy does.
fn shed(queue: &mut Queue<usize>, pace: &mut Pace, now: u64, target: Option<u64>) {
    let Some(target) = target else { return };
    queue.limit(pace.most(Nanos(now), queue.len(), Nanos(target)).unwrap_or(usize::MAX));
    while queue.trim().is_some() {}
}

/// The permits that each proxy has of each endpoint: its share of them, at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few")]
fn permits(site: &Site, per_core: f64) -> u32 {
    (f64::from(site.cores) * per_core / site.proxies as f64).ceil().max(1.0) as u32
}

/// How many an endpoint may serve for this job to be one of them, while so many small ones wait.
const fn capacity_for(choice: &Choice, capacity: u32, proxy: &Proxy, waiting: usize, job: &Job) -> u32 {
    match choice {
        Choice::Permits { extra, eager, .. } if is_small(choice, job) => {
            if *eager || proxy.small == 0 || waiting > 1 {
                capacity + *extra
            } else {
                capacity
            }
        }
        Choice::Permits { large, .. } if proxy.large >= *large => 0,
        _ => capacity,
    }
}

const fn is_small(choice: &Choice, job: &Job) -> bool {
    matches!(choice, Choice::Permits { rules, .. } if job.predicted <= rules.small.0)
}

fn pick(proxy: &mut Proxy, now: u64, up: &[bool], capacity: u32, choice: &Choice) -> Option<Slot> {
    let turn = proxy.turn;
    proxy.turn += 1;
    if matches!(choice, Choice::LeastWork) {
        let count = up.len() as u64;
        let least = (0..up.len()).filter(|&index| up[index]).min_by_key(|&index| {
            // Equals take turns.
            (proxy.outstanding[index], (index as u64 + count - turn % count) % count)
        });
        return least.and_then(|index| u16::try_from(index).ok()).map(Slot::new);
    }
    let view = View { now, up, in_flight: &proxy.in_flight, known: &proxy.known, capacity };
    proxy.selector.pick(&Ask { turn, dice: dice(0, turn), key: None, tried: &[] }, &view)
}
