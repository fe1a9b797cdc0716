//! The sites and loads that contenders are compared on.

use weir_balance::{Nanos, Policy, Rules};

use super::engine::{self, Choice, Site, Turn};
use super::figures::Figures;
use super::report::{Row, Table};
use super::trace::{self, Job, Mix, Recipe, SECOND, Shape};
use super::{Options, Steps};

/// The factor of smallest-first unless told otherwise; how it was chosen: `docs/benchmarks.md`.
pub(crate) const FACTOR: u16 = 15;

/// How long an exchange waits in a queue when more arrives than can be done.
const TIMEOUT: u64 = 5 * SECOND;

/// In [`Scenario::Cold`]: how often, how long it is away, how long and how much slower it is then.
const RESTARTS: u64 = 300 * SECOND;
const AWAY: u64 = 5 * SECOND;
const COLD: u64 = 30 * SECOND;
const COLD_SPEED: f64 = 0.25;

/// One table, or a few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Equal endpoints, at each load
    Base,
    /// The prediction is off by up to half
    Error,
    /// Sizes with a Pareto tail
    Pareto,
    /// One endpoint is four times slower
    Slow,
    /// One endpoint is dead for a third of the time
    Dead,
    /// One endpoint is restarted every five minutes, and four times slower for its first half minute
    Cold,
    /// Arrivals in bursts
    Bursts,
    /// Arrivals by the time of day
    Diurnal,
    /// A thousand endpoints
    Fleet,
    /// Two and four proxies in front of the endpoints
    Proxies,
    /// More or fewer permits than cores
    Capacity,
    /// More interactive work and batch than can be done, with and without shedding
    Overload,
    /// Factors of smallest-first
    Tune,
    /// What a hash ring moves and how evenly it spreads
    Rings,
}

