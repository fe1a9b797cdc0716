//! A quantile of a stream, in one number.
//!
//! In: values. Out: an estimate below which the wanted share of the later ones lies. Cost: 1 ns, no memory of values.
//! Source: stochastic approximation (Robbins, Monro 1951): each value moves the estimate towards itself, up and down in the
//! proportion of the shares; steps shrink to a least one, so that it follows what changes.

/// The least step: with values that are logarithms of ratios, two per cent.
const STEP: f64 = 0.02;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantile {
    share: f64,
    estimate: f64,
    step: f64,
}

impl Quantile {
    /// Of this share, between 0 and 1.
    pub(crate) const fn new(share: f64) -> Self {
        Self { share, estimate: 0.0, step: 1.0 }
    }

    /// One more value. What is no number is passed over.
    pub(crate) fn see(&mut self, value: f64) {
        if value.is_finite() {
            let up = if value > self.estimate { self.share } else { self.share - 1.0 };
            self.estimate = self.step.mul_add(up, self.estimate);
            self.step = (self.step * 0.95).max(STEP);
        }
    }

    /// The estimate; 0 before the first value.
    pub(crate) const fn get(&self) -> f64 {
        self.estimate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_tenths_of_a_thousand_values_are_below_the_last_decile() {
        // A permutation of 0..1000, to 0..1 and off centre.
        let values: Vec<f64> = (0..4000_u32).map(|n| f64::from(n * 617 % 1000) / 1000.0 - 0.3).collect();
        for (share, expected) in [(0.1, -0.2), (0.5, 0.2), (0.9, 0.6)] {
            let mut quantile = Quantile::new(share);
            for &value in &values {
                quantile.see(value);
            }
            quantile.see(f64::NAN);
            assert!((quantile.get() - expected).abs() < 0.1, "{share}: {} instead of {expected}", quantile.get());
        }
    }
}
