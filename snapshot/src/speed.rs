//! How fast one endpoint answers, kept between its exchanges.
//!
//! In: the moments of picks and answers. Out: a [`Latency`], which `weir_balance` smooths and ages.
//! Only pools whose policy reads it come here ([`weir_balance::Policy::reads_latency`]).
//! Cost: a pick one store, an answer one `fetch_max` and one compare-exchange, all on the endpoint's own cache lines.

use std::time::Duration;

use weir_balance::{Latency, Nanos, smoothed};

use crate::Moment;
use crate::sync::AtomicU64;
use crate::sync::Ordering::Relaxed;

/// All three in nanoseconds, 0 for none yet. Relaxed throughout: each is a hint, and no two need to agree.
#[derive(Debug)]
pub(crate) struct Speed {
    estimate: AtomicU64,
    answered: AtomicU64,
    asked: AtomicU64,
}

impl Speed {
    pub(crate) fn new() -> Self {
        Self { estimate: AtomicU64::new(0), answered: AtomicU64::new(0), asked: AtomicU64::new(0) }
    }

    /// The endpoint is given an exchange.
    pub(crate) fn asked(&self, now: Moment) {
        self.asked.store(now.as_nanos().max(1), Relaxed);
    }

    /// It answered one after this time.
    pub(crate) fn answered(&self, now: Moment, took: Duration) {
        let sample = Nanos(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1));
        let before = self.answered.fetch_max(now.as_nanos(), Relaxed);
        let since = Nanos(now.as_nanos().saturating_sub(before));
        let mut old = self.estimate.load(Relaxed);
        // A loop, so that of two answers at once the slower one is not lost.
        while let Err(newer) = {
            let new = smoothed((old > 0).then_some(Nanos(old)), sample, since);
            self.estimate.compare_exchange_weak(old, new.0, Relaxed, Relaxed)
        } {
            old = newer;
        }
    }

    /// What is known now.
    pub(crate) fn latency(&self, now: Moment) -> Latency {
        let estimate = self.estimate.load(Relaxed);
        let unasked = match self.asked.load(Relaxed) {
            0 => Latency::UNKNOWN.unasked,
            asked => Nanos(now.as_nanos().saturating_sub(asked)),
        };
        Latency { estimate: (estimate > 0).then_some(Nanos(estimate)), unasked }
    }
}
