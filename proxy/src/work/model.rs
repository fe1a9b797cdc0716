//! Milliseconds from what is known of a request, learnt from the answers.
//!
//! In: sizes; then what the work really was. Out: `a + b × pixels + c × bytes`. Pure.
//! The fit is least squares of the *relative* error, so that small ones count as much as large ones; the last few hundred
//! answers count and older ones fade; an answer far from its prediction counts for less; no coefficient is negative. What
//! the answers do not tell (photos all of one size tell one number, not three) stays in the proportions of the prior.
//! Cost: a prediction 2 ns, an answer 150 ns; no allocation.
//! Source: ridge regression with exponential forgetting (Ljung, "System Identification", 1999, chapter 11); the weight of
//! outliers is Huber's (1964).

/// How many coefficients there are: per exchange, per megapixel, per mebibyte.
const TERMS: usize = 3;

type Vector = [f64; TERMS];

/// What a step into the past counts less: half after 140 answers. Long enough for the rare large ones to be remembered,
/// short enough that a deploy of other code is learnt within a minute of load.
const FADE: f64 = 0.995;

/// How much of an answer the prior's proportions are worth: the first few answers outweigh them.
const PRIOR_WEIGHT: f64 = 0.02;

/// A relative error beyond this counts for less.
const OUTLIER: f64 = 1.0;

/// So many answers are believed whatever they say: before, the prediction that they contradict is but a guess.
const WARM: u64 = 16;

/// The range of work that there is, in milliseconds: 1 µs to an hour.
const RANGE: (f64, f64) = (0.001, 3_600_000.0);

/// What is known of a request's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Of the picture in it, 0 when that is not looked at.
    pub(crate) pixels: u64,
    /// Of its body.
    pub(crate) bytes: u64,
}

/// Milliseconds that a model ascribes to each part of a size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// Whatever the size.
    pub per_exchange: f64,
    /// For each million pixels.
    pub per_megapixel: f64,
    /// For each 1024 × 1024 bytes.
    pub per_mebibyte: f64,
}

impl Coefficients {
    const fn vector(self) -> Vector {
        [self.per_exchange, self.per_megapixel, self.per_mebibyte]
    }
}

/// A model that learns.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    prior: Vector,
    /// What the prior's coefficients are multiplied by.
    scale: Vector,
    /// Sums over the answers, fading: of the products of the parts of a prediction, and of those with what was true.
    moments: [Vector; TERMS],
    products: Vector,
    answers: u64,
}

impl Model {
    /// Knows nothing but this.
    pub(crate) const fn new(prior: Coefficients) -> Self {
        Self {
            prior: prior.vector(),
            scale: [1.0; TERMS],
            moments: [[0.0; TERMS]; TERMS],
            products: [0.0; TERMS],
            answers: 0,
        }
    }

    /// The work to be expected, in milliseconds.
    pub(crate) fn predict(&self, size: Size) -> f64 {
        dot(self.parts(size), self.scale).clamp(RANGE.0, RANGE.1)
    }

    /// A request of this size was this much work, in milliseconds. What is no number is passed over.
    pub(crate) fn learn(&mut self, size: Size, work: f64) {
        if !work.is_finite() {
            return;
        }
        let work = work.clamp(RANGE.0, RANGE.1);
        let predicted = self.predict(size);
        let (unit, weight) = if self.answers < WARM {
            (work, 1.0)
        } else {
            (predicted, (OUTLIER / ((work - predicted) / predicted).abs()).min(1.0))
        };
        let parts = self.parts(size).map(|part| part / unit);
        for (row, &part) in self.moments.iter_mut().zip(&parts) {
            for (sum, other) in row.iter_mut().zip(parts) {
                *sum = FADE.mul_add(*sum, weight * part * other);
            }
        }
        for (sum, part) in self.products.iter_mut().zip(parts) {
            *sum = FADE.mul_add(*sum, weight * part * work / unit);
        }
        self.answers += 1;
        self.scale = self.solved();
    }

    /// How many answers it has seen.
    pub(crate) const fn answers(&self) -> u64 {
        self.answers
    }

    /// What it has learnt.
    pub(crate) fn coefficients(&self) -> Coefficients {
        let [per_exchange, per_megapixel, per_mebibyte] = std::array::from_fn(|at| self.prior[at] * self.scale[at]);
        Coefficients { per_exchange, per_megapixel, per_mebibyte }
    }

    /// What each term contributes under the prior, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "sizes beyond 2^53 are none")]
    fn parts(&self, size: Size) -> Vector {
        let [exchange, megapixel, mebibyte] = self.prior;
        [exchange, megapixel * size.pixels as f64 / 1e6, mebibyte * size.bytes as f64 / f64::from(1 << 20)]
    }

    /// The scale that fits best and has no negative part: the most negative one is taken out until there is none.
    fn solved(&self) -> Vector {
        let mut used = [true; TERMS];
        loop {
            let solution = self.solved_for(used);
            let worst =
                (0..TERMS).filter(|&at| solution[at] < 0.0).min_by(|&a, &b| solution[a].total_cmp(&solution[b]));
            match worst {
                Some(at) => used[at] = false,
                None => return solution,
            }
        }
    }

    /// By how much the prior as a whole is best multiplied: a fleet may be a hundred times slower than that thinks.
    fn level(&self) -> f64 {
        let (sum, square) = (self.products.iter().sum::<f64>(), self.moments.iter().flatten().sum::<f64>());
        let level = sum / square;
        if level.is_finite() && level > 0.0 { level } else { 1.0 }
    }

