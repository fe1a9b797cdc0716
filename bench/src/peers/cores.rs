//! The cores of one endpoint, as arithmetic: who is in service, how fast, and when the next one is done.
//!
//! In: jobs that begin, leave, and moments. Out: jobs that are done, each at the exact moment. Pure, and exact: nothing goes in
//! steps. All jobs in service get the same share, so one number, the service each has got since the beginning, orders
//! them all: a job is done when that number reaches what it was at its begin plus its work. A moment of asking that is late (a
//! timer always is) changes no result but the asker's own.
//! Cost: O(log n) per job. Source: the virtual time of processor sharing, Parekh and Gallager, "A generalized
//! processor sharing approach to flow control", 1993.

use std::collections::{BTreeMap, VecDeque};

use clap::ValueEnum;

/// How jobs share the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Discipline {
    /// All at once, as threads of an operating system do; none gets more than one core
    Sharing,
    /// In the order of arrival, one to a core, the others wait
    Fifo,
}

/// Nanoseconds since the endpoint began.
pub(crate) type Nanos = f64;

/// The jobs of one endpoint. `T` is whatever the caller wants back when a job is done.
#[derive(Debug)]
pub(crate) struct Cores<T> {
    count: f64,
    /// How many jobs are in service at once.
    places: usize,
    /// How many times longer than ordinary everything takes.
    slowness: f64,
    now: Nanos,
    /// Work that each job in service has been given since none was.
    given: f64,
    /// In service, by the value of `given` at which each is done. The bits of positive floats are ordered as they are.
    running: BTreeMap<(u64, u64), T>,
    /// Not in service yet, with the work of each.
    waiting: VecDeque<(u64, f64, T)>,
    next: u64,
}

impl<T> Cores<T> {
    /// Idle cores; at least one. `slowness` is more than 0.
    pub(crate) fn new(discipline: Discipline, cores: u32, slowness: f64) -> Self {
        let cores = cores.max(1);
        let places = match discipline {
            Discipline::Sharing => usize::MAX,
            Discipline::Fifo => usize::try_from(cores).unwrap_or(usize::MAX),
        };
        Self {
            count: f64::from(cores),
            places,
            slowness,
            now: 0.0,
            given: 0.0,
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            next: 0,
        }
    }

    /// A job of so much work in nanoseconds begins at `now`, after what is done by then has been taken with [`Cores::done`].
    /// Gives the number to [`Cores::leave`] with.
    pub(crate) fn begin(&mut self, now: Nanos, work: f64, tag: T) -> u64 {
        self.pass(now);
        let number = self.next;
        self.next += 1;
        if self.running.len() < self.places {
            self.serve(number, work, tag);
        } else {
            self.waiting.push_back((number, work, tag));
        }
        number
    }

    /// The job's client is gone: the others get its share from `now` on. Nothing happens when it is done already.
    pub(crate) fn leave(&mut self, now: Nanos, number: u64) {
        self.pass(now);
        self.waiting.retain(|(waiting, ..)| *waiting != number);
        self.running.retain(|(_, running), _| *running != number);
        self.fill();
    }

    /// When the next job is done, if nothing else happens; `None` without jobs.
    pub(crate) fn next(&self) -> Option<Nanos> {
        let ((mark, _), _) = self.running.first_key_value()?;
        Some(self.now + (f64::from_bits(*mark) - self.given).max(0.0) / self.pace())
    }

    /// The next job that is done by `now`, with the moment it was. Ask until there is none.
    pub(crate) fn done(&mut self, now: Nanos) -> Option<(Nanos, T)> {
        let at = self.next().filter(|at| *at <= now)?;
        let ((mark, _), tag) = self.running.pop_first()?;
        self.given = f64::from_bits(mark);
        self.now = at;
        self.fill();
        Some((at, tag))
    }

    /// Work that each job in service is given per nanosecond.
    fn pace(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 jobs")]
        let jobs = self.running.len().max(1) as f64;
        (self.count / jobs).min(1.0) / self.slowness
    }

    fn pass(&mut self, now: Nanos) {
        if now > self.now {
            self.given = if self.running.is_empty() { 0.0 } else { self.given + (now - self.now) * self.pace() };
            self.now = now;
        }
    }

    fn serve(&mut self, number: u64, work: f64, tag: T) {
        self.running.insert(((self.given + work.max(0.0)).to_bits(), number), tag);
    }

