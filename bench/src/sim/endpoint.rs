//! An endpoint with some cores that works on jobs.
//!
//! In: jobs, the moment. Out: when the next one is done. Either all jobs share the cores evenly (what a multi-threaded
//! server under a fair scheduler does), or as many as there are cores run and the rest wait in order.
//! Cost: O(log jobs) per arrival and departure, by the attained service that all running jobs have in common.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// How jobs share an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Discipline {
    /// All at once, each an even share of the cores and at most one.
    Sharing,
    /// In order, as many at once as there are cores.
    Fifo,
}

/// One simulated endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    discipline: Discipline,
    cores: u32,
    /// Work per nanosecond and core.
    speed: f64,
    /// Work that a job that has run from the start would have been given.
    attained: f64,
    updated: u64,
    /// By the attained service at which each is done. Bits of a positive number are ordered as the number is.
    running: BinaryHeap<Reverse<(u64, usize)>>,
    waiting: VecDeque<(f64, usize)>,
}

impl Endpoint {
    pub(crate) fn new(discipline: Discipline, cores: u32, speed: f64) -> Self {
        let (running, waiting) = (BinaryHeap::new(), VecDeque::new());
        Self { discipline, cores, speed, attained: 0.0, updated: 0, running, waiting }
    }

    /// Takes a job on.
    #[expect(clippy::cast_precision_loss, reason = "work is far below 2^53 ns")]
    pub(crate) fn begin(&mut self, now: u64, job: usize, work: u64) {
        self.advance(now);
        if self.discipline == Discipline::Fifo && self.running.len() >= self.cores as usize {
            self.waiting.push_back((work as f64, job));
        } else {
            self.run(work as f64, job);
        }
    }

    /// A job that is done by now.
    pub(crate) fn finished(&mut self, now: u64) -> Option<usize> {
        self.advance(now);
        let &Reverse((bits, job)) = self.running.peek()?;
        // A nanosecond is the resolution of time, so it is that of work.
        if f64::from_bits(bits) > self.attained + self.rate() {
            return None;
        }
        self.running.pop();
        if let Some((work, next)) = self.waiting.pop_front() {
            self.run(work, next);
        }
        Some(job)
    }

    /// When the next job is done, if none comes before.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded up, positive, small")]
    pub(crate) fn next(&self) -> Option<u64> {
        let &Reverse((bits, _)) = self.running.peek()?;
        Some(self.updated + ((f64::from_bits(bits) - self.attained) / self.rate()).ceil().max(0.0) as u64)
    }

    /// Gives up all jobs: it died.
    pub(crate) fn abandon(&mut self) -> Vec<usize> {
        let mut jobs: Vec<usize> = self.running.drain().map(|Reverse((_, job))| job).collect();
        jobs.extend(self.waiting.drain(..).map(|(_, job)| job));
        jobs.sort_unstable();
        jobs
    }

    /// Becomes faster or slower.
    pub(crate) fn change(&mut self, now: u64, speed: f64) {
        self.advance(now);
        self.speed = speed;
    }

    fn run(&mut self, work: f64, job: usize) {
        self.running.push(Reverse(((self.attained + work).to_bits(), job)));
    }

    /// Work that each running job is given per nanosecond.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn rate(&self) -> f64 {
        self.speed * (f64::from(self.cores) / self.running.len().max(1) as f64).min(1.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "spans between events are far below 2^53 ns")]
    fn advance(&mut self, now: u64) {
        self.attained += now.saturating_sub(self.updated) as f64 * self.rate();
        self.updated = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of these jobs (arrival, work) is done.
    fn done(discipline: Discipline, speed: f64, jobs: &[(u64, u64)]) -> Vec<u64> {
        let mut endpoint = Endpoint::new(discipline, 2, speed);
        let mut done = vec![0; jobs.len()];
        let mut arrivals = jobs.iter().enumerate().peekable();
        loop {
            let arrival = arrivals.peek().map(|(_, job)| job.0);
            match (arrival, endpoint.next()) {
                (None, None) => return done,
                (Some(at), next) if next.is_none_or(|next| at < next) => {
                    if let Some((index, job)) = arrivals.next() {
                        endpoint.begin(job.0, index, job.1);
                    }
                }
                (_, Some(next)) => {
                    while let Some(job) = endpoint.finished(next) {
                        done[job] = next;
                    }
                }
                (Some(_), None) => unreachable!(),
            }
        }
    }

    #[test]
    fn sharing_gives_each_job_an_even_share_and_at_most_a_core() {
        // Alone on a core until 1000; then three share two cores until the short one has its 200 at 1300.
        assert_eq!(done(Discipline::Sharing, 1.0, &[(0, 2000), (0, 2000), (1000, 200)]), [2100, 2100, 1300]);
    }

    #[test]
    fn fifo_runs_as_many_as_there_are_cores_and_the_rest_in_order() {
        assert_eq!(done(Discipline::Fifo, 1.0, &[(0, 2000), (0, 1000), (0, 10), (0, 10)]), [2000, 1000, 1010, 1020]);
    }

    #[test]
    fn an_endpoint_that_becomes_slower_works_on_at_its_new_speed() {
        let mut endpoint = Endpoint::new(Discipline::Sharing, 2, 1.0);
        endpoint.begin(0, 0, 1000);
        endpoint.change(600, 0.5);
        assert_eq!(endpoint.next(), Some(1400));
    }

    #[test]
    fn a_slow_endpoint_takes_longer_by_its_speed() {
        assert_eq!(done(Discipline::Sharing, 0.25, &[(0, 1000)]), [4000]);
    }
}
