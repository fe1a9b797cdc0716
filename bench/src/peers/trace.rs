//! What is asked for, and when: the same for every contender.
//!
//! In: a seed, a load, a capacity. Out: jobs in the order of their arrival. Pure: the same seed gives the same jobs.
//! The mix is that of a photo service: 90 % small photos of about 55 ms, 8 % of about 275 ms, 2 % of about 1.1 s, each with
//! a log-normal spread, all times divided by [`FASTER`] so that a run of seconds holds thousands of jobs. Arrivals
//! are a Poisson process whose times are then stretched by the few percent that make the offered load exactly the one asked
//! for: with so heavy a tail, a run of thousands of jobs would else miss it by several percent, and near the capacity that
//! decides everything.

use std::time::Duration;

use clap::ValueEnum;

use super::dice::Dice;

/// How many times faster than in life everything is.
pub(crate) const FASTER: f64 = 4.0;
/// How many times smaller than in life photos are, in pixels and in bytes: on loopback, bytes would cost the cores that the
/// proxies run on, and here the choice of endpoints is compared, not the copying.
pub(crate) const SMALLER: f64 = 32.0;
/// Pixels that one millisecond of work stands for, in life: an 8K photo takes 1.1 s.
const PIXELS_PER_MS: f64 = 7680.0 * 4320.0 / 1100.0;
/// Bits per pixel of every photo where bytes tell the cost: the small one has 100 KB.
const TYPICAL_BITS: f64 = 0.48;
/// Standard deviation of the logarithm of the work within a class: as much spread as ± 20 %, so that every small photo is less
/// work than the mean of all.
const SPREAD: f64 = 0.115;

/// How much work a photo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// 90 of 100.
    Small,
    /// 8 of 100.
    Medium,
    /// 2 of 100.
    Large,
}

impl Class {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// Of how many of all jobs, 0 to 1.
    pub(crate) const fn share(self) -> f64 {
        match self {
            Self::Small => 0.90,
            Self::Medium => 0.08,
            Self::Large => 0.02,
        }
    }

    /// Mean work in life, in milliseconds.
    const fn work(self) -> f64 {
        match self {
            Self::Small => 55.0,
            Self::Medium => 275.0,
            Self::Large => 1100.0,
        }
    }

    /// Bits per pixel where bytes do not tell the cost: small photos are dense, large ones smooth, and all have about
    /// the same bytes.
    const fn misleading_bits(self) -> (f64, f64) {
        match self {
            Self::Small => (1.2, 2.4),
            Self::Medium => (0.24, 0.48),
            Self::Large => (0.06, 0.12),
        }
    }

    fn draw(dice: &mut Dice) -> Self {
        let chance = dice.unit();
        if chance <= Self::Small.share() {
            Self::Small
        } else if chance <= Self::Small.share() + Self::Medium.share() {
            Self::Medium
        } else {
            Self::Large
        }
    }
}

/// What bytes say about work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bytes {
    /// Content-Length is proportional to the work
    Telling,
    /// It is not: dense small photos, smooth large ones; the image's dimensions tell the work
    Misleading,
}

/// The body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    /// Made up: a JPEG header that says so many pixels, and so many bytes in all.
    Drawn { width: u16, height: u16, bytes: usize },
    /// The photo of this number.
    Photo(usize),
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Job {
    /// When it is to be sent, after the beginning.
    pub(crate) at: Duration,
    /// Which class it is of.
    pub(crate) class: Class,
    /// How long an idle endpoint of ordinary speed takes for it.
    pub(crate) work: Duration,
    /// What it carries.
    pub(crate) picture: Picture,
}

/// Jobs in the order of their arrival.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trace {
    /// Never empty.
    pub(crate) jobs: Vec<Job>,
    /// How long arrivals go on.
    pub(crate) span: Duration,
}

/// What a trace is to be like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) seed: u64,
    /// Work that arrives per second, as a share of `capacity`; more than 0.
    pub(crate) load: f64,
    /// How long arrivals go on, give or take what the stretching does.
    pub(crate) span: Duration,
    /// Seconds of work that all endpoints do per second.
    pub(crate) capacity: f64,
}

impl Trace {
    /// Jobs of the emulated mix.
    pub(crate) fn emulated(wanted: &Wanted, bytes: Bytes) -> Self {
        let mean: f64 = Class::ALL.iter().map(|class| class.share() * class.work()).sum::<f64>() / FASTER / 1e3;
        Self::draw(wanted, mean, |dice| {
            let class = Class::draw(dice);
            let work = dice.lognormal(class.work(), SPREAD);
            let bits = match bytes {
                Bytes::Telling => TYPICAL_BITS,
                Bytes::Misleading => {
                    let (low, high) = class.misleading_bits();
                    dice.between(low, high)
                }
            };
            (class, Duration::from_secs_f64(work / FASTER / 1e3), draw_picture(work, bits))
        })
    }

