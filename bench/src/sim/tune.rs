//! Which factor of smallest-first is best.
//!
//! In: loads, seeds. Out: for each factor what it makes of p50, mean, p99 and the small jobs' p99, as ratios to least
//! connections on the same jobs; their geometric mean is what the choice is made by, the worst of them what it is
//! checked by.

use std::fmt::Write;

use weir_balance::Policy;

use super::engine::{self, Choice};
use super::figures::Figures;
use super::scenario::{duel, rules, stage};
use super::{Options, Steps};

const FACTORS: [u16; 14] = [0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 300, 1000];
/// Small ones beyond the permits, without which low loads are worse than under least connections.
const EXTRA: u32 = 1;
const ERRORS: [f64; 2] = [0.0, 0.5];

/// How many runs the table takes.
pub(super) fn runs(options: &Options) -> usize {
    ERRORS.len() * options.loads.len() * usize::from(options.seeds)
}

pub(super) fn table(options: &Options, steps: &mut Steps<'_>) -> String {
    let mut ratios: Vec<Vec<[f64; 4]>> = vec![Vec::new(); FACTORS.len()];
    let mut text = String::new();
    for error in ERRORS {
        for &load in &options.loads {
            let mut base = Vec::new();
            let mut runs = vec![Vec::new(); FACTORS.len()];
            for seed in (options.seed..).take(usize::from(options.seeds)) {
                let (site, jobs, timeout) = stage(options, load, error, seed);
                let least = engine::run(&jobs, &site, &Choice::Policy(Policy::LeastConnections));
                base.push(Figures::of(&jobs, &least));
                for (factor, runs) in FACTORS.into_iter().zip(&mut runs) {
                    runs.push(duel(&jobs, &site, rules(factor, false, options.small), EXTRA, timeout));
                }
                steps.step("tune");
            }
            let percent = error * 100.0;
            writeln!(text, "load {load} %, predictions ± {percent:.0} %: ratios to least connections\n").ok();
            writeln!(text, "| factor |  p50 | mean |  p99 | small p99 | p99.9 | refused |").ok();
            writeln!(text, "|-------:|-----:|-----:|-----:|----------:|------:|--------:|").ok();
            let base = Figures::median(&base);
            for ((factor, runs), ratios) in FACTORS.into_iter().zip(&runs).zip(&mut ratios) {
                let figures = Figures::median(runs);
                let [a, b] = [figures.judged(), base.judged()];
                let judged: [f64; 4] = std::array::from_fn(|index| a[index] / b[index]);
                // Beyond what the endpoints can do, what does not refuse is late without end: no ratio to judge by.
                if load <= 100 {
                    ratios.push(judged);
                }
                let [p50, mean, p99, small] = judged;
                let (p999, refused) = (figures.p999 / base.p999, figures.refused * 100.0);
                writeln!(
                    text,
                    "| {factor:>6} | {p50:.2} | {mean:.2} | {p99:.2} | {small:>9.2} | {p999:>5.2} | {refused:>5.2} % |"
                )
                .ok();
            }
            text.push('\n');
        }
    }
    writeln!(
        text,
        "all loads up to 100 % and errors together\n\n| factor | geometric mean | worst |\n|-------:|---------------:|------:|"
    ).ok();
    for (factor, ratios) in FACTORS.into_iter().zip(&ratios) {
        let all = || ratios.iter().flatten();
        let count = f64::from(u32::try_from(all().count()).unwrap_or(u32::MAX));
        let geometric = (all().map(|ratio| ratio.ln()).sum::<f64>() / count).exp();
        let worst = all().copied().fold(0.0, f64::max);
        writeln!(text, "| {factor:>6} | {geometric:>14.3} | {worst:>5.2} |").ok();
    }
    text
}
