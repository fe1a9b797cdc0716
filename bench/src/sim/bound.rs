//! What no proxy can do, to compare with what one can: always the jobs with the least work left, on whatever core.
//!
//! In: jobs, a site. Out: what became of each. All cores of all endpoints are one pool, a job moves between them without cost and is
//! interrupted by any that has less left. On one core nothing has a lower mean; on several, little has when there is much to do.
//! A proxy cannot interrupt what an endpoint has begun, so the distance to this row is what interrupting would be worth. It is
//! no bound of the tail, which this order sacrifices.
//! Cost: O(log jobs) per event. Source: shortest remaining processing time, Schrage, 1968; on several servers: Grosof,
//! Scully, Harchol-Balter, "SRPT for multiserver systems", 2018.

use std::collections::BTreeSet;

use super::engine::{Run, Site};
use super::trace::Job;

/// Runs `jobs`, which are in order of arrival, on as many cores of speed 1 as `site` has. What happens to endpoints is left out.
pub(super) fn run(jobs: &[Job], site: &Site) -> Run {
    let cores = site.speeds.len() * site.cores as usize;
    let mut run = Run { fates: vec![None; jobs.len()], shares: vec![0; site.speeds.len()] };
    // Those that run by the moment they end, those that wait by what is left.
    let (mut running, mut waiting) = (BTreeSet::<(u64, usize)>::new(), BTreeSet::<(u64, usize)>::new());
    let mut arrivals = jobs.iter().enumerate().peekable();
    loop {
        let arrival = arrivals.peek().map(|(_, job)| job.arrival);
        let end = running.first().map(|(end, _)| *end);
        if let Some((end, job)) =
            running.first().copied().filter(|_| arrival.is_none_or(|arrival| end.is_some_and(|end| end <= arrival)))
        {
            running.pop_first();
            run.fates[job] = Some(end);
            if let Some((left, next)) = waiting.pop_first() {
                running.insert((end + left, next));
            }
        } else if let Some((job, Job { arrival, work, .. })) = arrivals.next() {
            running.insert((arrival + work, job));
            if running.len() > cores
                && let Some((end, last)) = running.pop_last()
            {
                waiting.insert((end - arrival, last));
            }
        } else {
            break;
        }
    }
    let all: u64 = jobs.iter().map(|job| job.work).sum();
    run.shares.fill(all / site.speeds.len().max(1) as u64);
    run
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::Discipline;
    use super::*;

    #[test]
    fn whoever_has_less_left_interrupts_and_the_interrupted_goes_on_where_it_was() {
        let job = |arrival, work| Job { arrival, work, predicted: work, small: true, class: 0, dice: 0 };
        let site = Site {
            discipline: Discipline::Sharing,
            cores: 1,
            speeds: vec![1.0],
            turns: Vec::new(),
            proxies: 1,
            turnaround: 0,
        };
        // The first runs to 10, waits for the second until 15 and for nobody after that; the third has more left than the first.
        let fates = run(&[job(0, 100), job(10, 5), job(20, 95)], &site).fates;
        assert_eq!(fates, [Some(105), Some(15), Some(200)]);
    }
}