    /// Jobs that ask for the photos of each class, by their numbers and the time each takes. A class without photos
    /// is asked for as the next smaller one that has some.
    pub(crate) fn of_photos(wanted: &Wanted, photos: &[(Class, Duration)]) -> Self {
        let of = |class: Class| -> Vec<usize> {
            photos.iter().enumerate().filter(|(_, (found, _))| *found == class).map(|(number, _)| number).collect()
        };
        let classes = Class::ALL.map(|class| (class, of(class)));
        let work = |number: usize| photos.get(number).map_or(Duration::ZERO, |(_, work)| *work);
        let mean_of = |numbers: &[usize]| {
            let sum: f64 = numbers.iter().map(|number| work(*number).as_secs_f64()).sum();
            sum / to_f64(numbers.len().max(1))
        };
        let mean = classes.iter().map(|(class, numbers)| class.share() * mean_of(numbers)).sum();
        Self::draw(wanted, mean, |dice| {
            let wished = Class::draw(dice);
            let numbers =
                classes.iter().rev().find(|(class, numbers)| *class as u8 <= wished as u8 && !numbers.is_empty());
            let (class, numbers) = numbers.map_or((wished, &[][..]), |(class, numbers)| (*class, numbers.as_slice()));
            let place = usize::try_from(dice.roll() % to_u64(numbers.len().max(1))).unwrap_or(0);
            let number = numbers.get(place).copied().unwrap_or(0);
            (class, work(number), Picture::Photo(number))
        })
    }

    /// How many seconds of work all jobs are.
    pub(crate) fn work(&self) -> f64 {
        self.jobs.iter().map(|job| job.work.as_secs_f64()).sum()
    }

    /// The trace as text, for the simulator: a job per line, the second of its arrival and its seconds of work.
    pub(crate) fn text(&self) -> String {
        let line = |job: &Job| format!("{:.9} {:.9}", job.at.as_secs_f64(), job.work.as_secs_f64());
        let lines =
            std::iter::once("# second of arrival, seconds of work".to_owned()).chain(self.jobs.iter().map(line));
        lines.map(|line| line + "\n").collect()
    }

    fn draw(wanted: &Wanted, mean: f64, mut one: impl FnMut(&mut Dice) -> (Class, Duration, Picture)) -> Self {
        let mut dice = Dice::new(wanted.seed);
        let offered = wanted.load * wanted.capacity;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, rightly here"
        )]
        let count = ((offered * wanted.span.as_secs_f64() / mean.max(1e-6)).round() as usize).clamp(1, 10_000_000);
        let (mut clock, mut jobs) = (0.0, Vec::with_capacity(count));
        for _ in 0..count {
            let (class, work, picture) = one(&mut dice);
            clock += dice.exponential();
            jobs.push((clock, Job { at: Duration::ZERO, class, work, picture }));
        }
        // One more gap: the last arrival is not the end.
        clock += dice.exponential();
        let mut trace = Self { jobs: jobs.iter().map(|(_, job)| *job).collect(), span: Duration::ZERO };
        let span = trace.work() / offered;
        for (job, (at, _)) in trace.jobs.iter_mut().zip(&jobs) {
            job.at = Duration::from_secs_f64(at / clock * span);
        }
        trace.span = Duration::from_secs_f64(span);
        trace
    }
}

/// Bytes of a photo where they tell the cost, between those of ordinary `smaller` and `larger` photos: where somebody who
/// knows the mix would draw the line.
pub(crate) fn bytes_between(smaller: Class, larger: Class) -> f64 {
    bytes_per_ms() / FASTER * (smaller.work() * larger.work()).sqrt()
}

/// Bytes per millisecond of work where bytes tell the cost, in the times of the trace.
pub(crate) fn bytes_per_ms() -> f64 {
    PIXELS_PER_MS * TYPICAL_BITS / 8.0 / SMALLER * FASTER
}

/// The picture of so much work in life, in milliseconds: 16 to 9.
fn draw_picture(work: f64, bits: f64) -> Picture {
    let pixels = work * PIXELS_PER_MS / SMALLER;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates, rightly here")]
    let side = |length: f64| length.round().max(1.0) as u16;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates, rightly here")]
    let bytes = (pixels * bits / 8.0).round() as usize;
    Picture::Drawn { width: side((pixels * 16.0 / 9.0).sqrt()), height: side((pixels * 9.0 / 16.0).sqrt()), bytes }
}

