//! What arrives: jobs with their moments and sizes.
//!
//! In: a mix of sizes, a load, a seed. Out: a trace that every contender is given alike; open loop, so a slow answer
//! delays no arrival.

use std::path::Path;

use super::chance::Chance;

/// Nanoseconds, as everywhere in the simulator.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Job {
    /// When it arrives, in nanoseconds from the start.
    pub(crate) arrival: u64,
    /// Nanoseconds of one core at speed 1.
    pub(crate) work: u64,
    /// What the proxy believes of that.
    pub(crate) predicted: u64,
    /// Whether it is one of the small ones, whose tail is shown separately.
    pub(crate) small: bool,
    /// Its priority: 0 goes first.
    pub(crate) class: u8,
    /// A uniform number, for whoever wants to draw.
    pub(crate) dice: u64,
}

/// How sizes are distributed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mix {
    /// The photos of the course that weir comes from: 90 % of ~55 ms, 8 % of ~275 ms, 2 % of ~1.1 s, each ± 20 %.
    Seed,
    /// A Pareto tail, bounded: from 20 ms to 10 s with exponent 1.2.
    Pareto,
}

/// How the rate of arrivals changes over time; the mean is that of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// Poisson.
    Steady,
    /// Poisson, 1.5 times the mean rate for 2 s, then half of it for 2 s.
    Bursts,
    /// Poisson, as a sine of ± 30 % with a period of ten minutes.
    Diurnal,
}

/// What a trace is made from.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) mix: Mix,
    pub(crate) shape: Shape,
    /// Work that arrives per second, in core seconds.
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
    /// The prediction is off by a factor drawn from `1 ± error`.
    pub(crate) error: f64,
    pub(crate) seed: u64,
}

impl Mix {
    /// Seconds of work of one job, and whether it is small.
    fn draw(&self, chance: &mut Chance) -> (f64, bool) {
        match self {
            Self::Seed => {
                let share = chance.share();
                let centre = if share < 0.90 {
                    0.055
                } else if share < 0.98 {
                    0.275
                } else {
                    1.1
                };
                (centre * chance.between(0.8, 1.2), share < 0.90)
            }
            Self::Pareto => {
                let (low, high, exponent) = PARETO;
                let cut = 1.0 - (low / high).powf(exponent);
                let work = low / (1.0 - cut * chance.share()).powf(1.0 / exponent);
                (work, work < self.mean())
            }
        }
    }

    /// Seconds of work of the mean job.
    fn mean(&self) -> f64 {
        match self {
            Self::Seed => 0.9 * 0.055 + 0.08 * 0.275 + 0.02 * 1.1,
            Self::Pareto => {
                let (low, high, exponent) = PARETO;
                let cut = 1.0 - (low / high).powf(exponent);
                let tail = low.powf(exponent) * exponent / (exponent - 1.0);
                tail * (low.powf(1.0 - exponent) - high.powf(1.0 - exponent)) / cut
            }
        }
    }
}

/// Least and most seconds, and the exponent of the tail.
const PARETO: (f64, f64, f64) = (0.02, 10.0, 1.2);

impl Shape {
    /// The rate at this second, as a share of the mean rate.
    fn at(self, second: f64) -> f64 {
        match self {
            Self::Steady => 1.0,
            Self::Bursts if second.rem_euclid(4.0) < 2.0 => 1.5,
            Self::Bursts => 0.5,
            Self::Diurnal => 1.0 + 0.3 * (second * std::f64::consts::TAU / 600.0).sin(),
        }
    }

    const fn most(self) -> f64 {
        match self {
            Self::Steady => 1.0,
            Self::Bursts => 1.5,
            Self::Diurnal => 1.3,
        }
    }
}

