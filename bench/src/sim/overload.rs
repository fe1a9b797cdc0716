//! More work than can be done: who is served in time when weir may refuse, and when it may not.
//!
//! In: seeds, seconds. Out: a table. Interactive requests are half of what can be done, a batch of the same photos is all of it; the
//! batch has priority 1. `timeout` alone, and `target` beside it, in the order of arrival and smallest first.

use std::fmt::Write as _;

use weir_balance::{Nanos, Policy, Rules};

use super::engine::{self, Choice};
use super::figures::Figures;
use super::scenario::{rules, stage};
use super::trace::{Job, SECOND};
use super::{Options, Steps};

/// Interactive work and batch, in percent of what can be done.
const LOAD: u16 = 150;
/// One of so many requests is interactive.
const INTERACTIVE: u64 = 3;
const TIMEOUT: u64 = 5 * SECOND;
const TARGET: u64 = SECOND;
/// How much later the batch counts as having come, as is the proxy's default.
const STEP: Nanos = Nanos(SECOND);

/// Name, factor of smallest-first, whether small ones may be served beside the permits, whether too many are refused.
const ROWS: [(&str, bool, Option<u64>); 4] = [
    ("fifo, timeout", false, None),
    ("fifo, timeout and target", false, Some(TARGET)),
    ("smallest, timeout", true, None),
    ("smallest, timeout and target", true, Some(TARGET)),
];

/// How many runs the table takes.
pub(super) fn runs(options: &Options) -> usize {
    usize::from(options.seeds) * ROWS.len()
}

pub(super) fn table(options: &Options, steps: &mut Steps<'_>) -> String {
    let mut runs: [Vec<[Figures; 2]>; ROWS.len()] = std::array::from_fn(|_| Vec::new());
    for seed in (options.seed..).take(usize::from(options.seeds)) {
        let (site, mut jobs, _) = stage(options, LOAD, 0.0, seed);
        for job in &mut jobs {
            job.class = u8::from(!job.dice.is_multiple_of(INTERACTIVE));
        }
        for ((_, by_size, target), runs) in ROWS.iter().zip(&mut runs) {
            let fates = engine::run(&jobs, &site, &choice(options, *by_size, *target));
            runs.push([0, 1].map(|class| Figures::among(&jobs, &fates, |job: &Job| job.class == class)));
            steps.step("overload");
        }
    }
    let mut text = format!(
        "overload: {} endpoints of {} cores, interactive work 50 %, batch 100 %, timeout 5 s, target 1 s, {} runs of {} s\n\n\
         | queue                        | interactive p50 |   p99 | refused | batch p50 |   p99 | refused | done of what can be |\n\
         |------------------------------|----------------:|------:|--------:|----------:|------:|--------:|--------------------:|\n",
        options.endpoints, options.cores, options.seeds, options.seconds,
    );
    for ((name, ..), runs) in ROWS.iter().zip(&runs) {
        let [one, other] = [0, 1]
            .map(|class| Figures::median(&runs.iter().filter_map(|both| both.get(class).copied()).collect::<Vec<_>>()));
        // Of the offered work a third is interactive, and two thirds of it can be done.
        let done = (one.done / 3.0 + other.done * 2.0 / 3.0) * f64::from(LOAD);
        let [lost, late] = [one.refused, other.refused].map(|share| share * 100.0);
        writeln!(
            text,
            "| {name:<28} | {:>15.2} | {:>5.2} | {lost:>5.1} % | {:>9.2} | {:>5.2} | {late:>5.1} % | {done:>17.1} % |",
            one.p50, one.p99, other.p50, other.p99
        )
        .ok();
    }
    text
}

fn choice(options: &Options, by_size: bool, target: Option<u64>) -> Choice {
    let factor = if by_size { options.factor } else { 0 };
    Choice::Permits {
        policy: Policy::LeastConnections,
        per_core: 1.0,
        rules: Rules { handicap: STEP, ..rules(factor, false, options.small) },
        classes: false,
        timeout: Some(TIMEOUT),
        target,
        extra: u32::from(by_size),
        eager: false,
        large: u32::MAX,
    }
}