/// `count` as a float, exact below 2^52.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn to_f64(count: usize) -> f64 {
    count as f64
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(seed: u64) -> Wanted {
        Wanted { seed, load: 0.95, span: Duration::from_mins(1), capacity: 8.0 }
    }

    #[test]
    fn the_same_seed_gives_the_same_jobs_and_another_gives_others() {
        for bytes in [Bytes::Telling, Bytes::Misleading] {
            assert_eq!(Trace::emulated(&wanted(7), bytes), Trace::emulated(&wanted(7), bytes));
            assert_ne!(Trace::emulated(&wanted(7), bytes), Trace::emulated(&wanted(8), bytes));
        }
    }

    #[test]
    fn the_offered_load_is_exactly_the_one_asked_for() {
        for seed in 0..5 {
            let trace = Trace::emulated(&wanted(seed), Bytes::Telling);
            let offered = trace.work() / trace.span.as_secs_f64() / 8.0;
            assert!((offered - 0.95).abs() < 1e-6, "{offered}");
            // What that costs: the span is a little off.
            assert!((trace.span.as_secs_f64() / 60.0 - 1.0).abs() < 0.1, "{:?}", trace.span);
            assert!(trace.jobs.is_sorted_by_key(|job| job.at));
            assert!(trace.jobs.last().unwrap().at < trace.span);
        }
    }

    #[test]
    fn classes_have_their_shares_and_their_work() {
        let trace = Trace::emulated(&Wanted { span: Duration::from_mins(10), ..wanted(1) }, Bytes::Telling);
        for class in Class::ALL {
            let works: Vec<f64> =
                trace.jobs.iter().filter(|job| job.class == class).map(|job| job.work.as_secs_f64() * 1e3).collect();
            let share = to_f64(works.len()) / to_f64(trace.jobs.len());
            let mean = works.iter().sum::<f64>() / to_f64(works.len());
            assert!((share / class.share() - 1.0).abs() < 0.1, "{class:?} has {share}");
            assert!((mean * FASTER / class.work() - 1.0).abs() < 0.05, "{class:?} takes {mean}");
        }
    }

    fn bytes_of(job: &Job) -> f64 {
        match job.picture {
            Picture::Drawn { bytes, .. } => to_f64(bytes),
            Picture::Photo(_) => 0.0,
        }
    }

    #[test]
    fn telling_bytes_are_proportional_to_the_work_and_misleading_ones_are_alike() {
        let telling = Trace::emulated(&wanted(1), Bytes::Telling);
        for job in &telling.jobs {
            let per_ms = bytes_of(job) / job.work.as_secs_f64() / 1e3;
            assert!((per_ms / bytes_per_ms() - 1.0).abs() < 0.01, "{job:?}");
        }
        let misleading = Trace::emulated(&wanted(1), Bytes::Misleading);
        let mean = |class| {
            let all: Vec<f64> = misleading.jobs.iter().filter(|job| job.class == class).map(bytes_of).collect();
            all.iter().sum::<f64>() / to_f64(all.len())
        };
        let [small, medium, large] = Class::ALL.map(mean);
        assert!((medium / small - 1.0).abs() < 0.2 && (large / small - 1.0).abs() < 0.3, "{small} {medium} {large}");
    }

    #[test]
    fn pixels_are_proportional_to_the_work_in_both_traces() {
        for bytes in [Bytes::Telling, Bytes::Misleading] {
            for job in Trace::emulated(&wanted(2), bytes).jobs {
                let Picture::Drawn { width, height, .. } = job.picture else { panic!("{job:?} is not emulated") };
                let pixels = f64::from(width) * f64::from(height);
                let expected = job.work.as_secs_f64() * 1e3 * FASTER * PIXELS_PER_MS / SMALLER;
                assert!((pixels / expected - 1.0).abs() < 0.02, "{job:?}");
            }
        }
    }

    #[test]
    fn a_trace_as_text_has_a_line_per_job_in_seconds() {
        let ms = Duration::from_millis;
        let job = |at, work| Job { at, class: Class::Small, work, picture: Picture::Photo(0) };
        let trace = Trace { jobs: vec![job(ms(0), ms(14)), job(ms(1500), ms(275))], span: ms(2000) };
        let lines = ["# second of arrival, seconds of work", "0.000000000 0.014000000", "1.500000000 0.275000000"];
        assert_eq!(trace.text().lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn photos_are_asked_for_by_class_with_the_time_they_take() {
        let ms = Duration::from_millis;
        let photos = [(Class::Large, ms(400)), (Class::Small, ms(10)), (Class::Small, ms(12))];
        let trace = Trace::of_photos(&wanted(3), &photos);
        for job in &trace.jobs {
            let Picture::Photo(number) = job.picture else { panic!("{job:?} has no photo") };
            assert_eq!((job.class, job.work), photos[number]);
        }
        // Without a medium photo, small ones are asked for in their place.
        assert!(trace.jobs.iter().all(|job| job.class != Class::Medium));
        assert!((trace.work() / trace.span.as_secs_f64() / 8.0 - 0.95).abs() < 1e-6);
    }
}