impl Scenario {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Error => "error",
            Self::Pareto => "pareto",
            Self::Slow => "slow",
            Self::Dead => "dead",
            Self::Cold => "cold",
            Self::Bursts => "bursts",
            Self::Diurnal => "diurnal",
            Self::Fleet => "fleet",
            Self::Proxies => "proxies",
            Self::Capacity => "capacity",
            Self::Overload => "overload",
            Self::Tune => "tune",
            Self::Rings => "rings",
        }
    }

    /// The tables of this scenario.
    pub(super) fn tables(self, options: &Options, steps: &mut Steps<'_>) -> Result<Vec<Table>, String> {
        let mut tables = Vec::new();
        for &load in loads(options) {
            for &proxies in self.fleets() {
                tables.push(self.table(options, load, proxies, steps)?);
            }
        }
        Ok(tables)
    }

    /// How many runs that takes.
    pub(super) fn runs(self, options: &Options) -> usize {
        let contenders = self.contenders(options, 0).len();
        loads(options).len() * self.fleets().len() * usize::from(options.seeds) * contenders
    }

    const fn fleets(self) -> &'static [usize] {
        if matches!(self, Self::Proxies) { &[2, 4] } else { &[1] }
    }

    fn table(self, options: &Options, load: u16, proxies: usize, steps: &mut Steps<'_>) -> Result<Table, String> {
        let site = self.site(options, proxies);
        let contenders = self.contenders(options, load);
        let mut runs = vec![Vec::new(); contenders.len()];
        for seed in (options.seed..).take(usize::from(options.seeds)) {
            let jobs = match &options.trace {
                Some(path) => trace::read(path, self.error(), seed)?,
                None => self.recipe(options, &site, load, seed).jobs(),
            };
            for ((_, choice), runs) in contenders.iter().zip(&mut runs) {
                runs.push(Figures::of(&jobs, &engine::run(&jobs, &site, choice)));
                steps.step(self.name());
            }
        }
        let row = |((name, _), runs): (&(&'static str, Choice), Vec<Figures>)| Row { name, runs };
        let of = match &options.trace {
            Some(path) => format!(", {}", path.display()),
            None => format!(", load {load} %, {} runs of {} s", options.seeds, self.seconds(options)),
        };
        let by = if proxies > 1 { format!(", {proxies} proxies") } else { String::new() };
        let under =
            if options.turnaround > 0.0 { format!(", {} ms under way", options.turnaround) } else { String::new() };
        let title = format!("{}: {} endpoints of {} cores{of}{by}{under}", self.name(), site.speeds.len(), site.cores);
        let scenario = self.name();
        Ok(Table { scenario, load, proxies, title, rows: contenders.iter().zip(runs).map(row).collect() })
    }

    fn site(self, options: &Options, proxies: usize) -> Site {
        let count = if self == Self::Fleet { 1000 } else { usize::from(options.endpoints) };
        let mut speeds = vec![1.0; count];
        if let (Self::Slow, Some(first)) = (self, speeds.first_mut()) {
            *first = 0.25;
        }
        let end = u64::from(options.seconds) * SECOND;
        let turns = match self {
            Self::Dead => vec![(end / 3, Turn::Dies), (2 * (end / 3), Turn::Returns)],
            Self::Cold => (1..=end / RESTARTS).flat_map(|number| restart(number * RESTARTS)).collect(),
            _ => Vec::new(),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a second")]
        let turnaround = (options.turnaround * 1e6) as u64;
        Site { discipline: options.discipline, cores: options.cores, speeds, turns, proxies, turnaround }
    }

    /// A fleet sees in a hundredth of the time more than four endpoints do in all of it.
    const fn seconds(self, options: &Options) -> u32 {
        if matches!(self, Self::Fleet) { options.seconds.div_ceil(100) } else { options.seconds }
    }

    const fn error(self) -> f64 {
        if matches!(self, Self::Error) { 0.5 } else { 0.0 }
    }

    fn recipe(self, options: &Options, site: &Site, load: u16, seed: u64) -> Recipe {
        // Of what can be done while one endpoint is dead, so that the others can do its share.
        let alive = if self == Self::Dead { site.speeds.iter().skip(1).sum() } else { site.speeds.iter().sum::<f64>() };
        Recipe {
            mix: if self == Self::Pareto { Mix::Pareto } else { Mix::Seed },
            shape: match self {
                Self::Bursts => Shape::Bursts,
                Self::Diurnal => Shape::Diurnal,
                _ => Shape::Steady,
            },
            rate: alive * f64::from(site.cores) * f64::from(load) / 100.0,
            seconds: f64::from(self.seconds(options)),
            error: self.error(),
            seed,
        }
    }

    fn contenders(self, options: &Options, load: u16) -> Vec<(&'static str, Choice)> {
        let timeout = (load > 100).then_some(TIMEOUT);
        let permits = |factor, per_core, classes, extra| Choice::Permits {
            policy: Policy::LeastConnections,
            per_core,
            rules: rules(factor, classes, options.small),
            classes,
            timeout,
            target: None,
            extra,
            eager: false,
            large: u32::MAX,
        };
        let smallest = |per_core, extra| permits(options.factor, per_core, false, extra);
        if self == Self::Capacity {
            return vec![
                ("least connections", Choice::Policy(Policy::LeastConnections)),
                ("1 permit per core", smallest(1.0, 0)),
                ("1.5 permits per core", smallest(1.5, 0)),
                ("2 permits per core", smallest(2.0, 0)),
                ("3 permits per core", smallest(3.0, 0)),
                ("1, and 1 small extra", smallest(1.0, 1)),
                ("the same, always", eager(smallest(1.0, 1))),
                ("1, and 2 small extra", smallest(1.0, 2)),
                ("1, and 4 small extra", smallest(1.0, 4)),
                ("3/4 for large ones", reserving(smallest(1.0, 0), options)),
                ("the same, +1 small", reserving(smallest(1.0, 1), options)),
            ];
        }
        let mut contenders = vec![
            ("round robin", Choice::Policy(Policy::RoundRobin)),
            ("least connections", Choice::Policy(Policy::LeastConnections)),
            ("p2c", Choice::Policy(Policy::P2c)),
            ("peak-ewma", Choice::Policy(Policy::PeakEwma)),
            ("least work", Choice::LeastWork),
            ("permits, fifo", permits(0, 1.0, false, 0)),
            ("permits, classes", permits(0, 1.0, true, 0)),
            ("permits, smallest", smallest(1.0, 0)),
            ("the same, +1 small", smallest(1.0, 1)),
        ];
        if matches!(self, Self::Base | Self::Pareto) && load <= 100 {
            contenders.push(("interrupting", Choice::Bound));
        }
        contenders
    }
}

/// A trace has a load of its own.
const fn loads(options: &Options) -> &[u16] {
    if options.trace.is_some() { &[100] } else { options.loads.as_slice() }
}

/// The same, with small ones beyond the permits even if they would wait alone.
fn eager(choice: Choice) -> Choice {
    match choice {
        Choice::Permits { policy, per_core, rules, classes, timeout, target, extra, large, .. } => {
            Choice::Permits { policy, per_core, rules, classes, timeout, target, extra, eager: true, large }
        }
        other => other,
    }
}

/// The same, with a quarter of all permits kept for small ones.
fn reserving(choice: Choice, options: &Options) -> Choice {
    let all = u32::from(options.endpoints) * options.cores;
    match choice {
        Choice::Permits { policy, per_core, rules, classes, timeout, target, extra, eager, .. } => {
            let large = (all * 3 / 4).max(1);
            Choice::Permits { policy, per_core, rules, classes, timeout, target, extra, eager, large }
        }
        other => other,
    }
}

/// What becomes of an endpoint that is restarted at this moment.
fn restart(at: u64) -> [(u64, Turn); 4] {
    let back = at + AWAY;
    [(at, Turn::Dies), (back, Turn::Speed(COLD_SPEED)), (back, Turn::Returns), (back + COLD, Turn::Speed(1.0))]
}

/// The order of a queue in which up to so many milliseconds are small; with classes the handicap is longer than anything waits, as HAProxy's priority classes are.
pub(crate) const fn rules(factor: u16, classes: bool, small: u64) -> Rules {
    Rules {
        max: usize::MAX,
        factor,
        believed: Nanos(5 * SECOND),
        least: Nanos::from_millis(1),
        handicap: Nanos(if classes { 1_000_000 * SECOND } else { 0 }),
        slack: Nanos::from_millis(200),
        small: Nanos::from_millis(small),
    }
}

/// A run of smallest-first and one of least connections over the same jobs.
pub(super) fn duel(jobs: &[Job], site: &Site, rules: Rules, extra: u32, timeout: Option<u64>) -> Figures {
    let policy = Policy::LeastConnections;
    let choice = Choice::Permits {
        policy,
        per_core: 1.0,
        rules,
        classes: false,
        timeout,
        target: None,
        extra,
        eager: false,
        large: u32::MAX,
    };
    Figures::of(jobs, &engine::run(jobs, site, &choice))
}

/// The site, the jobs and the patience of a run at this load and error.
pub(super) fn stage(options: &Options, load: u16, error: f64, seed: u64) -> (Site, Vec<Job>, Option<u64>) {
    let site = Scenario::Base.site(options, 1);
    let recipe = Recipe { error, ..Scenario::Base.recipe(options, &site, load, seed) };
    (site, recipe.jobs(), (load > 100).then_some(TIMEOUT))
}