impl Recipe {
    /// The jobs, by arrival.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        let [mut arrivals, mut sizes, mut errors, mut dice] = [0, 1, 2, 3].map(|part| Chance::new(self.seed, part));
        let between = self.mix.mean() / (self.rate * self.shape.most());
        let mut second = 0.0;
        let mut jobs = Vec::new();
        loop {
            second += arrivals.wait(between);
            if second >= self.seconds {
                return jobs;
            }
            // Thinning: as many candidates as at the highest rate, of which the share due at this second is kept.
            if arrivals.share() * self.shape.most() > self.shape.at(second) {
                continue;
            }
            let (work, small) = self.mix.draw(&mut sizes);
            let predicted = work * errors.between(1.0 - self.error, 1.0 + self.error);
            jobs.push(Job {
                arrival: nanos(second),
                work: nanos(work),
                predicted: nanos(predicted),
                small,
                class: 0,
                dice: dice.bits(),
            });
        }
    }
}

/// A trace from a file: one job a line, the second it arrived and its seconds of work, separated by blanks or a comma;
/// by arrival. Lines that begin with `#` say nothing. Small is what is below the mean.
///
/// # Errors
/// What is wrong, with the number of the line.
pub(crate) fn read(path: &Path, error: f64, seed: u64) -> Result<Vec<Job>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let [mut errors, mut dice] = [2, 3].map(|part| Chance::new(seed, part));
    let mut jobs: Vec<Job> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut numbers = line.split([',', ' ', '\t']).filter(|word| !word.is_empty()).map(str::parse::<f64>);
        let (Some(Ok(second)), Some(Ok(work))) = (numbers.next(), numbers.next()) else {
            return Err(format!("{}:{number}: wants the second of arrival and the seconds of work", path.display()));
        };
        if !(0.0..1e9).contains(&second) || !(1e-9..1e6).contains(&work) {
            return Err(format!("{}:{number}: {second} s and {work} s of work are no job", path.display()));
        }
        if jobs.last().is_some_and(|last| last.arrival > nanos(second)) {
            return Err(format!("{}:{number}: arrives before the line above it", path.display()));
        }
        let predicted = nanos(work * errors.between(1.0 - error, 1.0 + error));
        jobs.push(Job {
            arrival: nanos(second),
            work: nanos(work),
            predicted,
            small: false,
            class: 0,
            dice: dice.bits(),
        });
    }
    let all: u128 = jobs.iter().map(|job| u128::from(job.work)).sum();
    let count = jobs.len() as u128;
    for job in &mut jobs {
        job.small = u128::from(job.work) * count < all;
    }
    Ok(jobs)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a simulation: small, positive")]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(mix: Mix, shape: Shape) -> Recipe {
        Recipe { mix, shape, rate: 7.0, seconds: 6000.0, error: 0.5, seed: 3 }
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    #[test]
    fn as_much_work_arrives_as_was_asked_for() {
        for (mix, tolerance) in [(Mix::Seed, 0.03), (Mix::Pareto, 0.1)] {
            for shape in [Shape::Steady, Shape::Bursts, Shape::Diurnal] {
                let work: u64 = recipe(mix.clone(), shape).jobs().iter().map(|job| job.work).sum();
                let rate = work as f64 / 1e9 / 6000.0;
                assert!((rate / 7.0 - 1.0).abs() < tolerance, "{mix:?} {shape:?}: {rate}");
            }
        }
    }

    #[test]
    fn a_trace_file_is_read_and_a_bad_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace");
        std::fs::write(&path, "# seconds, work\n0.5,0.1\n0.75 2\n\n").unwrap();
        let jobs = read(&path, 0.0, 1).unwrap();
        assert_eq!(
            jobs.iter().map(|job| (job.arrival, job.work)).collect::<Vec<_>>(),
            [(SECOND / 2, SECOND / 10), (SECOND / 4 * 3, 2 * SECOND)]
        );
        assert_eq!(jobs.iter().map(|job| job.small).collect::<Vec<_>>(), [true, false]);
        for bad in ["1", "1,x", "-1,1", "1,0", "2,1\n1,1"] {
            std::fs::write(&path, bad).unwrap();
            assert!(read(&path, 0.0, 1).is_err(), "{bad}");
        }
    }
}