    fn fill(&mut self) {
        while self.running.len() < self.places
            && let Some((number, work, tag)) = self.waiting.pop_front()
        {
            self.serve(number, work, tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    /// When each of `jobs` (begin, work) is done.
    fn run(mut cores: Cores<usize>, jobs: &[(f64, f64)]) -> Vec<f64> {
        let mut ends = vec![f64::NAN; jobs.len()];
        for (tag, (begin, work)) in jobs.iter().enumerate() {
            while let Some((at, tag)) = cores.done(*begin) {
                ends[tag] = at;
            }
            cores.begin(*begin, *work, tag);
        }
        while let Some((at, tag)) = cores.done(f64::MAX) {
            ends[tag] = at;
        }
        ends
    }

    fn close(found: &[f64], expected: &[f64]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-3 * expected.max(1.0), "{found} instead of {expected}");
        }
        assert_eq!(found.len(), expected.len());
    }

    #[test]
    fn jobs_share_all_cores_but_none_gets_more_than_one() {
        // Two on two cores do not notice each other; three get two thirds of a core each.
        close(&run(Cores::new(Discipline::Sharing, 2, 1.0), &[(0.0, 30.0), (0.0, 60.0)]), &[30.0, 60.0]);
        close(&run(Cores::new(Discipline::Sharing, 2, 1.0), &[(0.0, 30.0); 3]), &[45.0; 3]);
        // One core: alone until 10, in halves until the second has its 5 at 20, alone again.
        close(&run(Cores::new(Discipline::Sharing, 1, 1.0), &[(0.0, 30.0), (10.0, 5.0)]), &[35.0, 20.0]);
    }

    #[test]
    fn in_the_order_of_arrival_a_job_has_its_core_to_itself() {
        let jobs = [(0.0, 30.0), (1.0, 10.0), (2.0, 10.0), (3.0, 10.0)];
        close(&run(Cores::new(Discipline::Fifo, 2, 1.0), &jobs), &[30.0, 11.0, 21.0, 31.0]);
    }

    #[test]
    fn a_slow_endpoint_takes_that_many_times_longer() {
        close(&run(Cores::new(Discipline::Sharing, 2, 4.0), &[(0.0, 30.0); 3]), &[180.0; 3]);
    }

    #[test]
    fn the_share_of_one_that_leaves_goes_to_the_others() {
        for discipline in [Discipline::Sharing, Discipline::Fifo] {
            let mut cores = Cores::new(discipline, 1, 1.0);
            let first = cores.begin(0.0, 100.0, "first");
            cores.begin(0.0, 10.0, "second");
            cores.leave(10.0, first);
            // Sharing: half a core for 10. In order: none for 10.
            let end = if discipline == Discipline::Sharing { 15.0 } else { 20.0 };
            let (at, tag) = cores.done(100.0).unwrap();
            close(&[at], &[end]);
            assert_eq!((tag, cores.next()), ("second", None));
        }
    }

    /// The same by brute force: what is left of each job, taken down from event to event.
    fn by_hand(cores: f64, jobs: &[(f64, f64)]) -> Vec<f64> {
        let (mut left, mut ends, mut now, mut next) = (Vec::new(), vec![0.0; jobs.len()], 0.0, 0);
        loop {
            #[expect(clippy::cast_precision_loss, reason = "a test of few jobs")]
            let pace = (cores / (left.len().max(1) as f64)).min(1.0);
            let first = left.iter().map(|(_, left): &(usize, f64)| *left).min_by(f64::total_cmp);
            let done = first.map_or(f64::INFINITY, |left| now + left / pace);
            let begin = jobs.get(next).map_or(f64::INFINITY, |(begin, _)| *begin);
            let at = done.min(begin);
            if at.is_infinite() {
                return ends;
            }
            for (_, left) in &mut left {
                *left -= (at - now) * pace;
            }
            now = at;
            if begin <= done {
                left.push((next, jobs[next].1));
                next += 1;
            } else {
                left.retain(|(number, left)| {
                    if *left < 1e-6 {
                        ends[*number] = now;
                    }
                    *left >= 1e-6
                });
            }
        }
    }

    #[test]
    fn shared_cores_agree_with_a_count_by_hand() {
        let mut dice = Dice::new(5);
        for cores in 1..5_u32 {
            let mut begin = 0.0;
            let jobs: Vec<(f64, f64)> = (0..500)
                .map(|_| {
                    begin += 100.0 * dice.exponential();
                    (begin, dice.lognormal(95.0 * f64::from(cores), 1.0))
                })
                .collect();
            close(&run(Cores::new(Discipline::Sharing, cores, 1.0), &jobs), &by_hand(f64::from(cores), &jobs));
        }
    }

    #[test]
    fn asking_late_changes_no_end() {
        let mut cores = Cores::new(Discipline::Sharing, 1, 1.0);
        cores.begin(0.0, 10.0, "first");
        cores.begin(0.0, 20.0, "second");
        let ends: Vec<_> = std::iter::from_fn(|| cores.done(1_000.0)).collect();
        assert_eq!(ends, [(20.0, "first"), (30.0, "second")]);
    }
}