    /// Gauss without pivoting, which a positive definite matrix does not need; terms that are not used are zero.
    fn solved_for(&self, used: [bool; TERMS]) -> Vector {
        let level = self.level();
        let mut rows: [Vector; TERMS] = std::array::from_fn(|at| {
            std::array::from_fn(|other| match (used[at] && used[other], at == other) {
                (true, true) => (level * level).mul_add(self.moments[at][other], PRIOR_WEIGHT),
                (true, false) => level * level * self.moments[at][other],
                (false, same) => f64::from(u8::from(same)),
            })
        });
        let mut right: Vector =
            std::array::from_fn(|at| if used[at] { level.mul_add(self.products[at], PRIOR_WEIGHT) } else { 0.0 });
        for at in 0..TERMS {
            let (pivot, known) = (rows[at], right[at]);
            for (row, value) in rows.iter_mut().zip(&mut right).skip(at + 1) {
                let times = row[at] / pivot[at];
                row.iter_mut().zip(pivot).for_each(|(cell, other)| *cell -= times * other);
                *value -= times * known;
            }
        }
        let mut solution = [0.0; TERMS];
        for at in (0..TERMS).rev() {
            // What is not solved yet is zero.
            solution[at] = (right[at] - dot(rows[at], solution)) / rows[at][at];
        }
        solution.map(|part| level * part)
    }
}

fn dot(one: Vector, other: Vector) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRIOR: Coefficients = Coefficients { per_exchange: 2.0, per_megapixel: 20.0, per_mebibyte: 2.0 };

    fn size(megapixels: f64, mebibytes: f64) -> Size {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        Size { pixels: (megapixels * 1e6) as u64, bytes: (mebibytes * 1_048_576.0) as u64 }
    }

    /// Small photos mostly, every twelfth a larger one, every fiftieth an 8K one; of differing compression.
    fn sizes() -> impl Iterator<Item = Size> {
        (0_u32..).map(|n| {
            let megapixels = if n % 50 == 0 {
                33.0
            } else if n % 12 == 0 {
                4.0
            } else {
                0.35
            };
            size(megapixels, megapixels * (0.1 + 0.1 * f64::from(n % 7)))
        })
    }

    fn taught(truth: impl Fn(Size) -> f64, answers: usize) -> Model {
        let mut model = Model::new(PRIOR);
        sizes().take(answers).for_each(|size| model.learn(size, truth(size)));
        model
    }

    #[expect(clippy::cast_precision_loss, reason = "small")]
    fn by_pixels(size: Size) -> f64 {
        5.0 + size.pixels as f64 / 1e6 * 30.0
    }

    #[test]
    fn it_finds_a_law_of_pixels_whatever_the_prior_says() {
        let model = taught(by_pixels, 300);
        for size in sizes().take(60) {
            let (said, is) = (model.predict(size), by_pixels(size));
            assert!((said / is - 1.0).abs() < 0.05, "{size:?}: {said} instead of {is}");
        }
        assert!(model.coefficients().per_mebibyte < 2.0, "{:?}", model.coefficients());
    }

    #[test]
    fn a_fleet_a_hundred_times_slower_than_the_prior_is_learnt_within_sixteen_answers() {
        let slow = |size| by_pixels(size) * 100.0;
        let model = taught(slow, 16);
        let small = size(0.35, 0.1);
        assert!((model.predict(small) / slow(small) - 1.0).abs() < 0.2, "{}", model.predict(small));
    }

    #[test]
    fn one_answer_in_twenty_that_is_a_hundred_times_too_late_hardly_matters() {
        let mut model = taught(by_pixels, 300);
        for (n, size) in sizes().enumerate().take(400) {
            model.learn(size, if n % 20 == 19 { by_pixels(size) * 100.0 } else { by_pixels(size) });
        }
        let small = size(0.35, 0.1);
        assert!(model.predict(small) < 1.3 * by_pixels(small), "{}", model.predict(small));
    }

    #[test]
    fn a_deploy_that_doubles_the_work_is_learnt() {
        let mut model = taught(by_pixels, 300);
        sizes().take(400).for_each(|size| model.learn(size, 2.0 * by_pixels(size)));
        let small = size(0.35, 0.1);
        assert!((model.predict(small) / by_pixels(small) / 2.0 - 1.0).abs() < 0.2, "{}", model.predict(small));
    }

    #[test]
    fn photos_all_of_one_size_do_not_make_larger_ones_cheaper() {
        let mut model = Model::new(PRIOR);
        (0..2000).for_each(|_| model.learn(size(0.35, 0.1), 15.0));
        assert!((model.predict(size(0.35, 0.1)) / 15.0 - 1.0).abs() < 0.02);
        assert!(model.predict(size(33.0, 5.0)) > 100.0, "{}", model.predict(size(33.0, 5.0)));
    }

    proptest! {
        #[test]
        fn whatever_it_is_told_it_predicts_a_finite_positive_number_that_grows_with_the_size(
            told in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<f64>()), 0..60),
            pixels in 0..1_u64 << 40, bytes in 0..1_u64 << 40,
        ) {
            let mut model = Model::new(PRIOR);
            for (pixels, bytes, work) in told {
                model.learn(Size { pixels, bytes }, work);
            }
            let said = model.predict(Size { pixels, bytes });
            prop_assert!((RANGE.0..=RANGE.1).contains(&said), "{said}");
            for larger in [Size { pixels: 2 * pixels, bytes }, Size { pixels, bytes: 2 * bytes }] {
                prop_assert!(model.predict(larger) >= said);
            }
        }
    }
}
